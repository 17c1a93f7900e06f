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


def words(old: str, new: str) -> tuple[Piece, ...]:
    """Two texts as one. Blanks alone make no difference; where a line ends does."""
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    matcher = SequenceMatcher(None, [_key(one) for one in before], [_key(one) for one in after], autojunk=False)
    pieces: list[Piece] = []
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        gone, added = before[old_start:old_end], after[new_start:new_end]
        if tag == "equal":
            # At the end of a text a word has no blank after it: where it stands before others it needs one.
            pieces.append(Piece("same", "".join(max(pair, key=len) for pair in zip(gone, added, strict=True))))
        else:
            pieces += [Piece("gone", "".join(gone)), Piece("new", "".join(added))]
    return tuple(_readable([piece for piece in pieces if piece.text]))


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


def _readable(pieces: list[Piece]) -> Iterator[Piece]:
    """The pieces, a few letters between two changes counted to them; what is gone stands before what is new."""
    last = len(pieces) - 1

    def stays(numbered: tuple[int, Piece]) -> bool:
        at, piece = numbered
        is_island = 0 < at < last and "\n" not in piece.text and sum(map(str.isalnum, piece.text)) <= _ISLAND
        return piece.kind == "same" and not is_island

    for is_same, run in groupby(enumerate(pieces), stays):
        some = [piece for _, piece in run]
        if is_same:
            yield from some
            continue
        gone = "".join(piece.text for piece in some if piece.kind != "new")
        added = "".join(piece.text for piece in some if piece.kind != "gone")
        yield from [Piece("gone", gone)] * bool(gone)
        yield from [Piece("new", added)] * bool(added)
