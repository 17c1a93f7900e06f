"""An issue's past as its pages tell it: spells of one person's changes, and a revision beside what stands. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from digest.issues.difference import ISSUE_TEXTS, STORY_TEXTS, Difference, TextChange, compare, places
from digest.issues.revisions import RevisionLine
from digest.issues.snapshot import Snapshot, Story
from digest.issues.wording import shortened
from digest.settings import Newsletter
from digest.web.desk.page import local_time
from digest.web.desk.typed import LABELS

Kept = tuple[RevisionLine, Snapshot]
PAUSE = dt.timedelta(minutes=10)
"""A pause after which somebody's changes are another spell."""

TELLING = ("moved", "put in", "left out", "added")
"""What a sentence begins with that tells all there is to tell of its story."""


@dataclass(frozen=True)
class Entry:
    """One change, or the same text written on several times in a row."""

    number: int
    """The revision that it ended with."""
    said: str
    difference: Difference
    stands: bool
    """Whether it is what stands now."""


@dataclass(frozen=True)
class Spell:
    """What one person did without a long pause, the newest first."""

    who: str
    when: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class PastStory:
    """A story at a revision."""

    story: Story
    differs: bool
    """Whether it is not what stands."""


@dataclass(frozen=True)
class Side:
    """An issue as it is at one of two times."""

    texts: tuple[tuple[str, str, bool], ...]
    """What the page calls a text, the text, and whether it differs."""
    groups: tuple[tuple[str, tuple[PastStory, ...]], ...]
    """Headings, and the stories under them that are in."""
    left_out: tuple[PastStory, ...]


@dataclass(frozen=True)
class PastIssue:
    """A revision beside what stands."""

    then: Side
    now: Side
    difference: Difference
    """From then to now."""


def spells(found: Sequence[Kept], count: int, newsletter: Newsletter, standing: int) -> tuple[Spell, ...]:
    """The first `count` revisions, newest first, as spells; one more is what the oldest of them is compared with."""
    made: list[list[Sequence[Kept]]] = []
    for run in _runs(found, count):
        newest, before = run[0][0], made[-1][-1][-2][0] if made else None
        if before is not None and before.who == newest.who and before.at - newest.at <= PAUSE:
            made[-1].append(run)
        else:
            made.append([run])
    return tuple(_spell(runs, newsletter, standing) for runs in made)


def _runs(found: Sequence[Kept], count: int) -> list[Sequence[Kept]]:
    """Revisions that wrote on at the same text, together; each run ends with the revision before it."""
    runs: list[Sequence[Kept]] = []
    at = 0
    while at < min(count, len(found)):
        end = at + 1
        while end < min(count, len(found)) and _writes_on(found[end - 1 : end + 2]):
            end += 1
        # The very first has none before it: it is compared with itself, and nothing is different.
        runs.append([*found[at:end], found[min(end, len(found) - 1)]])
        at = end
    return runs


def _writes_on(three: Sequence[Kept]) -> bool:
    """Whether the first of three revisions goes on with the very text that the second has written."""
    if len(three) < 3:  # noqa: PLR2004 -- there is nothing before the first revision.
        return False
    (last, newest), (first, middle), (_, oldest) = three
    if last.who != first.who or last.at - first.at > PAUSE:
        return False
    where = places(middle, newest)
    is_text = len({post for post, _ in where}) == 1 and all(name in (*ISSUE_TEXTS, *STORY_TEXTS) for _, name in where)
    return is_text and where == places(oldest, middle) and last.said.split()[0] == first.said.split()[0] == "wrote"


def _spell(runs: Sequence[Sequence[Kept]], newsletter: Newsletter, standing: int) -> Spell:
    newest, oldest = runs[0][0][0], runs[-1][-2][0]
    end = local_time(newest.at, newsletter.timezone)
    start = local_time(oldest.at, newsletter.timezone)
    # On one day the day is said once: `Thu 12 Nov 2026, 07:12 to 07:15 CET`.
    day, _, clock = start.partition(", ")
    hour = clock.partition(" ")[0]
    when = (
        end
        if start == end
        else f"{day}, {hour} to {end.partition(', ')[2]}"
        if end.startswith(day)
        else f"{start} to {end}"
    )
    return Spell(newest.who, when, tuple(_entry(run, standing) for run in runs))


def _entry(run: Sequence[Kept], standing: int) -> Entry:
    (line, after), (_, before) = run[0], run[-1]
    difference = told(compare(before, after))
    if line.said.startswith(TELLING) and len(difference.stories) == 1 and not difference.stories[0].texts:
        # The sentence has said it.
        difference = replace(difference, stories=())
    return Entry(line.number, line.said, difference, stands=line.number == standing)


def told(difference: Difference) -> Difference:
    """A difference as a page tells it: texts by the page's names for them, cut down to what is around a change."""
    return replace(
        difference,
        texts=_told(difference.texts),
        stories=tuple(replace(story, texts=_told(story.texts)) for story in difference.stories),
    )


def _told(texts: Sequence[TextChange]) -> tuple[TextChange, ...]:
    return tuple(TextChange(LABELS[text.name], shortened(text.pieces)) for text in texts)


def past_issue(then: Snapshot, stands: Snapshot, sections: Sequence[str]) -> PastIssue:
    """A revision beside what stands now."""
    return PastIssue(_side(then, stands, sections), _side(stands, then, sections), told(compare(then, stands)))


def _side(one: Snapshot, other: Snapshot, sections: Sequence[str]) -> Side:
    there = {story.post_id: story for story in other.stories}
    stories = [PastStory(story, story != there.get(story.post_id)) for story in one.stories]
    headings = dict.fromkeys(["", *sections, *(story.section for story in one.stories)])
    groups = (
        (heading, tuple(past for past in stories if past.story.included and past.story.section == heading))
        for heading in headings
    )
    texts = ((LABELS[name], getattr(one, name), getattr(one, name) != getattr(other, name)) for name in ISSUE_TEXTS)
    return Side(
        tuple(texts),
        tuple(group for group in groups if group[1]),
        tuple(past for past in stories if not past.story.included),
    )
