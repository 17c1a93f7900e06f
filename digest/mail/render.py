"""Jinja, then MJML: the values of an issue or a letter become subject, text part and HTML part.

A letter is a folder of three templates, `subject.txt`, `body.txt` and `body.mjml`. `render_layout` tells how the last
becomes HTML without its content being parsed; `render_text` what is done to every value; `render_words` where fixed
words and dates come from.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from jinja2 import FileSystemLoader, TemplateNotFound, TemplateSyntaxError

from digest.mail.kinds import ORDINARY, Kind
from digest.mail.render_fit import FULL, burden, fitting
from digest.mail.render_introduction import introduction
from digest.mail.render_layout import compile_layout, layout_environment, text_environment
from digest.mail.render_story import Block, shown, told
from digest.mail.render_story import words as story_words
from digest.mail.render_story_text import story_text
from digest.mail.render_text import MANAGE_SLOT, UNSUBSCRIBE_SLOT, Slot, isolate, plain, tidy
from digest.mail.render_words import FALLBACK, Words, date_text, digits, has_word, has_words, load_words, words_for
from digest.settings import direction_of
from subscribers.lifecycle import Format
from subscribers.newsletters import Sentence


@dataclass(frozen=True)
class Told:
    """A whole story, made ready for the templates once, for it stands in several mails."""

    blocks: list[dict[str, Any]]
    text: str
    letters: str
    """Its own words, as two texts are compared by."""
    weight: int
    """How many bytes it has."""


Whole = Mapping[int, Told]
"""The stories that are told whole, by their places in the issue."""

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
    "of_kind",
    "stories_of",
]


@dataclass(frozen=True)
class StoryView:
    """One item as readers see it. All text is plain text, not HTML, but for the body."""

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
    body: str = ""
    """The whole story as cleaned HTML; empty where only a summary could be had."""


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
    """Paragraphs, and lists with an item a line; both in the small Markdown of `render_introduction`."""
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
    """Empty for who wants text alone."""


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
        """The mail of an issue for most readers, with summaries: the slots are unfilled. Raises `BadTemplate`."""
        return self._issue(view, {}, ORDINARY)

    def renderings(self, view: IssueView) -> dict[Kind, Rendered]:
        """The mails of an issue for all kinds of readers, as `kinds.RENDERED` has them. Raises `BadTemplate`.

        As many stories are whole as fit into a mail (F-43); the others stand in it with their summaries. A neutral
        subject changes nothing but what shows of a mail that is not open.
        """
        summaries = self.issue(view)
        whole, full = self._fitting(view, summaries)
        neutral = Kind(is_neutral=True)
        return {
            ORDINARY: summaries,
            neutral: self._issue(view, {}, neutral),
            Kind(Format.FULL): full,
            Kind(Format.FULL, is_neutral=True): self._issue(view, whole, neutral),
        }

    def rendering(self, view: IssueView, kind: Kind) -> Rendered:
        """The mail of an issue for one kind of reader, the same as in `renderings`. Raises `BadTemplate`."""
        if kind.format is Format.FULL:
            return self.renderings(view)[kind]
        mail = self._issue(view, {}, kind)
        return replace(mail, html="") if kind.format is Format.TEXT else mail

    def _fitting(self, view: IssueView, summaries: Rendered) -> tuple[Whole, Rendered]:
        """The stories that can be whole, by their places in the issue, and the mail with them."""
        stories = stories_of(view)
        words = words_for(self._languages, view.language)
        read = {place: told(story.body) for place, story in enumerate(stories)}
        whole: Whole = {place: _told(blocks, words) for place, blocks in read.items() if blocks}
        rendered = self._issue(view, whole, ORDINARY)
        base, full = burden(summaries.html), burden(rendered.html)
        while whole and full > FULL:
            weights = [whole[place].weight if place in whole else 0 for place in range(len(stories))]
            chosen = fitting(weights, (FULL - base) / max(full - base, 1e-9))
            # What was reckoned by the length of the texts may be too much still; then the last one goes.
            whole = {place: whole[place] for place in (chosen if len(chosen) < len(whole) else chosen[:-1])}
            rendered = self._issue(view, whole, ORDINARY)
            full = burden(rendered.html)
        return whole, rendered

    def _issue(self, view: IssueView, whole: Whole, kind: Kind) -> Rendered:
        words = words_for(self._languages, view.language)
        if kind.is_neutral:
            view = replace(view, subject=words["neutral_subject"], preheader=words["neutral_preheader"])
        return self._letter("issue", {**_issue_context(view, words, whole), "is_neutral": kind.is_neutral})

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

    def dated(self, day: dt.date, language: str, pattern: str = "date") -> Dated:
        """A date as the mails of a language have it, for the pages beside them; `pattern` as in `date_text`."""
        words = words_for(self._languages, language)
        return Dated(date_text(day, words, pattern), language if has_words(self._languages, language) else FALLBACK)

    def said(self, word: str, language: str, **values: str) -> Sentence:
        """One of the fixed words of a language, filled in, for the pages beside the mails."""
        spoken = language if has_word(self._languages, language, word) else FALLBACK
        text: str = words_for(self._languages, language)[word].format(**values)
        return Sentence(text, spoken, direction_of(spoken))

    def _letter(self, kind: str, values: dict[str, Any]) -> Rendered:
        direction: Literal["ltr", "rtl"] = "rtl" if values.get("direction") == "rtl" else "ltr"
        start, end = ("right", "left") if direction == "rtl" else ("left", "right")
        context = {**values, "direction": direction, "start": start, "end": end}
        context["fonts"] = context["words"]["fonts"]
        subject = " ".join(self._text(f"{kind}/subject.txt", context).split())
        context["subject"] = subject
        body = self._text(f"{kind}/body.txt", context)
        if direction == "rtl":
            body = "\n".join(isolate(line, "\u2068", "\u2069") for line in body.splitlines())
        return Rendered(subject, tidy(body), self._html(f"{kind}/body.mjml", context, direction))

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


def stories_of(view: IssueView) -> tuple[StoryView, ...]:
    """All stories of an issue in the order in which they are read."""
    rest = (story for section in view.sections for story in section.stories)
    return (*([view.lead] if view.lead else []), *rest)


def of_kind(renderings: Mapping[Kind, Rendered], kind: Kind) -> Rendered:
    """What a kind of reader is sent: who wants no HTML gets the text of the summaries."""
    if kind.format is Format.TEXT:
        return replace(renderings[Kind(is_neutral=kind.is_neutral)], html="")
    return renderings[kind]


def _issue_context(view: IssueView, words: Words, whole: Whole) -> dict[str, Any]:
    """The view as templates have it: plain values, with what follows from them already worked out."""
    # The bodies are in `whole`, where they are wanted: cleaning them here would be most of the work, for nothing.
    values: dict[str, Any] = plain(_without_bodies(view))
    stories = [
        *([values["lead"]] if view.lead else []),
        *(one for part in values["sections"] for one in part["stories"]),
    ]
    for number, story in enumerate(stories, 1):
        _complete(story, number, view, words)
        story.update(_as_told(whole.get(number - 1), story))
    opening = introduction(view.introduction)
    return {
        **values,
        "introduction": [shown(block) for block in opening],
        "introduction_text": story_text(opening, lambda number: digits(str(number), words)),
        "contents": stories if whole else [],
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
    del story["body"]
    story["host"] = (urlsplit(story["link"]).hostname or "").removeprefix("www.")


def _without_bodies(view: IssueView) -> IssueView:
    lead = view.lead and replace(view.lead, body="")
    parts = (replace(part, stories=tuple(replace(story, body="") for story in part.stories)) for part in view.sections)
    return replace(view, lead=lead, sections=tuple(parts))


def _told(blocks: tuple[Block, ...], words: Words) -> Told:
    said = story_words(blocks)
    return Told(
        blocks=[shown(block) for block in blocks],
        text=story_text(blocks, lambda number: digits(str(number), words)),
        letters=_letters(said),
        weight=len(said.encode()),
    )


def _as_told(whole: Told | None, story: dict[str, Any]) -> dict[str, Any]:
    """What a template needs to tell a story whole; nothing in it where it is told by its summary."""
    letters = whole.letters if whole else ""
    return {
        "blocks": whole.blocks if whole else [],
        "whole_text": whole.text if whole else "",
        # A summary that is none of the story's own sentences tells something: it stands above it.
        "standfirst": "" if _letters(story["summary"]) in letters else story["summary"],
    }


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
