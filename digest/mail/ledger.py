"""The ledger: every delivery's state, every legal step, and nothing lost or doubled by a crash (DESIGN 4.2, 4.3).

A step is a conditional update, so that of two who try the same one, one wins. `committing` is durable before the final
dot leaves, the outcome after the relay's answer. Connections hand both to one `Ledger`, which writes whatever has
gathered since its last commit in one transaction (group commit).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.mail.providers import Provider
from digest.mail.replies import Outcome
from digest.models import Delivery, DeliveryState, Issue, IssueState, Lease, LogEntry
from subscribers.db import Database
from subscribers.lifecycle import State
from subscribers.models import Subscription

OPEN = (DeliveryState.QUEUED, DeliveryState.DEFERRED)
"""Still to be tried."""

BEFORE_DOT: dict[DeliveryState, tuple[DeliveryState, ...]] = {
    DeliveryState.COMMITTING: OPEN,
    DeliveryState.DEFERRED: OPEN,
    DeliveryState.REJECTED: OPEN,
    DeliveryState.EXCLUDED: OPEN,
}
"""From which states a step may be taken by somebody who was never told to send the dot.

Such a one may have lost the right to send long ago, and must not touch a delivery that another has committed.
"""

AFTER_DOT: dict[DeliveryState, tuple[DeliveryState, ...]] = {
    DeliveryState.ACCEPTED: (DeliveryState.COMMITTING, DeliveryState.UNKNOWN),
    DeliveryState.REJECTED: (DeliveryState.COMMITTING, DeliveryState.UNKNOWN),
    DeliveryState.DEFERRED: (DeliveryState.COMMITTING,),
    DeliveryState.UNKNOWN: (DeliveryState.COMMITTING,),
}
"""From which states a step may be taken by the one who was told to. An answer that comes late still settles what was
called unknown, but a late "try again" does not: by then the issue's books may be closed."""

IS_ISSUE = Delivery.letter == sa.literal_column("'issue'")
IS_LETTER = Delivery.letter != sa.literal_column("'issue'")
"""Written out and not as a parameter, so that the partial index of letters can be used."""


@dataclass(frozen=True)
class Equation:
    """The accounts of an issue. When `closes`, every reader of the audience has one final outcome."""

    audience: int
    accepted: int
    rejected: int
    excluded: int
    unknown: int
    queued: int
    deferred: int
    committing: int

    @property
    def closes(self) -> bool:
        """Whether audience = accepted + rejected + excluded + unknown."""
        return self.audience == self.accepted + self.rejected + self.excluded + self.unknown


def equation(session: Session, issue_id: int) -> Equation:
    """The accounts of an issue now."""
    query = sa.select(Delivery.state, sa.func.count()).where(*_of_issue(issue_id)).group_by(Delivery.state)
    counts = {state: count for state, count in session.execute(query)}  # noqa: C416 -- typed rows, untyped dict()
    audience = session.scalar(sa.select(Issue.audience).where(Issue.id == issue_id)) or 0
    return Equation(audience=audience, **{state.value: counts.get(state, 0) for state in DeliveryState})


