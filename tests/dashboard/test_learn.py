"""Learn without a browser: chapters as data, addresses, guesses, figures."""

import math
import re
from itertools import product
from urllib.parse import urlsplit

import numpy as np
import pytest
from dash import dcc, no_update

from dashboard.glossary import TERMS, glossary, term
from dashboard.pages.learn import draw, steer
from dashboard.pages.learn.chapter import Choice, Guess, Slider, share_text
from dashboard.pages.learn.chapters import BY_SLUG, CHAPTERS
from gradlab.config import RunConfig
from gradlab.config.links import from_query, to_query
from gradlab.config.train import TrainConfig
from gradlab.errors import InputError
from gradlab.plots.colours import LN10
from gradlab.plots.learn import Scene
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
    assert (len(guess.texts), guess.texts[0], guess.texts[8], guess.texts[-1]) == (17, "10^-6", "1 %", "100")
    assert len(set(Guess("?", 20, -6, 9, 0.5, 0).texts)) == 31, "no two positions read alike"
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


@pytest.mark.parametrize(
    "tens, text",
    [(-15.35, "4.5×10^-16"), (-4.1, "7.9×10^-5"), (-3.9, "0.013 %"), (-0.2, "0.63"), (1.9, "79"), (2.6, "398")],
)
def test_a_share_has_digits_at_any_size(tens, text):
    assert share_text(tens * LN10) == text
    assert share_text(-math.inf) == "0"


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
