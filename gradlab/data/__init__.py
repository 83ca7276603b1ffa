"""What a network reads: made inputs, files of the user's own, and the cache that keeps uploads."""

from .inputs import (
    INPUTS,
    PERIODS,
    Batch,
    Series,
    column_names,
    input_chunks,
    is_text,
    labelled_rows,
    load_input,
    named_content,
    near_one,
    parse,
    raw_series,
    read_file,
    sine,
    text_codes,
)

__all__ = [
    "INPUTS",
    "PERIODS",
    "Batch",
    "Series",
    "column_names",
    "input_chunks",
    "is_text",
    "labelled_rows",
    "load_input",
    "named_content",
    "near_one",
    "parse",
    "raw_series",
    "read_file",
    "sine",
    "text_codes",
]
