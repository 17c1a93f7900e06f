"""Group commit: the one writer of a sender. What gathers while one commit runs goes into the next (DESIGN 4.3)."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.mail import ledger, steps
from digest.mail.leases import Claim, has_lease
from digest.mail.ledger import Verdict
from digest.mail.steps import Result
from subscribers.db import Database

MOMENT = 0.0007
"""Seconds that a busy ledger waits for others to join the next commit: half as many commits are a quarter less work."""
BUSY = 2000
"""Wishes a second from which on it does so; where the relay is what is waited for, waiting more would cost time."""
LATELY = 0.05
"""Seconds that this is judged by."""


@dataclass
class _Traffic:
    """How many wishes came lately."""

    since: float = 0.0
    count: int = 0
    is_heavy: bool = False

    def note(self, count: int, now: float) -> None:
        """Count some more; `now` is an instant of the loop's clock."""
        if now - self.since > LATELY:
            self.is_heavy = self.count > BUSY * (now - self.since)
            self.since, self.count = now, 0
        self.count += count


@dataclass(frozen=True)
class _Intent:
    """Somebody's wish to send the final dot of a delivery."""

    delivery_id: int
    claim: Claim
    after: asyncio.Future[None] | None
    """What the same connection recorded before: where that was lost, it may not go on."""
    answer: asyncio.Future[Verdict]


@dataclass
class _Gathered:
    """What connections have handed over since the last commit."""

    intents: list[_Intent] = field(default_factory=list)
    outcomes: list[tuple[Result, asyncio.Future[None]]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.intents or self.outcomes)


class Commits:
    """Writes intents before the dot and outcomes after the answer, each durable when its future is done."""

    def __init__(self, database: Database, clock: Callable[[], dt.datetime]) -> None:
        self._database = database
        self._clock = clock
        self._gathered = _Gathered()
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        # A thread of its own: no other work may stand between a connection and its right to send.
        self._thread = ThreadPoolExecutor(1, "commits")
        self._connection: sa.Connection | None = None

    async def __aenter__(self) -> Commits:
        self._task = asyncio.create_task(self._run(), name="commits")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._wake.set()
        if self._task:
            await self._task
        await self._loop.run_in_executor(self._thread, self._forget)
        self._thread.shutdown()

    async def intend(self, delivery_id: int, claim: Claim, after: asyncio.Future[None] | None = None) -> Verdict:
        """Ask to send the final dot of a delivery; on GO the intent is durable, and so is what was recorded before.

        Raises the error of `after`, where that could not be recorded: no connection has two uncertain messages.
        """
        intent = _Intent(delivery_id, claim, after, self._loop.create_future())
        self._gathered.intents.append(intent)
        self._hand_over()
        return await intent.answer

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
        traffic = _Traffic()
        while not (self._closing and not self._gathered):
            await self._wake.wait()
            self._wake.clear()
            if traffic.is_heavy:
                await asyncio.sleep(MOMENT)
            if batch := self._gathered:
                self._gathered = _Gathered()
                traffic.note(len(batch.intents), self._loop.time())
                await self._commit(batch)
                if self._gathered:
                    self._wake.set()

    async def _commit(self, batch: _Gathered) -> None:
        batch.intents = [intent for intent in batch.intents if not _is_barred(intent)]
        try:
            verdicts = await self._loop.run_in_executor(self._thread, self._write, batch)
        except Exception as error:  # noqa: BLE001 -- whoever waits for this commit must learn why it failed.
            _fail(batch, error)
            return
        for intent in batch.intents:
            if not intent.answer.done():
                intent.answer.set_result(verdicts[intent.delivery_id])
                # Granted once: should another have wished for the same in this very commit, it comes second.
                verdicts[intent.delivery_id] = Verdict.STOP
        for _, outcome in batch.outcomes:
            if not outcome.done():
                outcome.set_result(None)

    def _write(self, batch: _Gathered) -> dict[int, Verdict]:
        now = self._clock()
        # One connection for the sender's life: taking one from the pool for each commit costs as much as the commit.
        self._connection = self._connection or self._database.writer()
        try:
            with self._connection.begin():
                return _written(self._connection, batch, now)
        except Exception:
            self._forget()
            raise

    def _forget(self) -> None:
        """Give the connection back; the next commit takes another."""
        if self._connection:
            connection, self._connection = self._connection, None
            connection.close()


def _written(connection: sa.Connection, batch: _Gathered, now: dt.datetime) -> dict[int, Verdict]:
    steps.settle(connection, [result for result, _ in batch.outcomes], now)
    for result, _ in batch.outcomes:
        if result.rest_until and result.provider:
            with Session(connection) as session:
                reply = result.outcome.reply
                ledger.slow_down(session, result.delivery_id, result.provider, result.rest_until, reply, now)
                session.commit()
    wishes: dict[Claim, list[int]] = {}
    for intent in batch.intents:
        wishes.setdefault(intent.claim, []).append(intent.delivery_id)
    verdicts: dict[int, Verdict] = {}
    for claim, wished in wishes.items():
        verdicts |= _judged(connection, claim, wished, now)
    return verdicts


def _judged(connection: sa.Connection, claim: Claim, wished: list[int], now: dt.datetime) -> dict[int, Verdict]:
    """What becomes of the wishes under one claim."""
    won = steps.intend(connection, wished, claim, now)
    verdicts = dict.fromkeys(won, Verdict.GO)
    if lost := [one for one in wished if one not in won]:
        with Session(connection) as session:
            verdicts |= dict.fromkeys(lost, _why_not(session, claim, lost[0], now))
    return verdicts


def _why_not(session: Session, claim: Claim, delivery_id: int, now: dt.datetime) -> Verdict:
    if not has_lease(session, claim, now):
        return Verdict.LOST
    return Verdict.HALT if ledger.is_halted(session, delivery_id) else Verdict.STOP


def _is_barred(intent: _Intent) -> bool:
    """Whether what was to be durable before an intent has failed; whoever asked is told so."""
    error = intent.after.exception() if intent.after and intent.after.done() else None
    if error and not intent.answer.done():
        intent.answer.set_exception(error)
    return error is not None


def _fail(batch: _Gathered, error: Exception) -> None:
    futures: list[asyncio.Future[Any]] = [intent.answer for intent in batch.intents]
    futures += [future for _, future in batch.outcomes]
    for future in futures:
        if not future.done():
            future.set_exception(error)
