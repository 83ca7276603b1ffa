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
    among = f"{ds.sizes['sample']} of {counted(all_samples(ds), 'sample')}"
    return [f"This is of {among}, in which it {WORDS[str(ds.attrs['group'])]}."]


def all_samples(ds: xr.Dataset | xr.DataTree) -> int:
    """How many samples a run has, of which a Dataset may be of a group: what is recorded over samples is over all."""
    return int(ds.attrs.get("all_samples", ds.sizes["sample"]))


def labels(ds: xr.Dataset) -> dict[str, str]:
    """Word -> "16 explode", the largest group first; empty where all samples are alike."""
    alike = {word: len(samples) for word, samples in groups(ds).items()}
    return {word: f"{n} {WORDS[word] if n == 1 else MANY[word]}" for word, n in alike.items()} if len(alike) > 1 else {}
