"""Learn without a browser: chapters as data, addresses, guesses, figures, sentences that agree with numbers."""

import math
import re
from itertools import product
from urllib.parse import urlsplit

import numpy as np
import pytest
from dash import dcc, no_update

import gradlab
from dashboard.glossary import TERMS, glossary, term
from dashboard.pages.learn import draw, steer, stored
from dashboard.pages.learn.chapter import Choice, Guess, Slider
from dashboard.pages.learn.chapters import BY_SLUG, CHAPTERS, others, truncation
from gradlab.config import RunConfig
from gradlab.config.links import from_query, to_query
from gradlab.config.train import TrainConfig
from gradlab.errors import InputError
from gradlab.learning import flatten
from gradlab.plots.colours import LN10
from gradlab.plots.learn import Scene
from gradlab.runs.build import build
from gradlab.runs.probe import loss_at_every_step
from gradlab.runs.shares import share_left
from gradlab.training import dataset
from gradlab.wording import power_text
from tests.views import parts, words

each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.slug)
FORMULA = re.compile(r"\$\$.*?\$\$|\$.*?\$", re.DOTALL)
WORDS = 120


def request(slug, guess=None, narrow=False, **values):
    return draw.Request(slug, values, guess, "light", narrow)


def ends(control):
    """The values at the ends of a control, and its start."""
    if isinstance(control, Choice):
        return list(control.options)
    return [control.min, control.value, control.max]


def corners(chapter):
    """Every combination of the ends of the controls."""
    names = [control.name for control in chapter.controls]
    return [dict(zip(names, values, strict=True)) for values in product(*map(ends, chapter.controls))]


# what a chapter is


@each_chapter
def test_a_chapter_is_a_question_a_short_text_and_a_control_or_two(chapter):
    assert chapter.title.endswith("?") and chapter.guess.question.endswith("?")
    assert len(FORMULA.sub("x", chapter.text).split()) <= WORDS
    assert "$" in chapter.text
    assert 1 <= len(chapter.controls) <= (3 if chapter.slug == "state" else 2)
    assert chapter.guess.low <= chapter.guess.start <= chapter.guess.high


def test_chapters_have_addresses_of_their_own():
    assert len({chapter.title for chapter in CHAPTERS}) == len(BY_SLUG) == len(CHAPTERS)
    assert all(re.fullmatch(r"[a-z-]+", slug) for slug in BY_SLUG)


@each_chapter
def test_the_link_opens_what_the_chapter_is_about(chapter):
    kind = TrainConfig if chapter.path == "/train" else RunConfig
    for values in corners(chapter):
        config = chapter.config(values)
        link = from_query(to_query(config), kind)
        assert isinstance(config, kind) and link.config == config and not link.notices
    href = draw.show(request(chapter.slug))["explore"]
    assert urlsplit(href).path == chapter.path
    assert from_query(urlsplit(href).query, kind).config == chapter.config(chapter.start)


# values


@pytest.mark.parametrize("value", [None, "", "1", True, math.nan, -0.1, 3.1])
def test_a_slider_takes_numbers_in_its_range(value):
    slider = Slider("gain", "Gain", 0, 3, 0.1, 1)
    assert slider.read(0) == 0 and slider.read(2.5) == 2.5
    with pytest.raises(InputError, match="gain: expected a number from 0 to 3, got"):
        slider.read(value)


def test_a_choice_takes_its_options():
    choice = Choice("net", "Net", {"a": "A", "b": "B"}, "a")
    assert choice.read("b") == "b"
    for value in ("c", None, 1, ["a"]):
        with pytest.raises(InputError, match="net: expected one of a, b, got"):
            choice.read(value)


def test_a_wrong_value_is_refused_and_a_missing_one_is_the_first():
    with pytest.raises(InputError, match="gain: expected a number from 0.5 to 4, got 40"):
        draw.show(request("activation", gain=40))
    with pytest.raises(InputError, match="chapter: expected one of .*, got 'nothing'"):
        draw.show(request("nothing"))
    assert draw.show(request("activation"))["drawn"] == {"values": BY_SLUG["activation"].start}


# guesses


