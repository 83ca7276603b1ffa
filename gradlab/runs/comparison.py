"""Several runs on one axis: the share of the gradient that is left so many steps before the last, over seeds.

A `Plan` says which runs and seeds are wanted; `one_seed` computes one of them, wherever that is; `Plan.dataset` makes a
Dataset of those that there are so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..config import RunConfig
from ..config.architecture import is_tree
from ..config.labels import labels
from ..errors import InputError, echo
from ..lazy import lazy
from ..quantities import QUANTITIES
from ..quantities.course import course
from ..wording import counted
from .analyze import analyze
from .attributes import overflow
from .cost import memory
from .labels import versions_json
from .shares import median
from .sizes import matched, parameter_count
from .training_step import step_seconds
from .verdicts import word_of

MOST = 6  # runs
SEEDS = 8
AFTER = (10, 50, 100, 300)  # steps back at which what is left is told
WANTED = ("log_input_share", "theory_log_rate")

SECONDS = "Time of one step of training, measured, the shortest of all seeds"
BYTES = "Memory that one step of training takes at its peak, predicted, within a factor of 2"

Found = Mapping[RunConfig, "Seed"]


@dataclass(frozen=True, eq=False)
class Seed:
    """What one seed of a run shows.

    share (lag,): ln of the share of the gradient that reaches the input so many steps before the last one, median over
    samples; of what, `relative_to` says, as in `log_input_share`; unit: what a lag is, a "step", or a "level" of trees.
    log_rate: what theory predicts, NaN where there is none; theory: its name. overflowed: whether the forward pass did.
    step_seconds: measured, of one step of training.
    """

    share: np.ndarray
    relative_to: str
    unit: str
    log_rate: float
    theory: str
    overflowed: bool
    step_seconds: float

    @property
    def slope(self) -> float:
        """ln of the factor per step back as a verdict's, fitted; NaN where there is but one step."""
        known = np.flatnonzero(~np.isnan(self.share))
        if not known.size or not known[-1]:
            return math.nan
        way = course(self.share[known])
        return way.log_rate if way else -math.inf


def one_seed(config: RunConfig) -> Seed:
    """The seed of a run that its configuration names. Raises InputError as `analyze` does."""
    found = analyze(config, record=["theory"], without=[name for name in QUANTITIES if name not in WANTED])
    shares = found["log_input_share"]
    log_rate, theory = _theory(found)
    return Seed(
        share=median(shares.transpose("lag", "sample").values),
        relative_to=shares.attrs["relative_to"],
        unit="level" if "lag" in shares.attrs else "step",
        log_rate=log_rate,
        theory=theory,
        overflowed=isinstance(found, xr.Dataset) and bool(overflow(found)),
        step_seconds=step_seconds(config),
    )


def _theory(found: xr.Dataset | xr.DataTree) -> tuple[float, str]:
    """The best prediction of a single cell and what it is called; NaN and nothing where there is none."""
    if isinstance(found, xr.DataTree) or "theory_log_rate" not in found:
        return math.nan, ""
    return float(found.theory_log_rate[0]), str(found.theory_label.values[0]).partition(":")[0]


@dataclass(frozen=True)
class Plan:
    """Which runs are compared: by label, at one size; with how many seeds each; what is equal among them."""

    runs: Mapping[str, RunConfig]
    seeds: int
    equal: str

    @lazy
    def wanted(self) -> list[RunConfig]:
        """Every run with each of its seeds; the first seeds of all runs come first."""
        return [
            seed for n in range(self.seeds) for seed in (run.replace(seed=run.seed + n) for run in self.runs.values())
        ]

    @lazy
    def parameters(self) -> list[float]:
        """How many each run has; NaN for one that is unreadable."""
        return [math.nan if isinstance(count, InputError) else float(count) for count in self._counts]

    @lazy
    def unreadable(self) -> dict[str, InputError]:
        """Label of each run whose parameters cannot be counted, as a file of it cannot be used -> why."""
        return {name: e for name, e in zip(self.runs, self._counts, strict=True) if isinstance(e, InputError)}

    @lazy
    def _counts(self) -> list[int | InputError]:
        return [_count(run) for run in self.runs.values()]

    def of_run(self, n: int) -> list[RunConfig]:
        """The n-th run with each of its seeds."""
        return self.wanted[n :: len(self.runs)]

    def dataset(self, found: Found) -> xr.Dataset:
        """What is there so far, as `compare` returns it; seeds that are missing are NaN."""
        return _dataset(self, [[found.get(seed) for seed in self.of_run(n)] for n in range(len(self.runs))])


