"""DKIM (RFC 6376): one RSA operation signs a reader's copy, and little is hashed for each of them (F-27, F-28).

The canonical form of a message is made once, with places for what differs per reader. What stands before the first
such place, in the body and in the signed fields, is hashed once; each copy takes that state up and adds the rest.
"""

from __future__ import annotations

import base64
import hashlib
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from digest.mail.wire import CRLF, Segments, Slot

FIELD = "DKIM-Signature"
OVERSIGNED = (
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
)
"""Named once more than they are there, so that one added on the way breaks the signature (RFC 6376 §5.4.2, §8.15).

Feedback-ID is signed and is not among them: relays add one of their own, which may not break ours.
"""

_PADDING = PKCS1v15()
_HASHED = Prehashed(SHA256())
_LINE = 76
"""Characters of a line of the field, so that it stays within 78 (RFC 5322 §2.1.1)."""

Piece = bytes | int
"""A piece of a canonical form: the octets themselves, or the place in a copy where a reader's own octets stand."""


@dataclass(frozen=True)
class Signer:
    """In whose name mail is signed; the key's public half is published at `<selector>._domainkey.<domain>`."""

    domain: str
    selector: str
    key: RSAPrivateKey = field(repr=False)

    def prepare(self, segments: Segments) -> Signature:
        """Make a message ready to be signed for each of its readers."""
        return Signature(self, segments)


class Signature:
    """Signs the copies of one message.

    A copy made again has the same signature: this kind of RSA knows no chance (RFC 8017 §8.2), and no time of signing
    is told. The Date is signed, and a `t=` by a clock that runs ahead of the receiver's might make it void (§3.5).
    Copies may be signed in several threads at once; the RSA operation keeps none of them waiting.
    """

    def __init__(self, signer: Signer, segments: Segments) -> None:
        fields, body = _canonical(segments)
        # What is the same for everybody comes first, so that it is hashed once; h= says the order (§5.4.2).
        fields.sort(key=lambda one: b"\0" in one)
        self._key = signer.key
        self._start = _start(signer, [one.partition(b":")[0].decode("ascii") for one in fields])
        self._body = _Hash(body)
        self._head = _Hash(_pieces(b"".join(fields) + _relaxed_field(self._start)))
        self.size = len(self._field(base64.b64encode(hashlib.sha256().digest()), bytes(signer.key.key_size // 8)))
        """How many octets the field has, in every copy."""

    def field(self, copy: Sequence[bytes]) -> bytes:
        """The DKIM-Signature of a copy, which is of the segments that this was prepared for."""
        body_hash = base64.b64encode(self._body.digest(copy))
        digest = self._head.digest(copy, body_hash + b"; b=")
        return self._field(body_hash, self._key.sign(digest, _PADDING, _HASHED))

    def _field(self, body_hash: bytes, signature: bytes) -> bytes:
        octets = base64.b64encode(signature)
        lines = [octets[start : start + _LINE] for start in range(0, len(octets), _LINE)]
        return b"\r\n ".join([self._start + body_hash + b";", b"b=", *lines]) + CRLF


class _Hash:
    """SHA-256 of pieces, of which the first are taken in beforehand."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._state = hashlib.sha256()
        self._rest: list[Piece] = []
        for piece in pieces:
            if self._rest or isinstance(piece, int):
                self._rest.append(piece)
            else:
                self._state.update(piece)

    def digest(self, copy: Sequence[bytes], end: bytes = b"") -> bytes:
        """The hash for one reader's copy, with `end` behind it."""
        state = self._state.copy()
        for piece in self._rest:
            state.update(piece if isinstance(piece, bytes) else _relaxed(copy[piece]))
        state.update(end)
        return state.digest()


def _start(signer: Signer, names: list[str]) -> bytes:
    """The field up to the body's hash. No `l=`: text that is added must break the signature (§8.2)."""
    lines = (
        f"{FIELD}: v=1; a=rsa-sha256; c=relaxed/relaxed;",
        f"d={signer.domain};",
        f"s={signer.selector};",
        f"h={_folded([*names, *(name.lower() for name in OVERSIGNED)])};",
        "bh=",
    )
    return "\r\n ".join(lines).encode("ascii")


def _folded(names: list[str]) -> str:
    """The names of h= with a colon between them, on lines that fit."""
    lines = textwrap.wrap(": ".join(names), _LINE - len("h="), break_on_hyphens=False)
    return "\r\n ".join(line.replace(" ", "") for line in lines)


def _canonical(segments: Segments) -> tuple[list[bytes], list[Piece]]:
    """The relaxed form (§3.4.2, §3.4.4) of every header field, each on its line, and of the body.

    A slot is written as its place between two NULs, which no message of ours can hold.
    """
    marked = b"".join(b"\0%d\0" % place if isinstance(part, Slot) else part for place, part in enumerate(segments))
    head, _, body = marked.partition(CRLF + CRLF)
    fields = [_relaxed_field(one) + CRLF for one in re.split(rb"\r\n(?![ \t])", head)]
    return fields, _pieces(_relaxed(body).rstrip(CRLF) + CRLF)


def _pieces(marked: bytes) -> list[Piece]:
    texts = re.split(rb"\0(\d+)\0", marked)
    return [int(text) if number % 2 else text for number, text in enumerate(texts) if text]


def _relaxed_field(one: bytes) -> bytes:
    name, _, value = one.partition(b":")
    return name.strip().lower() + b":" + _relaxed(value.replace(CRLF, b"")).strip(b" ")


def _relaxed(text: bytes) -> bytes:
    """Text without blanks at the ends of lines, and with one where there are several."""
    # No slot has any as a rule, and then there is nothing to do.
    if b" " not in text and b"\t" not in text:
        return text
    return re.sub(rb"[ \t]+", b" ", text).replace(b" \r\n", CRLF)
