"""What is raised on purpose: bad input, and the end of work that nobody wants any more; all else is a defect."""


class InputError(ValueError):
    """What the caller gave cannot be used; the message says what was expected, what came and what to do.

    field: the argument or configuration field that the message is about, None where it is about no single one.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Cancelled(Exception):  # noqa: N818 - it is no error
    """Raised by an `on_progress` callback to end long work; nothing catches it on the way to the caller."""
