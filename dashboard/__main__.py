"""`python -m dashboard`."""

from .app import main

main(prog_name="python -m dashboard")
