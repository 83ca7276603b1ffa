"""Writes tests/golden/models/flax.msgpack and flax.npz: what Flax linen says about its own cells.

Neither the package nor its tests need Flax, only this script does. In an environment apart:

    pip install flax
    python tests/make_golden_flax.py

`flax.npz`: x (B, T, D) and y (B, T, F), batch first.
"""

from pathlib import Path

import flax
import jax
import numpy as np
from flax import linen as nn

FOLDER = Path(__file__).parent / "golden" / "models"


class Net(nn.Module):
    """One of each cell, and a dense layer."""

    @nn.compact
    def __call__(self, x):
        """(B, T, D) -> (B, T, F)."""
        for cell in (nn.OptimizedLSTMCell(4), nn.GRUCell(3), nn.SimpleCell(5), nn.LSTMCell(6)):
            x = nn.RNN(cell)(x)
        return nn.Dense(7)(x)


def main() -> None:
    """Write everything."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 7, 2)).astype("float32")
    params = Net().init(jax.random.key(0), x)
    params = jax.tree.map(lambda array: (0.5 * rng.normal(size=array.shape)).astype("float32"), params)
    (FOLDER / "flax.msgpack").write_bytes(flax.serialization.to_bytes(params))
    np.savez_compressed(FOLDER / "flax.npz", x=x, y=Net().apply(params, x))


if __name__ == "__main__":
    main()
