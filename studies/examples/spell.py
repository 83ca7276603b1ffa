"""A one-to-many generator: from a short key, read at once, a text, letter by letter.

The file has a line "key,text" for each; here "42,forty two". The letters of the key make one vector, which is the input
of the first step (`Once`); from there on the net is on its own. Numbers that it has never seen are spelled by what it
has learnt from others. Run it with `python3 -m studies.examples.spell [FILE]`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import gradlab
from gradlab.layers import Dense, Layer, Once, Params, Recurrent, Sequential

from .characters import END, Batch, fit, numbered, pairs

FILE = Path(__file__).parent / "data" / "numbers.csv"
SIZE, UPDATES, SAMPLES = 64, 600, 32
Pairs = Sequence[tuple[str, str]]


def vectors(keys: Sequence[str], width: int, letters: str) -> np.ndarray:
    """Each key's letters, one-hot, side by side: (B, width * letters)."""
    table, _ = numbered([key.ljust(width, END) for key in keys], letters)
    return np.eye(len(letters))[table.T].reshape(len(keys), -1)


def network(width: int, steps: int, letters: str) -> Layer:
    """The vector at step 1, then nothing but the net's own state; a letter at every step."""
    first = gradlab.make_cell("lstm", input_size=width * len(letters), hidden_size=SIZE)
    return Sequential(Once(steps), Recurrent(first, forget_bias=1.0), Dense(SIZE, len(letters)))


def said(net: Layer, params: Params, keys: Sequence[str], width: int, letters: str) -> list[str]:
    """What the net makes of each key."""
    outputs, _ = net.forward(params, vectors(keys, width, letters))
    texts = ["".join(letters[k] for k in column) for column in outputs.argmax(axis=-1).T]
    return [text.partition(END)[0] for text in texts]


def main(path: Path = FILE) -> float:
    """Train on four fifths of the lines; the share of the others that is right letter by letter."""
    known = pairs(path)
    letters = END + "".join(sorted({letter for pair in known for text in pair for letter in text}))
    width, steps = max(len(key) for key, _ in known), max(len(text) for _, text in known) + 1
    order = np.random.default_rng(0).permutation(len(known))
    held, learnt = ([known[n] for n in part] for part in np.split(order, [len(known) // 5]))
    net = network(width, steps, letters)
    params = net.init(0)

    def batch(rng: np.random.Generator) -> Batch:
        some = [learnt[n] for n in rng.integers(0, len(learnt), SAMPLES)]
        targets, counts = numbered([text.ljust(steps, END) for _, text in some], letters)
        return vectors([key for key, _ in some], width, letters), targets, counts, None

    fit(net, params, batch, UPDATES)
    answers = said(net, params, [key for key, _ in held], width, letters)
    for (key, text), answer in list(zip(held, answers, strict=True))[:6]:
        print(f"{key} -> {answer}" + ("" if answer == text else f" (should be {text})"))
    share = float(np.mean([answer == text for (_, text), answer in zip(held, answers, strict=True)]))
    print(f"{100 * share:.0f} % of {len(held)} keys that it never saw are right")
    return share


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
