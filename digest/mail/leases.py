"""Leases: the right that one sender has for a while to a piece of work. A lost one costs time, never a double."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.mail.changes import changed
from digest.models import Lease
from subscribers.db import Database

LEASE = dt.timedelta(seconds=60)
"""How long a sender has the right that it took or renewed."""


@dataclass(frozen=True)
class Claim:
    """A right to send for a while: the name of the lease and who has it."""

    name: str
    owner: str


def is_taken(now: dt.datetime, length: dt.timedelta = LEASE) -> tuple[sa.ColumnElement[bool], ...]:
    """The conditions of a lease that somebody has.

    One that lies impossibly far ahead was taken by a clock that was wrong, and is nobody's.
    """
    return (Lease.until > now, Lease.until <= now + 2 * length)


def take_lease(database: Database, claim: Claim, now: dt.datetime, length: dt.timedelta) -> bool:
    """Take or renew a lease. False where somebody else has it and it has not run out."""
    with database.write() as session:
        mine_or_old = sa.or_(Lease.owner == claim.owner, ~sa.and_(*is_taken(now, length)))
        statement = sa.update(Lease).where(Lease.name == claim.name, mine_or_old)
        if changed(session, statement.values(owner=claim.owner, until=now + length)):
            return True
        if session.get(Lease, claim.name):
            return False
        try:
            with session.begin_nested():
                session.add(Lease(name=claim.name, owner=claim.owner, until=now + length))
        except sa.exc.IntegrityError:
            return False
        return True


def drop_lease(database: Database, claim: Claim) -> None:
    """Give a lease back, so that the next one need not wait for it to run out."""
    with database.write() as session:
        session.execute(sa.delete(Lease).where(Lease.name == claim.name, Lease.owner == claim.owner))


def has_lease(session: Session, claim: Claim, now: dt.datetime) -> bool:
    """Whether the right to send is still the claimant's."""
    lease = session.get(Lease, claim.name)
    return lease is not None and lease.owner == claim.owner and lease.until > now
