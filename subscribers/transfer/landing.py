"""A batch of people becomes rows: one short transaction each, so that whoever signs up meanwhile hardly waits."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.db import Database, lock_names
from subscribers.lifecycle import IMPORT, OWN_METHODS, Event, Format, State, entered
from subscribers.models import Subscriber, Subscription, Suppression
from subscribers.suppression import LEFT_ELSEWHERE, add_suppression, end
from subscribers.transfer.bulk import BulkInsert, Lookup, write_much
from subscribers.transfer.plan import ENDED, REASONS, Fate, Here, decide
from subscribers.transfer.systems import Standing
from subscribers.vault import check_standing

BATCH = 2000
"""People of one transaction: a tenth of a second. More would also be more locks than PostgreSQL has room for."""

_PEOPLE = cast("sa.Table", Subscriber.__table__)
_TIES = cast("sa.Table", Subscription.__table__)
_NEVER = cast("sa.Table", Suppression.__table__)


@dataclass(slots=True)
class Person:
    """Somebody of the file, with what is to be stored of them."""

    line: int
    cells: Sequence[str]
    """The row as it stood, where it may go to the file of those that were not taken in."""
    standing: Standing
    is_shown: bool
    """Whether it is shown that they agreed, by the export or by the operator's sentence."""
    blind_index: bytes
    suppression_hash: bytes
    mailbox_hash: bytes | None
    """Of the mailbox in whatever spelling, where its owner complained there."""
    public_id: bytes
    """Empty until they are put in order, which ids are given out in (`runs`)."""
    address: str
    """As it is mailed, until it is stored sealed; empty where nothing will be stored."""
    sealed: bytes
    """Empty where nothing will be stored."""
    asked_at: dt.datetime
    confirmed_at: dt.datetime
    ended_at: dt.datetime | None
    evidence: str
    language: str
    format: Format = Format.SUMMARIES
    is_neutral: bool = False
    paused_until: dt.datetime | None = None

    def __repr__(self) -> str:
        return f"Person(line {self.line})"

    def __reduce__(self) -> tuple[type[Person], tuple[Any, ...]]:
        """How they go from one process to the other, three times as quick as by default."""
        return Person, _everything(self)


_everything = attrgetter(*(one.name for one in fields(Person)))

Fates = dict[bytes, Fate]
"""What becomes of people, by their blind index."""


