"""The one shape that feeds, sitemaps and pages are brought into."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


class Unreadable(Exception):
    """What a source sent is not what it should be; `reason` is a sentence for an operator."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True)
class Entry:
    """One post as a source shows it. All text is plain text, only `body` is cleaned HTML; what is unknown is empty."""

    link: str = ""
    """Absolute, http or https."""
    guid: str = ""
    title: str = ""
    published: dt.datetime | None = None
    """Aware, UTC."""
    byline: str = ""
    language: str = ""
    summary: str = ""
    body: str = ""
    """The whole story; empty where the source has only a summary of it."""
    image_url: str = ""
    image_alt: str = ""
    image_caption: str = ""


@dataclass(frozen=True)
class ArticlePage(Entry):
    """What an article's own page says, and how it is known to be that article's page."""

    own_link: str = ""
    """The canonical address that it names, on its own site."""
    has_story_root: bool = False
    """Whether it has the publishing system's marks of a story."""