def test_a_guess_reads_as_a_person_writes_it():
    guess = Guess("?", 20, -6, 2, 0.5, 0)
    assert (len(guess.texts), guess.texts[0], guess.texts[8], guess.texts[-1]) == (17, "10^-6", "1 %", "10^2")
    assert guess.read(-99) == -6 and guess.read(7) == 2


@pytest.mark.parametrize(
    "said, truth, text",
    [
        (-2, -4, "You said 1 %; it is 0.01 %: your guess is about 100 times too large."),
        (-5, -4, "You said 10^-5; it is 0.01 %: your guess is about 10 times too small."),
        (-4.25, -4, "You said 5.6×10^-5; it is 0.01 %: well guessed."),
        (-1, -math.inf, "You said 10 %; it is 0: nothing is left at all."),
    ],
)
def test_a_guess_of_a_share_is_judged_by_its_factor(said, truth, text):
    assert Guess("?", 20, -6, 2, 0.5, 0).judged(said, truth) == text


@pytest.mark.parametrize("said, end", [(0.3, "well guessed."), (0.9, "not what it looks like.")])
def test_a_guess_of_a_value_is_judged_by_its_distance(said, end):
    guess = Guess("?", 20, -1, 1, 0.05, 0, powers=False)
    assert guess.judged(said, 0.32) == f"You said {said}; it is 0.32: {end}"


# figures


@each_chapter
@pytest.mark.parametrize("narrow", [False, True])
def test_before_the_guess_nothing_is_given_away(chapter, narrow):
    drawn = draw.show(request(chapter.slug, None, narrow))
    assert drawn["body"] == "body"
    assert drawn["seen"] is no_update and drawn["judged"] is no_update and drawn["table"] is no_update
    assert chapter.guess.question in drawn["label"]
    assert "your guess" not in {trace.name for trace in drawn["figure"].data}


@each_chapter
def test_after_it_the_guess_stands_beside_the_truth(chapter):
    drawn = draw.show(request(chapter.slug, chapter.guess.start))
    assert drawn["body"] == "body told"
    (marker,) = (trace for trace in drawn["figure"].data if trace.name == "your guess")
    assert (marker.x[0], marker.y[0]) == (chapter.guess.at, chapter.guess.start)
    assert words(drawn["judged"]).startswith("You said ")
    assert drawn["label"].startswith(chapter.title) and words(drawn["seen"])
    assert len(parts(drawn["table"], "Tr")) > 2


@each_chapter
def test_the_truth_lies_on_what_is_drawn(chapter):
    """Some line of the first area goes through it."""
    found = chapter.measure(chapter.start)
    truth, fig = chapter.truth(found), chapter.draw(found, Scene())
    near = []
    for trace in fig.data:
        x, y = np.asarray(trace.x, float), trace.y
        at = np.flatnonzero(x == chapter.guess.at) if trace.yaxis in (None, "y") and x.ndim == 1 else []
        near += [abs(float(y[n]) - truth) for n in at]
    assert min(near) < 1e-4
    assert chapter.guess.low <= truth <= chapter.guess.high


def test_a_judgement_is_of_the_question_alone():
    moved = draw.show(request("activation", -2.0, activation="tanh"))
    assert moved["go"] == "Open in Explore"
    assert words(moved["judged"]) == "" and words(moved["seen"]).startswith("Tanh leaves")


# sentences


@pytest.mark.slow
@each_chapter
def test_everything_can_be_said_and_drawn_wherever_the_controls_stand(chapter):
    for values in corners(chapter):
        found = chapter.measure(chapter.read(values))
        said = chapter.say(found)
        assert said.endswith(".") and not re.search(r"\b(nan|inf)\b", said), (values, said)
        assert "nan" not in words(str(chapter.rows(found)))
        for scene in (Scene(), Scene("dark", narrow=True)):
            assert chapter.draw(found, scene).to_json()


def left(lag=20, **fields):
    """ln of what is left so many steps back, from the library."""
    return float(share_left(gradlab.analyze(**fields)).values[-1 - lag])


def said(slug, **values):
    chapter = BY_SLUG[slug]
    found = chapter.measure(chapter.read(values))
    return chapter.say(found), chapter.truth(found), found


@pytest.mark.parametrize("activation, gain", [("sigmoid", 1.0), ("tanh", 3.0), ("relu", 1.4)])
def test_activation_says_what_the_library_measures(activation, gain):
    text, truth, _ = said("activation", activation=activation, gain=gain)
    expected = left(activation=activation, gain=gain)
    assert truth == pytest.approx(expected / LN10) and f"leaves {power_text(expected)} after 20 steps" in text


