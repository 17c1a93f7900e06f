"""The contact sheet, painted by a real Chromium: every look is on it, whole, and nothing in a mail runs."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from digest.cli.context import Failed
from digest.cli.paint import find_browser, paint
from digest.issues.sheet import DESKTOP, LOOKS, PHONE, sheet, tiles
from tests.browser.conftest import CHROMIUM

STORY = "<p>What happened on the river, told in one plain sentence that goes on for a while.</p>"
MAIL = (
    "<!doctype html><html lang='en'><head><style>body{margin:0}"
    "@media (prefers-color-scheme: dark){body{background:#111;color:#eee}}</style></head><body>"
    "<script>document.body.innerHTML='ran'</script><h1>River \"records\" &amp; more</h1>"
    f"{STORY * 60}<p id='end'>The end.</p></body></html>"
)


def a_sheet(mail: str = MAIL) -> str:
    return sheet(
        "Watchdog, 2026-W47: summaries", "Rivers & <b>", tiles(mail), "As text", language="en", direction="ltr"
    )


def size_of(path: Path) -> tuple[int, int]:
    octets = path.read_bytes()
    assert octets.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", octets[16:24])
    return width, height


def test_the_sheet_has_every_look_whole_and_runs_nothing(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "sheet.html"
    path.write_text(a_sheet(), encoding="utf-8")
    page = browser.new_page(viewport={"width": 2600, "height": 900})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-height]")
    assert asked == [path.as_uri()]
    frames = page.locator("iframe")
    assert frames.count() == len(LOOKS)
    for number in range(len(LOOKS)):
        inside = frames.nth(number).content_frame
        assert inside.locator("h1").inner_text() == 'River "records" & more'
        box, end = frames.nth(number).bounding_box(), inside.locator("#end").bounding_box()
        assert box
        assert end
        assert end["y"] + end["height"] <= box["y"] + box["height"], LOOKS[number][0]
        assert box["width"] in (PHONE, DESKTOP)
    dark = frames.nth(1).content_frame.locator("body")
    assert dark.evaluate("body => getComputedStyle(body).backgroundColor") == "rgb(17, 17, 17)"
    assert page.locator("p").first.inner_text() == "Rivers & <b>"
    page.close()


def test_the_sheet_is_painted_as_tall_as_it_is(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    height = paint(a_sheet(), path, 2600, str(CHROMIUM))
    assert size_of(path) == (2600, height)
    assert height > 1500
    shorter = paint(a_sheet(MAIL.replace(STORY, "")), path, 2600, str(CHROMIUM))
    assert size_of(path) == (2600, shorter)
    assert shorter < height


@pytest.mark.parametrize("named", ["no-such-browser", "/nowhere/chromium"])
def test_where_there_is_no_browser_it_is_said_with_what_to_do(named: str) -> None:
    with pytest.raises(Failed, match=r"There is no program .*; install one, .* --sheet FILE\.html\."):
        find_browser(named)


def test_a_program_that_is_no_browser_paints_nothing_and_says_so(tmp_path: Path) -> None:
    for program, words in (("/bin/false", "could not be run"), ("/bin/true", "could not lay the sheet out")):
        with pytest.raises(Failed, match=words):
            paint(a_sheet(), tmp_path / "sheet.png", 800, program)
    assert not (tmp_path / "sheet.png").exists()
