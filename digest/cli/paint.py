"""A page becomes a picture, by whatever Chromium is installed: nothing of ours is fetched for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from digest.cli.context import Failed

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
WITHIN = 60.0
"""Seconds for a browser to do one thing."""
TALLEST = 16_000
"""Pixels: beyond it Chromium paints nothing."""
_QUIET = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    # Time runs as fast as the page's own work allows, and the page is finished before it is looked at.
    "--virtual-time-budget=10000",
)
_HEIGHT = re.compile(r'<html\b[^>]*\bdata-height="(\d{1,6})"')


def find_browser(named: str | None = None) -> str:
    """The browser's program. Raises `Failed` where there is none."""
    wanted = (named,) if named else BROWSERS
    found = next((path for name in wanted if (path := shutil.which(name))), None)
    if found is None:
        what = f"There is no program {named!r}" if named else f"No Chromium is installed ({', '.join(BROWSERS[:3])}, …)"
        raise Failed(f"{what}; install one, name it with --browser, or take the sheet as HTML: --sheet FILE.html.")
    return found


def paint(document: str, path: Path, width: int, browser: str) -> int:
    """Paint a page as a PNG of that width; the page says how tall it is, in `data-height`. Returns the height.

    Raises `Failed`.
    """
    with tempfile.TemporaryDirectory(prefix="digest-sheet-", ignore_cleanup_errors=True) as folder:
        page = Path(folder) / "sheet.html"
        page.write_text(document, encoding="utf-8")
        # Nobody but root needs to do without the browser's own sandbox, and root cannot have it.
        flags = [*_QUIET, *["--no-sandbox"] * (os.geteuid() == 0), f"--user-data-dir={folder}/profile"]
        dump = _run([browser, *flags, f"--window-size={width},2000", "--dump-dom", page.as_uri()])
        said = _HEIGHT.search(dump)
        if said is None:
            raise Failed("The browser could not lay the sheet out; take it as HTML: --sheet FILE.html.")
        height = min(int(said[1]), TALLEST)
        painted = Path(folder) / "sheet.png"
        _run([browser, *flags, f"--window-size={width},{height}", f"--screenshot={painted}", page.as_uri()])
        try:
            shutil.copyfile(painted, path)
        except FileNotFoundError:
            raise Failed(
                f"The browser painted nothing; is {path.parent} a folder, and is there room on the disk?"
            ) from None
        return height


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, timeout=WITHIN, check=True)  # noqa: S603 -- our own words.
    except subprocess.TimeoutExpired:
        raise Failed(f"The browser {command[0]} did not answer within {WITHIN:.0f} seconds.") from None
    except (subprocess.CalledProcessError, OSError) as error:
        raise Failed(f"The browser {command[0]} could not be run ({type(error).__name__}).") from None
    return done.stdout.decode(errors="replace")