class Landing:
    """Takes people in for one newsletter."""

    def __init__(self, database: Database, newsletter: str) -> None:
        self._database = database
        self._newsletter = newsletter
        dialect = database.engine.dialect
        self._add_people = BulkInsert(
            _PEOPLE,
            ("id", "public_id", "address_sealed", "blind_index", "suppression_hash"),
            dialect,
            always=("created_at",),
        )
        self._add_ties = BulkInsert(_TIES, _TIE_COLUMNS, dialect, always=("newsletter", "state", "method"))
        columns = ("id", "blind_index", "suppression_hash")
        self._find_people = Lookup(_PEOPLE, columns, ("blind_index", "suppression_hash"), dialect)
        self._find_suppressions = Lookup(_NEVER, ("address_hash", "reason"), ("address_hash",), dialect)
        self._add_suppressions = BulkInsert(_NEVER, ("address_hash", "mailbox_hash", "reason", "month"), dialect)

    def survey(self, people: Sequence[Person]) -> Fates:
        """What would become of them. Nothing is written."""
        with self._database.read() as session:
            return self._decide(people, self._suppressed(session, people), self._here(session, people))

    def land(self, people: Sequence[Person], now: dt.datetime) -> Fates:
        """Take a batch in: all of it, or nothing. Doing it twice changes nothing more.

        Raises `vault.StoodStill` where a key was rotated away that they were sealed with; seal them anew then.
        """
        with self._database.write() as session:
            write_much(session.connection())
            check_standing(session, (one.sealed for one in people if one.sealed))
            lock_names(session, (one.suppression_hash for one in people))
            suppressed, here = self._suppressed(session, people), self._here(session, people)
            fates = self._decide(people, suppressed, here)
            self._let_in([one for one in people if fates[one.blind_index] is Fate.NEW], here, session, now)
            self._confirm([one for one in people if fates[one.blind_index] is Fate.WAITED], here, session)
            self._turn_away([one for one in people if one.standing in ENDED], fates, suppressed, here, session, now)
        return fates

    def _decide(self, people: Sequence[Person], suppressed: Mapping[bytes, str], here: Mapping[bytes, Here]) -> Fates:
        return {
            one.blind_index: decide(
                one.standing,
                one.ended_at,
                here.get(one.blind_index),
                is_suppressed=one.suppression_hash in suppressed,
            )
            for one in people
        }

    def _suppressed(self, session: Session, people: Sequence[Person]) -> dict[bytes, str]:
        hashes = [one.suppression_hash for one in people]
        return {row.address_hash: row.reason for row in self._find_suppressions(session.connection(), hashes)}

    def _here(self, session: Session, people: Sequence[Person]) -> dict[bytes, Here]:
        """Whom of them we know; their rows are held until the transaction ends."""
        # While the index key is being changed, a row may have the other key's index; its suppression hash stays.
        names = {one.suppression_hash: one.blind_index for one in people}
        found_ones = self._find_people(session.connection(), list(names.values()), list(names), hold_by="id")
        known = {row.id: names.get(row.suppression_hash or b"", row.blind_index) for row in found_ones}
        if not known:
            return {}
        ties: dict[int, list[sa.Row[int, str, State, dt.datetime | None, dt.datetime | None, str]]] = {}
        found = sa.select(
            Subscription.subscriber_id,
            Subscription.newsletter,
            Subscription.state,
            Subscription.left_at,
            Subscription.confirmed_at,
            Subscription.method,
        ).where(Subscription.subscriber_id.in_(known))
        for row in session.execute(found):
            ties.setdefault(row.subscriber_id, []).append(row)
        return {blind: self._of(number, ties.get(number, ())) for number, blind in known.items()}

    def _of(
        self,
        subscriber_id: int,
        ties: Sequence[sa.Row[int, str, State, dt.datetime | None, dt.datetime | None, str]],
    ) -> Here:
        this = next((tie for tie in ties if tie.newsletter == self._newsletter), None)
        own = [
            tie.confirmed_at
            for tie in ties
            if tie.state is State.CONFIRMED and tie.method in OWN_METHODS and tie.confirmed_at is not None
        ]
        return Here(
            subscriber_id,
            this.state if this else None,
            this.left_at if this else None,
            max(own, default=None),
        )

    def _let_in(self, people: list[Person], here: Mapping[bytes, Here], session: Session, now: dt.datetime) -> None:
        # In the order of one index at least, the pages that are written lie closer together; and the file's own order,
        # which may say something about people, is forgotten.
        people.sort(key=lambda one: one.blind_index)
        unknown = [one for one in people if one.blind_index not in here]
        numbers = self._numbers(session, len(unknown))
        ids = {one.blind_index: number for one, number in zip(unknown, numbers, strict=True)}
        rows = (
            (ids[one.blind_index], one.public_id, one.sealed, one.blind_index, one.suppression_hash) for one in unknown
        )
        connection = session.connection()
        self._add_people(connection, rows, created_at=now)
        ties = self._ties(people, lambda blind: ids.get(blind) or here[blind].subscriber_id)
        self._add_ties(connection, ties, newsletter=self._newsletter, state=State.CONFIRMED, method=IMPORT)

    def _ties(self, people: Sequence[Person], number_of: Callable[[bytes], int]) -> Iterator[tuple[object, ...]]:
        random = secrets.token_bytes(12 * len(people))
        for place, one in enumerate(people):
            yield (
                # It begins like the person's own, so that it lies close to the batch's others in its index (`runs`).
                one.public_id[:4] + random[12 * place : 12 * place + 12],
                number_of(one.blind_index),
                one.language,
                one.asked_at,
                one.confirmed_at,
                one.evidence,
                one.format,
                one.is_neutral,
                one.paused_until,
            )

    def _numbers(self, session: Session, count: int) -> Sequence[int]:
        """Ids for so many new rows."""
        if self._database.is_sqlite:
            # Its writer is alone from the beginning of the transaction. The highest number that ever was is kept there.
            query = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :table")
            last = session.scalar(query, {"table": _PEOPLE.name}) or 0
            return range(last + 1, last + 1 + count)
        # What the sequence is called is asked for once, and all come in one value: else they take six times as long.
        called = "(SELECT pg_get_serial_sequence('subscribers', 'id')::regclass)"
        numbers = f"SELECT array_agg(nextval({called})) FROM generate_series(1, :count)"  # noqa: S608 -- our own words.
        return session.scalar(sa.text(numbers), {"count": count}) or ()

    def _confirm(self, people: list[Person], here: Mapping[bytes, Here], session: Session) -> None:
        """Those who wait here for a confirmation that the other system has already."""
        by_id = {here[one.blind_index].subscriber_id: one for one in people}
        for subscription in self._held(session, by_id, only_this=True):
            state = entered(subscription.state, subscription.left_at)
            if state and subscription.state is not state:
                one = by_id[subscription.subscriber_id]
                subscription.state = state
                subscription.requested_at, subscription.confirmed_at = one.asked_at, one.confirmed_at
                subscription.method, subscription.evidence = IMPORT, one.evidence
                subscription.confirm_hash = subscription.confirm_until = None

    def _turn_away(
        self,
        people: list[Person],
        fates: Fates,
        suppressed: Mapping[bytes, str],
        here: Mapping[bytes, Here],
        session: Session,
        now: dt.datetime,
    ) -> None:
        ended = [one for one in people if fates[one.blind_index] is not Fate.STAYS]
        fresh = [one for one in ended if one.suppression_hash not in suppressed]
        month = f"{now:%Y-%m}"
        rows = ((one.suppression_hash, one.mailbox_hash, REASONS[one.standing], month) for one in fresh)
        self._add_suppressions(session.connection(), rows)
        for one in ended:
            if suppressed.get(one.suppression_hash, REASONS[one.standing]) != REASONS[one.standing]:
                add_suppression(session, one.suppression_hash, REASONS[one.standing], now, one.mailbox_hash)
        by_id = {here[one.blind_index].subscriber_id: one for one in ended if one.blind_index in here}
        for subscription in self._held(session, by_id, only_this=False):
            reason = REASONS[by_id[subscription.subscriber_id].standing]
            if reason == LEFT_ELSEWHERE:
                end(subscription, Event.LEFT, now)
            else:
                end(subscription, Event.SUPPRESSED, now, reason)

    def _held(self, session: Session, ids: Mapping[int, Person], *, only_this: bool) -> Sequence[Subscription]:
        if not ids:
            return ()
        query = sa.select(Subscription).where(Subscription.subscriber_id.in_(ids))
        if only_this:
            query = query.where(Subscription.newsletter == self._newsletter)
        return session.scalars(query.order_by(Subscription.id).with_for_update()).all()


_TIE_COLUMNS = (
    "public_id",
    "subscriber_id",
    "language",
    "requested_at",
    "confirmed_at",
    "evidence",
    "format",
    "is_neutral",
    "paused_until",
)
