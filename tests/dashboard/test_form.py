"""The form: what its controls show and how it is read; typeset words and the strip."""

import json
from pathlib import Path

import pytest
from dash.development.base_component import Component
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard import components, controls, form, ids
from gradlab.config import RunConfig
from gradlab.config import controls as config_controls
from gradlab.config.links import from_query, to_query
from gradlab.config.presets import PRESETS
from gradlab.config.train import TrainConfig
from gradlab.errors import InputError

from ..views import SMALL, walk, words

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_survives_the_form(name: str) -> None:
    config = PRESETS[name].config()
    assert form.read(json.loads(json.dumps(form.raw(config)))) == form.Form(config)


def test_every_field_has_a_control_that_holds_its_value() -> None:
    found = {
        part.id for part in walk([*controls.basic(), *controls.more()]) if isinstance(getattr(part, "id", None), str)
    }
    assert {ids.control(key) for key in form.properties()} <= found
    assert {ids.field(name) for name in config_controls()} <= found


def test_all_wrong_fields_are_told_at_once() -> None:
    raw = form.raw(SMALL) | {"gain": -1, "steps": "", "hidden_size": 5000, "clip": "norm", "clip_threshold": "half"}
    errors = form.read(raw).errors
    assert "at least 0" in errors["gain"]
    assert errors["steps"] == "expected a value, got an empty field"
    assert "at most 1,024 in the app, got 5,000" in errors["hidden_size"]
    assert "a multiple such as 0.5x, got 'half'" in errors["clip_threshold"]


def test_a_wrong_value_in_a_hidden_control_is_no_error() -> None:
    filled = form.read(form.raw(SMALL) | {"forget_bias": "", "leak": 0.5})
    assert filled == form.Form(SMALL.replace(leak=0.5))
    assert "forget_bias" in form.read(form.raw(SMALL) | {"forget_bias": "", "cell": "lstm"}).errors


def test_the_word_stands_for_the_number() -> None:
    filled = form.read(form.raw(SMALL) | {"cell": "lstm", "forget_bias": 2.0, "forget_bias-word": True})
    assert filled.config.forget_bias == "chrono"
    assert form.class_names(filled.config, SMALL)["forget_bias"] == "field number changed is-word"
    shown = [form.raw(SMALL.replace(cell="lstm", forget_bias=bias)) for bias in ("chrono", 2.0)]
    assert [(raw["forget_bias"], raw["forget_bias-word"]) for raw in shown] == [(0.0, True), (2.0, False)]


def test_a_threshold_is_text_in_its_field() -> None:
    config = SMALL.replace(clip="norm", clip_threshold=2.5)
    assert form.raw(config)["clip_threshold"] == "2.5"
    assert form.read(form.raw(config)).config == config


@given(st.floats(min_value=0, exclude_min=True, allow_infinity=False))
@example(0.012345678901234567)
def test_what_is_shown_is_what_runs_to_the_last_digit(number: float) -> None:
    fields = {"clip": "norm", "clip_threshold": number}
    for config in (RunConfig(**fields), TrainConfig(**fields, learning_rate=number)):
        link = to_query(config)
        shown = form.raw(from_query(link, type(config)).config)
        read = form.read(json.loads(json.dumps(shown)), type(config))
        assert read.config == config and to_query(read.config) == link
        assert float(shown["clip_threshold"]) == float(shown.get("learning_rate", number)) == number


@pytest.mark.parametrize("seed", [2**53 - 1, 2**53, 2**53 + 1, 2**62 + 1, 10**30])
def test_a_seed_survives_a_browser_whose_numbers_have_53_bits(seed: int) -> None:
    shown = form.raw(RunConfig(seed=seed))["seed"]
    assert isinstance(shown, str) == (seed >= 2**53)
    assert int(shown if isinstance(shown, str) else float(shown)) == seed
    assert form.read(form.raw(RunConfig(seed=seed))).config.seed == seed


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.data())
def test_whatever_the_controls_hold_is_a_form(data: st.DataObject) -> None:
    of = data.draw(st.sampled_from([RunConfig, TrainConfig]))
    raw = form.raw(of()) | data.draw(st.dictionaries(st.sampled_from([*form.properties(of)]), PLAIN))
    filled = form.read(raw, of)
    assert all(isinstance(text, str) and len(text) < 500 for text in filled.errors.values())
    assert not filled.config.beyond_limits()


