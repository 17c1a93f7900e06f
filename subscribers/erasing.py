"""A person is erased at their own wish; a keyed hash of the address is all that stays, or not even that (O-52)."""

from __future__ import annotations

import datetime as dt
import enum

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from subscribers.db import give_way, is_lock_timeout
from subscribers.fresh import person_of
from subscribers.models import LetterMemory, Subscriber, Suppression
from subscribers.service import Rooms
from subscribers.suppression import ERASED, suppress
from subscribers.vault import CannotOpen, Vault

TRIES = 5


class Mark(enum.StrEnum):
    """What became of the keyed hash."""

    KEPT = "kept"
    GONE = "gone"
    UNKNOWN = "unknown"
    """The row is older than its hash, and this process cannot open the address that it is made from."""


def erase(rooms: Rooms, fresh_token: str, now: dt.datetime, *, keeps_mark: bool) -> Mark | None:
    """Delete the person whom a fresh link names, with all that is kept of them; none where the link is not good.

    It is one transaction. A sender may be writing rows of the same letters in another order, and of two that wait for
    each other PostgreSQL would stop either: so this one gives way, and tries again. Raises `OperationalError` where it
    gave way too often; nothing has changed then.
    """
    for _ in range(TRIES - 1):
        try:
            return _erase(rooms, fresh_token, now, keeps_mark=keeps_mark)
        except OperationalError as error:
            if not is_lock_timeout(error):
                raise
    return _erase(rooms, fresh_token, now, keeps_mark=keeps_mark)


def _erase(rooms: Rooms, fresh_token: str, now: dt.datetime, *, keeps_mark: bool) -> Mark | None:
    with rooms.database.write() as session:
        give_way(session)
        person = person_of(session, fresh_token, now, locked=True)
        if person is None:
            return None
        mark = _mark(session, rooms.vault, person, now, keeps=keeps_mark)
        rooms.records.sever(session, [person.id], now)
        # The budget of fresh links is the only one that is counted by the row's own key.
        session.execute(sa.delete(LetterMemory).where(LetterMemory.rate_key == person.blind_index))
        session.flush()
        # Subscriptions with their evidence, and fresh links, go with the row (ON DELETE CASCADE).
        session.execute(sa.delete(Subscriber).where(Subscriber.id == person.id))
    return mark


def _mark(session: Session, vault: Vault, person: Subscriber, now: dt.datetime, *, keeps: bool) -> Mark:
    """Suppress the address, which also finds its hash; then keep the hash, or delete what there is of it."""
    try:
        suppress(session, vault, person.id, ERASED, now)
    except CannotOpen:
        return Mark.UNKNOWN
    if keeps:
        return Mark.KEPT
    session.flush()
    session.execute(sa.delete(Suppression).where(Suppression.address_hash == person.suppression_hash))
    return Mark.GONE
