"""The list, readable: everybody who is confirmed, and what they chose. Only who holds the private key can make it."""

from __future__ import annotations

import datetime as dt
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlalchemy as sa

from subscribers.db import Database
from subscribers.lifecycle import State
from subscribers.models import Subscriber, Subscription
from subscribers.transfer.rejects import open_for_owner, write_row
from subscribers.transfer.systems import OWN_COLUMNS
from subscribers.vault import SUBSCRIBER_ADDRESS, Vault
from subscribers.wordings import in_full, wordings

PAGE = 1000
"""Rows of one look at the database."""


def count_readers(database: Database, newsletter: str) -> int:
    """How many an export would hold."""
    query = sa.select(sa.func.count()).where(
        Subscription.newsletter == newsletter, Subscription.state == State.CONFIRMED
    )
    with database.read() as session:
        return session.scalar(query) or 0


def export(
    database: Database, vault: Vault, newsletter: str, path: Path, on_page: Callable[[int], None] = lambda _: None
) -> int:
    """Write everybody who is confirmed to a new file of mode 0600; returns how many.

    The file appears whole or not at all. Whoever has left is not in it, and no hash of whoever must never be mailed.
    Raises `FileExistsError`, `OSError`, `vault.CannotOpen`.
    """
    if path.exists():
        raise FileExistsError(str(path))
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    count = 0
    try:
        with open_for_owner(unfinished, replace=False) as file:
            write_row(file, OWN_COLUMNS)
            for row in _rows(database, vault, newsletter):
                write_row(file, row)
                count += 1
                if count % PAGE == 0:
                    on_page(count)
            file.flush()
            os.fsync(file.fileno())
        os.link(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def _rows(database: Database, vault: Vault, newsletter: str) -> Iterator[tuple[str, ...]]:
    last = 0
    with database.read() as session:
        known = wordings(session)
    while page := _page(database, newsletter, last):
        for tie, person in page:
            address = vault.open(person.address_sealed, SUBSCRIBER_ADDRESS, person.public_id)
            yield _cells(tie, address, known)
        last = page[-1][0].id


def _page(database: Database, newsletter: str, last: int) -> list[tuple[Subscription, Subscriber]]:
    query = (
        sa.select(Subscription, Subscriber)
        .join(Subscriber, Subscription.subscriber_id == Subscriber.id)
        .where(Subscription.newsletter == newsletter, Subscription.state == State.CONFIRMED, Subscription.id > last)
        .order_by(Subscription.id)
        .limit(PAGE)
    )
    with database.read() as session:
        return [(row[0], row[1]) for row in session.execute(query)]


def _cells(tie: Subscription, address: str, known: dict[str, str]) -> tuple[str, ...]:
    return (
        address,
        "subscribed",
        _instant(tie.requested_at),
        _instant(tie.confirmed_at),
        tie.language,
        tie.format.value,
        "yes" if tie.is_neutral else "no",
        _instant(tie.paused_until),
        tie.method,
        in_full(tie.evidence, known),
    )


def _instant(at: dt.datetime | None) -> str:
    return at.isoformat() if at else ""
