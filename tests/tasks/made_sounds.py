"""Short sounds in folders by label: low tones, high ones, noise."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def make_sounds(folder: Path, count: int = 12, seed: int = 0) -> Path:
    """So many of each label, of different pitch and length, in noise."""
    rng = np.random.default_rng(seed)
    for label, hertz in {"low": 300, "high": 2000, "noise": 0}.items():
        (folder / label).mkdir(parents=True)
        for n in range(count):
            t = np.arange(int(RATE * rng.uniform(0.15, 0.4))) / RATE
            tone = 0.3 * np.sin(2 * np.pi * hertz * rng.uniform(0.8, 1.2) * t)
            noise = rng.normal(size=t.size) * (0.02 if hertz else 0.1)
            soundfile.write(folder / label / f"{n}.{'wav' if n % 3 else 'flac'}", tone + noise, RATE)
    return folder
