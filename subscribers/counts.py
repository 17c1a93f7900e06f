"""Buckets that all processes fill together, without a row that every request has to wait for.

Each process counts in memory. Every few seconds it adds what is new to the database's rows, in one short transaction,
and reads what the others have added: so a budget may be overrun by what comes in between, and a request costs the
database nothing. That it costs nothing also keeps it even (O-20): counting takes the same for every address.

There is a fixed number of buckets. A domain has the one that a keyed hash of its name falls on, so that no row says
which domains sign up.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.budgets import HOUR, Bucket
from subscribers.db import Database, insert_into
from subscribers.models import FormCount

EVERY = 2.0
"""Seconds between two meetings of a process with the database."""


class Counts:
    """The buckets by their numbers; safe to use from several threads. `sizes` says how large each that is used is."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._seen: dict[int, Bucket] = {}
        """As the database had them, with what this process has added since."""
        self._new: dict[int, tuple[Bucket, float]] = {}
        """What this process has added since, and the bucket's size."""
        self._last = {True: 0.0, False: 0.0}

    def left(self, number: int, size: float, now: dt.datetime) -> float:
        """How full a bucket is."""
        return self._seen.get(number, Bucket()).left(size, now.timestamp())

    def add(self, sizes: Mapping[int, float], now: dt.datetime) -> None:
        """Put one into each of these buckets."""
        with self._lock:
            for number, size in sizes.items():
                self._seen[number] = self._seen.get(number, Bucket()).with_more(1, size, now.timestamp())
                more, _ = self._new.get(number, (Bucket(), size))
                self._new[number] = more.with_more(1, size, now.timestamp()), size

    def is_due(self, now: dt.datetime, *, to_add: bool) -> bool:
        """Whether it is time to look, or to add besides; true for one caller only."""
        with self._lock:
            if abs(now.timestamp() - self._last[to_add]) < EVERY:
                return False
            self._last[to_add] = now.timestamp()
            return True

    def look(self) -> None:
        """Learn what others have added; changes nothing. Raises what the database raises."""
        with self._database.read() as session:
            self._learn(_read(session))

    def meet(self, now: dt.datetime) -> None:
        """Add what is new to the database, and learn what others have added. Raises what the database raises."""
        with self._lock:
            new, self._new = self._new, {}
        try:
            found = self._exchange(new, now.timestamp())
        except sa.exc.SQLAlchemyError:
            self._take_back(new)
            raise
        self._learn(found)

    def _learn(self, found: dict[int, Bucket]) -> None:
        with self._lock:
            # What was not added yet, or while the database answered, is not in its rows.
            for number, (more, size) in self._new.items():
                found[number] = found.get(number, Bucket()).with_more(more.level, size, more.at)
            self._seen = found

    def _exchange(self, new: Mapping[int, tuple[Bucket, float]], now: float) -> dict[int, Bucket]:
        with self._database.write() as session:
            # In one order, so that two processes never wait for each other.
            for number, (more, size) in sorted(new.items()):
                if left := more.left(size, now):
                    session.execute(_added(session, number, left, size, now))
            session.execute(sa.delete(FormCount).where(FormCount.at < now - HOUR))
            return _read(session)

    def _take_back(self, new: Mapping[int, tuple[Bucket, float]]) -> None:
        with self._lock:
            for number, (more, size) in new.items():
                since, _ = self._new.get(number, (Bucket(), size))
                self._new[number] = more.with_more(since.level, size, since.at), size


def _read(session: Session) -> dict[int, Bucket]:
    rows = session.execute(sa.select(FormCount.number, FormCount.level, FormCount.at)).all()
    return {number: Bucket(level, at) for number, level, at in rows}


def _added(session: Session, number: int, more: float, size: float, now: float) -> sa.sql.dml.Insert:
    """The row with so much put in, as `Bucket.with_more` has it."""
    insert = insert_into(session, FormCount)
    passed = sa.case((FormCount.at < now, now - FormCount.at), else_=0.0)
    left = FormCount.level - size / HOUR * passed
    return insert.values(number=number, level=more, at=now).on_conflict_do_update(
        index_elements=[FormCount.number],
        set_={
            "level": sa.case((left > 0, left), else_=0.0) + more,
            "at": sa.case((FormCount.at < now, now), else_=FormCount.at),
        },
    )
