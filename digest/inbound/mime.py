"""A mail as it came, taken apart: fields and parts, bounded, whatever is wrong with it. Pure (N-11, N-15).

The standard library's parser calls itself for every level of nesting, and raises what it likes on odd input. What is
read here is a report or a short command, so a small reader is enough that gives up depth rather than time.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.header import decode_header

DEPTH = 6
"""Levels of parts within parts that are looked into: a report needs three."""
PARTS = 64
"""So many parts of one multipart are looked at."""
FIELDS = 300
HEAD = 64 * 1024
"""Fields, and octets of them, that are looked at."""

Fields = tuple[tuple[str, str], ...]
"""Names in small letters, and values with their lines joined, in order."""

_BLANK_LINE = re.compile(rb"^\n|\n\n")
_FIELD = re.compile(r"([!-9;-~]{1,76})[ \t]*:(.*)", re.DOTALL)
_BOUNDARY = re.compile(r";\s*boundary\s*=\s*(?:\"([^\"]{1,200})\"|([^\s;\"]{1,200}))", re.IGNORECASE)
_KIND = re.compile(r"\s*([a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60})", re.IGNORECASE)
_MARKS = re.compile(r"\\.|[()\"]", re.DOTALL)
_ANGLED = re.compile(r"<([^<>\s@]{1,64}@[^<>\s@]{1,255})>")
_BARE = re.compile(r"(?<![^\s,;:])([^\s<>,;:()@\"]{1,64}@[^\s<>,;:()@\"]{1,255})")


@dataclass(frozen=True)
class Part:
    """A mail, or a part of one."""

    fields: Fields
    kind: str
    """Its media type in small letters; `text/plain` where none is given that can be read."""
    body: bytes
    """The octets after the fields, with lines ended by LF alone."""
    parts: tuple[Part, ...] = ()
    """What a multipart, or a mail within the mail, consists of."""

    def all(self, name: str) -> list[str]:
        """The values of every field of that name."""
        return [value for key, value in self.fields if key == name]

    def first(self, name: str) -> str:
        """The value of the first field of that name; empty where there is none."""
        return next(iter(self.all(name)), "")

    def walk(self) -> Iterator[Part]:
        """This part and all within it, in order."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def of(self, *kinds: str) -> list[Part]:
        """The parts of these media types."""
        return [part for part in self.walk() if part.kind in kinds]

    @property
    def text(self) -> str:
        """The body as text, decoded from what it was wrapped in for its way."""
        raw = _unwrapped(self.body, self.first("content-transfer-encoding").strip().lower())
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def parameter(self, name: str) -> str:
        """A parameter of the media type, in small letters."""
        match = re.search(rf";\s*{name}\s*=\s*\"?([a-z0-9._-]+)", self.first("content-type"), re.IGNORECASE)
        return match[1].lower() if match else ""


def parse(raw: bytes) -> Part:
    """Take a mail apart. Every sequence of octets is one; nothing is raised."""
    return _part(raw.replace(b"\r\n", b"\n"), DEPTH, "text/plain")


def fields_of(text: str) -> Fields:
    """The fields of a block of text: of a header, or of a part of a report (RFC 3464 §2.1)."""
    found: list[tuple[str, str]] = []
    for line in re.sub(r"\n[ \t]+", " ", text[:HEAD]).split("\n"):
        if len(found) < FIELDS and (match := _FIELD.fullmatch(line)):
            found.append((match[1].lower(), match[2].strip()))
    return tuple(found)


def blocks_of(text: str) -> list[Fields]:
    """The blocks of fields that blank lines part."""
    parted = re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").strip(), maxsplit=PARTS)
    return [fields for fields in map(fields_of, parted[:PARTS]) if fields]


def value(fields: Fields, name: str) -> str:
    """The value of the first field of that name; empty where there is none."""
    return next((found for key, found in fields if key == name), "")


def plain(text: str, quoted: Callable[[str], str] = lambda _: " ") -> str | None:
    """A structured field without its comments, and with what `quoted` makes of each of its quoted strings.

    None where a bracket or a quotation mark is left open: nobody can tell then what is meant. It is read in one pass,
    since a bracket that is quoted opens no comment, and a quotation mark in a comment quotes nothing (RFC 5322 §3.2).
    """
    text = text[:HEAD]
    found: list[str] = []
    depth, is_quoted, start = 0, False, 0
    for mark in _MARKS.finditer(text):
        match mark[0]:
            case '"' if not depth:
                found.append(quoted(text[start : mark.start()]) if is_quoted else text[start : mark.start()])
                is_quoted, start = not is_quoted, mark.end()
            case "(" if not is_quoted:
                found.append("" if depth else text[start : mark.start()] + " ")
                depth += 1
            case ")" if depth:
                depth, start = depth - 1, mark.end()
    return None if depth or is_quoted else "".join(found) + text[start:]


def addresses_in(text: str) -> list[str]:
    """The addresses in a field such as To. What is quoted or in brackets is nobody's.

    The standard library's reader calls itself for every bracket.
    """
    said = plain(text) or ""
    return _ANGLED.findall(said) or _BARE.findall(said)


def unencoded(text: str) -> str:
    """A field's text without encoded words (RFC 2047); as it stands where they cannot be read."""
    try:
        parts = decode_header(text)
        return "".join(
            part if isinstance(part, str) else part.decode(charset or "latin-1", "replace") for part, charset in parts
        )
    except (ValueError, LookupError, binascii.Error):
        return text


def _part(raw: bytes, depth: int, default: str) -> Part:
    end = _BLANK_LINE.search(raw)
    head, body = (raw[: end.start()], raw[end.end() :]) if end else (raw, b"")
    fields = fields_of(head.decode("latin-1"))
    content_type = value(fields, "content-type")
    match = _KIND.match(content_type)
    kind = match[1].lower() if match else default
    return Part(fields, kind, body, tuple(_inner(kind, content_type, body, depth)))


def _inner(kind: str, content_type: str, body: bytes, depth: int) -> Iterator[Part]:
    if depth == 0:
        return
    if kind in ("message/rfc822", "message/global"):
        yield _part(body, depth - 1, "text/plain")
    elif kind.startswith("multipart/") and (match := _BOUNDARY.search(content_type)):
        default = "message/rfc822" if kind == "multipart/digest" else "text/plain"
        for piece in _pieces(body, (match[1] or match[2]).encode("latin-1", "replace")):
            yield _part(piece, depth - 1, default)


def _pieces(body: bytes, boundary: bytes) -> Iterator[bytes]:
    """What stands between the delimiter lines (RFC 2046 §5.1.1)."""
    start = None
    lines = re.compile(rb"^--" + re.escape(boundary) + rb"(--)?[ \t]*$", re.MULTILINE)
    for count, match in enumerate(lines.finditer(body)):
        if start is not None:
            yield body[start : max(start, match.start() - 1)]
        if match[1] or count >= PARTS:
            return
        start = match.end() + 1
    if start is not None:
        yield body[start:]


def _unwrapped(body: bytes, encoding: str) -> bytes:
    try:
        if encoding == "base64":
            return base64.b64decode(body)
        if encoding == "quoted-printable":
            return quopri.decodestring(body)
    except (binascii.Error, ValueError):
        pass
    return body
