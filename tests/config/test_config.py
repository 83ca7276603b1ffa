"""RunConfig: defaults, every error at once, names with the nearest, ranges, and one source for every control."""

import math

import pytest

import gradlab
from gradlab.cells import CELLS
from gradlab.cells.activations import ACTIVATIONS
from gradlab.cells.initializers import INITIALIZERS
from gradlab.config import ConfigError, RunConfig, controls, from_toml
from gradlab.config.architecture import is_single
from gradlab.config.train import TrainConfig
from gradlab.errors import InputError
from gradlab.learning.clipping import CLIP_MODES

FIELDS = {  # as documented, with the defaults of the app's first screen
    "architecture": "recurrent",
    "layers": 1,
    "bidirectional": False,
    "residual": False,
    "layer_norm": False,
    "attention": "none",
    "heads": 4,
    "norm": "pre",
    "causal": False,
    "tree": "balanced",
    "cell": "elman",
    "activation": "tanh",
    "hidden_size": 64,
    "steps": 100,
    "batch_size": 32,
    "input": "noise",
    "column": None,
    "frames": "samples",
    "tokens": "character",
    "weights": None,
    "prefix": None,
    "layer": None,
    "input_size": 3,
    "input_scale": 1.0,
    "recurrent_init": "gaussian",
    "gain": 1.0,
    "bias_scale": 0.0,
    "forget_bias": 0.0,
    "leak": 1.0,
    "loss": "last",
    "clip": "off",
    "clip_threshold": "0.5x",
    "truncate": "off",
    "dtype": "float64",
    "device": "cpu",
    "seed": 0,
}


def test_fields_and_defaults():
    assert RunConfig().model_dump() == FIELDS
    assert set(controls()) == set(FIELDS)
    assert RunConfig().changes() == {}


def test_it_is_immutable_and_compares_by_value():
    config = RunConfig(gain=2.0)
    with pytest.raises(Exception, match="frozen"):
        config.gain = 3.0
    assert config == RunConfig(gain=2) != RunConfig()
    assert config.replace(gain=1.0) == RunConfig()
    assert config.replace(steps=7).changes() == {"gain": 2.0, "steps": 7}
    with pytest.raises(InputError, match="stepz: unknown field"):
        config.replace(stepz=7)


# errors


NEAREST = {  # wrong name -> (kind, nearest, valid names)
    "cell": ("lsmt", "cell", "lstm", CELLS),
    "activation": ("rleu", "activation", "relu", ACTIVATIONS),
    "recurrent_init": ("orthogonl", "recurrent initializer", "orthogonal", INITIALIZERS),
    "loss": ("evry", "loss", "every", ("last", "every")),
    "clip": ("nrom", "clipping mode", "norm", CLIP_MODES),
    "dtype": ("float16", "precision", "float64", ("float64", "float32")),
    "device": ("cdua", "device", "cuda", ("cpu", "cuda", "auto")),
}
FIELDS_IN_ORDER = list(controls())
THRESHOLD = "clip_threshold: expected a positive number or a multiple such as 0.5x, got"


@pytest.mark.parametrize("field", NEAREST)
def test_an_unknown_name_gets_the_nearest(field):
    wrong, kind, near, valid = NEAREST[field]
    with pytest.raises(InputError) as caught:
        RunConfig(**{field: wrong})
    assert str(caught.value) == f"{field}: unknown {kind} '{wrong}'. Did you mean '{near}'? Valid: {', '.join(valid)}"


def test_a_field_that_no_json_could_name_is_unknown_like_any_other():
    with pytest.raises(ConfigError, match=r"got 0\n.*: unknown field '.*udcff'") as caught:
        RunConfig(**{"\udcff": 1, "steps": 0})
    assert list(caught.value.fields) == ["steps", "\udcff"]


