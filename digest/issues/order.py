"""The order in which an issue's stories stand. Pure.

*Reading order* is section by section, by position within a section. `sections` is the newsletter's order of headings;
without it the order in which they first appear, the main part ("") before all.
"""

from __future__ import annotations

from collections.abc import Sequence

from digest.models import Item


def reading_order(items: Sequence[Item], sections: Sequence[str] = ()) -> list[Item]:
    """The items as a reader meets them: section by section, by position within each."""
    rank = {section: place for place, section in enumerate(ranked(items, sections))}
    return sorted(items, key=lambda item: (rank[item.section], item.position))


def ranked(items: Sequence[Item], sections: Sequence[str]) -> list[str]:
    """All headings in their order: those that are declared, and then those that stand in the issue."""
    appearing = [item.section for item in sorted(items, key=lambda item: item.position)]
    return list(dict.fromkeys(["", *sections, *appearing]))


def step(order: list[Item], item: Item, by: int, headings: Sequence[str]) -> str:
    """Move an item by one place among the stories that are in, in place; says `moved` where it did. Pure.

    Those left out are passed over. At the edge of its section it goes over into the next one.
    """
    at = order.index(item)
    beyond = order[at + 1 :] if by > 0 else reversed(order[:at])
    neighbour = next((other for other in beyond if other.section == item.section and other.included), None)
    if neighbour is not None:
        order.remove(item)
        order.insert(order.index(neighbour) + (by > 0), item)
        return "moved"
    rank = headings.index(item.section) + by
    if not 0 <= rank < len(headings):
        return ""
    item.section = headings[rank]
    order.remove(item)
    order.insert(sum(headings.index(other.section) < rank + (by < 0) for other in order), item)
    return "moved"


def placed(order: list[Item], item: Item, section: str, before: Item | None, headings: Sequence[str]) -> list[Item]:
    """The reading order with an item put under a heading, in front of another one there or at its end. Pure."""
    rest = [other for other in order if other is not item]
    if before is item:
        return order
    rank = headings.index(section)
    at = rest.index(before) if before else sum(headings.index(other.section) <= rank for other in rest)
    return [*rest[:at], item, *rest[at:]]


def number(order: Sequence[Item]) -> None:
    """Give the items the positions in which they stand. Pure."""
    for position, item in enumerate(order):
        item.position = position
