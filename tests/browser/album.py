"""Pictures of pages and mails, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page


@dataclass(frozen=True)
class Album:
    """A folder of pictures. Without a folder none are taken: that is half of the time of some tests."""

    folder: Path | None

    def keep(self, page: Page, name: str) -> None:
        """Take a picture of the whole page."""
        if self.folder:
            page.screenshot(path=self.folder / f"{name}.png", full_page=True)
