"""From the posts of a window to an issue's picks: a lead and the rest, newest first, section by section. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from digest.issues.sentences import first_sentences
from digest.issues.text import ELLIPSIS, cut, fold, one_line, plain

SUMMARY_LIMIT = 300
LEAD_LIMIT = 600
SUBJECT_LIMIT = 150
"""F-16."""
SUBJECT_AIM = 78
PREHEADER_LIMITS = (40, 130)
"""F-45."""
# A teaser shorter than this says less than the body's first sentences would.
_TEASER_MIN = 60
_BETWEEN = " · "
_BREAK = re.compile(r"\s+[–—-]{1,2}\s|[;:]\s")


@dataclass(frozen=True)
class Candidate:
    """What the picking needs to know of a post; `summary` and `title` are text, `body` is cleaned HTML."""

    post_id: int
    section: str
    """The heading of its source; the empty string is the main part."""
    title: str
    published_at: dt.datetime
    summary: str = ""
    body: str = ""


@dataclass(frozen=True)
class Pick:
    """A post's place in the new issue; picks come in the order of their positions."""

    post_id: int
    section: str
    headline: str
    summary: str
    included: bool


def select(candidates: Iterable[Candidate], sections: Sequence[str], max_items: int) -> tuple[Pick, ...]:
    """The picks of an issue: the newest `max_items` stories included, the others offered, grouped by section.

    `sections` is the newsletter's order of headings. Within a section the newest story stands first; the newest of
    the main part is the lead and gets the longer summary.
    """
    newest = sorted(candidates, key=lambda one: (one.published_at, one.post_id), reverse=True)
    chosen = {one.post_id for one in newest[:max_items]}
    rank = {section: place for place, section in enumerate(sections)}
    ordered = sorted(newest, key=lambda one: rank.get(one.section, len(rank)))
    lead = next((one.post_id for one in ordered if one.section == "" and one.post_id in chosen), None)
    return tuple(pick(one, included=one.post_id in chosen, lead=one.post_id == lead) for one in ordered)


def pick(candidate: Candidate, *, included: bool, lead: bool) -> Pick:
    """One post with the headline and summary that it starts with."""
    summary = _lead_summary(candidate) if lead else _summary(candidate)
    return Pick(candidate.post_id, candidate.section, one_line(candidate.title), summary, included)


def _summary(candidate: Candidate) -> str:
    teaser = one_line(candidate.summary)
    if not _says_something(teaser, candidate.title):
        teaser = ""
    cut_off = teaser.endswith((ELLIPSIS, "...", "[…]", "[...]"))
    if teaser and not cut_off:
        return first_sentences(teaser, SUMMARY_LIMIT)
    return _opening(candidate, SUMMARY_LIMIT) or first_sentences(teaser, SUMMARY_LIMIT)


def _lead_summary(candidate: Candidate) -> str:
    """The lead's longer text: the body's opening where the summary is only a shorter form of it."""
    teaser = one_line(candidate.summary)
    opening = _opening(candidate, LEAD_LIMIT)
    short = _summary(candidate)
    if _says_something(teaser, candidate.title) and not fold(opening).startswith(fold(short.rstrip(ELLIPSIS))[:60]):
        return first_sentences(teaser, LEAD_LIMIT)
    return max(opening, short, key=len)


def _says_something(teaser: str, title: str) -> bool:
    """Whether a teaser says more than the headline does."""
    said, known = fold(teaser), fold(title)
    if not said:
        return False
    repeats = bool(known) and (said.startswith(known) or known.startswith(said))
    return not repeats or len(said) > len(known) + _TEASER_MIN


def _opening(candidate: Candidate, limit: int) -> str:
    """The body's first sentences; a first paragraph that repeats the headline is passed over."""
    running = [text for text in plain(candidate.body) if _says_something(text, candidate.title)]
    return first_sentences(" ".join(running), limit)


class Told(Protocol):
    """A story as an issue tells it: a pick, or an item that stands."""

    @property
    def headline(self) -> str:
        """Its headline."""

    @property
    def summary(self) -> str:
        """Its summary."""

    @property
    def included(self) -> bool:
        """Whether it is in the issue."""


def subject(picks: Iterable[Told]) -> str:
    """The subject, from the lead's headline: whole where it can be, never over 150 characters."""
    headline = next((one.headline for one in picks if one.included), "")
    if len(headline) <= SUBJECT_AIM:
        return headline
    # Before a dash, colon or semicolon a long headline has already said what it is about.
    breaks = [m.start() for m in _BREAK.finditer(headline) if SUBJECT_AIM // 2 <= m.start() <= SUBJECT_AIM]
    return headline[: breaks[-1]] if breaks else cut(headline, SUBJECT_LIMIT)


def preheader(picks: Iterable[Told]) -> str:
    """The line that in-boxes show after the subject: the other stories' headlines, filled up to 40 to 130 characters.

    Where they say too little, the summaries go on; an issue of one short story can have less.
    """
    low, high = PREHEADER_LIMITS
    stories = [one for one in picks if one.included]
    said = _joined([one.headline for one in stories[1:]], high)
    if len(said) >= low:
        return said
    more = [one.summary for one in (*stories[1:2], *stories[:1])]
    return cut(_BETWEEN.join(part for part in (said, *more) if part), high)


def _joined(headlines: Sequence[str], limit: int) -> str:
    """As many headlines as fit whole; if the first alone is too long, that one cut."""
    said = ""
    for headline in headlines:
        longer = f"{said}{_BETWEEN}{headline}" if said else headline
        if len(longer) > limit:
            break
        said = longer
    return said or (cut(headlines[0], limit) if headlines else "")
