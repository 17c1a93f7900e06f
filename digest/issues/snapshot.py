"""All that an editor can change of an issue, as one value: kept at every revision, compared, and put back. Pure.

A story is known by its post: an issue has a post once at most, and an item may be made anew.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass, replace

from digest.models import Issue, Item


@dataclass(frozen=True)
class Story:
    """A story as an issue has it."""

    post_id: int
    section: str
    included: bool
    headline: str
    summary: str
    image_alt: str
    """The editor's own words for the picture; empty where the post's stand."""


@dataclass(frozen=True)
class Snapshot:
    """What an issue says: its texts, and its stories by position."""

    subject: str
    preheader: str
    introduction: str
    stories: tuple[Story, ...]

    def of(self, posts: Collection[int]) -> Snapshot:
        """The same with the stories of these posts alone."""
        return replace(self, stories=tuple(story for story in self.stories if story.post_id in posts))


def snapshot(issue: Issue, items: Sequence[Item]) -> Snapshot:
    """What an issue says now."""
    stories = (
        Story(item.post_id, item.section, item.included, item.headline, item.summary, item.image_alt)
        for item in sorted(items, key=lambda item: item.position)
    )
    return Snapshot(issue.subject, issue.preheader, issue.introduction, tuple(stories))


def put_back(issue: Issue, items: list[Item], wanted: Snapshot) -> None:
    """Make the issue say what a snapshot says.

    Items that are missing are made anew and added to `items`. What came in since the snapshot stays, left out, at the
    end.
    """
    issue.subject, issue.preheader, issue.introduction = wanted.subject, wanted.preheader, wanted.introduction
    standing = {item.post_id: item for item in sorted(items, key=lambda item: item.position)}
    for position, story in enumerate(wanted.stories):
        item = standing.pop(story.post_id, None)
        if item is None:
            item = Item(issue_id=issue.id, post_id=story.post_id)
            items.append(item)
        item.position, item.section, item.included = position, story.section, story.included
        item.headline, item.summary, item.image_alt = story.headline, story.summary, story.image_alt
    for position, item in enumerate(standing.values(), len(wanted.stories)):
        item.position, item.included = position, False


def pack(value: Snapshot) -> bytes:
    """The snapshot as it is stored: deflated JSON, the same bytes for the same snapshot."""
    stories = [astuple(story) for story in value.stories]
    parts = [value.subject, value.preheader, value.introduction, stories]
    return zlib.compress(json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode())


def unpack(stored: bytes) -> Snapshot:
    """The snapshot that was stored."""
    subject, preheader, introduction, stories = json.loads(zlib.decompress(stored))
    return Snapshot(subject, preheader, introduction, tuple(Story(*story) for story in stories))
