"""One of the groups of samples that are alike, alone."""

from __future__ import annotations

import xarray as xr

from ..registry import unknown
from ..wording import counted
from .verdicts import WORDS, groups

MANY = {"vanishing": "vanish", "exploding": "explode", "carried": "are carried", "too short": "are too short"}


def of_group(ds: xr.Dataset, word: str) -> xr.Dataset:
    """The samples of one model of which that word is the verdict, alone.

    What was recorded over all samples stays so; `all_samples`, an attribute, says how many these are. Raises InputError
    for a word that none has.
    """
    alike = groups(ds)
    if word not in alike:
        raise unknown("group", word, [*alike], "word")
    return ds.isel(sample=alike[word]).assign_attrs(group=word, all_samples=ds.sizes["sample"])


def said_of_group(ds: xr.Dataset | xr.DataTree) -> list[str]:
    """Which samples a Dataset of `of_group` is of, in a sentence; nothing for any other."""
    if "group" not in ds.attrs:
        return []
    return [f"This is of {ds.sizes['sample']} of {all_of(ds)}, in which it {WORDS[str(ds.attrs['group'])]}."]


def all_of(ds: xr.Dataset | xr.DataTree) -> str:
    """How many samples there are of all groups, in words."""
    return counted(int(ds.attrs.get("all_samples", ds.sizes["sample"])), "sample")


def labels(ds: xr.Dataset) -> dict[str, str]:
    """Word -> "16 explode", the largest group first; empty where all samples are alike."""
    alike = {word: len(samples) for word, samples in groups(ds).items()}
    return {word: f"{n} {WORDS[word] if n == 1 else MANY[word]}" for word, n in alike.items()} if len(alike) > 1 else {}
