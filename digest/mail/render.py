"""Jinja, then MJML: the values of an issue or a letter become subject, text part and HTML part."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

# What differs per reader stands in the rendered parts as one of these, and is filled in on the wire (F-05).
UNSUBSCRIBE_SLOT = "@@UNSUBSCRIBE@@"
MANAGE_SLOT = "@@MANAGE@@"


@dataclass(frozen=True)
class StoryView:
    """One item as readers see it. All text is plain text, not HTML."""

    headline: str
    summary: str
    link: str
    published: dt.datetime
    """In the newsletter's own zone."""
    byline: str = ""
    language: str = ""
    """Where it is not the issue's (F-49)."""
    image_url: str = ""
    image_alt: str = ""
    image_caption: str = ""


@dataclass(frozen=True)
class SectionView:
    """A heading and what stands under it; the main part has no heading."""

    title: str
    stories: tuple[StoryView, ...]


@dataclass(frozen=True)
class IssueView:
    """All that an issue's templates may use."""

    name: str
    """`watchdog/2026-W47`"""
    newsletter_title: str
    description: str
    publisher: str
    language: str
    direction: Literal["ltr", "rtl"]
    date: dt.date
    """The local date it goes out."""
    subject: str
    preheader: str
    introduction: tuple[str, ...]
    """Paragraphs."""
    lead: StoryView | None
    sections: tuple[SectionView, ...]
    archive_url: str
    """This issue on the web."""
    home_url: str
    """The form."""


@dataclass(frozen=True)
class Rendered:
    """What a letter says, with the slots unfilled."""

    subject: str
    text: str
    html: str