def test_an_unknown_field_gets_the_nearest():
    with pytest.raises(InputError) as caught:
        RunConfig(hiden_size=3)
    names = ", ".join(controls())
    assert str(caught.value) == f"hiden_size: unknown field 'hiden_size'. Did you mean 'hidden_size'? Valid: {names}"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"steps": 2.5}, "steps: expected a whole number, got 2.5"),
        ({"steps": "many"}, "steps: expected a whole number, got 'many'"),
        ({"hidden_size": -1}, "hidden_size: expected at least 1, got -1"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"input_size": 0}, "input_size: expected at least 1, got 0"),
        ({"seed": -1}, "seed: expected at least 0, got -1"),
        ({"leak": 1.5}, "leak: expected at most 1.0, got 1.5"),
        ({"leak": 0}, "leak: expected more than 0.0, got 0"),
        ({"gain": "big"}, "gain: expected a number, got 'big'"),
        ({"cell": 3}, "cell: expected text, got 3"),
        ({"forget_bias": "chron"}, "forget_bias: expected a number or 'chrono', got 'chron'"),
        ({"clip_threshold": "half"}, f"{THRESHOLD} 'half'"),
        ({"clip_threshold": 0}, f"{THRESHOLD} 0.0"),
        ({"clip_threshold": -2.0}, f"{THRESHOLD} -2.0"),
        ({"clip_threshold": "0x"}, f"{THRESHOLD} '0x'"),
        ({"clip_threshold": "-1x"}, f"{THRESHOLD} '-1x'"),
        ({"input_scale": "-0"}, "input_scale: expected at least 0, got -0.0"),
        ({"gain": -0.0}, "gain: expected at least 0, got -0.0"),
        ({"steps": 10**18}, "steps: expected at most 1,000,000,000, got 1000000000000000000"),
        ({"self": 1}, f"self: unknown field 'self'. Valid: {', '.join(FIELDS_IN_ORDER)}"),
    ],
)
def test_what_is_wrong_with_a_field(fields, message):
    with pytest.raises(InputError) as caught:
        RunConfig(**fields)
    assert str(caught.value).replace("0.0,", "0,").replace("1.0,", "1,") == message.replace("0.0,", "0,").replace(
        "1.0,", "1,"
    )
    assert list(caught.value.fields) == list(fields)


COUNTS = ("steps", "hidden_size", "batch_size", "input_size")
TRAIN_COUNTS = (*COUNTS[:3], "layers", "iterations", "snapshot_every", "evaluate_every")


@pytest.mark.parametrize("digits", [18, 19, 41, 75, 400, 5000])
@pytest.mark.parametrize("text", [False, True], ids=["number", "text"])
@pytest.mark.parametrize(
    ("config", "name"),
    [*((RunConfig, name) for name in COUNTS), *((TrainConfig, name) for name in TRAIN_COUNTS)],
)
def test_a_count_that_nothing_could_hold_is_refused_in_a_short_message(config, name, text, digits):
    value = "1" + "0" * digits if text else 10**digits
    with pytest.raises(InputError, match=f"^{name}: expected (at most 1,|a whole number)") as caught:
        config(**{name: value})
    assert sum(character.isdigit() for character in str(caught.value).partition(", got ")[2]) <= 40


@pytest.mark.parametrize("config", [RunConfig, TrainConfig])
def test_no_number_that_begins_at_zero_takes_a_negative_zero(config):
    for name, field in config.model_fields.items():
        if field.annotation is float and any(getattr(bound, "ge", None) == 0 for bound in field.metadata):
            with pytest.raises(InputError, match=f"^{name}: expected at least 0, got -0.0$"):
                config(**{name: -0.0})


@pytest.mark.parametrize(("kind", "name"), [(RunConfig, "input"), (RunConfig, "weights"), (TrainConfig, "column")])
def test_text_is_what_json_and_a_link_can_hold(kind, name):
    message = rf"^{name}: expected text in UTF-8, got .*udcff.csv'; rename what is called so$"
    with pytest.raises(ConfigError, match=message):
        kind(**{name: "\udcff.csv"})
    assert getattr(kind(**{name: "\u00e9\x07"}), name) == "\u00e9\x07"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["gain", "bias_scale", "input_scale", "leak", "forget_bias", "clip_threshold"])
def test_numbers_are_finite(name, value):
    with pytest.raises(InputError, match=f"^{name}: expected "):
        RunConfig(**{name: value})


@pytest.mark.parametrize("value", ["nan", "inf", "-3", "1e999"])
def test_a_threshold_as_text_is_a_finite_positive_number_too(value):
    with pytest.raises(InputError, match="clip_threshold: expected a positive number"):
        RunConfig(clip_threshold=value)


