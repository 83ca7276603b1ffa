"""Does a test notice when a line is wrong? See __main__."""
