"""Two texts word by word: what stayed, what is gone, what is new. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Literal

# Thai, Lao, Burmese, Khmer, kana and Chinese put no blanks between words: there each character is one.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_MARKS = r".,;:!?…\"“”„()\[\]{}«»—–*_،؛؟۔।"
# A word, a mark or a character, with the blanks after it.
_TOKEN = re.compile(rf"(?:[{_UNSPACED}]|[{_MARKS}]|[^\s{_MARKS}{_UNSPACED}]+)\s*|\s+")
CONTEXT = 12
"""Words around a change by which a reader knows where it is."""
_ISLAND = 3
"""Letters that stay the same between two changes and are too few to help a reader."""


@dataclass(frozen=True)
class Piece:
    """A part of a text: in both, only in the old one, or only in the new one."""

    kind: Literal["same", "gone", "new"]
    text: str


@dataclass(frozen=True)
class _Step:
    """Some words of the old text and of the new one, which are the same or stand in each other's place."""

    stays: bool
    old: list[str]
    new: list[str]

    @property
    def both(self) -> str:
        """Words that stay. At the end of a text one has no blank after it, which it needs before others."""
        return "".join(max(pair, key=len) for pair in zip(self.old, self.new, strict=True))

    @property
    def is_island(self) -> bool:
        """Whether it is too little to help a reader between two changes."""
        return "\n" not in self.both and sum(map(str.isalnum, self.both)) <= _ISLAND


def words(old: str, new: str) -> tuple[Piece, ...]:
    """Two texts as one. Blanks alone make no difference; where a line ends does."""
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    matcher = SequenceMatcher(None, [_key(one) for one in before], [_key(one) for one in after], autojunk=False)
    steps = [
        _Step(tag == "equal", before[old_start:old_end], after[new_start:new_end])
        for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes()
    ]
    return tuple(_readable(steps))


def shortened(pieces: Sequence[Piece], context: int = CONTEXT) -> tuple[Piece, ...]:
    """The pieces with what stayed cut down to a few words around each change."""
    last = len(pieces) - 1
    return tuple(
        piece if piece.kind != "same" else Piece("same", _ends(piece.text, context, at > 0, at < last))
        for at, piece in enumerate(pieces)
    )


def _ends(text: str, context: int, after: bool, before: bool) -> str:
    """The words of a text that stand after a change, before one, or both."""
    tokens = _TOKEN.findall(text)
    if len(tokens) <= context * (after + before) + 1:
        return text
    head = "".join(tokens[:context]) if after else ""
    tail = "".join(tokens[-context:]) if before else ""
    return f"{head.rstrip()} … {tail}" if head else f"… {tail}"


def _key(token: str) -> str:
    """A token as it is compared."""
    return token.rstrip() + "\n" * token.count("\n")


def _readable(steps: list[_Step]) -> Iterator[Piece]:
    """The pieces, a few letters between two changes counted to them; what is gone stands before what is new."""
    last = len(steps) - 1

    def stays(numbered: tuple[int, _Step]) -> bool:
        at, step = numbered
        return step.stays and not (0 < at < last and step.is_island)

    for is_same, run in groupby(enumerate(steps), stays):
        some = [step for _, step in run]
        if is_same:
            yield from (Piece("same", step.both) for step in some)
            continue
        gone = "".join(word for step in some for word in step.old)
        added = "".join(word for step in some for word in step.new)
        yield from [Piece("gone", gone)] * bool(gone)
        yield from [Piece("new", added)] * bool(added)
