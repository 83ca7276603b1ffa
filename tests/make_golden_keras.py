"""Writes tests/golden/models: what Keras 3 says about models of its own, for the tests of importers.

Neither the package nor its tests need Keras, only this script does. In an environment apart:

    pip install keras==3.15.1 jax h5py
    KERAS_BACKEND=jax python tests/make_golden_keras.py

Of each of MODELS NAME.keras, and of some NAME.weights.h5, NAME.h5, and NAME_tfjs.json with its shard, which is what
tfjs.LayersModel.save writes of the same arrays. `keras.npz`: NAME/x (B, T, D), or symbols (B, T), and NAME/y, what
`predict` gives for them, both batch first.
"""

import json
from pathlib import Path

import h5py
import keras
import numpy as np
from keras import layers

MODELS_FOLDER = Path(__file__).parent / "golden" / "models"
SEQUENCES = {"return_sequences": True}
T, B, D, V = 7, 3, 2, 6


def models() -> dict[str, keras.Model]:
    """By name; each gives its last recurrent layer's, or its head's, output at every step."""
    shape = keras.Input((T, D))
    symbols = keras.Input((None,), dtype="int32")
    embedded = layers.Embedding(V, D, mask_zero=True)(symbols)
    above = layers.LSTM(3, **SEQUENCES)(layers.Dropout(0.5)(embedded))
    return {
        "stack": keras.Sequential(
            [
                shape,
                layers.LSTM(4, activation="softsign", **SEQUENCES),
                layers.GRU(3, **SEQUENCES),
                layers.LayerNormalization(),
                layers.SimpleRNN(5, activation="relu", **SEQUENCES),
                layers.Dense(2, activation="tanh"),
            ]
        ),
        "no_bias": keras.Sequential(
            [
                keras.Input((T, D)),
                layers.GRU(3, use_bias=False, **SEQUENCES),
                layers.LSTM(2, use_bias=False, **SEQUENCES),
            ]
        ),
        "both": keras.Sequential(
            [
                keras.Input((T, D)),
                layers.Bidirectional(layers.GRU(3, reset_after=False, **SEQUENCES), merge_mode="sum"),
                layers.Bidirectional(layers.LSTM(2, **SEQUENCES)),
            ]
        ),
        "backwards": keras.Sequential([keras.Input((T, D)), layers.LSTM(3, go_backwards=True, **SEQUENCES)]),
        "cells": keras.Sequential(
            [keras.Input((T, D)), layers.RNN([layers.LSTMCell(3), layers.GRUCell(4)], **SEQUENCES)]
        ),
        "words": keras.Model(symbols, layers.TimeDistributed(layers.Dense(V))(layers.GRU(4, **SEQUENCES)(above))),
        "nested": keras.Sequential(
            [keras.Input((T, D)), keras.Sequential([layers.LSTM(3, **SEQUENCES)]), layers.LSTM(2, **SEQUENCES)]
        ),
    }


def inputs(name: str, rng: np.random.Generator) -> np.ndarray:
    """(B, T, D), or symbols that are padded by 0 behind."""
    if name != "words":
        return rng.normal(size=(B, T, D)).astype("float32")
    symbols = rng.integers(1, V, (B, T))
    for row, length in zip(symbols, (T, 4, 1), strict=True):
        row[length:] = 0
    return symbols


def write_tfjs(model: keras.Model, name: str) -> None:
    """model.json and one shard."""
    with h5py.File(MODELS_FOLDER / f"{name}.h5") as file:
        config = json.loads(file.attrs["model_config"])
    arrays = {weight.path: np.asarray(weight) for weight in model.weights}
    shard = f"{name}_tfjs.bin"
    (MODELS_FOLDER / shard).write_bytes(b"".join(array.astype("<f4").tobytes() for array in arrays.values()))
    weights = [{"name": key, "shape": array.shape, "dtype": "float32"} for key, array in arrays.items()]
    manifest = [{"paths": [shard], "weights": weights}]
    text = json.dumps(
        {"format": "layers-model", "modelTopology": {"model_config": config}, "weightsManifest": manifest}
    )
    (MODELS_FOLDER / f"{name}_tfjs.json").write_text(text)


def main() -> None:
    """Write everything."""
    MODELS_FOLDER.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    rng, golden = np.random.default_rng(0), {}
    for name, model in models().items():
        for weight in model.weights:  # biases too, which start at zero
            weight.assign(0.5 * rng.normal(size=weight.shape))
        golden[f"{name}/x"] = inputs(name, rng)
        golden[f"{name}/y"] = model.predict(golden[f"{name}/x"], verbose=0)
        model.save(MODELS_FOLDER / f"{name}.keras")
        if name in ("stack", "both", "words"):
            model.save_weights(MODELS_FOLDER / f"{name}.weights.h5")
            model.save(MODELS_FOLDER / f"{name}.h5")
    write_tfjs(keras.models.load_model(MODELS_FOLDER / "stack.keras"), "stack")
    np.savez_compressed(MODELS_FOLDER / "keras.npz", **golden)


if __name__ == "__main__":
    main()
