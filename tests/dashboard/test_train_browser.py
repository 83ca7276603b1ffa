"""Train in a real browser: a run is started, grows, pauses, survives a reload, is resumed and stopped."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from gradlab.training.jobs import TRAINING
from tests.pages import readable, until

pytestmark = pytest.mark.browser

COURSE = "document.querySelector('#train-course .js-plotly-plot')"
FLOW = "document.querySelector('#train-flow .js-plotly-plot')"
MEAN = f"{COURSE}?._fullData?.find(t => t.line && t.line.width === 2.2)?.x.length"  # points of the loss's line
QUICK = "v=1&task=adding&steps=20&hidden_size=8&batch_size=4&snapshot_every=20&evaluate_every=50"
LONG = f"{QUICK}&iterations=5000"


@pytest.fixture(scope="module", autouse=True)
def ended(address: str) -> Iterator[None]:
    """No process outlives the tests."""
    yield
    TRAINING.end()


def open_train(open_page: Callable[..., Page], query: str = LONG, *args: object, **options: object) -> Page:
    page = open_page(query, *args, path="train", **options)
    expect(page.locator("#train-verdict")).not_to_have_text("Loading …")
    return page


def points(page: Page) -> int:
    return int(page.evaluate(MEAN) or 0)


@pytest.mark.slow
def test_start_pause_reload_resume_stop(open_page: Callable[..., Page]) -> None:
    page = open_train(open_page)
    expect(page.locator("#train-preview .figure")).to_be_visible()
    page.click("#train-one")
    until(page, f"{MEAN} > 5")
    before = points(page)
    until(page, f"{MEAN} > {before}")
    page.click("#train-pause")
    expect(page.locator("#train-details")).to_contain_text("paused")
    until(page, "location.search.includes('run=')")
    paused = page.locator("#train-details").inner_text()
    page.reload()
    expect(page.locator("#train-details")).to_have_text(paused)
    expect(page.locator("#train-pause")).to_be_hidden()
    until(page, f"{MEAN} > {before}")
    before = points(page)
    page.click("#train-resume")
    until(page, f"{MEAN} > {before}")
    page.click("#train-stop")
    expect(page.locator("#train-details")).to_contain_text("stopped")
    expect(page.locator("#train-resume")).to_be_hidden()
    expect(page.locator("#train-one")).to_be_visible()
    expect(page.locator("#train-recent")).to_contain_text("stopped")


@pytest.mark.slow
def test_two_runs_from_one_click_the_slider_and_a_killed_process(open_page: Callable[..., Page]) -> None:
    page = open_train(open_page, f"{LONG}&clip=norm&clip_threshold=0.5")
    page.click("#train-cells")
    until(page, f"{COURSE}?._fullData?.filter(t => t.type === 'heatmap').length === 2")
    until(page, "(document.querySelector('#train-back [role=slider]')?.ariaValueMax ?? 0) >= 3")
    page.locator("#train-back [role=slider]").focus()
    page.keyboard.press("Home")
    expect(page.locator("#train-when")).to_have_text("at iteration 0")
    expect(page.locator("#train-flow-verdict")).to_contain_text("LSTM: gradient")
    until(page, f"{FLOW}._fullData.some(t => t.name === 'LSTM')")
    run_id = page.evaluate("new URLSearchParams(location.search).getAll('run')[0]")
    TRAINING._processes[run_id].kill()
    expect(page.locator("#train-trouble")).to_contain_text("tanh RNN: The process of this run ended")
    expect(page.locator("#train-when")).to_have_text("at iteration 0")  # the slider was not dragged along
    page.click("#train-stop")
    expect(page.locator("#train-stop")).to_be_hidden()
    page.click(".course .as-table summary")
    expect(page.locator("#train-table tbody tr")).to_have_count(2)


def test_a_run_to_its_end_and_back_through_the_history(open_page: Callable[..., Page]) -> None:
    page = open_train(open_page, f"{QUICK}&iterations=100")
    page.click("#train-one")
    expect(page.locator("#train-details")).to_contain_text("100 iterations done")
    expect(page.locator("#train-verdict")).to_have_text(
        re.compile(r"The net .*: held-out loss .*, (without memory|the last step alone) 0\.\d+ \(.* ± .*\)\.")
    )
    page.click("#train-copy-python")
    expect(page.locator("#train-copied")).to_have_text("Copied")
    assert "gradlab.train(" in page.evaluate("navigator.clipboard.readText()")
    with page.expect_download() as download:
        page.click(".train .menu summary")
        page.click("#train-download-csv")
    assert download.value.suggested_filename == "gradlab-adding.csv"
    page.locator("#control-train-learning_rate").fill("0.5")
    until(page, "location.search.includes('learning_rate=0.5')")
    expect(page.locator("#field-train-learning_rate")).to_have_class(re.compile("changed"))
    page.go_back()
    until(page, "document.querySelector('#control-train-learning_rate').value === '0.001'")
    page.click("#train-example-order")
    expect(page.locator("#train-verdict")).to_have_text("Watch a net learn, and its gradient with it")
    until(page, "location.search.includes('task=temporal_order') && !location.search.includes('run=')")
    page.go_back()
    expect(page.locator("#train-details")).to_contain_text("100 iterations done")


@pytest.mark.slow
def test_wrong_values_and_files(open_page: Callable[..., Page]) -> None:
    page = open_train(open_page, f"{QUICK}&gian=2")
    expect(page.locator("#train-notices")).to_contain_text("Did you mean 'gain'?")
    page.locator("#control-train-iterations").fill("-5")
    expect(page.locator("#field-train-iterations")).to_contain_text("expected at least 1")
    page.click("#train-one")
    expect(page.locator("#train-failure")).to_contain_text("Set right Iterations first")
    page.locator("#control-train-iterations").fill("50")
    page.click("#train-more summary")
    text = b"to be or not to be, that is the question " * 30
    page.set_input_files("#upload-train-input input", [{"name": "verse.txt", "mimeType": "text/plain", "buffer": text}])
    expect(page.locator("#train-preview pre")).to_have_text(re.compile("^[a-z ,]{20}$"))
    page.click("#train-one")
    expect(page.locator("#train-details")).to_contain_text("Model verse.txt, 20 steps. 50 iterations done")


@pytest.mark.slow
def test_the_run_travels_along_the_navigation(open_page: Callable[..., Page]) -> None:
    page = open_page("gain=2&cell=lstm&hidden_size=16&batch_size=4&steps=60&pin=gain%3D3%26steps%3D20")
    page.click("nav >> text=Train")
    expect(page.locator("#control-train-gain")).to_have_value("2")
    expect(page.locator("#train-notices")).to_be_empty()
    page.locator("#control-train-gain").fill("1.5")
    until(page, "location.search.includes('gain=1.5')")
    page.click("nav >> text=Explore")
    expect(page.locator("#control-gain")).to_have_value("1.5")
    expect(page.locator(".pin-label")).to_have_count(1)
    expect(page.locator("#notices")).to_be_empty()


@pytest.fixture(scope="module")
def run_id(address: str) -> str:
    """A run that is there for the looks."""
    from gradlab.config.train import TrainConfig

    config = TrainConfig(steps=20, hidden_size=8, batch_size=4, iterations=60, snapshot_every=10, cell="gru", layers=2)
    return TRAINING.start(config)


@pytest.mark.slow
def test_accessibility(open_page: Callable[..., Page], run_id: str) -> None:
    page = open_train(open_page, f"run={run_id}")
    expect(page.locator("#train-details")).to_contain_text("60 iterations done")
    until(page, f"{FLOW}?._fullData?.length > 1")
    page.click("#train-layer >> text=Layer 2")
    until(page, f"{COURSE}._fullLayout.annotations.some(a => a.text.includes('layer 2'))")
    page.click("#train-more summary")
    readable(page)


@pytest.mark.slow
def test_accessibility_before_the_first_run(open_page: Callable[..., Page]) -> None:
    page = open_train(open_page, "oops=1")
    expect(page.locator("#train-preview .figure")).to_be_visible()
    readable(page)


@pytest.mark.slow
def test_the_theme_reaches_the_figures(open_page: Callable[..., Page], run_id: str) -> None:
    page = open_train(open_page, f"run={run_id}")
    until(page, f"{FLOW}?._fullData?.length > 1")
    light = page.evaluate(f"{COURSE}._fullLayout.font.color")
    page.click("#theme-toggle")
    for plot in (COURSE, FLOW):
        until(page, f"{plot}._fullLayout.font.color !== '{light}'")


def test_trees_are_chosen_by_an_example_and_learnt_level_by_level(open_page: Callable[..., Page]) -> None:
    page = open_train(open_page, QUICK)
    page.click("#train-example-trees")
    expect(page.locator("#train-preview")).to_contain_text("The value of an expression of digits")
    expect(page.locator("#train-preview pre")).to_have_text(re.compile(r"^\d$|^\([-+*] .*\)$"))
    expect(page.locator("#train-layers-field")).to_be_hidden()
    page.goto(page.url.partition("?")[0] + f"?{QUICK}&task=arithmetic_trees&architecture=tree&iterations=60")
    page.click("#train-one")
    expect(page.locator("#train-details")).to_contain_text("60 iterations done")
    expect(page.locator("#train-flow-verdict")).to_contain_text("tanh RNN over trees: ")
    until(page, f"{FLOW}?.layout.xaxis.title.text.includes('level of the tree')")