def test_the_page_cannot_name_a_path(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret")
    for key in (str(secret), "../secret.txt", "0123456789ab-secret.txt"):
        errors = form.read(form.raw(SMALL) | {"input": key, "weights": key}).errors
        assert set(errors) == {"input", "weights"}
        assert "is no longer kept; drop the file again" in errors["input"]


def test_controls_that_do_not_apply_are_hidden() -> None:
    classes = form.class_names(SMALL, RunConfig())
    assert "hidden" in classes["forget_bias"] and "hidden" not in classes["gain"]
    assert "changed" in classes["steps"] and "changed" not in classes["gain"]
    assert "hidden" in form.class_names(RunConfig(cell="lstm"), SMALL)["leak"]


def test_an_error_is_told_with_the_label_of_its_field_where_it_has_one() -> None:
    labels = {"gain": "Gain"}
    assert (
        form.told(InputError("gain: expected a number, got 'a'", "gain"), labels) == "Gain: expected a number, got 'a'"
    )
    for error in (InputError("steps: expected a number, got 'a'", "steps"), InputError("it cannot be read")):
        assert form.told(error, labels) == str(error)


def test_more_is_opened_where_a_control_in_it_is_wrong() -> None:
    wrong = {name: form.looks(form.Form(SMALL, {name: "too large"}), SMALL) for name in ("seed", "gain")}
    levels = {name: config_controls()[name].level for name in wrong}
    assert levels == {"seed": "more", "gain": "basic"}
    for name, looks in wrong.items():
        assert looks[ids.control(name)] == {"error": "too large"} and looks[ids.control("steps")] == {"error": ""}
        assert looks.get(ids.EXPLORE.more) == ({"open": True} if levels[name] == "more" else None)


def test_the_gpu_is_offered_with_the_reason_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls, "gpu_problem", lambda: "no driver")
    assert [entry["value"] for entry in controls.options("device") if entry.get("disabled")] == ["cuda"]
    assert "No GPU: no driver." in words(controls.more())
    monkeypatch.setattr(controls, "gpu_problem", lambda: None)
    assert not any(entry.get("disabled") for entry in controls.options("device"))
    assert "No GPU" not in words(controls.more())


# parts


def test_typeset_powers_and_signs() -> None:
    assert (
        words(components.typeset("x0.64 of 10^-20. 0.57 (tanh) x 1.00, x1-4"))
        == "×0.64 of 10−20. 0.57 (tanh) × 1.00, ×1-4"
    )
    parts = components.typeset("step 1 of 100 gets 10^-20.")
    assert isinstance(parts[1], Component) and parts[1].children == "−20"
    assert [getattr(part, "children", part) for part in components.typeset("sigma_w, x10")] == ["σ", "w", ", ×10"]


def test_names_keep_their_letters() -> None:
    assert words(components.typeset("net with column 'x0', x0.64")) == "net with column 'x0', ×0.64"
    error = components.message("a.csv: unknown column 'label'. Valid: klass, x0, x1; at most 10^4", "error")
    assert words(error) == "a.csv: unknown column 'label'. Valid: klass, x0, x1; at most 104"


def test_strip_says_how_many_steps_a_box_is() -> None:
    boxes = [{"label": "x1-4", "colour": "#fff", "text": "x1-4: 0"}, {"label": "x5-7", "colour": "#000", "text": "t"}]
    assert components.strip(boxes, 7)["scale"] == "each box = 4 steps"
    assert components.strip(boxes, 2)["scale"] == "each box = 1 step"


@pytest.mark.parametrize("of", [RunConfig, TrainConfig])
def test_a_field_is_dressed_as_what_it_is(of: type[RunConfig | TrainConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    found = {name: text.split() for name, text in form.class_names(of(), of()).items()}
    assert all(parts[:2] == ["field", form.kind(name, of)] for name, parts in found.items())
    longest = {name: max(map(len, (c.labels or {"": ""}).values())) for name, c in config_controls(of).items()}
    for limit in {*longest.values()}:
        monkeypatch.setattr(form, "LONG_LABEL", limit)
        wide = {name for name, text in form.class_names(of(), of()).items() if "wide" in text.split()}
        assert wide == {name for name, letters in longest.items() if letters > limit}


def test_what_a_field_takes_follows_from_the_types_of_any_configuration() -> None:
    """Of one that nobody has asked for yet, as answers are kept."""

    class Own(RunConfig):
        pass

    words = {name: word for name in config_controls() if (word := form.word(name, Own))}
    assert words["forget_bias"] == "chrono" and "gain" not in words
    assert {name for name in config_controls() if form.whole(name, Own)} >= {"steps", "seed", "hidden_size"}
    assert not form.whole("gain", Own) and not form.whole("forget_bias", Own)
    kinds = {"cell": "choice", "gain": "number", "weights": "file", "column": "column", "seed": "seed"}
    kinds |= {"residual": "switch", "clip_threshold": "text"}
    assert {name: form.kind(name, Own) for name in kinds} == kinds
    held = form.properties(Own)
    assert held["residual"] == held["forget_bias-word"] == "checked" and held["gain"] == "value"
    assert set(held) - set(config_controls()) == {ids.word(name) for name in words}


def test_how_a_field_is_set_follows_from_its_type() -> None:
    kinds = {"cell": "choice", "gain": "number", "weights": "file", "column": "column", "seed": "seed"}
    assert {name: form.kind(name) for name in kinds} == kinds
    kinds = {"residual": "switch", "learning_rate": "text", "clip_threshold": "text", "iterations": "number"}
    assert {name: form.kind(name, TrainConfig) for name in kinds} == kinds
