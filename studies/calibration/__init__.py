"""Runs whose class is known otherwise, what a diagnosis says of them, and the tables that compare the two."""
