"""Rate limits per second, hour and day, kept by all senders of a database together (S-46)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy.orm import Session

from digest.models import Quota
from subscribers.db import insert_into

_SPANS = {"hour": dt.timedelta(hours=1), "day": dt.timedelta(days=1)}

HANDFUL = 2.0
"""Seconds' worth of messages that are asked for at once, so that a pause loses little."""
CROWD = 100
"""So many handfuls may be given away ahead: one for each slice on its way, in all processes."""


@dataclass(frozen=True)
class Rates:
    """At most so many messages; none: as many as the relay takes."""

    per_second: float | None = None
    per_hour: int | None = None
    per_day: int | None = None

    @property
    def are_set(self) -> bool:
        """Whether there is any limit."""
        return any((self.per_second, self.per_hour, self.per_day))

    def handful(self, most: int) -> int:
        """How many to ask for at once: not more than two seconds' worth, so that a pause loses little."""
        return most if self.per_second is None else max(1, min(most, int(HANDFUL * self.per_second)))


@dataclass(frozen=True)
class Grant:
    """So many messages may be begun, the first after `wait` seconds, the others `spacing` seconds after each other."""

    count: int
    wait: float = 0.0
    spacing: float = 0.0
    again_at: dt.datetime | None = None
    """Where nothing may be sent: when to ask again."""


def reserve(session: Session, rates: Rates, wanted: int, now: dt.datetime) -> Grant:
    """Take up to so many messages from what the limits leave. Writes; what is not used is lost, never sent twice."""
    count = wanted
    for name, limit in (("hour", rates.per_hour), ("day", rates.per_day)):
        if limit is not None:
            left = limit - _counted(session, name, now).used
            if left <= 0:
                return Grant(0, again_at=_counted(session, name, now).since + _SPANS[name])
            count = min(count, left)
    charge(session, rates, count, now)
    return _spaced(session, rates.per_second, count, now) if rates.per_second else Grant(count)


def charge(session: Session, rates: Rates, count: int, now: dt.datetime) -> None:
    """Count messages that are sent in any case: a confirmation waits for no quota, but it uses it."""
    for name, limit in (("hour", rates.per_hour), ("day", rates.per_day)):
        if limit is not None:
            _counted(session, name, now).used += count
    session.flush()


def _counted(session: Session, name: str, now: dt.datetime) -> Quota:
    """The running hour or day, begun anew where it is over."""
    row = _row(session, name, now)
    # A clock that went back must not leave us with a day that never ends.
    if not row.since <= now < row.since + _SPANS[name]:
        row.since, row.used = now, 0
    return row


def _spaced(session: Session, per_second: float, count: int, now: dt.datetime) -> Grant:
    """Messages follow each other at the rate: what is given away reaches from the last one's instant on."""
    row = _row(session, "second", now)
    spacing = 1 / per_second
    # What lies further ahead than a crowd of senders can have asked for was given away by a clock that was wrong.
    plausible = now + CROWD * dt.timedelta(seconds=max(HANDFUL, spacing))
    begin = row.since if now <= row.since <= plausible else now
    row.since = begin + dt.timedelta(seconds=count * spacing)
    session.flush()
    return Grant(count, (begin - now).total_seconds(), spacing)


def _row(session: Session, name: str, now: dt.datetime) -> Quota:
    row = session.get(Quota, name, with_for_update=True)
    if row is None:
        # Of several that ask for the first time at once, one makes the row and the others wait for it.
        first = insert_into(session, Quota).values(name=name, since=now, used=0)
        session.execute(first.on_conflict_do_nothing())
        row = session.get_one(Quota, name, with_for_update=True)
    return row