def test_start_says_what_the_library_measures():
    text, truth, found = said("start", recurrent_init="gaussian", activation="relu")
    expected = left(recurrent_init="gaussian", activation="relu")
    assert truth == pytest.approx(expected / LN10) and f"20 steps back {power_text(expected)}" in text
    assert f"to {np.abs(found.eigenvalues).max():.2g};" in text
    assert said("start", activation="identity")[1] == pytest.approx(0, abs=1e-9)


def test_a_gate_says_what_the_library_measures():
    text, truth, _ = said("gate", net="GRU", bias=2.0)
    fields = {"cell": "gru", "recurrent_init": "uniform", "input_scale": 0.1, "forget_bias": 2.0}
    assert truth == pytest.approx(left(**fields) / LN10)
    share = gradlab.analyze(**fields).path_share.sel(path="carry").median("sample").values[-50:]
    assert f"{100 * np.median(share):.0f} % of what a step passes back is carried" in text


def test_clipping_does_not_move_the_curve():
    for clip in ("norm", "value"):
        text, truth, found = said("clipping", clip=clip, threshold=0.1)
        np.testing.assert_array_equal(found.curves[0].logs, found.curves[1].logs)
        assert text.startswith(f"The curve has not moved: {power_text(left())} at 20 steps")
        assert "turned by" in text or clip == "norm"


def test_a_product_is_that_of_the_factors():
    _, truth, found = said("product", units="1", back=20)
    assert truth == pytest.approx(np.log10(np.prod(found.factors[:20])))
    assert truth == pytest.approx(left(hidden_size=1, recurrent_init="identity", batch_size=1, steps=30) / LN10)
    text, _, found = said("product", units="2", back=7)
    longest, shortest = np.linalg.svd(found.products[7])[1]
    assert f"an ellipse {longest:.2g} long and {shortest:.2g} wide" in text


def test_blame_adds_up_to_all_of_it():
    text, truth, found = said("blame", step=33, gain=1.5)
    assert len(found.share) == 33 and found.share[-1] == pytest.approx(100)
    terms = np.exp(found.logs[33, 1:34])
    assert truth == pytest.approx(100 * terms[-5:].sum() / terms.sum())
    assert f"the latest 5 of 33 steps get {truth:.0f} %" in text


@pytest.mark.parametrize(
    "gain, input_scale, side", [(0.5, 0.0, "come together"), (3.0, 0.0, "parted"), (3, 2, "parted")]
)
def test_the_edge_says_which_side_it_is_on(gain, input_scale, side):
    text, truth, _ = said("edge", gain=gain, input_scale=input_scale)
    assert side in text and (truth > -6) == (side == "parted")
    assert ("above 1" in text) == (side == "parted")


@pytest.mark.parametrize("net, fields", truncation.NETS.items())
def test_truncation_says_by_how_much_the_gradient_is_off(net, fields):
    text, truth, found = said("truncation", net=net, block="10")
    base = {"loss": "every", "batch_size": 8, **fields}
    cell, params, x = build(RunConfig(**base))
    traj = gradlab.unroll(cell, params, x)
    losses = loss_at_every_step(traj, 0)
    cut, whole = (flatten([*gradlab.bptt(traj, losses, truncate=k).params.values()]) for k in (10, None))
    assert truth == pytest.approx(100 * np.linalg.norm(cut - whole) / np.linalg.norm(whole))
    assert f"off by {truth:.0f} %" in text
    reach = gradlab.verdict(gradlab.analyze(batch_size=8, **fields)).reach
    assert (f"reaches back {reach} steps" in text) == (reach < 99)


def test_a_unit_of_weight_one_forgets_a_pulse_slowly():
    text, truth, _ = said("state", units="1", shape="one-many", step=20)
    h = math.tanh(1.0)
    for _ in range(19):
        h = math.tanh(h)
    assert truth == pytest.approx(h) and f"the state is {h:.2g}, after 1 input and 20 outputs" in text
    assert "after 20 inputs and 1 output." in said("state", shape="many-one", step=20)[0]
    assert said("state", shape="one-one", step=20)[0].startswith("At step 1 ")


