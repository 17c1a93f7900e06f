"""What has changed from one text to another, word by word. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Literal

from digest.issues.outcomes import Difference
from digest.issues.text import cut, plain

WORDS = 400
"""Words of one text that are compared; what is longer is shown as it was and as it is."""
PARAGRAPHS = 6
"""Paragraphs of a story that are shown; how many more have changed is said."""
AROUND = 8
"""Unchanged words that are shown beside a change."""

Piece = tuple[Literal["same", "gone", "new"], str]


def difference(label: str, old: str, new: str) -> Difference | None:
    """The difference between two texts; none where there is none."""
    return Difference(label, _pieces(old, new)) if old != new else None


@lru_cache(maxsize=64)
def in_story(old: str, new: str) -> tuple[Difference, ...]:
    """The differences between two bodies of cleaned HTML, a paragraph each, the first few of them."""
    before, after = plain(old), plain(new)
    found = []
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            found += [_pieces(*pair) for pair in _pairs(before[a:b], after[c:d])]
    shown = [Difference("Story", pieces) for pieces in found[:PARAGRAPHS]]
    if more := len(found) - len(shown):
        said = f"… and {more} more paragraph{'s' if more > 1 else ''} of the story"
        shown.append(Difference("Story", (("same", said),)))
    return tuple(shown)


def _pairs(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[str, str]]:
    for place in range(max(len(before), len(after))):
        yield before[place] if place < len(before) else "", after[place] if place < len(after) else ""


@lru_cache(maxsize=256)
def _pieces(old: str, new: str) -> tuple[Piece, ...]:
    before, after = old.split(), new.split()
    if max(len(before), len(after)) > WORDS or not before or not after:
        whole: list[Piece] = [("gone", cut(old, 600)), ("new", cut(new, 600))]
        return tuple(piece for piece in whole if piece[1])
    found: list[Piece] = []
    opcodes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    for number, (tag, a, b, c, d) in enumerate(opcodes):
        if tag == "equal":
            found.append(("same", _shortened(before[a:b], first=number == 0, last=number == len(opcodes) - 1)))
            continue
        changed: list[Piece] = [("gone", " ".join(before[a:b])), ("new", " ".join(after[c:d]))]
        found += [piece for piece in changed if piece[1]]
    return tuple(found)


def _shortened(words: Sequence[str], *, first: bool, last: bool) -> str:
    """Unchanged words, without those far from every change."""
    most = AROUND if first or last else 2 * AROUND
    if len(words) <= most + 2:
        return " ".join(words)
    begin = [] if first else words[:AROUND]
    end = [] if last else words[-AROUND:]
    return " ".join([*begin, "…", *end])
