"""Sequence to sequence with attention: from one way to write something to another, letter by letter.

The file has a line "source,target" for each pair; here dates, "3 dec 06,06-12-03". An encoder reads the source, a
decoder says the target, and at every letter attention looks back at the source: the figure shows where. Run it with
`python3 -m studies.examples.translate [FILE] [FIGURE.html]`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

import gradlab
from gradlab.layers import Attention, Dense, Embedding, EncoderDecoder, Layer, Params, Recurrent, Sequential

from .characters import END, Batch, fit, numbered, pairs

FILE = Path(__file__).parent / "data" / "dates.csv"
SIZE, UPDATES, SAMPLES = 48, 400, 32
Pairs = Sequence[tuple[str, str]]


def network(letters: str) -> Layer:
    """Both nets read letters as vectors; what the decoder reads of the encoder stands beside its state."""

    def reader() -> Sequential:
        cell = gradlab.make_cell("gru", input_size=SIZE, hidden_size=SIZE)
        return Sequential(Embedding(len(letters), SIZE), Recurrent(cell, recurrent_init="orthogonal", input_scale=0.3))

    both = EncoderDecoder(reader(), reader(), Attention(SIZE))
    return Sequential(both, Dense(2 * SIZE, len(letters)))


def as_batch(some: Pairs, letters: str) -> Batch:
    """The decoder reads the letter before the one that it is to say, END before the first."""
    source, lengths = numbered([left for left, _ in some], letters)
    before, counts = numbered([END + right for _, right in some], letters)
    after, _ = numbered([right + END for _, right in some], letters)
    return (source, before), after, counts, (lengths, counts)


def said(net: Layer, params: Params, some: Pairs, letters: str, most: int) -> list[str]:
    """What the net says to each source, each letter the likeliest after those before."""
    texts = [""] * len(some)
    for _ in range(most):
        x, _, _, lengths = as_batch([(left, text) for (left, _), text in zip(some, texts, strict=True)], letters)
        outputs, _ = net.forward(params, x, lengths)
        texts = [text + letters[k] for text, k in zip(texts, outputs[-1].argmax(axis=-1), strict=True)]
    return [text.partition(END)[0] for text in texts]


def figure(net: Layer, params: Params, pair: tuple[str, str], letters: str) -> go.Figure:
    """Where the decoder looks while it says one pair."""
    x, _, _, lengths = as_batch([pair], letters)
    tree = gradlab.analyze(net=net, params=params, x=x, lengths=lengths)
    return gradlab.plots.alignment(tree["0/attention"].dataset, keys=pair[0], queries=[*pair[1], "end"])


def main(path: Path = FILE, out: Path = Path("translate.html")) -> float:
    """Train on nine tenths of the pairs and draw where the net looks; the share of the others that is said right."""
    known = pairs(path)
    letters = END + "".join(sorted({letter for pair in known for text in pair for letter in text}))
    order = np.random.default_rng(0).permutation(len(known))
    held, learnt = ([known[n] for n in part] for part in np.split(order, [len(known) // 10]))
    net = network(letters)
    params = net.init(0)

    def batch(rng: np.random.Generator) -> Batch:
        return as_batch([learnt[n] for n in rng.integers(0, len(learnt), SAMPLES)], letters)

    fit(net, params, batch, UPDATES)
    answers = said(net, params, held, letters, max(len(right) for _, right in known) + 1)
    for (left, right), answer in list(zip(held, answers, strict=True))[:5]:
        print(f"{left} -> {answer}" + ("" if answer == right else f" (should be {right})"))
    share = float(np.mean([answer == right for (_, right), answer in zip(held, answers, strict=True)]))
    print(f"{100 * share:.0f} % of {len(held)} pairs that it never saw are said right")
    figure(net, params, held[0], letters).write_html(out)
    print(f"where it looks: {out}")
    return share


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
