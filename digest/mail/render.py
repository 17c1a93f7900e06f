"""Jinja, then MJML: the values of an issue or a letter become subject, text part and HTML part.

A letter is a folder of three templates, `subject.txt`, `body.txt` and `body.mjml`. `render_layout` tells how the last
becomes HTML without its content being parsed; `render_text` what is done to every value; `render_words` where fixed
words and dates come from.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from jinja2 import FileSystemLoader, TemplateNotFound, TemplateSyntaxError

from digest.mail.render_layout import compile_layout, layout_environment, text_environment
from digest.mail.render_text import MANAGE_SLOT, UNSUBSCRIBE_SLOT, Slot, isolate, plain, tidy
from digest.mail.render_words import FALLBACK, Words, date_text, digits, has_words, load_words, words_for
from digest.settings import direction_of

__all__ = [
    "MANAGE_SLOT",
    "UNSUBSCRIBE_SLOT",
    "BadTemplate",
    "Dated",
    "IssueView",
    "Rendered",
    "Renderer",
    "SectionView",
    "StoryView",
]


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
    issues_url: str = ""
    """All issues on the web; with `feed_url` what the foot names for reading without mail (F-52)."""
    feed_url: str = ""


@dataclass(frozen=True)
class Dated:
    """A date in words."""

    text: str
    language: str
    """The tag of the language it is in: English, where there are no words in the one asked for."""


@dataclass(frozen=True)
class Rendered:
    """What a letter says, with the slots unfilled."""

    subject: str
    text: str
    html: str


class BadTemplate(Exception):
    """A template is missing or wrong; the message names it, the line where that is known, and the reason."""


class Renderer:
    """Turns values into mails with the templates of its folders; the first folder that has a template wins.

    Each folder holds letters' folders directly: `issue/body.mjml`, `confirm/subject.txt`, `_base/words.toml`.
    Safe to share between threads. Raises `BadWords` if a words file cannot be used.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        loader = FileSystemLoader(self._folders)
        self._layouts = layout_environment(loader)
        self._texts = text_environment(loader)
        self._languages = load_words(self._folders)

    def issue(self, view: IssueView) -> Rendered:
        """The mail of an issue, the same for every reader: the slots are unfilled. Raises `BadTemplate`."""
        return self._letter("issue", _issue_context(view, words_for(self._languages, view.language)))

    def letter(self, kind: str, context: Mapping[str, object]) -> Rendered:
        """The mail of a letter that is not an issue.

        `context` has at least `language` and `direction`, and what the kind's templates use. Raises `BadTemplate` if
        they use something that it has not, and `TypeError` for values that are not plain.
        """
        values = dict(context)
        if isinstance(reasons := values.get("reasons"), str):
            # The ledger keeps strings alone: there a list of sentences is one string with a sentence a line.
            values["reasons"] = reasons.splitlines()
        words = words_for(self._languages, str(values.get("language", "")))
        return self._letter(kind, {**plain(values), "words": words})

    def dated(self, day: dt.date, language: str) -> Dated:
        """A date as the mails of a language have it, for the pages beside them."""
        words = words_for(self._languages, language)
        return Dated(date_text(day, words), language if has_words(self._languages, language) else FALLBACK)

    def _letter(self, kind: str, values: dict[str, Any]) -> Rendered:
        direction: Literal["ltr", "rtl"] = "rtl" if values.get("direction") == "rtl" else "ltr"
        start, end = ("right", "left") if direction == "rtl" else ("left", "right")
        context = {**values, "direction": direction, "start": start, "end": end}
        context["fonts"] = context["words"]["fonts"]
        subject = self._text(f"{kind}/subject.txt", context)
        body = self._text(f"{kind}/body.txt", context)
        if direction == "rtl":
            body = "\n".join(isolate(line, "\u2068", "\u2069") for line in body.splitlines())
        return Rendered(" ".join(subject.split()), tidy(body), self._html(f"{kind}/body.mjml", context, direction))

    def _text(self, name: str, context: dict[str, Any]) -> str:
        try:
            return self._texts.get_template(name).render(context)
        except Exception as error:
            # A template is a program of the newsroom's, and may fail in any way a program can.
            raise self._bad(name, error) from error

    def _html(self, name: str, context: dict[str, Any], direction: Literal["ltr", "rtl"]) -> str:
        try:
            return compile_layout(self._layouts, name, context, direction)
        except Exception as error:
            raise self._bad(name, error) from error

    def _bad(self, name: str, error: Exception) -> BadTemplate:
        match error:
            case TemplateNotFound():
                folders = ", ".join(map(str, self._folders))
                return BadTemplate(f"there is no template {error.name} in {folders}")
            case TemplateSyntaxError():
                return BadTemplate(f"{error.filename or name}, line {error.lineno}: {error.message}")
            case _:
                return BadTemplate(f"the template {name} cannot be used: {error}")


def _issue_context(view: IssueView, words: Words) -> dict[str, Any]:
    """The view as templates have it: plain values, with what follows from them already worked out."""
    values: dict[str, Any] = plain(view)
    stories = [
        *([values["lead"]] if view.lead else []),
        *(one for part in values["sections"] for one in part["stories"]),
    ]
    for number, story in enumerate(stories, 1):
        _complete(story, number, view, words)
    return {
        **values,
        "words": words,
        "date_text": date_text(view.date, words),
        "unsubscribe_url": Slot(UNSUBSCRIBE_SLOT),
        "manage_url": Slot(MANAGE_SLOT),
    }


def _complete(story: dict[str, Any], number: int, view: IssueView, words: Words) -> None:
    language = story["language"] or view.language
    story["foreign"] = language.lower() != view.language.lower()
    story["direction"] = direction_of(language) if story["foreign"] else view.direction
    story["start"] = "right" if story["direction"] == "rtl" else "left"
    story["number"] = digits(str(number), words)
    story["day"] = date_text(story["published"].date(), words, "short_date")
    story["host"] = (urlsplit(story["link"]).hostname or "").removeprefix("www.")
