"""Files that are dropped on a page: read, checked, kept in the cache, and described."""

import base64

from gradlab.data import INPUTS, column_names, parse
from gradlab.data.uploads import find, store
from gradlab.errors import InputError
from gradlab.importers import load_weights, load_whole, saved_by_gradlab, weights_text

from .posts import Text
from .server import UPLOAD_LIMIT


def columns(key: Text | None, labels: bool = False) -> list[str]:
    """The callback: what the column can be chosen from, for an input by its key; any of it may hold labels."""
    sha, _, name = (key or "").partition("-")
    path = None if key in INPUTS else find(sha, name)
    if path is None:
        return []
    try:
        return column_names(name, path.read_bytes(), labels)
    except (InputError, OSError):  # the run itself will say what is wrong
        return []


def decode(contents: str) -> bytes:
    """The content of an upload "data:...;base64,..."; InputError beyond the limit."""
    try:
        data = base64.b64decode(contents.partition(",")[2], validate=True)
    except ValueError:  # binascii.Error is one, and letters beyond ASCII raise a plain one
        raise InputError("the upload did not arrive whole; try again") from None
    if len(data) > UPLOAD_LIMIT:
        size, limit = len(data) / 1e6, UPLOAD_LIMIT / 1e6
        raise InputError(f"{size:.1f} MB; the app takes {limit:.0f} MB. Cut the file, or use gradlab from Python")
    return data


def keep(field: str, name: str, data: bytes) -> tuple[str, str]:
    """Store a file that can be used; returns its key and what it holds. InputError says why it cannot."""
    summary = weights_summary(data) if field == "weights" else parse(name, data).said
    return stored(name, data), summary


def stored(name: str, data: bytes) -> str:
    """Put a file into the cache; its key. Raises InputError for one that is larger than the cache."""
    path = find(store(name, data), name)
    if path is None:
        raise InputError(f"{name} is larger than what is kept in all; drop a smaller file")
    return path.name


def weights_summary(data: bytes) -> str:
    """The recurrent layers that a file holds; that their nonlinearity is not in the file, where it is not."""
    load_weights(data, activation="tanh")
    if saved_by_gradlab(data) is not None:
        return weights_text(data)
    made = load_whole(data)
    several = len(made.body) > 1 or made.ends
    alone = " All run; choose one at Layer, under More." if several else ""
    guess = (
        " The file does not say tanh or ReLU: choose what it was trained with under Activation." if made.assumed else ""
    )
    return f"{made.description}.{alone}{guess}"
