"""The bytes of a message: built once, with slots of fixed shape for what differs per reader (F-05 to F-15).

A rendered issue becomes `Segments`: byte strings that are already encoded and folded, with `Slot`s between them. A
reader's copy is the same byte strings with a few small ones in the places of the slots; nothing is encoded again.
Headers are our own (traps T1 to T4): Python's e-mail policies fold and encode what must stay as it is.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

CRLF = b"\r\n"
QP_ROOM = 73
"""Characters of a quoted-printable line: 76 (RFC 2045 §6.7) less the soft break and the room a guarded start takes."""
FIRST_GREEK = "\u0370"
"""From here on letters are no longer Latin ones."""
B64_OCTETS = 57
"""Octets that make a full base64 line of 76 characters (RFC 2045 §6.8)."""


@dataclass(frozen=True)
class Slot:
    """A place that is filled per reader: in a header as it is, in a part encoded as the part is."""

    name: str
    encoding: str = ""
    """`qp`, `base64` or nothing."""
    before: bytes = b""
    """For base64: the octets of the text around it that share its groups of three."""
    after: bytes = b""

    def fill(self, value: bytes) -> bytes:
        """The bytes of one reader's value in this place."""
        if self.encoding == "base64":
            return _base64_lines(self.before + value + self.after)
        if self.encoding == "qp":
            return _qp_line(value, hard_end=False)
        return value


Segments = tuple[bytes | Slot, ...]


@dataclass(frozen=True)
class Part:
    """One part of the body."""

    subtype: str
    text: str


@dataclass(frozen=True)
class Mark:
    """Where a slot stands in a part's text, and how many octets its value has for every reader."""

    marker: str
    slot: str
    length: int


class Form:
    """Segments made ready to be filled for one reader after the other.

    Slots that are filled alike are filled once a copy, wherever they stand.
    """

    def __init__(self, segments: Segments) -> None:
        self._blank = [b"" if isinstance(part, Slot) else part for part in segments]
        places: dict[Slot, list[int]] = {}
        for place, part in enumerate(segments):
            if isinstance(part, Slot):
                places.setdefault(part, []).append(place)
        self._slots = tuple((slot, slot.name, tuple(where)) for slot, where in places.items())

    def fill(self, values: Mapping[str, bytes]) -> list[bytes]:
        """One reader's copy, as the byte strings to write one after the other: one for each segment.

        Raises `KeyError` for a value not given.
        """
        copy = self._blank.copy()
        for slot, name, places in self._slots:
            filled = slot.fill(values[name])
            for place in places:
                copy[place] = filled
        return copy


def message(
    headers: Iterable[tuple[str, bytes | Segments]], parts: Iterable[Part], marks: Iterable[Mark], language: str
) -> Segments:
    """A whole message as segments: headers in order, then `multipart/alternative` of the parts, plainest first (F-01).

    It ends with CRLF and has no line that begins with a dot, so that only the final dot is left to be sent (S-51).
    """
    parts, marks = tuple(parts), tuple(marks)
    boundary = _boundary(parts)
    out = _fields(headers)
    out.append(b'Content-Type: multipart/alternative;\r\n boundary="' + boundary + b'"\r\n\r\n')
    for part in parts:
        out += [b"--" + boundary + CRLF, *_part(part, marks, language), CRLF]
    out.append(b"--" + boundary + b"--" + CRLF)
    return tuple(_joined(out))


def text_message(
    headers: Iterable[tuple[str, bytes | Segments]], text: str, marks: Iterable[Mark], language: str
) -> Segments:
    """A whole message of text alone, without parts, for readers who want no HTML; its end is as in `message`."""
    return tuple(_joined([*_fields(headers), *_part(Part("plain", text), tuple(marks), language)]))


def _fields(headers: Iterable[tuple[str, bytes | Segments]]) -> list[bytes | Slot]:
    out: list[bytes | Slot] = []
    for name, value in headers:
        out += [name.encode("ascii") + b": ", *((value,) if isinstance(value, bytes) else value), CRLF]
    return [*out, b"MIME-Version: 1.0" + CRLF]


