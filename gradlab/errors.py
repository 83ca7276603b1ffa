"""What is raised on purpose: bad input, and the end of work that nobody wants any more; all else is a defect."""

import math
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 900  # characters of a line of a message


def spelled(text: str) -> str:
    """A text with whatever cannot be printed, such as control characters and line ends, as Python escapes it."""
    return text if text.isprintable() else "".join(map(_spelled_letter, text))


def _spelled_letter(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


def readable(text: str) -> str:
    """One line that a person can read: it is `spelled`, and loses its middle where it is too long."""
    half = LONGEST // 2
    ends = [spelled(text)] if len(text) <= LONGEST else [spelled(text[:half]), spelled(text[-half:])]
    line = " ... ".join(ends)
    return line if len(line) <= LONGEST else f"{line[:half]} ... {line[-half:]}"


class InputError(ValueError):
    """What the caller gave cannot be used; the message says what was expected, what came and what to do.

    It is one line, `readable` whatever came: a name from a damaged file may hold anything.
    field: the configuration field, or else the argument, that the message is about; None where it is about no single
    one. Whoever shows the error asks this, and never the message.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(readable(message))
        self.field = field

    @property
    def fields(self) -> dict[str, str]:
        """Each field -> what is wrong with it, without the field's name in front; empty where it is about none."""
        return {} if self.field is None else {self.field: str(self).removeprefix(f"{self.field}: ")}


class _Echo(reprlib.Repr):
    """Short texts of values, for messages."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxlong = 40
        self.maxother = 80

    def repr_int(self, x: int, level: int) -> str:
        """Python itself refuses to write out thousands of digits."""
        try:
            return super().repr_int(x, level)
        except ValueError:
            return f"a number of about {math.log10(abs(x)):,.0f} digits"


echo = _Echo().repr  # what came, as messages quote it: as Python writes it, long texts and numbers cut in the middle


class UnknownName(InputError, KeyError):
    """A name that nothing is registered under; a KeyError as well, which is what a Mapping raises."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would show it in quotes


@contextmanager
def about(field: str, name: str = "", keep: tuple[str, ...] = ()) -> Iterator[None]:
    """InputErrors from inside are about `field`, unless about one of `keep`; `name`, a file's, goes in front."""
    try:
        yield
    except InputError as error:
        text = f"{name}: {error}" if name else str(error)
        raise InputError(text, error.field if error.field in keep else field) from None


class Cancelled(Exception):  # noqa: N818 - it is no error
    """Raised by an `on_progress` callback to end long work; nothing catches it on the way to the caller."""
