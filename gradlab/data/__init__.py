"""What a network reads: made inputs, files of the user's own, and the cache that keeps uploads."""

from .annotated import Annotated, Vocabulary, labelled_texts, tagged_sentences
from .files import named_content, read_file, require_regular, stamp
from .folder import Sounds, folder_digest, labelled_sounds
from .frames import BANDS, FRAMES, centres, mel_frames
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
    "Annotated",
    "Labelled",
    "Batch",
    "Content",
    "Series",
    "Tokens",
    "Sounds",
    "Vocabulary",
    "centres",
    "column_names",
    "folder_digest",
    "input_chunks",
    "input_text",
    "is_sound",
    "is_text",
    "is_treebank",
    "labelled_rows",
    "labelled_sounds",
    "labelled_texts",
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
    "tagged_sentences",
    "text_codes",
    "text_tokens",
    "vocabulary_text",
]
