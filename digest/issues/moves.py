"""Which stories were moved between two states of an issue, seen from the two orders alone. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from digest.issues.snapshot import Snapshot

Way = Literal["up", "down"]


def moved(old: Snapshot, new: Snapshot) -> frozenset[int]:
    """The posts of the stories that somebody may have moved: under another heading, or within one.

    Where two neighbours have changed places either may have been moved, and both are named.
    """
    section = {story.post_id: story.section for story in old.stories}
    elsewhere = {story.post_id for story in new.stories if section.get(story.post_id, story.section) != story.section}
    loose = (post for heading in set(section.values()) for post in _loose(*_orders(old, new, heading)))
    return frozenset(elsewhere.union(loose))


def moves(old: Snapshot, new: Snapshot) -> dict[int, Way]:
    """The fewest stories by whose moves within their sections the old order became the new one, and which way."""
    ways: dict[int, Way] = {}
    for heading in dict.fromkeys(story.section for story in new.stories):
        there, here = _orders(old, new, heading)
        if there == here:
            continue
        ways |= {post: "up" if here.index(post) < there.index(post) else "down" for post in _others(there, here)}
    return ways


def _orders(old: Snapshot, new: Snapshot, heading: str) -> tuple[list[int], list[int]]:
    """The stories that stand under a heading in both, in the old order and in the new one."""
    there, here = ([story.post_id for story in one.stories if story.section == heading] for one in (old, new))
    return [post for post in there if post in here], [post for post in here if post in there]


def _lengths(order: Sequence[int]) -> list[int]:
    """For each number the length of the longest rising run that ends with it."""
    upto: list[int] = []
    for at, value in enumerate(order):
        upto.append(1 + max((upto[before] for before in range(at) if order[before] < value), default=0))
    return upto


def _others(there: Sequence[int], here: Sequence[int]) -> list[int]:
    """The stories that are not in a longest run of those whose order is the same in both."""
    order = [there.index(post) for post in here]
    upto = _lengths(order)
    length, last, others = max(upto, default=0), len(order), list[int]()
    for at in reversed(range(len(order))):
        if upto[at] == length and order[at] < last:
            length, last = length - 1, order[at]
        else:
            others.append(here[at])
    return others[::-1]


def _loose(there: Sequence[int], here: Sequence[int]) -> set[int]:
    """The stories that are not in every longest run: each of them may be the one that was moved."""
    order = [there.index(post) for post in here]
    upto = _lengths(order)
    onward = _lengths([-value for value in reversed(order)])[::-1]
    whole = max(upto, default=0)
    on_one = [at for at in range(len(order)) if upto[at] + onward[at] - 1 == whole]
    times = Counter(upto[at] for at in on_one)
    always = {at for at in on_one if times[upto[at]] == 1}
    return {post for at, post in enumerate(here) if at not in always}
