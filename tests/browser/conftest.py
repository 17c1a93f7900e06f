"""A real browser, and an album for its pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.album import Album

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# A machine that is busy with other halves of the suite takes its time.
expect.set_options(timeout=15_000)
ALBUM = Path(__file__).resolve().parents[2] / "screenshots"


# A module's own, not the session's: while Playwright runs, nothing else in this thread may run an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Where there is none, the browser tests are skipped."""
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium, which is not at {CHROMIUM} (as root, `make browser` installs it)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def album() -> Album:
    """`screenshots/` in the project, which git does not keep; pictures are taken where `PICTURES` is set."""
    if not os.environ.get("PICTURES"):
        return Album(None)
    ALBUM.mkdir(exist_ok=True)
    return Album(ALBUM)