def _of_issue(issue_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    """The readers' deliveries of an issue; an editor's test-send is none."""
    return (Delivery.issue_id == issue_id, IS_ISSUE)


def due(now: dt.datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """What is to be tried now."""
    return (Delivery.state.in_(OPEN), Delivery.due_at <= now)


class Verdict(enum.Enum):
    """What became of the wish to send the final dot."""

    GO = "go"
    """It is durable that the dot is about to leave: it must leave now."""
    STOP = "stop"
    """It must not leave: the reader has left, or the issue is paused."""
    LOST = "lost"
    """It must not leave, and nothing else must: the right to send is somebody else's now."""


@dataclass(frozen=True)
class Claim:
    """A right to send for a while: the name of the lease and who has it (see `take_lease`)."""

    name: str
    owner: str


def _changed(session: Session, statement: sa.Update) -> int:
    """Run an update; returns how many rows it changed."""
    result = session.execute(statement, execution_options={"synchronize_session": False})
    return cast("sa.CursorResult[Any]", result).rowcount


def take_lease(database: Database, claim: Claim, now: dt.datetime, length: dt.timedelta) -> bool:
    """Take or renew a lease. False where somebody else has it and it has not run out."""
    with database.write() as session:
        # One that lies impossibly far ahead was taken by a clock that was wrong.
        mine_or_old = sa.or_(Lease.owner == claim.owner, Lease.until <= now, Lease.until > now + 2 * length)
        statement = sa.update(Lease).where(Lease.name == claim.name, mine_or_old)
        if _changed(session, statement.values(owner=claim.owner, until=now + length)):
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


def recover(session: Session, *, issue_id: int | None, now: dt.datetime) -> int:
    """What a dead sender left in `committing` becomes `unknown` (S-12). Only for whoever holds the lease."""
    which = _of_issue(issue_id) if issue_id is not None else (IS_LETTER,)
    reason = "the sender stopped between the final dot and the relay's answer"
    return _changed(
        session,
        sa.update(Delivery)
        .where(*which, Delivery.state == DeliveryState.COMMITTING)
        .values(state=DeliveryState.UNKNOWN, settled_at=now, reply=reason, attempts=Delivery.attempts + 1),
    )


@dataclass(frozen=True)
class Result:
    """What became of one try of a delivery."""

    delivery_id: int
    outcome: Outcome
    retry_at: dt.datetime
    """When to try again, for a deferred one."""
    committed: bool
    """Whether the ledger had said GO for it."""
    provider: Provider | None = None
    """Whose mailbox it is, where its address could be opened."""


@dataclass
class _Gathered:
    """What connections have handed over since the last commit."""

    intents: list[tuple[int, asyncio.Future[Verdict]]] = field(default_factory=list)
    outcomes: list[tuple[Result, asyncio.Future[None]]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.intents or self.outcomes)


class Ledger:
    """The one writer of a running sender: intents before the dot, outcomes after the answer, in group commits.

    `due` is told when a deferred delivery is to be tried again: it maps (delivery id, now) to an instant.
    """

    def __init__(self, database: Database, claim: Claim, clock: Callable[[], dt.datetime]) -> None:
        self._database = database
        self._claim = claim
        self._clock = clock
        self._gathered = _Gathered()
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    async def __aenter__(self) -> Ledger:
        self._task = asyncio.create_task(self._run(), name="ledger")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._wake.set()
        if self._task:
            await self._task

    async def intend(self, delivery_id: int) -> Verdict:
        """Ask to send the final dot of a delivery; on GO the intent is durable, and so is what was recorded before."""
        future: asyncio.Future[Verdict] = self._loop.create_future()
        self._gathered.intents.append((delivery_id, future))
        self._hand_over()
        return await future

    def record(self, result: Result) -> asyncio.Future[None]:
        """Hand over an outcome; it is durable when the future is done."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._gathered.outcomes.append((result, future))
        self._hand_over()
        return future

    def _hand_over(self) -> None:
        if self._task is None or self._task.done():
            raise RuntimeError("the ledger is closed")
        self._wake.set()

    async def _run(self) -> None:
        while not (self._closing and not self._gathered):
            await self._wake.wait()
            self._wake.clear()
            if batch := self._gathered:
                self._gathered = _Gathered()
                await self._commit(batch)
                if self._gathered:
                    self._wake.set()

    async def _commit(self, batch: _Gathered) -> None:
        futures: list[asyncio.Future[Any]] = [future for _, future in batch.intents]
        futures += [future for _, future in batch.outcomes]
        try:
            won, otherwise = await asyncio.to_thread(self._write, batch)
        except Exception as error:  # noqa: BLE001 -- whoever waits for this commit must learn why it failed.
            for future in futures:
                if not future.done():
                    future.set_exception(error)
            return
        for delivery_id, intent in batch.intents:
            if not intent.done():
                intent.set_result(Verdict.GO if delivery_id in won else otherwise)
        for _, outcome in batch.outcomes:
            if not outcome.done():
                outcome.set_result(None)

    def _write(self, batch: _Gathered) -> tuple[set[int], Verdict]:
        now = self._clock()
        with self._database.write() as session:
            settle(session, [result for result, _ in batch.outcomes], now)
            wished = [delivery_id for delivery_id, _ in batch.intents]
            won = intend(session, wished, self._claim, now)
            is_lost = len(won) < len(wished) and not has_lease(session, self._claim, now)
        return won, Verdict.LOST if is_lost else Verdict.STOP


def has_lease(session: Session, claim: Claim, now: dt.datetime) -> bool:
    """Whether the right to send is still the claimant's."""
    lease = session.get(Lease, claim.name)
    return lease is not None and lease.owner == claim.owner and lease.until > now


_UNWANTED = sa.and_(
    Delivery.subscription_id.is_not(None),
    ~sa.exists().where(Subscription.id == Delivery.subscription_id, Subscription.state != State.LEFT),
)
"""A letter to somebody who has left meanwhile, or said "never"."""


def intend(session: Session, delivery_ids: Sequence[int], claim: Claim, now: dt.datetime) -> set[int]:
    """Mark deliveries as about to be committed; returns those that may be.

    In one statement with the step, the database is asked once more whether the reader still wants it (promise 1),
    whether the issue is still being sent, and whether the lease is still ours.
    """
    if not delivery_ids:
        return set()
    still_reads = sa.exists().where(Subscription.id == Delivery.subscription_id, Subscription.state == State.CONFIRMED)
    still_sending = sa.exists().where(Issue.id == Delivery.issue_id, Issue.state == IssueState.SENDING)
    still_ours = sa.exists().where(Lease.name == claim.name, Lease.owner == claim.owner, Lease.until > now)
    statement = (
        sa.update(Delivery)
        .where(
            Delivery.id.in_(delivery_ids),
            Delivery.state.in_(BEFORE_DOT[DeliveryState.COMMITTING]),
            sa.or_(sa.and_(IS_LETTER, ~_UNWANTED), sa.and_(IS_ISSUE, still_reads, still_sending)),
            still_ours,
        )
        .values(state=DeliveryState.COMMITTING)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    return set(session.scalars(statement))


def settle(session: Session, results: Iterable[Result], now: dt.datetime) -> None:
    """Record outcomes. A step that is not legal from where the delivery stands changes nothing."""
    table = cast("sa.Table", Delivery.__table__)
    alike: dict[tuple[DeliveryState, bool], list[dict[str, object]]] = {}
    for result in results:
        failed = result.outcome.state is not DeliveryState.ACCEPTED
        row: dict[str, object] = {
            "which": result.delivery_id,
            "the_reply": result.outcome.reply,
            "the_provider": result.provider.value if result.provider else None,
            "the_scope": result.outcome.scope.value if failed else None,
        }
        if result.outcome.state is DeliveryState.DEFERRED:
            row["the_due"] = result.retry_at
        alike.setdefault((result.outcome.state, result.committed), []).append(row)
    for (state, committed), rows in alike.items():
        before = (AFTER_DOT if committed else BEFORE_DOT)[state]
        # One alternative a state instead of IN: an executemany() knows no lists.
        legal = sa.or_(*(table.c.state == one for one in before))
        statement = sa.update(table).where(table.c.id == sa.bindparam("which"), legal)
        session.connection().execute(statement.values(_settled(table, state, now)), rows)


def _settled(table: sa.Table, state: DeliveryState, now: dt.datetime) -> dict[str, object]:
    """What a delivery's row says after an outcome."""
    values: dict[str, object] = {
        "state": state,
        "reply": sa.bindparam("the_reply"),
        "provider": sa.bindparam("the_provider"),
        "scope": sa.bindparam("the_scope"),
        "attempts": table.c.attempts + 1,
        "settled_at": None if state is DeliveryState.DEFERRED else now,
    }
    if state is DeliveryState.DEFERRED:
        values["due_at"] = sa.bindparam("the_due")
    elif state is not DeliveryState.UNKNOWN:
        # What the letter said (a link with a token) has done its work.
        values["context_sealed"] = None
    return values


def exclude_gone(session: Session, issue_id: int, now: dt.datetime) -> int:
    """Settle as `excluded` whoever of an issue's audience no longer wants it. Returns how many."""
    reads = sa.exists().where(Subscription.id == Delivery.subscription_id, Subscription.state == State.CONFIRMED)
    return _exclude(session, (*_of_issue(issue_id), ~reads), "left before the final dot", now)


def exclude_all(session: Session, issue_id: int, reason: str, now: dt.datetime) -> int:
    """Settle as `excluded` whatever of an issue has not left: it was cancelled. Returns how many."""
    return _exclude(session, _of_issue(issue_id), reason, now)


def exclude_unwanted_letters(session: Session, now: dt.datetime) -> int:
    """Settle as `excluded` the letters to people who have left meanwhile. Returns how many."""
    return _exclude(session, (IS_LETTER, _UNWANTED), "left before the final dot", now)


def _exclude(session: Session, which: tuple[sa.ColumnElement[bool], ...], reason: str, now: dt.datetime) -> int:
    change = sa.update(Delivery).where(*which, Delivery.state.in_(BEFORE_DOT[DeliveryState.EXCLUDED]))
    return _changed(
        session,
        change.values(state=DeliveryState.EXCLUDED, settled_at=now, reply=reason, context_sealed=None),
    )


def give_up(session: Session, *, issue_id: int | None, now: dt.datetime) -> int:
    """Settle as `rejected` what has been tried for long enough (S-30), of an issue or of the letters."""
    which = _of_issue(issue_id) if issue_id is not None else (IS_LETTER,)
    return _changed(
        session,
        sa.update(Delivery)
        .where(*which, Delivery.state.in_(OPEN), Delivery.give_up_at <= now)
        .values(
            state=DeliveryState.REJECTED,
            settled_at=now,
            context_sealed=None,
            reply=sa.func.coalesce(Delivery.reply, "") + " (given up: no more time to try)",
        ),
    )


def prolong(session: Session, issue_id: int, until: dt.datetime) -> None:
    """Try what has waited until then at least: it was paused meanwhile."""
    waiting = sa.and_(*_of_issue(issue_id), Delivery.state.in_(OPEN), Delivery.give_up_at < until)
    _changed(session, sa.update(Delivery).where(waiting).values(give_up_at=until))


def finish(session: Session, issue_id: int, now: dt.datetime) -> bool:
    """Close the issue's books if nothing is left to be tried. Returns whether it is now sent."""
    left = sa.exists().where(*_of_issue(issue_id), Delivery.state.in_((*OPEN, DeliveryState.COMMITTING)))
    return bool(
        _changed(
            session,
            sa.update(Issue)
            .where(Issue.id == issue_id, Issue.state == IssueState.SENDING, ~left)
            .values(state=IssueState.SENT, finished_at=now),
        )
    )


def pause(session: Session, issue_id: int, reason: str, now: dt.datetime) -> None:
    """Stop an issue that is being sent, and say why; a person has to look."""
    paused = _changed(
        session,
        sa.update(Issue)
        .where(Issue.id == issue_id, Issue.state == IssueState.SENDING)
        .values(state=IssueState.PAUSED, hold_reason=reason),
    )
    if paused:
        name = session.get_one(Issue, issue_id).name
        session.add(LogEntry(at=now, who="sender", action="pause", object=name, detail=reason))