def test_all_errors_come_at_once():
    wrong = {"cell": "lsmt", "steps": -4, "gain": "x", "leak": 7, "colour": "red", "dtype": "f", "clip_threshold": "y"}
    with pytest.raises(ConfigError) as caught:
        RunConfig(**wrong, hidden_size=8)
    assert set(caught.value.fields) == set(wrong)
    assert len(str(caught.value).splitlines()) == len(wrong)


# values


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"steps": "30"}, 30),
        ({"gain": "1.5"}, 1.5),
        ({"gain": 2}, 2.0),
        ({"forget_bias": "chrono"}, "chrono"),
        ({"forget_bias": "1.5"}, 1.5),
        ({"forget_bias": 3}, 3.0),
        ({"clip_threshold": "0.25x"}, "0.25x"),
        ({"clip_threshold": "2x"}, "2x"),
        ({"clip_threshold": "0.1"}, 0.1),
        ({"clip_threshold": 3}, 3.0),
        ({"gain": 0.0}, 0.0),
    ],
)
def test_text_from_links_and_options_is_read(given, value):
    (name,) = given
    found = getattr(RunConfig(**given), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("name", CELLS)
def test_every_registered_cell_activation_and_initializer_is_a_choice(name):
    assert RunConfig(cell=name).cell == name
    for field, registry in (("cell", CELLS), ("activation", ACTIVATIONS), ("recurrent_init", INITIALIZERS)):
        assert controls()[field].choices() == list(registry)


def test_a_field_that_does_not_apply_keeps_its_value():
    config = RunConfig(forget_bias=2.0, leak=0.5, clip_threshold=3.0)
    applies = {name for name, control in controls().items() if control.applies_if(config)}
    assert "leak" in applies and "forget_bias" not in applies and "clip_threshold" not in applies
    gated = config.replace(cell="lstm", clip="norm")
    applies = {name for name, control in controls().items() if control.applies_if(gated)}
    assert "forget_bias" in applies and "leak" not in applies and "clip_threshold" in applies
    assert gated.leak == 0.5
    own = config.replace(weights="w.safetensors")
    applies = {name for name, control in controls().items() if control.applies_if(own)}
    assert not applies & {"cell", "gain", "hidden_size", "recurrent_init", "forget_bias"}
    gradlab.analyze(RunConfig(forget_bias=2.0, steps=12, batch_size=2, hidden_size=3))  # an Elman net has no such gate


def test_limits_are_the_apps_and_not_the_librarys():
    config = RunConfig(hidden_size=2048, steps=30_000)
    assert config.beyond_limits() == {
        "steps": "at most 20,000 in the app, got 30,000; the library has no limit",
        "hidden_size": "at most 1,024 in the app, got 2,048; the library has no limit",
    }
    assert RunConfig(hidden_size=1024, steps=20_000).beyond_limits() == {}


@pytest.mark.parametrize("name", FIELDS)
def test_every_control_is_described(name):
    control = controls()[name]
    assert control.label and control.help
    assert not control.help.endswith(".")
    if control.min is not None:
        assert control.min < control.max
        assert control.step > 0
        default = RunConfig.model_fields[name].default
        assert default == "off" or control.min <= default <= control.max
        RunConfig(**{name: control.min}), RunConfig(**{name: control.max})


def test_slider_ranges_are_those_of_the_app():
    gain, steps, bias = (controls()[name] for name in ("gain", "steps", "forget_bias"))
    assert (gain.min, gain.max, gain.step) == (0.1, 4, 0.05)
    assert (steps.min, steps.max, steps.limit) == (10, 500, 20_000)
    assert (bias.min, bias.max) == (-2, 6)
    basic = [name for name, control in controls().items() if control.level == "basic"]
    assert basic == ["architecture", "layers", "heads", "cell", "activation", "gain", "steps", "forget_bias", "tree"]


# what network it is


@pytest.mark.parametrize(
    ("fields", "single"),
    [
        ({}, True),
        ({"heads": 7, "norm": "post", "causal": True, "residual": True, "tree": "chain"}, True),  # none applies
        ({"layers": 2}, False),
        ({"bidirectional": True}, False),
        ({"layer_norm": True}, False),
        ({"attention": "dot"}, False),
        ({"architecture": "transformer"}, False),
        ({"architecture": "tree"}, False),
        ({"layers": 2, "attention": "dot", "weights": "net.safetensors"}, True),  # a file has one layer
    ],
)
def test_a_run_is_of_one_cell_or_of_a_network(fields, single):
    assert is_single(RunConfig(**fields)) == single


OWN = {
    "recurrent": {"cell", "gain", "layers", "bidirectional", "layer_norm", "attention", "recurrent_init", "loss"},
    "transformer": {"activation", "layers", "heads", "norm", "causal", "loss"},
    "tree": {"cell", "gain", "recurrent_init", "tree", "loss", "input_scale", "bias_scale"},
}


@pytest.mark.parametrize("architecture", OWN)
def test_fields_apply_where_they_say_something(architecture):
    config = RunConfig(architecture=architecture)
    assert {name for name in set.union(*OWN.values()) if controls()[name].applies_if(config)} >= OWN[architecture]
    others = set.union(*OWN.values()) - set.union(*(OWN[architecture], {"activation", "input_scale", "bias_scale"}))
    assert not any(controls()[name].applies_if(config) for name in others)


CONFLICTS = {
    "of both directions, yet causal": ({"bidirectional": True, "causal": True}, "causal: .*leave one out"),
    "a causal transformer of both directions": (
        {"architecture": "transformer", "bidirectional": True, "causal": True},
        "bidirectional: .*leave one out",
    ),
    "heads that do not divide": (
        {"architecture": "transformer", "heads": 7},
        "heads: 7 heads cannot share 64 units; give a multiple of the heads",
    ),
    "units that do not divide": (
        {"architecture": "transformer", "hidden_size": 30},
        "hidden_size: 4 heads cannot share 30 units",
    ),
    "units that do not divide among as many heads as by default": (
        {"architecture": "transformer", "hidden_size": 10, "heads": 4},
        "hidden_size: 4 heads cannot share 10 units",
    ),
    "as many units as by default": (
        {"architecture": "transformer", "hidden_size": 64, "heads": 7},
        "heads: 7 heads cannot share 64 units",
    ),
    "heads that divide as many units as by default": (
        {"architecture": "transformer", "hidden_size": 10, "heads": 32},
        "hidden_size: 32 heads cannot share 10 units",
    ),
    "a tree of another cell": (
        {"architecture": "tree", "cell": "gru"},
        "cell: a tree is made of elman or lstm cells, got gru",
    ),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_fields_that_exclude_each_other(name):
    fields, message = CONFLICTS[name]
    with pytest.raises(ConfigError, match=message):
        RunConfig(**fields)
    config, wrong = RunConfig.forgiving(fields)
    assert len(wrong) == 1 and config == RunConfig(**{key: fields[key] for key in fields.keys() - wrong.keys()})


def test_a_copy_has_the_same_conflict():
    whole = RunConfig(architecture="transformer")
    with pytest.raises(ConfigError, match="hidden_size: 4 heads cannot share 10 units"):
        whole.replace(hidden_size=10)


def test_what_is_forgiven_ends_in_a_configuration():
    config, wrong = RunConfig.forgiving({"architecture": "transformer", "heads": 7, "hidden_size": 30, "steps": 0})
    assert wrong.keys() == {"heads", "hidden_size", "steps"} and config.architecture == "transformer"


# TOML


def test_from_toml(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('cell = "lstm"\nsteps = 30\nforget_bias = "chrono"\ngain = 1\n')
    assert from_toml(path) == RunConfig(cell="lstm", steps=30, forget_bias="chrono")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"cell = ", "run.toml: not a TOML file: Invalid value"),
        (b"\xff\xfe", "run.toml: not a TOML file"),
        (b"self = 1", "self: unknown field 'self'"),
        (b"steps = 1" + b"0" * 5000, "run.toml: not a TOML file: Exceeds the limit"),
        (b"a = " + b"[" * 100_000, "run.toml: not a TOML file of fields: values are nested too deeply"),
        (b"stepz = 3\ngain = -1", "(?s)gain: expected at least 0.*stepz: unknown field|stepz: unknown field.*gain:"),
    ],
)
def test_bad_toml(tmp_path, text, message):
    path = tmp_path / "run.toml"
    path.write_bytes(text)
    with pytest.raises(InputError, match=message):
        from_toml(path)


def test_a_toml_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="none.toml: cannot be read: No such file or directory"):
        from_toml(tmp_path / "none.toml")
