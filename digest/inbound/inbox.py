"""What has come in is read and carried out, one thing at a time, in the process that has the private key."""

from __future__ import annotations

import datetime as dt
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session, undefer

from digest.inbound import arrivals, keeping, policy
from digest.inbound.applying import NOBODY, Applier, leave
from digest.inbound.notice import Ignored, Notice, Unreadable
from digest.inbound.reading import Ask, Said
from digest.inbound.refusals import Refusals
from digest.models import Arrival, ArrivalState, Bounce
from subscribers.db import Database
from subscribers.forms import Address, parse_address
from subscribers.lifecycle import BY_MAIL
from subscribers.roll import number_of
from subscribers.service import Service
from subscribers.vault import CannotOpen, StoodStill, Vault, WrongKeys

log = structlog.get_logger()

BATCH = 50
"""So many are read before others have their turn."""
SWEEP_EVERY = dt.timedelta(minutes=1)
KEEP_BOUNCES = dt.timedelta(days=35)
"""How long it is known that a copy came back: as long as that it was sent (O-55)."""

_MAY_BE_OVER = (sa.exc.SQLAlchemyError, OSError, WrongKeys, StoodStill)
"""What is no single mail's fault, and may be over by itself; but `DataError` says that the database cannot hold it."""
Readers = Mapping[str, Callable[[bytes], Said]]
"""Who reads what came in, by its source."""


@dataclass
class Inbox:
    """Reads what came in. Any number of them may work on one database."""

    database: Database
    vault: Vault
    service: Service
    readers: Readers
    applier: Applier = field(init=False)
    refusals: Refusals = field(init=False)
    _swept_at: dt.datetime | None = None

    def __post_init__(self) -> None:
        self.applier = Applier(self.vault)
        self.refusals = Refusals(self.database, self.applier)

    def step(self, now: dt.datetime) -> int:
        """Read what waits, at most a batch of it; returns how much that was.

        Raises what may be over by itself: the database is away, these are the wrong keys, or they were rotated while
        this stood still. Then nothing is lost.
        """
        if self._swept_at is None or now - self._swept_at >= SWEEP_EVERY:
            self._swept_at = now
            self.sweep(now)
        self.applier.look_anew()
        waiting = self._waiting()
        for arrival in waiting:
            self._one(arrival, now)
        if waiting:
            self._make_room(now)
        return len(waiting)

    def sweep(self, now: dt.datetime) -> None:
        """Gather what the relay refused, clear quarantined bounces that were not repeated, and delete what is old."""
        self.refusals.sweep(now)
        is_quarantined = Bounce.verdict == policy.Verdict.QUARANTINED.value
        with self.database.write() as session:
            cleared = sa.update(Bounce).where(is_quarantined, Bounce.at <= now - policy.QUARANTINE)
            session.execute(cleared.values(verdict=policy.Verdict.CLEARED.value))
            session.execute(sa.delete(Bounce).where(Bounce.at <= now - KEEP_BOUNCES))
        self._make_room(now)
        if removed := keeping.purge(self.database, now):
            log.info("what came in long ago is removed", count=removed)

    def _make_room(self, now: dt.datetime) -> None:
        if removed := keeping.make_room(self.database, now):
            log.warning("what waited longest for a person is removed unread: too much waits", count=removed)

    def _waiting(self) -> list[Arrival]:
        query = sa.select(Arrival).where(Arrival.state == ArrivalState.WAITING).order_by(Arrival.id).limit(BATCH)
        with self.database.read() as session:
            return list(session.scalars(query.options(undefer(Arrival.sealed))))

    def _one(self, arrival: Arrival, now: dt.datetime) -> None:
        try:
            said = self._said(arrival)
            if isinstance(said, Ask):
                said = self._answer(said, now)
            self._settle(arrival, said, now)
        except Exception as error:
            if isinstance(error, _MAY_BE_OVER) and not isinstance(error, sa.exc.DataError):
                raise
            # One that fails must not keep the others back.
            # Where it happened and of what kind, and not its words: they may be those of the mail.
            where = traceback.extract_tb(error.__traceback__)[-1]
            fault = type(error).__name__
            log.error("what came in cannot be read", arrival=arrival.id, fault=fault, at=f"{where.name}:{where.lineno}")
            self._settle(arrival, Unreadable(f"a fault of ours ({fault}); the log says where"), now)

    def _said(self, arrival: Arrival) -> Said:
        reader = self.readers.get(arrival.source)
        if reader is None:
            return Unreadable(f"nobody here reads what comes from {arrival.source!r}")
        try:
            raw = arrivals.opened(self.vault, arrival)
        except WrongKeys:
            raise
        except CannotOpen:
            return Unreadable("what was stored is damaged")
        return reader(raw)

    def _answer(self, ask: Ask, now: dt.datetime) -> Ignored | Unreadable:
        """Do what a person asked for by mail. Asked twice, as after a crash, it is done once: budgets see to that."""
        address = parse_address(ask.address)
        if not isinstance(address, Address):
            return Unreadable("the sender's address is none that mail can be sent to")
        if ask.joins and ask.newsletter:
            self.service.join(ask.newsletter, address, now, BY_MAIL)
            return Ignored("somebody asked to subscribe")
        with self.database.write() as session:
            person = number_of(session, self.vault, address)
            if person is not None:
                leave(session, person, now, newsletter=ask.newsletter)
        return Ignored("somebody asked to leave")

    def _settle(self, came: Arrival, said: list[Notice] | Ignored | Unreadable, now: dt.datetime) -> None:
        """Carry out what was said and close the arrival, in one transaction: after a crash it is all or nothing."""
        shortened = arrivals.beginning(self.vault, came, keeping.FIRST) if isinstance(said, Unreadable) else None
        mine = sa.select(Arrival).where(Arrival.id == came.id, Arrival.state == ArrivalState.WAITING)
        with self.database.write() as session:
            arrival = session.scalar(mine.with_for_update())
            if arrival is None:
                return
            if isinstance(said, Unreadable):
                arrivals.keep(arrival, said.why, now, shortened)
            else:
                outcome = said.why if isinstance(said, Ignored) else self._apply(session, said, now)
                arrivals.finish(arrival, outcome, now)

    def _apply(self, session: Session, notices: list[Notice], now: dt.datetime) -> str:
        outcomes = [_outcome(notice, self.applier.apply(session, notice, now)) for notice in notices]
        return "; ".join(outcomes[:5]) + (f"; and {len(outcomes) - 5} more" if len(outcomes) > 5 else "")  # noqa: PLR2004


def _outcome(notice: Notice, done: str) -> str:
    if done == NOBODY:
        return f"{notice.sign}: of nobody that is known any more"
    what = " ".join(part for part in (notice.sign.value, notice.status, notice.reason) if part)
    return f"{what}: {done}"
