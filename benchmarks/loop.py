"""The comparison: what one would write in an afternoon, 20 connections over `aiosmtplib.SMTP.sendmail`, no ledger.

`python -m benchmarks.loop SETTINGS ISSUE_ID MESSAGES [DKIM_KEY]`. The messages are the copies that our sender makes of
the same issue, which spares the loop the work of making them; with a key each is signed with dkimpy.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiosmtplib
import dkim

from benchmarks.ground import SELECTOR, mailing_of
from benchmarks.issue import SLUG
from benchmarks.stopwatch import timed
from digest.configuration import load
from digest.mail.headers import MUST_BE_SIGNED
from digest.settings import Mailbox, Smtp
from digest.wiring import House, build

Message = tuple[str, bytes]
"""To whom, and what."""
Sign = Callable[[bytes], bytes]


def messages(house: House, issue_id: int, count: int, sign: Sign) -> Iterator[Message]:
    """So many copies of the issue, made when they are asked for."""
    mailing = mailing_of(house, issue_id)
    for number in range(count):
        address = f"reader-{number}@readers{number % 50}.example"
        yield address, sign(b"".join(mailing.copy(address, secrets.token_bytes(16), secrets.token_bytes(16))))


async def send(smtp: Smtp, sender: Mailbox, queue: Iterator[Message]) -> float:
    """Send all messages over the connections of the settings; returns the instant at which it was done."""
    async with asyncio.TaskGroup() as group:
        for _ in range(smtp.connections):
            group.create_task(_lane(smtp, sender, queue))
    return time.monotonic()


async def _lane(smtp: Smtp, sender: Mailbox, queue: Iterator[Message]) -> None:
    async with aiosmtplib.SMTP(
        hostname=smtp.host, port=smtp.port, local_hostname=smtp.hostname, start_tls=False
    ) as one:
        for address, message in queue:
            await one.sendmail(sender.address, [address], message)


def unsigned(message: bytes) -> bytes:
    """The message as it is."""
    return message


def signer(key: bytes, domain: str) -> Sign:
    """Sign with dkimpy what our own signature has to cover."""
    headers = [name.lower().encode() for name in MUST_BE_SIGNED]

    def sign(message: bytes) -> bytes:
        ways = (b"relaxed", b"relaxed")
        made: bytes = dkim.sign(
            message, SELECTOR.encode(), domain.encode(), key, canonicalize=ways, include_headers=headers
        )
        return made + message

    return sign


def main() -> None:
    settings, issue_id, count, *key = sys.argv[1:]
    house = build(load(Path(settings), os.environ))
    sender = house.newsletter(SLUG).sender
    sign = signer(Path(key[0]).read_bytes(), sender.domain) if key else unsigned
    queue = messages(house, int(issue_id), int(count), sign)
    timed(lambda: asyncio.run(send(house.settings.smtp, sender, queue)))


if __name__ == "__main__":
    main()
