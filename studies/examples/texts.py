"""A many-to-one classifier: the label of a text from its words.

The file has a line "label,text", or "label<tab>text", for each. A recurrent net reads the words and its last state
decides; what it has learnt shows where one word changes the answer. Run it with
`python3 -m studies.examples.texts [FILE] ["a text of your own"]`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gradlab import train
from gradlab.data.tokens import words_of
from gradlab.tasks.words import Sentiment
from gradlab.training import TrainingRun

FILE = Path(__file__).parent / "data" / "reviews.csv"
TRIED = (
    "the soup was stale",
    "the soup was hardly stale",
    "the soup was not great",
    "we thought it would be bad, but it was good",
)


def classifier(path: Path) -> TrainingRun:
    """A net that has read four fifths of the texts."""
    return train(
        task="sentiment",
        input=str(path),
        steps=60,
        cell="gru",
        hidden_size=32,
        learning_rate=0.01,
        iterations=150,
        evaluate_every=50,
        snapshot_every=150,
    )


def told(run: TrainingRun, text: str) -> tuple[str, float]:
    """The label of any text, and how sure the net is of it."""
    assert isinstance(run.task, Sentiment)
    codes = run.task.vocabulary.codes([*words_of(text)])
    logits, _ = run.network.forward(run.params, codes[:, None])
    shares = np.exp(logits[0] - logits[0].max())
    best = int(shares.argmax())
    return run.task.class_names[best], float(shares[best] / shares.sum())


def main(path: Path = FILE, texts: Sequence[str] = TRIED) -> float:
    """Train, and label some texts; the share of wrong labels of texts that the net has never seen."""
    run = classifier(path)
    wrong = run.history.scores[-1][2]
    print(f"{run.task.said}\n{100 * wrong:.0f} % of the labels of unseen texts are wrong")
    for text in texts:
        label, share = told(run, text)
        print(f"{label} ({100 * share:.0f} %): {text}")
    return wrong


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else FILE, sys.argv[2:] or TRIED)
