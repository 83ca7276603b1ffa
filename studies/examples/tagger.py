"""A bidirectional tagger: for every word of a sentence its tag, from the words before it and those after it.

The file has a line "word tag" for each word and an empty line behind each sentence. Many words are ambiguous, such as
"light": read from one side alone, more of them are taken for the wrong thing. Run it with
`python3 -m studies.examples.tagger [FILE]`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from gradlab import train
from gradlab.training import TrainingRun

FILE = Path(__file__).parent / "data" / "tagged.txt"


def tagger(path: Path, both: bool) -> TrainingRun:
    """A net that has read four fifths of the sentences, in both directions or from left to right."""
    return train(
        task="tagging",
        input=str(path),
        steps=40,
        cell="gru",
        bidirectional=both,
        hidden_size=32,
        learning_rate=0.01,
        iterations=150,
        evaluate_every=150,
        snapshot_every=150,
    )


def show(run: TrainingRun, count: int = 3) -> None:
    """Some sentences that the net has never seen, each word with the tag that it is given; a wrong one in brackets."""
    task = run.task
    batch = task.batch(np.random.default_rng(0), count, held_out=True)
    outputs, _ = run.network.forward(run.params, batch.x, batch.lengths)
    for b, length in enumerate(batch.lengths):
        words = [task.feature_names[k] for k in batch.x[:length, b]]
        given = [task.class_names[k] for k in outputs[:length, b].argmax(axis=-1)]
        right = [task.class_names[k] for k in batch.targets[:length, b]]
        tags = [tag if tag == wanted else f"[{tag}, not {wanted}]" for tag, wanted in zip(given, right, strict=True)]
        print("  ".join(f"{word}/{tag}" for word, tag in zip(words, tags, strict=True)))


def main(path: Path = FILE) -> dict[str, float]:
    """Train both nets; the share of wrong tags of each on sentences that it has never seen."""
    wrong = {}
    for name, both in {"left to right": False, "both directions": True}.items():
        run = tagger(path, both)
        wrong[name] = run.history.scores[-1][2]
        print(f"{name}: {100 * wrong[name]:.1f} % of the tags are wrong")
    print(run.task.said)
    show(run)
    return wrong


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
