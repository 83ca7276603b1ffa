"""On request: long products and their singular values."""
