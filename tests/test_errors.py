"""Errors know which field they are about, whichever way the wrong value came."""

import math
import pickle
from pathlib import Path

import numpy as np
import pytest

import gradlab
from gradlab.cells import make_cell
from gradlab.config import ConfigError, RunConfig, controls
from gradlab.config.train import TrainConfig
from gradlab.data import load_input
from gradlab.errors import InputError, UnknownName, about
from gradlab.importers import from_state_dict, load_weights
from gradlab.learning import LOSSES, OPTIMIZERS, SCHEDULES, make_clipper, omega
from gradlab.learning.losses import step_weights
from gradlab.tasks import make_task

CO2 = str(Path(__file__).parents[1] / "studies" / "data" / "co2_mauna_loa.csv")
LSTM = Path(__file__).parent / "golden" / "encoder_lstm.safetensors"
SMALL = {"steps": 12, "batch_size": 2, "hidden_size": 3}

# the error itself


def test_an_error_says_which_field_and_what_is_wrong_with_it():
    error = InputError("steps: expected a positive integer, got 0", "steps")
    assert (str(error), error.field) == ("steps: expected a positive integer, got 0", "steps")
    assert error.fields == {"steps": "expected a positive integer, got 0"}
    assert InputError("the data have 3 steps", "steps").fields == {"steps": "the data have 3 steps"}
    assert (InputError("overflow").field, InputError("overflow").fields) == (None, {})


def test_a_message_too_long_to_read_loses_its_middle():
    name = "a" * 100_000 + "z"
    for error in (
        InputError(f"{name}: unknown"),
        UnknownName(f"{name}: unknown"),
        ConfigError({"cell": name, "b": "c"}),
    ):
        assert len(str(error)) < 1000 and " ... " in str(error) and str(error)[0] in "ac"
    assert len(ConfigError({"cell": name}).fields["cell"]) < 1000
    with pytest.raises(InputError) as raised, about("input", name):
        raise InputError(name)
    assert len(str(raised.value)) < 1000
    assert str(InputError("b" * 900)) == "b" * 900


@pytest.mark.parametrize("end", ["a\nb", "\x1b[31m", "\0", "\u202e", "\udcff", "\u2028", "\x07" * 100_000])
def test_what_cannot_be_printed_is_spelled_out(end):
    for error in (InputError(f"{end}: unknown"), UnknownName(f"unknown cell {end}"), ConfigError({f"cell{end}": end})):
        assert str(error).isprintable() and len(str(error)) < 1000

    assert str(InputError("a\tb\n\u00e9")) == "a\\tb\\n\u00e9"


def test_wrong_fields_have_a_line_each_of_which_the_first_are_shown():
    error = ConfigError({f"f{n}": "unknown" for n in range(100)})
    assert str(error).splitlines()[:2] == ["f0: unknown", "f1: unknown"] and len(error.fields) == 100
    assert str(error).splitlines()[-1] == "and 60 more"
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.fields) == (str(error), error.fields)


def test_an_unknown_name_is_a_key_error_and_reads_like_any_other():
    error = UnknownName("unknown cell 'x'", "cell")
    assert isinstance(error, InputError) and isinstance(error, KeyError)
    assert str(error) == "unknown cell 'x'" and error.fields == {"cell": "unknown cell 'x'"}
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.field) == (UnknownName, str(error), "cell")


def test_errors_of_a_configuration_are_asked_in_the_same_way():
    assert ConfigError({"gain": "expected a number"}).field == "gain"
    both = ConfigError({"gain": "expected a number", "cell": "unknown cell"})
    assert both.field is None and both.fields == {"gain": "expected a number", "cell": "unknown cell"}


def test_what_is_wrong_inside_is_about_the_file():
    for field, expected in ((None, "input"), ("W", "input"), ("column", "column")):
        with pytest.raises(InputError, match="^a.csv: bad$") as caught, about("input", "a.csv", keep=("column",)):
            raise InputError("bad", field)
        assert caught.value.field == expected
    with pytest.raises(InputError, match="^bad$") as caught, about("input"):
        raise InputError("bad")
    assert caught.value.field == "input"


