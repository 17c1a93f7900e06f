"""What comes in is sealed and stored before anybody is told that it was taken (O-55, N-31).

Taking in needs no key that opens anything: a door may stand on the machine that faces the network. What was taken in is
read later, by a process that has the private key.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

from digest.models import Arrival, ArrivalState
from subscribers.db import Database, insert_into
from subscribers.vault import ARRIVAL, CannotOpen, StoodStill, Vault, WrongKeys, check_standing

LARGEST = 1024 * 1024
"""Octets of the largest thing that is taken in: a provider's notice (N-31). A mail may have less (N-11)."""
MAIL = "mail"
"""The source of what a mail server hands over."""


def take_in(database: Database, vault: Vault, source: str, key: bytes, raw: bytes, now: dt.datetime) -> bool:
    """Keep what came in, sealed; it is durable when this returns. True where it is new.

    `key` names what makes it the same thing (an event's id, a message's octets and recipient): what comes twice is
    kept once. Raises `sqlalchemy.exc.SQLAlchemyError` where it was not kept, and `ValueError` for what is too large.
    """
    return take_in_all(database, vault, source, [(key, raw)], now) == 1


def take_in_all(
    database: Database, vault: Vault, source: str, pairs: Sequence[tuple[bytes, bytes]], now: dt.datetime
) -> int:
    """Keep several things that came in at once, all or none; how many are new. Raises like `take_in`.

    A pair is a key and the octets.
    """
    if any(len(raw) > LARGEST for _, raw in pairs):
        raise ValueError(f"more than {LARGEST} octets are not taken in")
    try:
        return _keep(database, [_row(vault, source, key, raw, now) for key, raw in pairs])
    except StoodStill:
        vault.prepare(0)
        return _keep(database, [_row(vault, source, key, raw, now) for key, raw in pairs])


def _keep(database: Database, rows: Sequence[dict[str, Any]]) -> int:
    # In an order of their own: two requests with the same events would else wait for each other on PostgreSQL.
    found = sorted(rows, key=lambda row: bytes(row["key"]))
    new = 0
    with database.write() as session:
        check_standing(session, (row["sealed"] for row in found))
        for row in found:
            put = insert_into(session, Arrival).values(row).on_conflict_do_nothing(index_elements=[Arrival.key])
            new += session.scalar(put.returning(Arrival.id)) is not None
    return new


def _row(vault: Vault, source: str, key: bytes, raw: bytes, now: dt.datetime) -> dict[str, Any]:
    public_id = secrets.token_bytes(16)
    vault.prepare()
    return {
        "public_id": public_id,
        "source": source,
        "key": hashlib.sha256(source.encode() + b"\0" + key).digest(),
        "arrived_at": now,
        # One character an octet: the vault seals text, and what comes in may be of any encoding or none.
        "sealed": vault.seal(raw.decode("latin-1"), ARRIVAL, public_id),
        "state": ArrivalState.WAITING,
        "outcome": "",
    }


def opened(vault: Vault, arrival: Arrival) -> bytes:
    """The octets that came in; its deferred column must be loaded. Raises `vault.CannotOpen`."""
    if arrival.sealed is None:
        raise CannotOpen("what came in was removed when it was done")
    return vault.open(arrival.sealed, ARRIVAL, arrival.public_id).encode("latin-1")


def finish(arrival: Arrival, outcome: str, now: dt.datetime) -> None:
    """It is done: what came in is removed, and a sentence about it stays."""
    arrival.state, arrival.outcome, arrival.settled_at, arrival.sealed = ArrivalState.DONE, outcome, now, None


def keep(arrival: Arrival, why: str, now: dt.datetime, shortened: bytes | None = None) -> None:
    """A person has to look at it; it stays sealed until they have, or until its time is over (O-55).

    `shortened`: its beginning, sealed, where not all of it is to be kept.
    """
    arrival.state, arrival.outcome, arrival.settled_at = ArrivalState.KEPT, why, now
    if shortened is not None:
        arrival.sealed = shortened


def beginning(vault: Vault, arrival: Arrival, size: int) -> bytes | None:
    """The first octets of what came in, sealed in its place; none where it is no longer than that, or is damaged.

    Raises `vault.WrongKeys`, and `vault.StoodStill`.
    """
    try:
        raw = opened(vault, arrival)
    except WrongKeys:
        raise
    except CannotOpen:
        return None
    if len(raw) <= size:
        return None
    vault.prepare()
    return vault.seal(raw[:size].decode("latin-1"), ARRIVAL, arrival.public_id)
