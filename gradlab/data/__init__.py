"""What a network reads: made inputs, files of the user's own, and the cache that keeps uploads."""

from .files import named_content, read_file, require_regular, stamp
from .frames import BANDS, FRAMES, mel_frames
from .inputs import INPUTS, PERIODS, input_chunks, input_text, load_input, sine
from .reading import (
    Labelled,
    column_names,
    is_sound,
    is_text,
    is_treebank,
    labelled_rows,
    parse,
    raw_series,
    read_input,
    read_text,
    text_codes,
    text_tokens,
)
from .series import Batch, Content, Series, near_one
from .tokens import CHARACTER, TOKENS, Tokens, numbered, vocabulary_text

__all__ = [
    "BANDS",
    "CHARACTER",
    "FRAMES",
    "INPUTS",
    "PERIODS",
    "TOKENS",
    "Labelled",
    "Batch",
    "Content",
    "Series",
    "Tokens",
    "column_names",
    "input_chunks",
    "input_text",
    "is_sound",
    "is_text",
    "is_treebank",
    "labelled_rows",
    "load_input",
    "mel_frames",
    "named_content",
    "near_one",
    "numbered",
    "parse",
    "raw_series",
    "read_file",
    "read_input",
    "read_text",
    "require_regular",
    "sine",
    "stamp",
    "text_codes",
    "text_tokens",
    "vocabulary_text",
]