# every field, every way

WRONG = {  # what no configuration takes
    RunConfig: {
        "weights": 3,
        "prefix": 3,
        "layer": 1.5,
        "input_size": 0,
        "loss": "evry",
        "clip": "nrom",
        "clip_threshold": "half",
        "truncate": 0,
        "tree": "balancd",
        "frames": "mell",
        "tokens": "wrd",
    },
    TrainConfig: {
        "task": "add",
        "dropout": 1.5,
        "optimizer": "adm",
        "learning_rate": 0,
        "momentum": -1,
        "weight_decay": -1,
        "schedule": "cos",
        "iterations": 0,
        "clip": "nrom",
        "clip_threshold": -1,
        "omega": -1,
        "omega_form": "papr",
        "nonfinite": "skp",
        "snapshot_every": 0,
        "evaluate_every": 0,
    },
}
SHARED = {
    "architecture": "transfomer",
    "layers": 0,
    "bidirectional": "maybe",
    "residual": "maybe",
    "layer_norm": "maybe",
    "attention": "aditive",
    "heads": 0,
    "norm": "pree",
    "causal": "maybe",
    "cell": "lsmt",
    "activation": "tahn",
    "gain": "big",
    "steps": 0,
    "forget_bias": "chron",
    "recurrent_init": "gausian",
    "hidden_size": 0,
    "bias_scale": -1,
    "input_scale": None,
    "leak": 2,
    "input": 3,
    "column": 3,
    "batch_size": 1.5,
    "seed": -1,
    "dtype": "float16",
    "device": "tpu",
}
CASES = [(kind, field, value) for kind in WRONG for field, value in (SHARED | WRONG[kind]).items()]


@pytest.mark.parametrize("kind", WRONG)
def test_every_field_has_a_wrong_value_here(kind):
    assert {field for of, field, _ in CASES if of is kind} == set(controls(kind))


@pytest.mark.parametrize(("kind", "field", "value"), CASES)
def test_a_keyword_of_analyze_and_train(kind, field, value):
    for call in (kind, gradlab.analyze if kind is RunConfig else gradlab.train, kind().replace):
        with pytest.raises(InputError) as caught:
            call(**{field: value})
        assert caught.value.field == field
        assert set(caught.value.fields) == {field}


SCALES = ("gain", "bias_scale", "input_scale")
MADE = {"name": "elman", "input_size": 2, "hidden_size": 3, "activation": "tanh", "leak": 1.0}
NAMED = {"recurrent_init": "gaussian", "dtype": "float32", "device": "cpu"}
DRAWN = (
    {"seed": 0, "models": (2,), "t_max": 9, "spectral_radius": 1.0, "forget_bias": 1.0}
    | NAMED
    | dict.fromkeys(SCALES, 1)
)
READ = {"source": "noise", "steps": 5, "batch_size": 2, "input_size": 1, "column": None, "seed": 0}
GATED = make_cell("gru", input_size=2, hidden_size=3)
CLIPPER = make_clipper("norm")


def trajectory():
    return gradlab.unroll(GATED, GATED.init(0), np.ones((4, 1, 2)))


def one_update(**options):
    params = {"w": np.ones(2)}
    adam = OPTIMIZERS["adam"]()
    adam.step(params, params, adam.init(params), **options)


def back(**given):
    gradlab.bptt(trajectory(), **{"dL_dh": np.ones((4, 1, 3)), **given})


