"""Links: every configuration survives the way there and back; no link opens a path or passes over anything silently."""

import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlencode

import pytest
import xarray as xr
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import gradlab
from gradlab.cli import cli
from gradlab.config import RunConfig, controls
from gradlab.config.links import from_query, to_command, to_python, to_query
from gradlab.errors import InputError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
SIZE = st.integers(1, 10**6)


def _values(name, control):
    """What a field with names, or a switch, takes."""
    return st.sampled_from(control.choices()) if control.choices else st.booleans()


STRATEGIES = {
    "gain": st.floats(0, 1e6),
    "bias_scale": st.floats(0, 1e300),
    "input_scale": st.floats(0, 1e6),
    "leak": st.floats(0, 1, exclude_min=True),
    "forget_bias": st.one_of(st.just("chrono"), st.floats(-1e9, 1e9)),
    "steps": SIZE,
    "hidden_size": SIZE,
    "batch_size": SIZE,
    "input_size": SIZE,
    "seed": st.integers(0, 2**62),
    "clip_threshold": st.one_of(POSITIVE, st.sampled_from(["0.25x", "3x", ".5x"])),
    "column": st.one_of(st.none(), TEXT),
    "layers": st.integers(1, 1000),
    "heads": st.integers(1, 1000),
}
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        name: STRATEGIES[name] if name in STRATEGIES else _values(name, control)
        for name, control in controls().items()
        if name != "weights"
    },
).map(lambda fields: RunConfig.forgiving(fields)[0])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The user's file cache, empty."""
    monkeypatch.setenv("GRADLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def series(tmp_path):
    """A file of one's own."""
    path = tmp_path / "private" / "my co2.csv"
    path.parent.mkdir()
    path.write_text("t,ppm\n" + "\n".join(f"{i},{300 + i % 7}" for i in range(300)))
    return path


# there and back


@given(config=CONFIGS, pins=st.lists(CONFIGS, max_size=3))
def test_every_configuration_survives(config, pins):
    link = from_query(to_query(config, pins))
    assert link.config == config
    assert link.pins == pins
    assert link.notices == [] and link.missing == {}


def test_only_what_differs_from_the_defaults_is_in_the_link():
    assert to_query(RunConfig()) == "v=1"
    assert to_query(RunConfig(gain=3.0, cell="lstm")) == "v=1&cell=lstm&gain=3"
    pins = (RunConfig(gain=0.5), RunConfig())
    assert parse_qsl(to_query(RunConfig(steps=7), pins), keep_blank_values=True) == [
        ("v", "1"),
        ("steps", "7"),
        ("pin", "gain=0.5"),
        ("pin", ""),
    ]


@pytest.mark.parametrize("query", ["", "?", "v=1", "?v=1"])
def test_an_empty_link_is_the_default(query):
    link = from_query(query)
    assert (link.config, link.pins, link.notices, link.missing) == (RunConfig(), [], [], {})


def test_one_conflict_makes_one_notice():
    link = from_query("architecture=transformer&hidden_size=10&heads=4")
    assert link.notices == ["Ignored hidden_size: 4 heads cannot share 10 units; give a multiple of the heads"]
    assert link.config == RunConfig(architecture="transformer")


# files


def test_an_upload_travels_by_name_and_hash(cache, series):
    config = RunConfig(input=str(series), column="ppm", steps=20)
    query = to_query(config)
    pairs = dict(parse_qsl(query))
    assert pairs.pop("file") == "my co2.csv"
    assert re.fullmatch("[0-9a-f]{12}", pairs.pop("sha"))
    assert pairs == {"v": "1", "column": "ppm", "steps": "20"}
    assert "private" not in query
    link = from_query(query)
    assert link.notices == [] and link.missing == {}
    assert Path(link.config.input).read_bytes() == series.read_bytes()
    assert cache in Path(link.config.input).parents
    assert link.config.replace(input="noise") == config.replace(input="noise")
    assert to_query(link.config) == query


def test_own_weights_travel_likewise(cache):
    weights = Path(__file__).parents[1] / "golden" / "gru_two_layers.safetensors"
    query = to_query(RunConfig(weights=str(weights)))
    pairs = dict(parse_qsl(query))
    assert pairs["weights"] == "gru_two_layers.safetensors"
    assert set(pairs) == {"v", "weights", "weights_sha"}
    assert Path(from_query(query).config.weights).read_bytes() == weights.read_bytes()


@pytest.mark.parametrize("field", ["input", "weights"])
def test_a_file_that_is_not_here_is_named(cache, field):
    query = {"input": "file=co2.csv&sha=0123456789ab", "weights": "weights=w.safetensors&weights_sha=0123456789ab"}
    link = from_query(f"v=1&gain=2&{query[field]}")
    assert link.missing == {field: "co2.csv" if field == "input" else "w.safetensors"}
    assert link.config == RunConfig(gain=2.0)


def test_a_pin_whose_file_is_not_here_does_not_pass_as_another_run(cache):
    link = from_query(urlencode([("v", "1"), ("pin", "file=co2.csv&sha=0123456789ab&gain=2")]))
    assert any("co2.csv" in text for text in (*link.notices, *link.missing.values()))


def test_another_version_is_told_in_letters_that_can_be_read():
    (said,) = from_query("v=%1e2").notices
    assert said == r"This link has version \x1e2; this gradlab reads version 1."


@pytest.mark.parametrize("name", ["\0.csv", "\x1b[31m", "\udcff", "a\nb", "x" * 5000])
def test_a_missing_file_is_named_in_letters_that_can_be_read(cache, name):
    query = urlencode(
        [("file", name), ("pin", urlencode([("weights", name)], errors="surrogatepass"))], errors="surrogatepass"
    )
    for text in (query, f"file={name}&pin=weights%3D{name}"):
        link = from_query(text)
        assert all(said.isprintable() and len(said) < 1000 for said in (*link.notices, *link.missing.values()))
        assert len(link.notices) == len(link.missing) == 1


def test_a_file_that_cannot_be_read_cannot_be_linked(cache):
    with pytest.raises(InputError, match="file not found: none.csv"):
        to_query(RunConfig(input="none.csv"))


@pytest.mark.parametrize(
    "query",
    [
        "input={path}",
        "weights={path}",
        "file={path}",
        "file={path}&sha=",
        "file={path}&sha=0123456789ab",
        "file=x&sha={path}",
        "file=x&sha=../../x",
        "weights=x&weights_sha={path}",
        "input=file:///etc/passwd",
    ],
)
def test_no_link_opens_a_path(cache, series, query, monkeypatch):
    opened = []
    monkeypatch.setattr(Path, "read_bytes", lambda self: opened.append(self) or b"")
    filled = query.replace("{path}", str(series).replace(" ", "%20"))
    for text in (filled, urlencode([("pin", filled)])):
        link = from_query(text)
        for config in (link.config, *link.pins):
            assert (config.input, config.weights) == ("noise", None)
    assert opened == []


@pytest.mark.parametrize("name", ["input", "weights"])
def test_a_path_in_a_link_is_refused_aloud(cache, series, name):
    link = from_query(f"{name}={series}")
    assert any("my co2.csv" in text or name in text for text in (*link.notices, *link.missing.values()))


# what cannot be used


def test_unknown_and_wrong_fields_are_left_out_with_a_notice():
    link = from_query("v=1&gain=2&colour=red&steps=many&cell=lsmt&leak=0.5")
    assert link.config == RunConfig(gain=2.0, leak=0.5)
    assert len(link.notices) == 3
    text = "\n".join(link.notices)
    assert "unknown field 'colour'" in text
    assert "Ignored steps: expected a whole number, got 'many'" in text
    assert "Ignored cell: unknown cell 'lsmt'. Did you mean 'lstm'" in text


def test_wrong_fields_of_pins_too():
    link = from_query(urlencode([("pin", "gain=x&steps=30"), ("pin", "cell=lstm")]))
    assert link.pins == [RunConfig(steps=30), RunConfig(cell="lstm")]
    assert link.notices == ["Ignored gain: expected a number, got 'x'"]


def test_another_version_is_noticed():
    link = from_query("v=9&gain=2")
    assert link.config.gain == 2
    assert link.notices == ["This link has version 9; this gradlab reads version 1."]


@given(
    st.one_of(TEXT, st.lists(st.tuples(st.sampled_from([*controls(), "pin", "v", "file", "sha"]), TEXT)).map(urlencode))
)
def test_no_query_whatever_raises(query):
    link = from_query(query)
    assert isinstance(link.config, RunConfig)


# Python and command


@given(config=CONFIGS)
def test_python_repeats_the_configuration(config):
    asked = []
    show = SimpleNamespace(gradient_flow=lambda ds: SimpleNamespace(show=lambda: None))
    fake = SimpleNamespace(analyze=lambda **fields: asked.append(fields), verdict=lambda ds: "", plots=show)
    lines = to_python(config).splitlines()
    assert lines[0] == "import gradlab"
    exec("\n".join(lines[1:]), {"gradlab": fake, "print": lambda *a: None})
    assert RunConfig(**asked[0]) == config


@given(config=CONFIGS)
def test_the_command_line_repeats_the_configuration(config):
    words = shlex.split(to_command(config))
    assert words[:2] == ["gradlab", "analyze"]
    assert read_options(words[2:]) == config


def read_options(words):
    """The configuration of options, each followed by its value but for a switch."""
    fields, words = {}, list(words)
    while words:
        name = words.pop(0)
        assert name.startswith("--")
        field = name.removeprefix("--").replace("-", "_")
        fields[field] = RunConfig.model_fields[field].annotation is bool or words.pop(0)
    return RunConfig(**fields)


SMALL = {"steps": 20, "batch_size": 3}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"cell": "lstm", "forget_bias": -1.5, "seed": 3, "input": "sine"},
        {"cell": "gru", "forget_bias": "chrono", "loss": "every"},
        {"clip": "norm", "clip_threshold": "0.25x", "leak": 0.3, "dtype": "float32"},
        {"layers": 2, "bidirectional": True, "layer_norm": True, "cell": "gru"},
        {"architecture": "transformer", "hidden_size": 8, "causal": True},
    ],
)
def test_both_give_the_same_dataset(tmp_path, fields):
    config = RunConfig(**SMALL, **{"hidden_size": 5} | fields)
    ds = gradlab.analyze(config)
    names = {}
    exec(to_python(config).split("print(")[0], names)
    xr.testing.assert_identical(names["ds"], ds)
    path = tmp_path / "run.nc"
    result = CliRunner().invoke(cli, [*shlex.split(to_command(config))[1:], "-q", "-o", str(path)])
    assert result.exit_code == 0, result.output
    load = xr.load_dataset if isinstance(ds, xr.Dataset) else xr.load_datatree
    xr.testing.assert_equal(load(path), ds)


def test_files_go_by_the_name_a_person_knows(cache, series):
    config = from_query(to_query(RunConfig(input=str(series)))).config
    assert "analyze(input='my co2.csv')" in to_python(config)
    assert to_command(config) == "gradlab analyze --input 'my co2.csv'"