def _count(run: RunConfig) -> int | InputError:
    try:
        return parameter_count(run)
    except InputError as error:
        return error


def plan(
    configs: Sequence[RunConfig] | Mapping[str, RunConfig], seeds: int = SEEDS, equal: str = "hidden size"
) -> Plan:
    """The runs under their own names, or those that tell them apart, with each run's seed + 0, 1, ...

    equal: as `matched` takes it. Raises InputError for none or more than 6 runs, for what is no RunConfig, and for two
    names that read the same.
    """
    alone: object = configs
    if isinstance(alone, RunConfig):  # over which a loop would go field by field
        raise InputError("configs: expected RunConfigs in a list or a mapping, got one alone", "configs")
    given = list(configs.values() if isinstance(configs, Mapping) else configs)
    if not 0 < len(given) <= MOST:
        raise InputError(f"configs: expected 1 to {MOST} runs, got {len(given)}; leave some out", "configs")
    if wrong := [config for config in given if not isinstance(config, RunConfig)]:
        raise InputError(f"configs: expected RunConfigs, got {echo(wrong[0])}", "configs")
    if isinstance(seeds, bool) or not isinstance(seeds, int | np.integer) or seeds < 1:
        raise InputError(f"seeds: expected a whole number from 1 on, got {echo(seeds)}", "seeds")
    names = [str(name) for name in configs] if isinstance(configs, Mapping) else labels(given)
    if twice := [name for n, name in enumerate(names) if name in names[:n]]:
        raise InputError(f"configs: expected a name of its own for each run, got {echo(twice[0])} twice", "configs")
    return Plan(dict(zip(names, matched(given, equal, names), strict=True)), int(seeds), equal)


def compare(
    configs: Sequence[RunConfig] | Mapping[str, RunConfig],
    seeds: int = SEEDS,
    *,
    equal: str = "hidden size",
    executor: Executor | None = None,
) -> xr.Dataset:
    """How far the gradient of up to six runs reaches, over several seeds each.

    configs: RunConfigs, in a mapping under their names. seeds: how many of each; the i-th is the run's own + i. equal:
    "hidden size" leaves the runs as they are, "parameters" gives each the hidden size that comes nearest to the first
    one's number of parameters. executor: computes the seeds, one after the other without.

    Returns an xarray.Dataset with `log_input_share` (run, seed, lag): ln of the share of the gradient that reaches the
    input so many steps before the last one, median over samples; NaN beyond a run's length. Of each run `slope`, ln of
    the factor per step over its whole length, as mean over seeds, with `slope_stderr`; `log_left` (run, after), what is
    left after 10, 50, 100 and 300 steps, and `log_factor`, at the farthest one, `span` steps back, as medians over
    seeds; of trees a step is a level, as `unit` says; `verdict`, `theory_log_rate`, `parameters`, `hidden_size`, the
    measured `step_seconds` and predicted `step_bytes` of one step of training, and its configuration as JSON.
    Raises InputError for anything that cannot be used.
    """
    chosen = plan(configs, seeds, equal)
    compute: Callable[..., Any] = map if executor is None else executor.map
    return chosen.dataset(dict(zip(chosen.wanted, compute(one_seed, chosen.wanted), strict=True)))


# the Dataset


def _dataset(chosen: Plan, seeds: Sequence[Sequence[Seed | None]]) -> xr.Dataset:
    """seeds: of each run, by number."""
    shares = _shares(seeds, max(_lags(*each) for each in zip(chosen.runs.values(), seeds, strict=True)))
    there = [[seed for seed in run if seed is not None] for run in seeds]
    variables = {
        "log_input_share": _variable(("run", "seed", "lag"), shares, "ln of the share that reaches the input", "log"),
        "log_left": _variable(("run", "after"), _left(shares), "ln of the share left after so many steps", "log"),
        **{name: _variable(("run",), values, *about) for name, (values, *about) in _of_runs(chosen, there).items()},
    }
    coords = {
        "run": list(chosen.runs),
        "seed": range(chosen.seeds),
        "lag": range(shares.shape[-1]),
        "after": list(AFTER),
    }
    return xr.Dataset(variables, coords, _attributes(chosen))


def _lags(run: RunConfig, seeds: Sequence[Seed | None]) -> int:
    """How many a run has; while no seed is there as many as steps, but 1 of trees, whose levels are not yet known."""
    known = [len(seed.share) for seed in seeds if seed is not None]
    return max(known, default=1 if is_tree(run) else run.steps)