NUMBERS = ("x", None, math.nan, [1.0], True)  # what no number is
COUNTS = (*NUMBERS, 1.5, -1)  # nor a count
ONES = np.ones((2, 3))
WAYS = [  # function, its good arguments, argument, field, what is wrong about it
    (make_cell, MADE, "name", "cell", ("lsmt", None, ["lstm"])),
    *((make_cell, MADE, name, name, (*COUNTS, 0)) for name in ("input_size", "hidden_size")),
    (make_cell, MADE, "activation", "activation", ("tahn", None, [])),
    (make_cell, MADE, "leak", "leak", (*NUMBERS, 0, 1.5)),
    (make_cell, MADE, "leek", "leek", (0.5,)),
    (GATED.init, DRAWN, "seed", "seed", COUNTS),
    (GATED.init, DRAWN, "recurrent_init", "recurrent_init", ("gausian", None, [])),
    *((GATED.init, DRAWN, name, name, (*NUMBERS, -1, math.inf, 10**400, ONES)) for name in SCALES),
    (GATED.init, DRAWN, "spectral_radius", "spectral_radius", ("x", math.nan, [1.0], True, -1)),
    (GATED.init, DRAWN, "forget_bias", "forget_bias", (*NUMBERS, math.inf)),
    (GATED.init, DRAWN | {"forget_bias": "chrono"}, "t_max", "t_max", (*NUMBERS, 2)),
    (GATED.init, DRAWN, "models", "models", (2, "x", None, (0,), (1.5,), ("x",))),
    (GATED.init, DRAWN, "dtype", "dtype", ("float16", int, "x", 3, [], {}, ">f8")),
    (GATED.init, DRAWN, "device", "device", ("tpu", None, [])),
    (load_input, READ, "source", "input", ("nois", "none.csv", None, 3, "a\0.csv", ".")),
    *((load_input, READ, name, name, (*COUNTS, 0)) for name in ("steps", "batch_size", "input_size")),
    (load_input, READ, "seed", "seed", COUNTS),
    (load_input, READ | {"source": CO2}, "column", "column", ("co2", 7, ["co2_ppm"])),
    (load_input, READ | {"source": CO2}, "steps", "steps", (10_000,)),
    (load_weights, {}, "source", "weights", ("none.safetensors", CO2, b"", b"\x80\x02", b"PK\x03\x04", None)),
    (load_weights, {"source": LSTM}, "layer", "layer", (3, "0_reverse")),
    (load_weights, {"source": LSTM}, "prefix", "prefix", ("decoder", 3)),
    (load_weights, {"source": LSTM}, "activation", "activation", ("tahn", 3, [])),
    (from_state_dict, {}, "sd", "sd", ([1, 2], None, {})),
    (make_task, {"steps": 30}, "name", "task", ("add", None)),
    (make_task, {"name": "adding"}, "steps", "steps", (*COUNTS, 1)),
    (make_task, {"name": "adding", "steps": 9}, "path", "path", (CO2,)),
    (make_task, {"name": "forecast", "steps": 9}, "path", "input", ("none.csv", None, 3)),
    (make_task, {"name": "forecast", "steps": 9, "path": CO2}, "column", "column", ("co2",)),
    (make_task, {"name": "forecast", "path": CO2}, "steps", "steps", (900,)),
    (make_task, {"name": "classification", "steps": 9, "path": CO2}, "column", "column", ("month", "x")),
    (back, {}, "clip", "clip", ("norm", (), ("step_norm",), ("step_norm", 1, 2), ["step_norm", 1], 1.0, {})),
    (back, {}, "clip", "clip", [(mode, 1.0) for mode in ("norm", None, ["step_norm"])]),
    (back, {}, "clip", "clip", [("step_norm", wrong) for wrong in (*NUMBERS, "1", math.inf, 0, -1)]),
    (back, {}, "truncate", "truncate", ("x", math.nan, [1.0], True, 1.5, 0, -1)),
    (back, {}, "dL_dh", "dL_dh", (None, [1.0], "x")),
    (gradlab.unroll, {"cell": GATED, "params": GATED.init(0)}, "x", "x", (None, [1.0], "x")),
    (lambda tol: gradlab.jacobian(trajectory()).spectral(tol), {}, "tol", "tol", (*NUMBERS, 0, math.inf)),
    *((gradlab.check_cell, {"cell": "elman"}, name, name, (*COUNTS, 0)) for name in ("steps", "batch_size")),
    (gradlab.check_cell, {"cell": "elman"}, "seed", "seed", COUNTS),
    (step_weights, {"lengths": np.array([1, 2])}, "steps", "steps", (*COUNTS, 0)),
    (step_weights, {"steps": 3}, "lengths", "lengths", ([1, 2], None, ONES)),
    (make_clipper, {}, "mode", "clip", ("nrom", None, [])),
    (make_clipper, {"mode": "autoclip"}, "threshold", "clip_threshold", ("x", math.nan, [1.0], True, 0, 101)),
    (CLIPPER.clip, {"params": {}, "grads": {"w": ONES}}, "exponent", "exponent", (*NUMBERS, 1.5)),
    (one_update, {}, "learning_rate", "learning_rate", (*NUMBERS, -1, math.inf)),
    (OPTIMIZERS["sgd"], {}, "momentum", "momentum", (*NUMBERS, 1)),
    (OPTIMIZERS["sgd"], {}, "nesterov", "nesterov", (True,)),
    *((OPTIMIZERS["rmsprop"], {}, name, name, (*NUMBERS, -1)) for name in ("alpha", "eps")),
    *((OPTIMIZERS["adam"], {}, name, name, (*NUMBERS, -1)) for name in ("beta1", "beta2", "eps")),
    (OPTIMIZERS["adamw"], {}, "weight_decay", "weight_decay", (*NUMBERS, -1)),
    *((SCHEDULES[of], {"iteration": 1, "total": 9}, name, name, COUNTS)
      for of in ("cosine", "step") for name in ("iteration", "total")),
    *((loss, {"outputs": ONES, "targets": ONES}, "model_axes", "model_axes", COUNTS) for loss in LOSSES.values()),
    *((loss, {"targets": ONES}, "outputs", "outputs", ([[1.0]], None)) for loss in LOSSES.values()),
    (omega, {"traj": None, "gradients": None}, "form", "omega_form", ("papr", None, [], 3)),
    *((registry.__getitem__, {}, None, registry.kind, ("x",)) for registry in (OPTIMIZERS, SCHEDULES, LOSSES)),
]  # fmt: skip


