"""Whatever comes in, the reader gives an answer, soon, and without the network (N-15).

`FUZZ_BOUNCES=10000` reads so many mutated mails; the gate reads a thousand.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from digest.inbound.notice import Ignored, Notice, Unreadable
from digest.inbound.posted import LARGEST, Posted, from_fields
from digest.inbound.reading import Ask, Reader
from digest.mail.verp import verp_token
from tests.house import newsletter
from tests.inbound import fuzzing, letters
from tests.inbound.letters import BOUNCES

KEY = b"k" * 32
PATH = f"b.{verp_token(KEY, bytes(16))}@{BOUNCES}"
READER = Reader(KEY, {"watchdog": newsletter()}, "mx.example.org", letters.FEEDBACK)
SLOWEST = 0.1
"""Seconds of this process's own time that one mail may take (N-15)."""
SEEDS = (
    letters.dsn("5.1.1", "smtp; 550 5.1.1 User unknown"),
    letters.dsn("5.0.0", "smtp; 550 No such user", action="delayed"),
    letters.EXCHANGE,
    letters.EXIM,
    letters.QMAIL,
    letters.SENDMAIL_FULL,
    letters.GMAIL_WORDS,
    letters.AWAY,
    letters.complaint("<https://digest.example.org/u/x>"),
    letters.note("unsubscribe"),
    letters.note("subscribe", results=letters.QUOTED),
    letters.complaint("<https://digest.example.org/u/x>", results=letters.QUOTED),
)


def read(octets: bytes, recipient: str = PATH) -> float:
    """Read a mail; returns how long it took."""
    began = time.process_time()
    said = READER.read(Posted(octets, recipient, ""))
    spent = time.process_time() - began
    assert isinstance(said, Ask | Ignored | Unreadable) or all(isinstance(one, Notice) for one in said)
    assert isinstance(from_fields(octets).recipient, str)
    return spent


@pytest.mark.parametrize("part", range(4))
def test_every_mutated_mail_is_read_in_time(part: int) -> None:
    for number in range(part, fuzzing.COUNT, 4):
        rng = random.Random(number)
        octets = fuzzing.mutate(rng, rng.choice(SEEDS))[:LARGEST]
        recipient = rng.choice((PATH, f"leave@{BOUNCES}", f"subscribe@{BOUNCES}"))
        # Another process may have the machine for a moment: what is slow is slow three times.
        assert any(read(octets, recipient) <= SLOWEST for _ in range(3)), f"number {number} takes long"


def nested(depth: int, kind: str) -> bytes:
    """Parts within parts, each of that type."""
    head = "Return-Path: <>\r\nFrom: MAILER-DAEMON@x.example\r\n"
    if kind == "message/rfc822":
        return (head + f"Content-Type: {kind}\r\n\r\n" * depth).encode()
    opened = [f'Content-Type: {kind}; boundary="b{n}"\r\n\r\n--b{n}\r\n' for n in range(depth)]
    return (head + "".join(opened) + "\r\ntext\r\n").encode()


SHAPES: dict[str, Callable[[], bytes]] = {
    "a thousand multiparts": lambda: nested(1000, "multipart/mixed"),
    "a thousand reports": lambda: nested(1000, "multipart/report"),
    "a thousand mails in mails": lambda: nested(1000, "message/rfc822"),
    "one boundary for all": lambda: nested(1, "multipart/mixed") + b"\r\n--b0\r\n\r\n" * 20_000,
    "blank lines": lambda: b"\r\n" * 100_000,
    "one long line": lambda: b"From: " + b"a" * 200_000,
    "folded for ever": lambda: b"Subject: x" + b"\r\n x" * 60_000,
    "brackets": lambda: b"Authentication-Results: " + b"(" * 100_000 + b")" * 100_000 + b"\r\n\r\n",
    "quotes and brackets": lambda: b"Authentication-Results: mx.example.org; " + b'"(" (") ' * 30_000 + b"\r\n\r\n",
    "escaped quotes": lambda: b'Authentication-Results: mx.example.org; x="' + b'\\"' * 60_000 + b"\r\n\r\n",
    "quotes left open": lambda: b'Authentication-Results: mx.example.org; x="\r\n' * 5_000,
    "many properties": lambda: b"Authentication-Results: mx.example.org; dkim=pass" + b" header.d=x" * 9_000,
    "many fields": lambda: b"Received: x\r\n" * 18_000,
    "many results": lambda: b"Authentication-Results: mx.example.org; dkim=pass\r\n" * 5_000,
    "quotes": lambda: b'Content-Type: multipart/mixed; boundary="' + b"a" * 100_000 + b'"\r\n\r\n',
    "digits": lambda: letters.dsn("5.1.1", "smtp; " + "5.1." * 20_000),
    "words": lambda: letters.dsn("5.0.0", "smtp; " + "mailbox user address recipient " * 4_000),
    "spaces": lambda: letters.dsn("5.0.0", "smtp; domain" + " " * 100_000),
    "addresses": lambda: b"From: MAILER-DAEMON\r\n\r\n" + b"<a@b.example>\r\n" * 15_000,
    "recipients": lambda: b"To: " + b"<a@b.example>, " * 15_000 + b"\r\n\r\n",
    "encoded words": lambda: b"Subject: " + b"=?utf-8?q?a?= " * 15_000 + b"\r\n\r\n",
    "blocks": lambda: b"Content-Type: message/delivery-status\r\n\r\n" + b"Action: failed\r\n\r\n" * 13_000,
    "nothing": lambda: b"",
    "zeros": lambda: bytes(LARGEST),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("recipient", [PATH, f"leave@{BOUNCES}"])
def test_no_shape_of_mail_takes_long_or_goes_too_deep(shape: str, recipient: str) -> None:
    octets = SHAPES[shape]()[:LARGEST]
    assert any(read(octets, recipient) <= SLOWEST for _ in range(3))