def _boundary(parts: Iterable[Part]) -> bytes:
    """The same for the same text, so that a copy made again is the same to the byte (S-12).

    `=_` cannot stand in quoted-printable or base64, so no text can hold a boundary (RFC 2045 §6.7).
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.text.encode(errors="replace"))
    return f"=_{digest.hexdigest()[:24]}".encode()


def size(segments: Segments, lengths: Mapping[str, int]) -> int:
    """About how many octets a copy has, for SIZE (RFC 1870): an estimate is what the RFC asks for."""
    return sum(lengths.get(part.name, 0) + 16 if isinstance(part, Slot) else len(part) for part in segments)


def _joined(parts: Iterable[bytes | Slot]) -> Iterator[bytes | Slot]:
    gathered: list[bytes] = []
    for part in parts:
        if isinstance(part, bytes):
            gathered.append(part)
        else:
            yield b"".join(gathered)
            yield part
            gathered = []
    yield b"".join(gathered)


def _part(part: Part, marks: tuple[Mark, ...], language: str) -> Iterator[bytes | Slot]:
    text = clean_lines(part.text)
    encoding = transfer_encoding(text)
    yield (
        f'Content-Type: text/{part.subtype}; charset="utf-8"\r\n'
        f"Content-Language: {language}\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
    ).encode("ascii")
    texts, slots = _split(text, marks)
    yield from _base64(texts, slots) if encoding == "base64" else _quoted_printable(texts, slots)


def transfer_encoding(text: str) -> str:
    """Quoted-printable for Latin scripts, base64 for the others where that is shorter (F-08, F-09)."""
    octets = len(text.encode())
    other = sum(len(char.encode()) for char in text if char >= FIRST_GREEK and char.isalpha())
    return "base64" if octets + 2 * other > octets * 4 / 3 else "quoted-printable"


def clean_lines(text: str) -> str:
    """The text with the only line ends mail knows and without the controls it forbids (F-06, F-43)."""
    lines = re.sub(r"\r\n?|[\x85\u2028\u2029]", "\n", text)
    kept = "".join(char for char in lines if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs"))
    return kept.rstrip("\n").replace("\n", "\r\n") + "\r\n"


def _split(text: str, marks: tuple[Mark, ...]) -> tuple[list[bytes], list[Mark]]:
    """The text around the slots (always one piece more than there are slots), and the slots."""
    if not marks:
        return [text.encode()], []
    known = {mark.marker: mark for mark in marks}
    pieces = re.split("(" + "|".join(map(re.escape, known)) + ")", text)
    return [piece.encode() for piece in pieces[::2]], [known[piece] for piece in pieces[1::2]]


def _quoted_printable(texts: list[bytes], slots: list[Mark]) -> Iterator[bytes | Slot]:
    """Lines of quoted-printable, each slot on a line of its own between two soft breaks."""
    for text, mark in zip(texts, slots, strict=False):
        yield _qp_text(text, is_last=False) + b"=\r\n"
        yield Slot(mark.slot, "qp")
        yield b"=\r\n"
    yield _qp_text(texts[-1], is_last=True)


def _qp_text(octets: bytes, *, is_last: bool) -> bytes:
    *lines, last = octets.split(CRLF)
    return CRLF.join([*(_qp_line(line, hard_end=True) for line in lines), _qp_line(last, hard_end=is_last)])


def _qp_line(octets: bytes, *, hard_end: bool) -> bytes:
    """One line as quoted-printable, broken softly where it is too long (F-10)."""
    if _AS_IT_IS.fullmatch(octets):
        if len(octets) <= QP_ROOM:
            return _guarded(octets)
        cut = (octets[start : start + QP_ROOM] for start in range(0, len(octets), QP_ROOM))
        return b"=\r\n".join(map(_guarded, cut))
    coded = _TO_CODE.sub(_code, octets)
    if hard_end and octets[-1:] in (b" ", b"\t"):
        coded = coded[:-1] + b"=%02X" % octets[-1]
    lines, start = [], 0
    while len(coded) - start > QP_ROOM:
        end = start + QP_ROOM
        # A code of three characters is not cut in two; an equals sign is always the first of them.
        end -= next((back for back in (1, 2) if coded[end - back] == _EQUALS), 0)
        lines.append(_guarded(coded[start:end]) + b"=")
        start = end
    return CRLF.join([*lines, _guarded(coded[start:])])


_TO_CODE = re.compile(rb"[^!-<>-~ \t]")
_EQUALS = ord("=")


def _code(match: re.Match[bytes]) -> bytes:
    return b"=%02X" % match[0][0]


_AS_IT_IS = re.compile(rb"(?:[!-<>-~ \t]*[!-<>-~])?")
"""What needs no coding: most lines of a text, and every reader's link."""


def _guarded(line: bytes) -> bytes:
    """A dot at the start of a line is SMTP's, "From " is mbox's (RFC 2049 §3, F-11): neither is left to chance."""
    if line.startswith(b"."):
        return b"=2E" + line[1:]
    return b"=46rom " + line[5:] if line.startswith(b"From ") else line


def _base64(texts: list[bytes], slots: list[Mark]) -> Iterator[bytes | Slot]:
    """Lines of base64, the slots on lines of their own.

    Base64 codes three octets at a time. So a slot takes along the octets before it that make no full group, and as
    many after it as fill the last one; the text then goes on at a group, and padding stands only at the very end.
    """
    taken = 0
    for mark, (text, following) in zip(slots, pairwise(texts), strict=True):
        whole = taken + (len(text) - taken) // 3 * 3
        yield _base64_lines(text[taken:whole])
        taken = -(len(text) - whole + mark.length) % 3
        if len(following) < taken:
            raise ValueError(f"two slots stand too near to each other at {mark.slot!r}")
        yield Slot(mark.slot, "base64", text[whole:], following[:taken])
    yield _base64_lines(texts[-1][taken:])


def _base64_lines(octets: bytes) -> bytes:
    lines = [octets[start : start + B64_OCTETS] for start in range(0, len(octets), B64_OCTETS)]
    return b"".join([binascii.b2a_base64(line, newline=False) + CRLF for line in lines])
