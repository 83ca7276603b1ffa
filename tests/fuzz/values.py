"""Fields of configurations: values that fit and make a small run, and values that nobody would give on purpose."""

import datetime
from typing import Any

from hypothesis import strategies as st

from gradlab.config import Config, RunConfig, controls
from gradlab.config.train import TrainConfig

KINDS: st.SearchStrategy[type[Config]] = st.sampled_from([RunConfig, TrainConfig])
SIZES = {"steps": 12, "hidden_size": 5, "batch_size": 4, "input_size": 3, "layers": 2, "iterations": 3}
OWN: dict[str, st.SearchStrategy[Any]] = {
    "seed": st.integers(0, 9) | st.sampled_from([2**63, 10**40]),
    "truncate": st.just("off") | st.integers(1, 60),
    "forget_bias": st.just("chrono") | st.floats(-9, 9),
    "column": st.none() | st.text(max_size=5),
    "prefix": st.none() | st.text(max_size=5),
    "layer": st.none() | st.integers(0, 9) | st.sampled_from(["0_reverse", "x"]),
    "leak": st.floats(0, 1, exclude_min=True),
    "device": st.just("cpu"),
}
FILES = {"input", "weights"}
HUGE = [10**18, 10**40, 2**63, 2**64, -(2**63), 10**4000]
NUMBERS = [-1, -0.0, 0, 0.5, 1e-320, 1e308, -1e308, float("nan"), float("inf"), True, *HUGE]
TEXTS = ["", " ", "-0", "nan", "-inf", "1e999", "1_0", "\u0663", "0x10", "9" * 5000, "x" * 5000, "self", "0.5x"]
TEXTS += ["0x", ".x"]
TEXTS += [
    "a\0b",
    "a\nb",
    "\x1b[31m",
    "\u202e",
    "\udcff",
    "\U0001f600",
    "/",
    "..",
    "~",
    "%s{}",
    "'\"",
    "tanh",
    "norm",
    "--help",
]
DATES = [datetime.date(2024, 1, 31), datetime.datetime(2024, 1, 31, 12), datetime.time(12)]  # which TOML has
ODD = st.sampled_from([*NUMBERS, *TEXTS]) | st.text(max_size=8) | st.integers() | st.floats()
ANYTHING = ODD | st.sampled_from([None, [], {}, b"x", *DATES]) | st.lists(ODD, max_size=2)
ANYTHING |= st.dictionaries(st.sampled_from(["gain", "self", ""]), ODD, max_size=2)
KEYS = ["self", "cls", "fields", "config", "__class__", "model_config", "", "Gain", "gain ", "a\nb"]
KEYS += ["x" * 5000]


def value(name: str, kind: type[Config]) -> st.SearchStrategy[Any]:
    """A value of a field that fits, of a run that is small."""
    control, annotation = controls(kind)[name], kind.model_fields[name].annotation
    if name in OWN:
        return OWN[name]
    if control.choices:
        return st.sampled_from([choice for choice in control.choices() if choice not in ("classification", "forecast")])
    if annotation is bool:
        return st.booleans()
    if annotation is int:
        return st.integers(1, SIZES.get(name, 9))
    return st.floats(max(control.min or 0, 0), control.max or 9, exclude_min=not control.min) | st.sampled_from(
        [0.5, 1e-3]
    )


def small(kind: type[Config]) -> st.SearchStrategy[dict[str, Any]]:
    """Fields of a small run; the sizes are all there, as their defaults are larger."""
    fields = {name: value(name, kind) for name in controls(kind) if name not in FILES}
    sizes = {name: fields.pop(name) for name in SIZES if name in fields}
    return st.fixed_dictionaries(sizes, optional=fields)


def anything(kind: type[Config]) -> st.SearchStrategy[dict[str, Any]]:
    """Fields of which some fit, some do not, and some are none."""
    names = st.sampled_from([*controls(kind)])
    pairs = names.flatmap(lambda name: st.tuples(st.just(name), value(name, kind) if name not in FILES else ODD))
    odd = st.tuples(names | st.sampled_from(KEYS), ANYTHING)
    return st.lists(pairs | odd, max_size=6).map(dict)