@pytest.mark.parametrize("net", others.NETS)
def test_the_others_say_what_compare_measures(net):
    text, truth, _ = said("others", net=net)
    ds = gradlab.compare([others.config({"net": net})], 1).log_input_share.isel(run=0, seed=0).values
    lag = min(60, len(ds) - 1)
    assert truth == pytest.approx(float(ds[lag]) / LN10, abs=1e-9) and f"{power_text(ds[lag])} is left {lag}" in text


def test_what_is_said_of_a_training_is_what_is_stored():
    for net, rule in product(stored.NETS, stored.RULES):
        text, truth, found = said("learning", net=net, rule=rule)
        run = stored.runs()[net, rule]
        assert truth == run.loss[-1] and found.runs[net] is run
        assert ("far below" in text) == (truth < 1 / 12)
    assert "far below" in said("learning", net="lstm", rule="adam")[0]


@pytest.mark.slow
@pytest.mark.parametrize("net", stored.NETS)
def test_stored_runs_repeat(net):
    ds = dataset(gradlab.train(stored.config(net, "adam").replace(iterations=40)))
    run = stored.runs()[net, "adam"]
    np.testing.assert_allclose(ds.held_out_loss.values, run.loss[:2], rtol=1e-4)
    np.testing.assert_allclose(
        ds.surface.isel(layer=0, snapshot=0)[:-1] - ds.surface.isel(layer=0, snapshot=0)[-1],
        run.surface[0][:-1],
        rtol=1e-3,
    )


# addresses


def test_without_a_chapter_all_are_listed_with_a_tick_where_there_is_a_guess():
    opened = steer.open_chapter("?v=1&gain=2", {"activation": -3.0})
    links = parts(opened["index"], "A")
    assert len(links) == len(CHAPTERS) and opened["opened"] is None and opened["whole"] == "learn index"
    assert [link.href for link in links if "done" in words(link)] == ["/learn?v=1&gain=2&chapter=activation"]
    assert words(opened["details"]) == f"{len(CHAPTERS)} questions, 1 of them done"


@each_chapter
def test_an_address_opens_its_chapter(chapter):
    opened = steer.open_chapter(f"?chapter={chapter.slug}", {chapter.slug: 999.0})
    assert opened["verdict"] == chapter.title and opened["text"] == chapter.text
    assert opened["marks"]["value"] == chapter.guess.high
    assert opened["opened"]["texts"] == chapter.guess.texts
    assert len(opened["controls"]) == len(chapter.controls)
    number = CHAPTERS.index(chapter)
    after = [CHAPTERS[number + 1].slug] if number + 1 < len(CHAPTERS) else []
    hrefs = [part.href for part in opened["ways"]]
    assert [href for href in hrefs[1:] if any(href.endswith(f"chapter={slug}") for slug in after)] == hrefs[
        -1:
    ] or not after


def test_an_unknown_chapter_is_named_and_all_are_listed():
    opened = steer.open_chapter("?chapter=" + "x" * 500, None)
    assert words(opened["notices"]).startswith("There is no chapter 'xxxx")
    assert len(words(opened["notices"])) < 100 and opened["index"]


# the glossary


def test_the_words_of_the_first_screen_have_definitions():
    assert {"elman", "gain", "mean_field", "chrono", "reach", "rho", "sigma_max"} <= TERMS.keys()
    for entry in TERMS.values():
        assert entry.keys() == {"label", "text"} and entry["text"].endswith(".") and len(entry["text"].split()) <= 40


def test_all_of_them_are_shown_on_the_page():
    shown = words(glossary())
    assert len(parts(glossary(), "Dt")) == len(parts(glossary(), "Dd")) == len(TERMS)
    assert "The spectral radius" in shown


def test_a_word_opens_its_definition():
    opened = term("mean_field", "mean-field theory")
    assert type(opened).__name__ == "Details" and words(opened).startswith("mean-field theory")
    assert TERMS["mean_field"]["text"] in words(opened)
    with pytest.raises(KeyError):
        term("nonsense")


def test_formulas_are_typeset_by_what_the_app_serves():
    from dashboard.pages.learn import page

    (text,) = (part for part in parts(page.layout(), "Markdown") if isinstance(part, dcc.Markdown))
    assert text.mathjax is True
