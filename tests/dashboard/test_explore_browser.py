"""Explore in a real browser: what a person does, and what must never happen meanwhile."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from dashboard.pages.explore import draw as explore_draw
from tests.pages import NARROW, PLOT, SMALL, readable, settled, until

pytestmark = pytest.mark.browser

TESTS = Path(__file__).parents[1]
CO2 = TESTS.parent / "studies" / "data" / "co2_mauna_loa.csv"
FOCUS = """(() => {
  const at = document.activeElement;
  if (at === document.body) return ["the browser itself", "auto"];
  const seen = at.closest(".upload") || at;
  return [at.id || at.getAttribute("aria-label") || at.innerText, getComputedStyle(seen).outlineStyle];
})()"""  # what has the focus, and how that shows


def verdict(page: Page) -> str:
    return page.locator("#verdict").inner_text()


def curve_start(page: Page) -> float:
    """log10 of what is left at the first step, from the figure itself."""
    return float(page.evaluate(f"{PLOT}._fullData.find(t => t.line && t.line.width === 3).y[0]"))


def watch_light(page: Page) -> None:
    """Count in window.lit how often the strip lights up."""
    page.evaluate("""
        window.lit = 0;
        const strip = document.querySelector('#strip');
        const count = () => { window.lit += strip.classList.contains('lit'); };
        new MutationObserver(count).observe(strip, { attributeFilter: ['class'] });
    """)


def query(page: Page) -> str:
    return page.evaluate("location.search")


def choose(page: Page, control: str, option: str) -> None:
    page.click(f"#{control}")
    page.get_by_role("option", name=option, exact=True).click()


def csv_of(values: np.ndarray) -> bytes:
    text = io.StringIO()
    np.savetxt(text, values, delimiter=",", header="wind,rain", comments="")
    return text.getvalue().encode()


def test_load_shows_everything_above_the_fold_and_leaves_the_address_alone(open_page: Callable[..., Page]) -> None:
    page = open_page("", hint=True)
    expect(page.locator("#verdict")).to_have_text(re.compile(r"The gradient vanishes: ×0\.\d\d per step back\."))
    expect(page.locator("#why")).to_contain_text("mean slope of tanh")
    assert page.locator(".box").count() == 50
    assert curve_start(page) < -15
    expect(page.locator("#card")).to_contain_text("fresh draws")  # and takes its place above the tabs
    assert page.locator(".tab-row").bounding_box()["y"] < 860  # type: ignore[index]
    assert page.evaluate("document.documentElement.scrollWidth") == 1440
    assert query(page) == ""
    assert page.evaluate("history.length") <= 2
    assert page.title() == "gradlab"


def test_dragging_redraws_while_held_and_writes_the_address_on_release(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.evaluate(f"window.drawings = 0; {PLOT}.on('plotly_afterplot', () => {{ window.drawings += 1; }})")
    watch_light(page)
    thumb = page.locator("#field-gain [role=slider]").bounding_box()
    track = page.locator("#field-gain .slider").bounding_box()
    assert thumb and track
    y = thumb["y"] + thumb["height"] / 2
    page.mouse.move(thumb["x"] + thumb["width"] / 2, y)
    page.mouse.down()
    for n, share in enumerate((0.4, 0.55, 0.75)):
        page.mouse.move(track["x"] + share * track["width"], y, steps=3)
        until(page, f"window.drawings > {n}")
    until(page, "document.querySelector('#verdict').innerText.includes('explodes')")
    assert "gain" not in query(page)
    page.mouse.up()
    until(page, "location.search.includes('gain=')")
    expect(page.locator("#announcement")).to_contain_text("explodes")
    expect(page.locator("#field-gain")).to_have_class(re.compile("changed"))
    assert curve_start(page) > 1
    assert page.evaluate("window.lit") == 0


@pytest.mark.slow
def test_preset_back_and_reset(open_page: Callable[..., Page]) -> None:
    page = open_page("")
    watch_light(page)
    page.click("#chip-exploding_tanh")
    until(page, "location.search.includes('gain=3')")
    expect(page.locator("#verdict")).to_contain_text("explodes")
    until(page, "window.lit === 1")
    page.locator("#control-gain").fill("2")
    until(page, "location.search.includes('gain=2')")
    page.go_back()
    until(page, "document.querySelector('#control-gain').value === '3'")
    page.go_back()
    expect(page.locator("#verdict")).to_contain_text("vanishes")
    assert page.locator("#control-gain").input_value() == "1"
    page.locator("#control-gain").fill("2")
    until(page, "location.search.includes('gain=2')")
    page.click("#reset")
    until(page, "document.querySelector('#control-gain').value === '1'")


def test_pin_and_link_round_trip(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.click("#pin")
    expect(page.locator(".pin-label")).to_have_count(1)
    expect(page.locator("#pin")).to_be_disabled()
    page.locator("#control-gain").fill("3")
    until(page, "location.search.includes('gain=3') && location.search.includes('pin=')")
    until(page, f"{PLOT}._fullData.some(t => (t.name || '').includes('hidden size 16'))")
    page.click("#copy-link")
    expect(page.locator("#copied")).to_have_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    other = open_page(link.partition("?")[2])
    assert verdict(other) == verdict(page)
    expect(other.locator(".pin-label")).to_have_count(1)
    other.get_by_role("button", name=re.compile("Remove pin")).click()
    until(other, "!location.search.includes('pin=')")
    expect(other.locator(".pin-label")).to_have_count(0)


@pytest.mark.slow
def test_copies_python_and_command(open_page: Callable[..., Page]) -> None:
    page = open_page(f"{SMALL}&cell=gru")
    page.click("#copy-python")
    expect(page.locator("#copied")).to_have_text("Copied")
    assert "gradlab.analyze(cell='gru'" in page.evaluate("navigator.clipboard.readText()")
    page.click("#copy-command")
    until(page, "navigator.clipboard.readText().then(text => text.startsWith('gradlab analyze --cell gru'))")


@pytest.mark.slow
def test_dark_mode_is_remembered_and_reaches_the_figure(open_page: Callable[..., Page]) -> None:
    page = open_page()
    light = page.evaluate(f"{PLOT}._fullLayout.font.color")
    page.click("#theme-toggle")
    until(page, f"{PLOT}._fullLayout.font.color !== '{light}'")
    page.reload()
    settled(page)
    assert page.evaluate("document.documentElement.dataset.mantineColorScheme") == "dark"
    assert page.evaluate(f"{PLOT}._fullLayout.font.color") != light


@pytest.mark.slow
def test_own_data(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.click("#more > summary")
    page.locator("#upload-input input[type=file]").set_input_files(CO2)
    until(page, "/file=co2_mauna_loa.csv&.*sha=[0-9a-f]{12}/.test(decodeURIComponent(location.search))")
    expect(page.locator("#control-input")).to_have_value("co2_mauna_loa.csv")
    settled(page)
    page.get_by_role("tab", name="Data").click()
    expect(page.locator("#panel-data")).to_contain_text("co2_mauna_loa.csv: 60 steps of 4 samples")
    page.click("#control-column")
    expect(page.get_by_role("option")).not_to_have_count(0)


@pytest.mark.slow
def test_bad_data_say_so_beside_the_drop_zone(open_page: Callable[..., Page], tmp_path: Path) -> None:
    page = open_page()
    page.click("#more > summary")
    before = verdict(page)
    ragged = {"name": "ragged.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n3\n"}
    page.locator("#upload-input input[type=file]").set_input_files(ragged)
    expect(page.locator("#upload-message-input")).to_contain_text("ragged.csv: line 3 has 1 cells")
    huge = tmp_path / "huge.csv"
    huge.write_bytes(b"1\n" * 8_500_000)
    page.locator("#upload-input input[type=file]").set_input_files(huge)
    expect(page.locator("#upload-message-input")).to_contain_text("huge.csv has 17.0 MB; the app takes 16 MB")
    assert verdict(page) == before


@pytest.mark.slow
def test_own_weights(open_page: Callable[..., Page]) -> None:
    page = open_page("steps=60&batch_size=4")
    settled(page)
    page.click("#more > summary")
    page.locator("#upload-weights input[type=file]").set_input_files(TESTS / "golden" / "encoder_lstm.safetensors")
    until(page, "location.search.includes('weights=encoder_lstm.safetensors')")
    settled(page)
    expect(page.locator("#why")).to_contain_text("carry")
    expect(page.locator("#field-gain")).to_be_hidden()
    page.locator("#upload-weights input[type=file]").set_input_files(TESTS / "golden" / "linear.safetensors")
    expect(page.locator("#upload-message-weights")).to_contain_text("no recurrent layer")


@pytest.mark.slow
def test_a_file_that_is_missing_can_be_dropped(open_page: Callable[..., Page], tmp_path: Path) -> None:
    values = csv_of(np.random.default_rng(3).normal(size=(300, 2)))
    import hashlib

    sha = hashlib.sha256(values).hexdigest()[:12]
    page = open_page(f"{SMALL}&file=weather.csv&sha={sha}&column=rain")
    expect(page.locator("#missing")).to_contain_text("This link uses weather.csv.")
    page.locator("#upload-missing input[type=file]").set_input_files(
        {"name": "weather.csv", "mimeType": "text/csv", "buffer": values}
    )
    expect(page.locator("#missing")).to_be_hidden()
    expect(page.locator("#control-input")).to_have_value("weather.csv")
    expect(page.locator("#control-column")).to_have_value("rain")


@pytest.mark.slow
def test_a_bad_value_stands_beside_its_control_and_the_figure_stays(open_page: Callable[..., Page]) -> None:
    page = open_page()
    before, address = verdict(page), query(page)
    page.locator("#control-gain").fill("-1")
    expect(page.locator("#field-gain")).to_contain_text("expected at least 0.0, got -1")
    assert page.locator("#control-gain").get_attribute("aria-invalid") == "true"
    assert (verdict(page), query(page)) == (before, address)
    page.locator("#control-gain").fill("3")
    expect(page.locator("#verdict")).to_contain_text("explodes")
    expect(page.locator("#field-gain")).not_to_contain_text("expected")
    page.locator("#control-steps").fill("30000")
    expect(page.locator("#field-steps")).to_contain_text("at most 20,000 in the app, got 30,000")


@pytest.mark.slow
def test_unknown_fields_of_a_link_are_named_and_left_out(open_page: Callable[..., Page]) -> None:
    page = open_page(f"{SMALL}&gian=3&cell=lsmt")
    expect(page.locator("#notices")).to_contain_text("unknown field 'gian'. Did you mean 'gain'?")
    expect(page.locator("#notices")).to_contain_text("unknown cell 'lsmt'. Did you mean 'lstm'?")
    assert "vanishes" in verdict(page)


@pytest.mark.slow
def test_long_runs_wait_for_a_click(open_page: Callable[..., Page], monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_page()
    before = verdict(page)
    monkeypatch.setattr(explore_draw, "LIVE", 0.0)
    page.locator("#control-gain").fill("3.3")
    expect(page.locator("#run-bar")).to_contain_text("This run takes about 1 s.")
    assert verdict(page) == before
    page.click("#run")
    expect(page.locator("#verdict")).to_contain_text("explodes")
    expect(page.locator("#run-bar")).to_be_hidden()


@pytest.mark.slow
def test_tabs_compute_when_open_and_tables_tell_the_same(open_page: Callable[..., Page]) -> None:
    page = open_page(f"{SMALL}&cell=lstm")
    assert not any(page.locator(".panel").all_inner_texts())
    for name, text in {
        "Why": "add up to the measured rate",
        "Weights": "Eigenvalues",
        "Clipping": "Clipping is off",
        "Data": "noise: 60 steps",
    }.items():
        page.get_by_role("tab", name=name).click()
        panel = page.locator(f"#panel-{name.lower()}")
        expect(panel).to_contain_text(text)
        until(page, f"document.querySelector('#panel-{name.lower()} .js-plotly-plot')?._fullData?.length > 0")
        assert panel.locator("[role=img]").first.get_attribute("aria-label")
    page.get_by_role("tab", name="Data").click()
    expect(page.locator("#panel-data")).to_be_hidden()
    page.click("#table-toggle")
    expect(page.locator("#table table")).to_be_visible()
    assert page.locator("#table tbody tr").count() > 3


@pytest.mark.slow
def test_the_clipping_preset_opens_its_tab(open_page: Callable[..., Page]) -> None:
    page = open_page("")
    choose(page, "preset", "Clipped explosion")
    expect(page.locator("#panel-clipping")).to_contain_text("rescales the weight update, not the gradient flow")
    expect(page.locator("#note")).to_contain_text("this curve is the same. See Clipping.")
    expect(page.locator("#field-clip_threshold")).to_have_class(re.compile("field"))


@pytest.mark.slow
def test_downloads(open_page: Callable[..., Page]) -> None:
    page = open_page()
    for fmt, start in {"csv": b"t,ln_share_left", "html": b"<", "nc": b"\x89HDF"}.items():
        page.click(".menu summary")
        with page.expect_download() as info:
            page.locator(f"#download-{fmt}").click()
        assert info.value.suggested_filename == f"gradlab-elman.{fmt}"
        assert Path(info.value.path()).read_bytes().startswith(start)


@pytest.mark.slow
def test_keyboard_alone_is_enough(open_page: Callable[..., Page]) -> None:
    page = open_page()
    reached = {}
    for _ in range(60):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(FOCUS)
        reached[name] = outline
    controls = {"preset", "reset", "chip-edge", "control-cell", "control-gain", "Gain"}
    actions = {"pin", "copy-link", "Download", "table-toggle", "theme-toggle", "help-open"}
    assert controls | actions <= set(reached)
    assert [name for name, outline in reached.items() if outline == "none"] == []
    page.locator("#field-gain [role=slider]").focus()
    page.keyboard.press("ArrowRight")
    until(page, "location.search.includes('gain=1.05')")
    page.locator("#help-open").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("The curve")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


@pytest.mark.slow
def test_accessibility(open_page: Callable[..., Page]) -> None:
    page = open_page(f"{SMALL}&cell=lstm&pin=gain%3D2%26hidden_size%3D16&oops=1")
    page.get_by_role("tab", name="Why").click()
    expect(page.locator("#panel-why")).to_contain_text("measured rate")
    page.click("#more > summary")
    page.locator("#control-bias_scale").fill("-1")
    expect(page.locator("#field-bias_scale")).to_contain_text("got -1")
    readable(page)


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1024])
def test_what_a_remedy_promises_leaves_room_for_the_cause(open_page: Callable[..., Page], width: int) -> None:
    page = open_page(SMALL, {"width": width, "height": 844})
    expect(page.locator(".advice li").first).to_contain_text("of 8 fresh draws")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    cause = page.locator(".card .cause").bounding_box()
    assert cause and cause["width"] > 180


@pytest.mark.slow
def test_narrow_screens_keep_the_gain_under_the_thumb(open_page: Callable[..., Page]) -> None:
    page = open_page("", NARROW, hint=True, has_touch=True)
    assert page.locator(".box").count() == 25
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    expect(page.locator("#hint")).to_be_visible()
    gain = page.locator("#field-gain").bounding_box()
    assert gain and gain["y"] > 700
    expect(page.locator("#field-cell")).to_be_hidden()
    page.locator("#control-gain").fill("3")
    expect(page.locator("#verdict")).to_contain_text("explodes")
    expect(page.locator("#hint")).to_be_hidden()
    page.click("#sheet-toggle")
    expect(page.locator("#field-cell")).to_be_visible()


@pytest.mark.slow
def test_the_hint_is_for_the_first_run_alone(open_page: Callable[..., Page]) -> None:
    linked = open_page(SMALL, hint=True)
    expect(linked.locator("#hint")).to_be_hidden()
    page = open_page("", hint=True)
    expect(page.locator("#hint")).to_be_visible()
    page.click("#chip-lstm_forget_1")
    expect(page.locator("#hint")).to_be_hidden()


@pytest.mark.slow
def test_the_preset_says_that_the_run_is_changed(open_page: Callable[..., Page]) -> None:
    page = open_page("")
    label = page.locator("label[for=preset]")
    expect(label).to_have_text("Preset")
    page.locator("#control-gain").fill("2")
    expect(label).to_have_text("Preset (changed)")
    page.click("#reset")
    expect(label).to_have_text("Preset")


@pytest.mark.slow
def test_nothing_moves_where_motion_is_unwelcome(open_page: Callable[..., Page]) -> None:
    page = open_page(reduced_motion="reduce")
    watch_light(page)
    page.click("#chip-exploding_tanh")
    expect(page.locator("#announcement")).to_contain_text("explodes")
    assert page.evaluate("window.lit") == 0
