"""Make docs/learn.png, the README's moving picture: `python3 -m docs.moving_picture`, with a Chromium.

A chapter of Learn: a guess, the answer, then the bias of an LSTM's forget gate from one end to the other. The picture
is an APNG, which browsers play and everything else shows as its first frame.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

from playwright.sync_api import Page, sync_playwright
from werkzeug.serving import make_server

from dashboard.app import create_app
from dashboard.work import lanes
from tests.browser import FLAGS, find_browser

TARGET = Path(__file__).with_name("learn.png")
LARGEST = 2 * 1000**2  # bytes
WIDTH, HEIGHT = 1280, 900  # px
MARGIN, BOTTOM = 12, 720  # px around the part of the page that is shown, and where it ends
SIGNATURE = b"\x89PNG\r\n\x1a\n"
QUIET = "!document.body.classList.contains('busy') && !document.body.classList.contains('unsettled')"


def frames(page: Page) -> Iterator[tuple[bytes, int]]:
    """PNG of every frame, and for how many ms it stands."""
    yield _shot(page), 1400
    page.locator("#learn-guess").focus()
    for _ in range(4):
        page.keyboard.press("PageDown")
        yield _shot(page), 140
    page.click("#learn-show")
    page.wait_for_selector("#learn-body.told")
    yield _shot(page), 2200
    slider = page.locator(".knob [role=slider]")
    for _ in range(12):
        slider.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        yield _shot(page), 260
    yield _shot(page), 2200


def _shot(page: Page) -> bytes:
    """The page as it is once it rests."""
    page.wait_for_timeout(400)
    while not page.evaluate(QUIET):
        page.wait_for_timeout(50)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(250)
    box = page.locator(".figure-side").bounding_box()
    assert box
    left, top = box["x"] - MARGIN, box["y"] - MARGIN
    return page.screenshot(clip={"x": left, "y": top, "width": WIDTH - left, "height": BOTTOM - top})


def animated(shots: list[tuple[bytes, int]]) -> bytes:
    """PNGs of one size as one APNG. Source: the third edition of the PNG specification, chapter 11.3.6."""
    first = dict(_chunks(shots[0][0]))
    parts, number = [_chunk(b"IHDR", first[b"IHDR"]), _chunk(b"acTL", struct.pack(">II", len(shots), 0))], 0
    for n, (png, wait) in enumerate(shots):
        width, height = struct.unpack(">II", first[b"IHDR"][:8])
        control = struct.pack(">IIIIIHHBB", number, width, height, 0, 0, wait, 1000, 0, 0)
        data = b"".join(content for name, content in _chunks(png) if name == b"IDAT")
        parts.append(_chunk(b"fcTL", control))
        parts.append(_chunk(b"fdAT", struct.pack(">I", number + 1) + data) if n else _chunk(b"IDAT", data))
        number += 2 if n else 1
    return SIGNATURE + b"".join(parts) + _chunk(b"IEND", b"")


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(png):
        size, name = struct.unpack(">I4s", png[at : at + 8])
        yield name, png[at + 8 : at + 8 + size]
        at += size + 12


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def main() -> None:
    """Start the app, play the chapter, write the picture."""
    server, path = make_server("127.0.0.1", 0, create_app().server, threaded=True), find_browser()
    Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(f"http://127.0.0.1:{server.port}/learn?chapter=gate")
        page.wait_for_selector("#learn-figure .js-plotly-plot .xtick", state="attached")
        picture = animated(list(frames(page)))
        browser.close()
    lanes.stop()
    if len(picture) > LARGEST:
        raise SystemExit(f"the picture has {len(picture):,} bytes; at most {LARGEST:,} are wanted")
    TARGET.write_bytes(picture)


if __name__ == "__main__":
    main()
