"""Sounds, each with a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data import BANDS, Sounds, centres, labelled_sounds
from ..lazy import lazy
from .base import register
from .labelled import Labelled


@register
@dataclass(frozen=True)
class SoundLabels(Labelled):
    """The label of a sound: a folder with a folder of sound files for each label, or a .zip of it.

    A step is a mel frame, a hundredth of a second: how loud each of 40 bands of frequencies is. Sounds beyond T frames
    are cut. A fifth of each label is held out; every band is standardised by the others.
    """

    name = "sounds"
    title = "Label sounds"
    own_format = True
    counts_as = ("label", "sound")
    _advice = "add some to the folder"

    @lazy
    def read(self) -> Sounds:
        """The sounds, as they were read."""
        return labelled_sounds(self.path)

    @property
    def said(self) -> str:
        """How the folder was read."""
        return self.read.said

    @property
    def named(self) -> Sequence[str]:
        """The names of the folders."""
        return self.read.labels

    @property
    def input_size(self) -> int:
        """Bands."""
        return BANDS

    @property
    def feature_names(self) -> list[str]:  # type: ignore[override]
        """The frequency in the middle of each band."""
        return [f"{centre:,.0f} Hz" for centre in centres()]

    @property
    def length(self) -> int:
        """Frames of the longest sound, at most `steps`."""
        return min(max(map(len, self.read.frames)), self.steps)

    @lazy
    def _scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and spread of each band (BANDS,) of the sounds to learn from."""
        known = np.concatenate([self.read.frames[n][: self.steps] for n in self.parts[0]])
        spread = known.std(axis=0)
        return known.mean(axis=0), np.where(spread > 0, spread, 1.0)

    def shown(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Standardised frames (T, B, BANDS), zero beyond the lengths (B,)."""
        mean, spread = self._scale
        x, lengths = np.zeros((self.length, len(chosen), BANDS)), np.zeros(len(chosen), dtype=int)
        for b, n in enumerate(chosen):
            own = (self.read.frames[n][: self.length] - mean) / spread
            lengths[b] = len(own)
            x[: len(own), b] = own
        return x, lengths
