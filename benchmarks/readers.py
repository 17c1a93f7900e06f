"""Readers by the hundred thousand: sealed addresses as sign-ups make them, without the letters."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any, cast

import sqlalchemy as sa

from benchmarks.issue import SLUG
from digest.wiring import House
from subscribers.lifecycle import State
from subscribers.models import Subscriber, Subscription
from subscribers.vault import SEALS_PER_KEY, SUBSCRIBER_ADDRESS

# Tables and not classes: for so many rows the mapper's care would take most of the time.
_PEOPLE = cast("sa.Table", Subscriber.__table__)
_TIES = cast("sa.Table", Subscription.__table__)


def add_readers(house: House, count: int) -> None:
    """Enter so many confirmed readers into a database that has none.

    A data key seals as many addresses as it would in life, so that sending has as many keys to open.
    """
    for first in range(1, count + 1, SEALS_PER_KEY):
        house.vault.prepare()
        numbers = range(first, min(first + SEALS_PER_KEY, count + 1))
        with house.database.write() as session:
            session.execute(sa.insert(_PEOPLE), list(_people(house, numbers)))
            session.execute(sa.insert(_TIES), list(_subscriptions(house, numbers)))
    if not house.database.is_sqlite:
        _analyze(house)


def _people(house: House, numbers: range) -> Iterator[dict[str, Any]]:
    for number in numbers:
        address = f"reader-{number}@readers{number % 50}.example"
        public_id = secrets.token_bytes(16)
        yield {
            "id": number,
            "public_id": public_id,
            "address_sealed": house.vault.seal(address, SUBSCRIBER_ADDRESS, public_id),
            "blind_index": house.vault.blind_index(address),
            "created_at": house.clock(),
        }


def _subscriptions(house: House, numbers: range) -> Iterator[dict[str, Any]]:
    now = house.clock()
    for number in numbers:
        yield {
            "id": number,
            "public_id": secrets.token_bytes(16),
            "subscriber_id": number,
            "newsletter": SLUG,
            "state": State.CONFIRMED,
            "language": "en",
            "requested_at": now,
            "confirmed_at": now,
            "method": "import",
            "evidence": "made for a benchmark",
        }


def _analyze(house: House) -> None:
    """Bring the server's picture of its tables up to date: its own housekeeping would do so in the middle of a run."""
    with house.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
