"""Frames of sound: how loud each band of frequencies is, some hundred times a second."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from ..errors import InputError
from ..wording import counted
from .files import require_few_values
from .series import Content

FRAMES = {"samples": "every sample", "mel": "mel frames, 100 a second"}  # how a sound is read
WINDOW, HOP = 0.025, 0.010  # seconds that a frame looks at, and from one to the next
BANDS, TOP = 40, 8000.0  # triangles between 0 and so many Hz, the same for every sound
FLOOR = 1e-5  # of a full-scale sine's magnitude: what is quieter counts as silence, -100 dB
RATES = (1000, 1_000_000)  # samples a second: a frame of fewer would see hardly any, and no sound has more
_PER_BAND = 4  # points of the spectrum from the foot of the narrowest triangle to its peak, at least
_AT_ONCE = 2**21  # points of spectra, so that a long sound takes little memory


def mel_frames(values: np.ndarray, rate: int) -> np.ndarray:
    """ln of the mean magnitude in each of 40 bands, (F, C, BANDS), of a sound (N, C) with `rate` samples a second.

    Each frame is the spectrum under a Hann window of 25 ms, the next one 10 ms later; after a sound that is shorter
    than one, silence follows. The bands are triangles, one's peak the next one's foot, equally far apart in mel =
    2595 log10(1 + Hz / 700), from 0 to 8 kHz at every rate; a full-scale sine has magnitude 1/2. Sources: Davis &
    Mermelstein 1980 (triangles), O'Shaughnessy 1987 (mel). Raises InputError for a rate that is no sound's, and for a
    sound that gives too many numbers.
    """
    if not RATES[0] <= rate <= RATES[1]:
        needed = f"mel frames need {RATES[0]:,} to {RATES[1]:,}"
        raise InputError(f"{counted(rate, 'sample')} a second; {needed}. Read every sample instead", "frames")
    width, hop = round(WINDOW * rate), round(HOP * rate)
    values = np.pad(values, ((0, max(width - len(values), 0)), (0, 0)))
    count = 1 + (len(values) - width) // hop
    require_few_values(count * values.shape[1] * BANDS)
    power = max(int(np.frexp(np.abs(values).max())[1]), 0)  # what is louder than full scale may be so by far
    loud = _magnitudes(np.ldexp(values, -power), rate, width, hop, count)
    return np.log(np.maximum(loud, np.ldexp(FLOOR, -power))) + power * math.log(2)


def _magnitudes(values: np.ndarray, rate: int, width: int, hop: int, count: int) -> np.ndarray:
    """(F, C, BANDS) the mean magnitude in each band, so many frames."""
    from scipy.signal import ShortTimeFFT, get_window

    bands = _bands(rate).T
    spectrum = ShortTimeFFT(get_window("hann", width), hop, rate, mfft=_points(rate), scale_to="magnitude")
    at_once = max(_AT_ONCE // (len(bands) * values.shape[1]), 1)
    first = spectrum.m_num_mid  # so that frame i begins at sample i * hop
    parts = [
        np.abs(spectrum.stft(values, start, min(start + at_once, count), k_offset=first, axis=0)).T @ bands
        for start in range(0, count, at_once)
    ]
    return np.concatenate(parts)


def framed(sound: Content, rate: int) -> Content:
    """A sound (N, C) as its mel frames (F, C * BANDS), each band a feature."""
    frames = mel_frames(sound.values, rate)
    count, channels, _ = frames.shape
    hertz = [f"{centre:,.0f} Hz" for centre in centres()]
    names = hertz if channels == 1 else [f"{name}: {band}" for name in sound.names for band in hertz]
    said = f"{sound.said}, as {counted(count, 'mel frame')} of {BANDS} bands each, 25 ms long, 10 ms apart"
    return Content(names, frames.reshape(count, channels * BANDS), said)


def centres() -> np.ndarray:
    """(BANDS,) the frequency in Hz where each triangle has its peak."""
    return _edges()[1:-1]


def _edges() -> np.ndarray:
    """(BANDS + 2,) the feet and peaks of the triangles in Hz."""
    mel = np.linspace(0, 2595 * np.log10(1 + TOP / 700), BANDS + 2)
    return 700 * (10 ** (mel / 2595) - 1)


@lru_cache(8)
def _points(rate: int) -> int:
    """Of the Fourier transform, so many that every triangle below half the rate has some; zeros follow the window."""
    from scipy.fft import next_fast_len

    narrowest = _edges()[1]
    return int(next_fast_len(math.ceil(_PER_BAND * rate / narrowest), real=True))


@lru_cache(8)
def _bands(rate: int) -> np.ndarray:
    """(BANDS, points) weights that sum to 1, 0 where a whole band is beyond half the rate."""
    edges, frequencies = _edges()[:, None], np.fft.rfftfreq(_points(rate), 1 / rate)
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequencies - low) / (peak - low), (high - frequencies) / (high - peak)
    weights = np.maximum(np.minimum(rising, falling), 0)
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(float).tiny)
