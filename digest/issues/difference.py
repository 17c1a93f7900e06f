"""What is different between two states of an issue. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from digest.issues.moves import Way, moves
from digest.issues.snapshot import Snapshot, Story
from digest.issues.wording import Piece, words

ISSUE_TEXTS = ("subject", "preheader", "introduction")
STORY_TEXTS = ("headline", "summary", "image_alt")


@dataclass(frozen=True)
class TextChange:
    """A text that was changed: its name (`subject`, `headline`, …), and how."""

    name: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class StoryChange:
    """What is different about a story."""

    post_id: int
    headline: str
    """As it is now."""
    came: Literal["", "offered", "put in", "left out", "gone"] = ""
    section: tuple[str, str] | None = None
    """From which heading to which."""
    way: Way | None = None
    """Which way it was moved within its section."""
    texts: tuple[TextChange, ...] = ()


@dataclass(frozen=True)
class Difference:
    """All that is different; false where nothing is."""

    texts: tuple[TextChange, ...] = ()
    stories: tuple[StoryChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.texts or self.stories)


def compare(old: Snapshot, new: Snapshot) -> Difference:
    """What of an issue is different: its texts, and its stories in the new order, those that are gone last."""
    before = {story.post_id: story for story in old.stories}
    after = {story.post_id for story in new.stories}
    ways = moves(old, new)
    found = [_story(before.get(story.post_id), story, ways.get(story.post_id)) for story in new.stories]
    gone = [StoryChange(story.post_id, story.headline, "gone") for story in old.stories if story.post_id not in after]
    texts = _texts(old, new, ISSUE_TEXTS)
    return Difference(texts, (*(change for change in found if change is not None), *gone))


def places(old: Snapshot, new: Snapshot) -> frozenset[tuple[int, str]]:
    """Where two states differ: the post (0 for the issue itself) and the field, `order` among them."""
    before, after = ({story.post_id: story for story in one.stories} for one in (old, new))
    found = {(0, name) for name in ISSUE_TEXTS if getattr(old, name) != getattr(new, name)}
    for post_id in before.keys() & after.keys():
        pair = (before[post_id], after[post_id])
        found |= {(post_id, one.name) for one in fields(Story) if len({getattr(story, one.name) for story in pair}) > 1}
    if list(before) != list(after):
        found.add((0, "order"))
    return frozenset(found)


def _story(old: Story | None, new: Story, way: Way | None) -> StoryChange | None:
    if old is None:
        return StoryChange(new.post_id, new.headline, "put in" if new.included else "offered")
    change = StoryChange(
        new.post_id,
        new.headline,
        came="" if old.included == new.included else "put in" if new.included else "left out",
        section=None if old.section == new.section else (old.section, new.section),
        way=way,
        texts=_texts(old, new, STORY_TEXTS),
    )
    return None if change == StoryChange(new.post_id, new.headline) else change


def _texts(old: Snapshot | Story, new: Snapshot | Story, names: Sequence[str]) -> tuple[TextChange, ...]:
    both = ((name, getattr(old, name), getattr(new, name)) for name in names)
    return tuple(TextChange(name, words(before, after)) for name, before, after in both if before != after)
