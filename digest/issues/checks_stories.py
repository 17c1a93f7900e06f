"""What there is to say of the stories: their texts and pictures, what is there twice, and what readers have had."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.issues.checks_texts import placeholders
from digest.issues.outcomes import Finding, Level
from digest.issues.text import fold
from digest.issues.view import foreign_image
from digest.mail.render import StoryView
from digest.models import Issue, Item, Post
from digest.settings import Newsletter, direction_of
from digest.weeks import Week

NEARLY = 0.75
"""The part of their words that two headlines share from which on they are nearly the same."""
WORDS = 4
"""Headlines of fewer words are alike by chance."""
LOOK_BACK = 26
"""Weeks of earlier issues that are looked through."""
LOOK_BACK_HEADLINES = 8
"""Weeks whose headlines are compared: what is told again later is told again on purpose."""


@dataclass(frozen=True)
class Told:
    """A story that an issue tells: its item, what readers see of it, and where an editor finds it."""

    item: Item
    shown: StoryView
    number: int

    @property
    def where(self) -> str:
        """Its place in words."""
        return f"story {self.number}: {self.item.headline}"

    @property
    def field(self) -> str:
        """Its place on the page."""
        return f"story-{self.item.id}"


def of_stories(told: Sequence[Told], newsletter: Newsletter) -> Iterator[Finding]:
    """What can be seen of each story by itself, and beside the others."""
    for one in told:
        yield from _of_story(one, newsletter)
    yield from _doubles(told)


def of_earlier(session: Session, told: Sequence[Told], issue: Issue) -> Iterator[Finding]:
    """The stories that readers of this newsletter have had in an issue before this one."""
    week = Week.parse(issue.week)
    posts, links = [one.item.post_id for one in told], [one.item.post.link for one in told]
    query = (
        sa.select(Issue.week, Item.post_id, Item.headline, Post.link)
        .join(Item, Item.issue_id == Issue.id)
        .join(Post, Post.id == Item.post_id)
        .where(Issue.newsletter == issue.newsletter, Issue.frozen_at.is_not(None), Item.included)
        .where(Issue.week < issue.week, Issue.week >= str(week.shift(-LOOK_BACK)))
        .where(
            sa.or_(Issue.week >= str(week.shift(-LOOK_BACK_HEADLINES)), Item.post_id.in_(posts), Post.link.in_(links))
        )
        .order_by(Issue.week.desc())
    )
    before = session.execute(query).all()
    had = {row.link: row.week for row in reversed(before)} | {row.post_id: row.week for row in reversed(before)}
    headlines = tuple((row.headline, row.week) for row in before)
    for one in told:
        if when := had.get(one.item.post_id) or had.get(one.item.post.link):
            why = f"It was in the issue of {when} already."
            yield _finding("blocks", one, why, "Leave it out.", "earlier-post", f"{one.item.post.link}\0{when}")
        elif like := _nearly(one.item.headline, headlines):
            why = f"The issue of {like[1]} had “{like[0]}”."
            fix = "Leave it out if it is the same story; say what is new if it goes on."
            yield _finding("warns", one, why, fix, "earlier-headline", f"{one.item.headline}\0{like[0]}")


def _of_story(one: Told, newsletter: Newsletter) -> Iterator[Finding]:
    item, post = one.item, one.item.post
    if not item.summary:
        fix = "Write a sentence or two, or leave it out."
        yield _finding("warns", one, "It has no summary.", fix, "summary-missing", field="summary")
    if host := foreign_image(post, newsletter):
        why = f"Its picture is on {host}, which would learn who reads; the issue goes out without it."
        yield _finding("warns", one, why, "Use a picture on the site's own host.", "picture-foreign", post.image_url)
    if one.number == 1 and item.section == "" and one.shown.image_url and not one.shown.image_alt:
        why = "The picture has no description for readers who do not see it."
        fix = "Say in a few words what is to be seen in it, in the story’s “Picture in words”."
        yield _finding("warns", one, why, fix, "alt-missing", post.image_url, field="image_alt")
    yield from _of_script(one, newsletter)
    yield from placeholders(one.where, f"headline-{item.id}", item.headline, post)
    yield from placeholders(one.where, f"summary-{item.id}", item.summary, post)


def _of_script(one: Told, newsletter: Newsletter) -> Iterator[Finding]:
    """Text that runs the other way than its language does: a screen reader would spell it, and it would be torn."""
    language = one.shown.language or newsletter.language
    text = f"{one.item.headline} {one.item.summary}"
    kinds = [unicodedata.bidirectional(character) for character in text]
    left, right = kinds.count("L"), kinds.count("R") + kinds.count("AL")
    if left != right and (direction_of(language) == "rtl") is not (right > left):
        runs = "from right to left" if right > left else "from left to right"
        why = f"Its words run {runs}, and its language, {language}, does not."
        fix = "Have its source say which language it is in, and gather again."
        yield _finding("warns", one, why, fix, "script", language)


def _doubles(told: Sequence[Told]) -> Iterator[Finding]:
    by_link: dict[str, list[Told]] = {}
    by_headline: dict[str, list[Told]] = {}
    for one in told:
        by_link.setdefault(_bare(one.item.post.link), []).append(one)
        by_headline.setdefault(fold(one.item.headline), []).append(one)
    for one in told:
        alike = [other for other in by_link[_bare(one.item.post.link)] if other is not one]
        same = [other for other in by_headline[fold(one.item.headline)] if other is not one]
        if alike and alike[0].number < one.number:
            why = f"It leads to the same page as {_short(alike[0])}."
            yield _finding("blocks", one, why, "Leave one of them out.", "twice-link", one.item.post.link)
        elif same and not alike:
            fix = "Leave one of them out, or tell them apart."
            why = "Another story has the same headline."
            yield _finding("warns", one, why, fix, "twice-headline", one.item.headline, "headline")
        elif not alike:
            earlier = tuple((other.item.headline, _short(other)) for other in told if other.number < one.number)
            if like := _nearly(one.item.headline, earlier):
                why = f"Its headline is nearly that of {like[1]}: “{like[0]}”."
                fix = "Leave one of them out if they are the same story."
                yield _finding("warns", one, why, fix, "twice-nearly", f"{one.item.headline}\0{like[0]}", "headline")


def _nearly(headline: str, others: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    """The first of other headlines that is nearly the same, with what stands beside it."""
    words = _words(headline)
    if len(words) < WORDS:
        return None
    return next((one for one in others if _are_near(words, _words(one[0]))), None)


def _are_near(one: frozenset[str], other: frozenset[str]) -> bool:
    if len(other) < WORDS:
        return False
    shared = len(one & other)
    # "Day 12" and "Day 13" are two stories.
    return shared >= NEARLY * (len(one) + len(other) - shared) and not any(map(str.isdigit, one ^ other))


@lru_cache(maxsize=2048)
def _words(headline: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", unicodedata.normalize("NFKC", headline).casefold()))


def _bare(link: str) -> str:
    return link.partition("#")[0].rstrip("/")


def _short(one: Told) -> str:
    return f"story {one.number}"


def _finding(level: Level, one: Told, why: str, fix: str, code: str, about: str = "", field: str = "story") -> Finding:
    return Finding(level, one.where, why, fix, code, f"{field}-{one.item.id}", about)
