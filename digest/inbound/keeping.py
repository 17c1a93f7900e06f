"""How much of what comes in is kept, and how long: anybody can write to us, and nobody may fill the disk (O-55).

What waits to be read is bounded where it is taken in, and the mail server keeps the rest. What waits for a person is
bounded as it is put aside, and the oldest goes first.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.inbound.arrivals import MAIL
from digest.models import Arrival, ArrivalState
from subscribers.db import Database

KEEP = dt.timedelta(days=14)
"""How long what came in is kept, and that something came (O-55)."""
FIRST = 32 * 1024
"""So many octets are kept of what waits for a person: a mail's fields, and enough of its text."""
MOST = 1000
MOST_OCTETS = 16 * 1024 * 1024
"""So many things wait for a person, and so many octets of them together."""
MOST_UNREAD = 256 * 1024 * 1024
"""Octets of mail that wait for the worker, from which on the mail server is asked to come later."""
MOST_REMEMBERED = 200_000
"""So many mails are remembered after they were read, to know one that is handed over again: more than a week brings."""
LOOK_EVERY = dt.timedelta(seconds=2)
_GONE = "removed unread, since too much waits for a person"
_SIZE = sa.func.coalesce(sa.func.length(Arrival.sealed), 0)
_UNREAD_MAIL = (Arrival.state == ArrivalState.WAITING, Arrival.source == MAIL)


@dataclass
class Unread:
    """How much mail waits to be read, looked up every few seconds."""

    database: Database
    _looked_at: dt.datetime | None = None
    _is_too_much: bool = field(default=False)

    def is_too_much(self, now: dt.datetime) -> bool:
        """Whether no more is to be taken in just now."""
        if self._looked_at is None or abs(now - self._looked_at) >= LOOK_EVERY:
            self._looked_at = now
            with self.database.read() as session:
                octets = session.scalar(sa.select(sa.func.sum(_SIZE)).where(*_UNREAD_MAIL))
            self._is_too_much = (octets or 0) >= MOST_UNREAD
        return self._is_too_much


def make_room(database: Database, now: dt.datetime) -> int:
    """Let go of what has waited longest for a person, where too much does; returns how many that were.

    That they came is remembered: what is told twice must not be done twice.
    """
    with database.read() as session:
        over = _too_many(session)
    if over:
        gone = {"state": ArrivalState.DONE, "sealed": None, "settled_at": now}
        mine = sa.update(Arrival).where(Arrival.id.in_(over), Arrival.state == ArrivalState.KEPT)
        with database.write() as session:
            session.execute(mine.values(**gone, outcome=sa.literal(f"{_GONE}: ") + Arrival.outcome))
    return len(over)


def _too_many(session: Session) -> list[int]:
    kept = sa.select(Arrival.id, _SIZE.label("size")).where(Arrival.state == ArrivalState.KEPT)
    over, octets = [], 0
    for count, row in enumerate(session.execute(kept.order_by(Arrival.id.desc()))):
        octets += row.size
        if count >= MOST or octets > MOST_OCTETS:
            over.append(row.id)
    return over


def purge(database: Database, now: dt.datetime) -> int:
    """Delete what came in long ago and is done or was kept (O-55); what nobody has read yet stays. Returns how many.

    Of very much mail what came first goes sooner. What a provider told is remembered the whole time, since its request
    could be sent again by somebody else (N-33).
    """
    old = sa.and_(Arrival.state != ArrivalState.WAITING, Arrival.arrived_at <= now - KEEP)
    with database.write() as session:
        newest = session.scalar(sa.select(sa.func.max(Arrival.id))) or 0
        is_done = sa.and_(Arrival.state == ArrivalState.DONE, Arrival.source == MAIL)
        many = sa.and_(is_done, Arrival.id <= newest - MOST_REMEMBERED)
        return cast("sa.CursorResult[Any]", session.execute(sa.delete(Arrival).where(sa.or_(old, many)))).rowcount


def trouble(database: Database) -> str | None:
    """What whoever runs this should know of what came in, in a sentence; none where all is well."""
    is_gone = (Arrival.state == ArrivalState.DONE, Arrival.outcome.startswith(_GONE))
    with database.read() as session:
        octets = session.scalar(sa.select(sa.func.sum(_SIZE)).where(*_UNREAD_MAIL)) or 0
        gone = session.scalar(sa.select(sa.func.count()).select_from(Arrival).where(*is_gone))
    if octets >= MOST_UNREAD:
        megabytes = octets // 2**20
        return f"{megabytes} MB of mail wait, and no more is taken in: run a process that has the private key"
    if gone:
        return (
            f"{gone} that waited for a person went unread in the last {KEEP.days} days, since no more than {MOST} "
            f"or {MOST_OCTETS // 2**20} MB are kept; see who writes so much, and what is there (`digest inbound list`)"
        )
    return None