def _shares(seeds: Sequence[Sequence[Seed | None]], lags: int) -> np.ndarray:
    """ln of the shares (run, seed, lag), NaN where there are none."""
    lags = max([lags, *(len(seed.share) for run in seeds for seed in run if seed is not None)])
    shares = np.full((len(seeds), len(seeds[0]), lags), np.nan)
    for r, run in enumerate(seeds):
        for s, seed in enumerate(run):
            if seed is not None:
                shares[r, s, : len(seed.share)] = seed.share
    return shares


def _over_seeds(shares: np.ndarray) -> np.ndarray:
    """The median over seeds (run, lag)."""
    return median(np.moveaxis(shares, 1, -1))


def _left(shares: np.ndarray) -> np.ndarray:
    """What is left (run, after), NaN where a run is not so long."""
    middle = _over_seeds(shares)
    padded = np.pad(middle, ((0, 0), (0, max(AFTER))), constant_values=np.nan)
    return padded[:, list(AFTER)]


def _of_runs(chosen: Plan, there: Sequence[Sequence[Seed]]) -> dict[str, tuple[Any, ...]]:
    """Name -> a value for each run, what it is, and its scale and unit."""
    slopes = [_mean([seed.slope for seed in run]) for run in there]
    ends = [_end(run) for run in there]
    return {
        "slope": ([mean for mean, _ in slopes], "ln of the factor per step back, mean over seeds", "log"),
        "slope_stderr": ([error for _, error in slopes], "Standard error of the slope over seeds"),
        "log_factor": ([factor for factor, _ in ends], "ln of the share left at the farthest step", "log"),
        "span": ([span for _, span in ends], "How many steps, or levels, back that is"),
        "verdict": ([_word(run) for run in there], "Whether the gradient vanishes, explodes or is carried"),
        "unit": ([_first(seed.unit for seed in run) for run in there], "What a lag counts: steps, or levels of trees"),
        "relative_to": ([_first(seed.relative_to for seed in run) for run in there], "What shares are shares of"),
        "theory_log_rate": ([_middle(seed.log_rate for seed in run) for run in there], "Predicted slope", "log"),
        "theory": ([_first(seed.theory for seed in run) for run in there], "Which theory predicts it"),
        "step_seconds": ([_least(seed.step_seconds for seed in run) for run in there], SECONDS, "linear", "s"),
        "step_bytes": ([memory(run) for run in chosen.runs.values()], BYTES, "linear", "B"),
        "parameters": (chosen.parameters, "Number of parameters, NaN where they cannot be counted"),
        "hidden_size": ([run.hidden_size for run in chosen.runs.values()], "Number of units"),
        "config": ([run.model_dump_json() for run in chosen.runs.values()], "RunConfig of the first seed, as JSON"),
    }


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error; NaN where there are none, or only one, or they are not finite."""
    if not values:
        return math.nan, math.nan
    finite = len(values) > 1 and bool(np.isfinite(values).all())
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if finite else math.nan
    return float(np.mean(values)), error


def _end(seeds: Sequence[Seed]) -> tuple[float, int]:
    """ln of the share left at the farthest step, median over seeds, and how far that is; NaN and 0 for nothing."""
    curve = _over_seeds(_shares([seeds], 0))[0] if seeds else np.empty(0)
    known = np.flatnonzero(~np.isnan(curve))
    return (float(curve[known[-1]]), int(known[-1])) if known.size else (math.nan, 0)


def _word(seeds: Sequence[Seed]) -> str:
    """The verdict's word, by the share that is left at the farthest step; empty while there is no seed."""
    if not seeds:
        return ""
    curve = _over_seeds(_shares([seeds], 0))[0]
    curve = curve[~np.isnan(curve)]
    way = course(curve)
    levels = way.levels if way else [float(curve[-1])] if curve.size else []
    word = word_of(levels, len(curve), seeds[0].unit)
    return "overflow" if word == "too short" and any(seed.overflowed for seed in seeds) else word


def _middle(values: Iterable[float]) -> float:
    return float(median(np.array([*values])[None])[0]) if (values := [*values]) else math.nan


def _least(values: Iterable[float]) -> float:
    """The least disturbed of several measurements."""
    return min(values, default=math.nan)


def _first(texts: Iterable[str]) -> str:
    return next(filter(None, texts), "")


def _variable(dims: tuple[str, ...], values: Any, about: str, scale: str = "linear", units: str = "1") -> xr.Variable:
    return xr.Variable(dims, values, {"long_name": about, "units": units, "scale": scale})


def _attributes(chosen: Plan) -> dict[str, str]:
    title = (
        f"Gradient left, by steps back, of {counted(len(chosen.runs), 'run')} with {counted(chosen.seeds, 'seed')} each"
    )
    return {"title": title, "equal": chosen.equal, "versions": versions_json()}
