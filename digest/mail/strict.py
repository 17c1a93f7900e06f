"""An independent, strict reading of a finished message: what fails here is never sent (F-14, trap T-ALL).

Written from RFC 5322 and RFC 2045 alone; it shares no code with what builds messages.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Iterable

MAX_LINE = 998
MAX_FOLDED = 78


_NAME_ADDR = re.compile(rb"(?:(?:\"(?:[^\"\\]|\\.)*\"|[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]+) +)?<[^<>@\s]+@[A-Za-z0-9.-]+>")
"""RFC 5322 §3.4, with an atom or a quoted string as the name; encoded words are made of an atom's characters."""


BOTH = ("text/plain", "text/html")
"""The parts of a message for most readers."""
TEXT_ALONE = ("text/plain",)
"""What a message is that has no parts, for readers who want no HTML."""


def problems(message: bytes, expected: Iterable[str], parts: tuple[str, ...] = BOTH) -> tuple[str, ...]:
    """What is wrong with a message whose header fields should be exactly `expected`, each once, and with its parts."""
    head, blank, body = message.partition(b"\r\n\r\n")
    found = [*_octets(message), *_headers(head, sorted(name.lower() for name in expected))]
    if not blank:
        return (*found, "no blank line parts headers and body")
    return (*found, *(_text(message) if parts == TEXT_ALONE else _body(head, body)))


def _octets(message: bytes) -> Iterable[str]:
    if re.search(rb"\r(?!\n)|(?<!\r)\n", message):
        yield "a bare CR or LF"
    if re.search(rb"[^\t\r\n\x20-\x7e]", message):
        yield "an octet that is no printable ASCII"
    if any(len(line) > MAX_LINE for line in message.split(b"\r\n")):
        yield f"a line of more than {MAX_LINE} octets"
    if message.startswith(b".") or b"\r\n." in message:
        yield "a line that begins with a dot"
    if not message.endswith(b"\r\n"):
        yield "no line end at the end"


def _headers(head: bytes, expected: list[str]) -> Iterable[str]:
    names = []
    for line in head.split(b"\r\n"):
        match = re.match(rb"([!-9;-~]+): ?(?=.)", line)
        if match:
            names.append(match[1].decode("ascii").lower())
        elif not line.startswith((b" ", b"\t")) or not line.strip():
            yield "a header line that is neither a field nor its continuation"
    if sorted(names) != expected:
        missing, extra = set(expected) - set(names), set(names) - set(expected)
        twice = {name for name in names if names.count(name) > 1}
        yield f"the header fields are not the expected ones (missing {missing}, extra {extra}, twice {twice})"
    sender = re.search(rb"(?im)^from: ((?:.|\r\n[ \t])*?)(?:\r\n(?![ \t])|\Z)", head)
    if not sender or not _NAME_ADDR.fullmatch(sender[1].replace(b"\r\n", b"")):
        yield "From is not one name and one address"
    yield from _encoded_words(re.sub(rb"\r\n(?=[ \t])", b"", head), head)


def _encoded_words(unfolded: bytes, head: bytes) -> Iterable[str]:
    for field in unfolded.split(b"\r\n"):
        name = field.partition(b":")[0].lower()
        if b"=?" in field and name not in (b"subject", b"from"):
            yield f"encoded words in {name.decode('ascii', 'replace')}, where none may stand"
    if re.search(rb"=\?[^?\s]+\?[qQbB]\?\?=", head):
        yield "an empty encoded word"
    if re.search(rb"\?==\?", head):
        yield "two encoded words without a blank between them"
    if any(len(word) > 75 for word in re.findall(rb"=\?[^?\s]+\?[qQbB]\?[^?\s]*\?=", head)):  # noqa: PLR2004 -- RFC 2047 §2.
        yield "an encoded word of more than 75 characters"
    if any(b"=?" in line and len(line) > MAX_FOLDED for line in head.split(b"\r\n")):
        yield "a line with encoded words of more than 78 characters"


def _body(head: bytes, body: bytes) -> Iterable[str]:
    boundary = re.search(rb'boundary="([^"]+)"', head)
    if not boundary:
        yield "no boundary"
        return
    pieces = body.split(b"--" + boundary[1])
    if not pieces[-1].startswith(b"--"):
        yield "the body does not end with its closing boundary"
    parts = [_part(piece.removeprefix(b"\r\n")) for piece in pieces[1:-1]]
    if [kind for kind, _ in parts] != ["text/plain", "text/html"]:
        yield "the parts are not text/plain and text/html, in that order"
    for kind, problem in parts:
        if problem:
            yield f"{kind}: {problem}"


def _text(message: bytes) -> Iterable[str]:
    """A message that is one text: what would be a part's fields are its own."""
    kind, problem = _part(message)
    if kind != "text/plain":
        yield f"it is {kind} and not text/plain"
    if problem:
        yield f"{kind}: {problem}"


def _part(piece: bytes) -> tuple[str, str]:
    head, _, body = piece.partition(b"\r\n\r\n")
    kind = re.search(rb"(?im)^content-type: ([a-z/]+)", head)
    encoding = re.search(rb"(?im)^content-transfer-encoding: ([a-z0-9-]+)", head)
    return (
        kind[1].decode("ascii") if kind else "a part without a type",
        _decoded_problem(encoding[1] if encoding else b"", body),
    )


def _decoded_problem(encoding: bytes, body: bytes) -> str:
    try:
        if encoding == b"base64":
            decoded = base64.b64decode(b"".join(body.split()), validate=True)
        elif encoding == b"quoted-printable":
            if any(len(line) > 76 for line in body.split(b"\r\n")):  # noqa: PLR2004 -- RFC 2045 §6.7.
                return "a quoted-printable line of more than 76 characters"
            if re.search(rb"=(?![0-9A-F]{2}|\r\n)", body):
                return "an equals sign that is no code"
            decoded = quopri.decodestring(body)
        else:
            return f"the encoding {encoding.decode('ascii', 'replace')!r} is not one of ours"
        decoded.decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        return f"cannot be decoded ({error})"
    return ""
