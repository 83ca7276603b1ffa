"""The report of training runs, and page Train's downloads of it and of the picture."""

import base64
import json
import re
from html import unescape

import pytest

from dashboard.downloads import can_draw_pictures
from dashboard.pages.explore import downloads as explore_downloads
from dashboard.pages.train import advisor as train_advisor
from dashboard.pages.train import downloads as train_downloads
from dashboard.pages.train import words as train_words
from gradlab import InputError, analyze, plots, train
from gradlab.config.links import to_command, to_python
from gradlab.config.train import TrainConfig
from gradlab.data.uploads import find, store
from gradlab.training import dataset, snapshot_dataset
from gradlab.training.jobs import TRAINING
from gradlab.training.worker import OUTCOME
from gradlab.wording import value_text

from ..trained import PAIR, SMALL, download, kept, kept_pair, no_processes  # noqa: F401 - two are fixtures


def text_of(page):
    """What a reader sees, without scripts and marks."""
    return unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)))


def test_quoted_names_keep_their_letters():
    assert text_of(plots.report._text_html("net with column 'x0', x0.64, 10^4")) == "net with column 'x0', ×0.64, 10 4 "


def headings(page):
    return re.findall(r"<h2>(.*?)</h2>", page)


@pytest.fixture
def report():
    def of(*run_ids):
        sent, text = download("html", list(run_ids), "dark")
        assert text == "" and sent["filename"] == "gradlab-adding.html"
        return base64.b64decode(sent["content"]).decode()

    return of


def test_the_report_of_a_run_says_what_the_page_says(report):
    run_id = kept()
    page = report(run_id)
    (run,) = train_words.look_up([run_id])
    text = text_of(page)
    assert train_words.sentence([run])[1] in text and "Adding, 12 steps. 60 iterations done." in text
    assert "tanh RNN at iteration 59: gradient " in text
    assert (
        "Norm before clipping, percentiles: 1 %: " in text and "of 54 norms (the first 6 iterations left out)" in text
    )
    assert headings(page) == [
        "Gradient through time: layer 1 at iteration 59",
        "Clip advisor",
        "In numbers",
        "Configuration",
        "As a command",
        "In Python",
        "Versions",
    ]
    assert page.count('class="plotly-graph-div"') == 2


def test_the_report_needs_no_network_and_escapes_what_it_is_told(report):
    page = report(kept())
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", page)
    assert len(re.findall(r"\* plotly\.js v", page)) == 1
    ds = dataset(train(SMALL)).assign_attrs(label="<b>net</b>")
    told = plots.training_report([ds, ds], [], "Is <i>it</i>?", ["<u>"], ["10^5 & <s>, x0.64"])
    assert "<h1>Is &lt;i&gt;it&lt;/i&gt;?</h1>" in told and "<li>&lt;u&gt;</li>" in told
    assert "<p>10<sup>5</sup> &amp; &lt;s&gt;, ×0.64</p>" in told and "<h2>In Python of &lt;b&gt;net" in told


def test_the_report_repeats_the_runs(report, pair, monkeypatch):
    page = report(*pair)
    codes = [unescape(code) for code in re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)]
    assert codes == [say(config) for config in PAIR for say in (to_command, to_python)]
    assert "In Python of clipped net" in headings(page) and "Configuration of unclipped net" in headings(page)
    monkeypatch.setattr("plotly.graph_objects.Figure.show", lambda fig: None)
    found = {}
    exec(codes[1], found)
    again = found["run"].history.rows["loss"]
    assert again == train_words.look_up(pair)[0].record.run.history.rows["loss"]


def test_two_runs_are_told_apart_and_what_was_measured_comes_first(report, pair):
    text = text_of(report(*pair))
    assert "clipped net at iteration 59: " in text and "unclipped net at iteration 59: " in text
    assert text.index("Measured here: loss") < text.index("Norm before clipping")
    assert re.search(r"run\s+iterations\s+training loss", text)


def test_a_check_of_the_advice_is_in_the_report(report, monkeypatch):
    run_id = kept()
    monkeypatch.setattr("gradlab.training.advisor.HEAVY", 0.0)
    train_advisor.check(1, [run_id])
    train_advisor.CHECK.job(train_words.look_up([run_id])[0]).wait(20)
    assert re.search(r"It clipped \d+ of 60 updates", text_of(report(run_id)))


def test_a_run_that_failed_early_has_a_report_without_what_it_lacks(report):
    run_id = kept(SMALL.replace(activation="relu", gain=1e300), outcome="failed", iterations=3)
    (TRAINING.folder(run_id) / OUTCOME).write_text('{"status": "failed", "error": "cannot write: disk full."}')
    page = report(run_id)
    assert "cannot write: disk full. It was last saved at iteration 3." in text_of(page)
    assert "Clip advisor" not in headings(page) and page.count('class="plotly-graph-div"') == 1


def test_files_go_by_the_name_that_a_person_knows():
    content = "a\n" + "".join(f"{x * x % 7}\n" for x in range(200))
    sha = store("two.csv", content.encode())
    run = train(SMALL.replace(input=str(find(sha, "two.csv")), task="forecast"))
    text = text_of(plots.training_report([dataset(run)], [], "", []))
    assert "--input two.csv" in text and sha not in text


def test_reports_of_other_datasets_are_refused():
    run = train(SMALL)
    with pytest.raises(InputError, match="needs loss, .* which this Dataset lacks"):
        plots.training_report([snapshot_dataset(run)], [], "", [])


def test_a_report_of_one_network_can_be_repeated_too():
    ds = analyze(hidden_size=8, steps=20, batch_size=3, gain=2.0)
    page = plots.html_report(ds, "", [])
    assert "gradlab analyze --gain 2 --steps 20" in text_of(page) and "gradlab.analyze(gain=2.0" in text_of(page)


@pytest.mark.skipif(not can_draw_pictures(), reason="kaleido or its browser is not here")
@pytest.mark.slow
def test_a_picture_where_one_can_be_drawn(pair):
    sent, _ = download("png", pair)
    assert base64.b64decode(sent["content"]).startswith(b"\x89PNG") and sent["filename"] == "gradlab-adding.png"


def test_the_menu_is_that_of_explore_and_the_weights():
    assert set(train_downloads.LABELS) == {*explore_downloads.WRITERS, "safetensors"}
    assert set(train_downloads.LABELS) == {*train_downloads.OF_ONE, *train_downloads.OF_ALL}


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (930.0, 2, "930"),
        (0.0123, 3, "0.0123"),
        (0.16667, 2, "0.17"),
        (12.34, 2, "12"),
        (1234.0, 3, "1234"),
        (-3.0, 3, "-3"),
        (0.0, 3, "0"),
        (4.6e12, 3, "4.6×10^12"),
        (1.2e-6, 2, "1.2×10^-6"),
        (float("nan"), 3, "not finite"),
        (float("inf"), 3, "not finite"),
    ],
)
def test_numbers_read_as_a_person_writes_them(value, digits, text):
    assert value_text(value, digits) == text


def test_the_configuration_in_a_report_is_that_of_the_run():
    run = train(SMALL)
    ds = dataset(run)
    rows = dict(re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td>', plots.training_report([ds], [], "", [])))
    assert rows.keys() >= TrainConfig.model_fields.keys()
    assert rows["hidden_size"] == "6" and rows["input"] == "" and json.loads(ds.attrs["versions"])["numpy"] in str(rows)
