"""`python -m gradlab` is the command `gradlab`."""

from .cli import main

if __name__ == "__main__":
    main()
