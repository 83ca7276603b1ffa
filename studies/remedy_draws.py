"""What "carried in k of 8 fresh draws" is worth: each remedy that is offered is run with 20 seeds that nothing saw.

    python -m studies.remedy_draws            prints the tables of docs/diagnosis.md
    python -m studies.remedy_draws --write    puts them into it

A run counts as carried where most of its samples are, each judged alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import gradlab
from gradlab.diagnosis import Remedy, diagnose, is_clip, rerunner

DOCUMENT = Path(__file__).parents[1] / "docs" / "diagnosis.md"
BEGIN, END = "<!-- draws: begin -->", "<!-- draws: end -->"
FIRST, SEEDS = 1000, 20  # seeds of the runs that tell what a remedy is worth; the nets have seeds below 100
NETS: dict[str, dict[str, Any]] = {
    **{phi: {"activation": phi} for phi in ("tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu")},
    **{phi: {"activation": phi} for phi in ("sigmoid", "softplus", "softsign", "hard_tanh", "erf", "sin")},
    **{f"{phi} x3": {"activation": phi, "gain": 3.0} for phi in ("tanh", "relu", "selu", "gelu", "softplus", "sin")},
    "tanh, 16 units": {"hidden_size": 16},
    "tanh, 256 units": {"hidden_size": 256, "batch_size": 8},
    "tanh, 300 steps": {"steps": 300, "batch_size": 8},
    "tanh, input x10": {"input_scale": 10.0},
    "tanh, biases of 3": {"bias_scale": 3.0},
    "tanh, uniform": {"recurrent_init": "uniform"},
    "tanh, sparse x3": {"recurrent_init": "sparse", "gain": 3.0},
    "relu, 256 units": {"activation": "relu", "hidden_size": 256, "batch_size": 8},
    "relu, 30 steps": {"activation": "relu", "steps": 30},
    "leak 0.2": {"leak": 0.2},
    "leak 0.5 x5": {"leak": 0.5, "gain": 5.0},
    **{
        name: {"cell": name}
        for name in ("lstm", "gru", "gru_v1", "mgu", "minimal_rnn", "janet", "peephole_lstm", "indrnn")
    },
    **{name: {"cell": name} for name in ("min_gru", "min_lstm", "cornn", "lem")},
    "lstm x8": {"cell": "lstm", "gain": 8.0},
    "gru x8": {"cell": "gru", "gain": 8.0},
    "indrnn x3": {"cell": "indrnn", "gain": 3.0},
    "lstm, 300 steps": {"cell": "lstm", "steps": 300, "batch_size": 8},
    "lstm, 16 units": {"cell": "lstm", "hidden_size": 16},
    "gru, forget bias -3": {"cell": "gru", "forget_bias": -3.0},
}


@dataclass(frozen=True)
class Row:
    """A remedy that was offered for a net, and in how many of the new draws the gradient is carried after it."""

    net: str
    remedy: Remedy
    carried: int

    @property
    def offered(self) -> str:
        """In how many fresh draws the diagnosis saw it hold."""
        return f"{self.remedy.held} of {self.remedy.draws}"


def carried(found: gradlab.Verdict) -> bool:
    """Whether the gradient is carried in most samples of a run."""
    return 2 * found.samples.get("carried", 0) > sum(found.samples.values())


def rows(net: str, seed: int) -> Iterator[Row]:
    """Of each remedy that is offered for a net."""
    config = gradlab.RunConfig(**NETS[net], seed=seed)
    reruns = [rerunner(config.replace(seed=FIRST + n)) for n in range(SEEDS)]
    for remedy in diagnose(gradlab.analyze(config)).remedies:
        if not is_clip(remedy):
            yield Row(net, remedy, sum(carried(gradlab.verdict(rerun(remedy.change))) for rerun in reruns))


def summary(found: list[Row]) -> list[str]:
    """What those that hold are worth together, and by how often they held."""
    lines = ["| carried in, of fresh draws | remedies | of the new draws carried | fewest |", "|---|---|---|---|"]
    for offered in sorted({row.offered for row in found}, key=lambda o: [-int(n) for n in o.split(" of ")]):
        those = [row for row in found if row.offered == offered]
        lines.append(f"| {offered} | {len(those)} | {share(those)} | {min(row.carried for row in those)} of {SEEDS} |")
    holding = [row for row in found if row.remedy.holds]
    fitted = [row for row in holding if "chrono" not in row.remedy.change.label]
    often = sum(4 * row.carried >= 3 * SEEDS for row in holding)
    said = (
        f"Of {len(holding)} remedies that are offered as holding, {share(holding)} of the runs with new seeds are "
        f"carried ({share(fitted)} of the {len(fitted)} that have a number of their own, without chrono biases); "
        f"{often} carry in at least {3 * SEEDS // 4} of {SEEDS}."
    )
    return [said, "", *lines]


def share(found: list[Row]) -> str:
    """Of the runs with new seeds, those that are carried."""
    return "none" if not found else f"{100 * np.mean([row.carried for row in found]) / SEEDS:.1f} %"


def table(found: list[Row]) -> list[str]:
    """Each remedy of the first draw of each net."""
    lines = ["| net | remedy | fresh draws | new draws |", "|---|---|---|---|"]
    for row in found:
        lines.append(f"| {row.net} | {row.remedy.change.label} | {row.offered} | {row.carried} of {SEEDS} |")
    return lines


def tables() -> str:
    """The summary over two draws of each net, and the remedies of the first."""
    found = {seed: [row for net in NETS for row in rows(net, seed)] for seed in (0, 50)}
    return "\n".join([*summary([*found[0], *found[50]]), "", *table(found[0])])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python3 -m studies.remedy_draws", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOCUMENT.name}")
    if not parser.parse_args().write:
        print(tables())
        return
    before, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    main()