@pytest.mark.parametrize(("call", "good", "argument", "field", "wrong"), WAYS)
def test_a_wrong_argument(call, good, argument, field, wrong):
    for value in wrong:
        with pytest.raises(InputError) as caught:
            call(**{**good, argument: value}) if argument else call(value)
        assert caught.value.field == field, value


def test_the_good_arguments_are_good():
    make_cell(**MADE)
    GATED.init(**DRAWN)
    GATED.init(**DRAWN | {"forget_bias": "chrono"})
    load_input(**READ)
    load_input(**READ | {"source": CO2, "column": "co2_ppm"})
    make_task("adding", steps=30)
    back(clip=("step_norm", 1.0), truncate=2)
    one_update(learning_rate=0.1)


# what only the run finds out


def test_data_that_do_not_fit_the_run(tmp_path):
    batch = str(tmp_path / "x.npy")
    np.save(batch, np.ones((20, 2, 3)))
    for fields, field in (({"batch_size": 3}, "batch_size"), ({"steps": 21}, "steps")):
        with pytest.raises(InputError) as caught:
            gradlab.analyze(**SMALL | {"input": batch} | fields)
        assert caught.value.field == field


def test_weights_that_are_none(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match="^w.safetensors") as caught:
        gradlab.analyze(**SMALL, weights=str(tmp_path / "w.safetensors"))
    assert caught.value.field == "weights"


def test_an_array_is_named():
    for name in ("x", "initial_state", "lengths"):
        with pytest.raises(InputError, match=f"^{name}: expected a NumPy or CuPy array, got list") as caught:
            gradlab.unroll(GATED, GATED.init(0), **{"x": np.ones((4, 1, 2)), name: [1.0]})
        assert caught.value.field == name
    with pytest.raises(InputError, match="^W_hh: expected a NumPy or CuPy array, got list"):
        gradlab.unroll(GATED, GATED.init(0) | {"W_hh": [1.0]}, np.ones((4, 1, 2)))
