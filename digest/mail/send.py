"""The sender: claims what is due, wires it, speaks SMTP over several connections, and records every step.

It has no rules of its own: `replies` says what answers mean, `ledger` what steps are legal.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from digest.mail import ledger as books
from digest.mail.compose import NotSendable
from digest.mail.ledger import Claim, Ledger, Verdict
from digest.mail.replies import Outcome, Scope, Stage, interrupted, next_try, outcome
from digest.mail.smtp import Envelope, Interrupted, Limits, Refused, Session, open_session
from digest.mail.work import Copy, Work
from digest.models import DeliveryState
from digest.settings import Smtp
from subscribers.db import Database

log = structlog.get_logger()

LEASE = dt.timedelta(seconds=60)
RENEW = 15.0
"""Seconds between two renewals of the lease."""
BREAKER = 10
"""So many refusals in a row that are not about the reader stop the run (S-24)."""


@dataclass
class Run:
    """What one run did; `stopped` is a sentence when it ended before its work was done."""

    counts: dict[DeliveryState, int] = field(default_factory=dict)
    stopped: str | None = None
    relay_down: bool = False
    """Whether it stopped because the relay could not be spoken to: worth another try by itself, later."""
    in_a_row: int = 0
    lanes: int = 0
    """How many connections are at work."""

    def note(self, result: Outcome) -> None:
        """Count an outcome, and open the breaker after too many refusals in a row that are not about the reader."""
        self.counts[result.state] = self.counts.get(result.state, 0) + 1
        about_us = result.state is not DeliveryState.ACCEPTED and result.scope is not Scope.RECIPIENT
        self.in_a_row = self.in_a_row + 1 if about_us else 0
        if self.in_a_row >= BREAKER and self.stopped is None:
            self.stopped = f"{self.in_a_row} answers in a row were about us and not about the reader: {result.reply}"


@dataclass(frozen=True)
class Engine:
    """What a run needs and does not choose: the relay, the time, the books."""

    database: Database
    smtp: Smtp
    clock: Callable[[], dt.datetime]
    limits: Limits = field(default_factory=Limits)
    tls: ssl.SSLContext | None = None
    """Whom to trust, where it is not the system's list of authorities."""
    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    rng: random.Random = field(default_factory=random.SystemRandom)

    async def run(self, work: Work, stopping: asyncio.Event) -> Run | None:
        """Send what is due of a piece of work. None where somebody else is sending it.

        When `stopping` is set, transactions under way are finished and no new one is begun (S-14).
        """
        claim = Claim(work.name, self.owner)
        if not await asyncio.to_thread(books.take_lease, self.database, claim, self.clock(), LEASE):
            return None
        run = Run()
        keeper = asyncio.create_task(self._keep(claim, run))
        try:
            await self._send(work, claim, run, stopping)
        except NotSendable as error:
            run.stopped = str(error)
        finally:
            keeper.cancel()
        await asyncio.to_thread(work.end, self.clock(), None if run.relay_down else run.stopped)
        await asyncio.to_thread(books.drop_lease, self.database, claim)
        return run

    async def _send(self, work: Work, claim: Claim, run: Run, stopping: asyncio.Event) -> None:
        await asyncio.to_thread(work.begin, self.clock())
        due = await asyncio.to_thread(work.size)
        async with Ledger(self.database, claim, self.clock) as ledger, asyncio.TaskGroup() as lanes:
            for _ in range(min(self.smtp.connections, due)):
                run.lanes += 1
                lanes.create_task(_Lane(self, work, ledger, run, stopping).work())

    async def _keep(self, claim: Claim, run: Run) -> None:
        """Renew the lease while the run lasts. Should it be lost, no intent is granted any more; the run then ends."""
        while run.stopped is None:
            await asyncio.sleep(RENEW)
            if not await asyncio.to_thread(books.take_lease, self.database, claim, self.clock(), LEASE):
                run.stopped = "another process has taken over"


class _Lane:
    """One connection at a time, one message after the other; the next envelope travels with the dot where it may."""

    def __init__(self, engine: Engine, work: Work, ledger: Ledger, run: Run, stopping: asyncio.Event) -> None:
        self._engine = engine
        self._work = work
        self._ledger = ledger
        self._run = run
        self._stopping = stopping
        self._session: Session | None = None
        self._next: Copy | None = None
        self._recorded: asyncio.Future[None] | None = None

    async def work(self) -> None:
        try:
            while (copy := await self._take()) and await self._deliver(copy):
                pass
            if self._recorded:
                await self._recorded
        except BaseException:
            # In the middle of a transaction there is no goodbye: it would become part of the text.
            if self._session:
                self._session.abort()
            raise
        finally:
            self._run.lanes -= 1
        if self._session:
            await self._session.close()

    async def _take(self) -> Copy | None:
        """The next copy; none when there is no more, or this run is to end."""
        if self._next:
            copy, self._next = self._next, None
            if self._run.stopped is None and not self._stopping.is_set():
                return copy
            self._work.give_back(copy)
            if self._session and self._session.has_begun(copy.envelope):
                # Its envelope left with the last dot; without a text it is nothing.
                self._session.abort()
            return None
        if self._run.stopped is not None or self._stopping.is_set():
            return None
        return await self._work.next(self._engine.clock())

    async def _deliver(self, copy: Copy) -> bool:
        """Try one copy. False where this lane has no connection to go on with."""
        was_used = self._session is not None and self._session.usable
        try:
            session = await self._connected(copy)
        except (Refused, Interrupted) as error:
            self._work.give_back(copy)
            if self._run.lanes == 1:
                # The others may have got the connections that this relay allows; only the last one gives up.
                self._run.stopped = f"the relay cannot be used: {_said(error)}"
                self._run.relay_down = True
            return False
        try:
            result = await self._transact(session, copy)
        except Refused as error:
            result = outcome(error.stage, error.reply)
        except Interrupted as error:
            if was_used and error.stage is Stage.MAIL:
                # A relay may close between two messages without a word (S-44, B-10): that was no attempt.
                return await self._deliver(copy)
            result = interrupted(error.stage, error.why)
        if result:
            self._record(copy, result)
        return True

    async def _transact(self, session: Session, copy: Copy) -> Outcome | None:
        """The three recorded steps of DATA (S-10). None where the reader or the issue said stop before the dot."""
        if not session.has_begun(copy.envelope):
            session.check(copy.envelope)
            await session.begin(copy.envelope)
        await session.accepted()
        await session.body(copy.segments())
        verdict = await self._ledger.intend(copy.delivery_id)
        if self._recorded:
            # It was handed over before the intent, so it is durable now, or the ledger has failed.
            self._recorded.result()
        if verdict is Verdict.STOP:
            session.abort()
            return None
        return outcome(Stage.DOT, await session.dot(self._following(session)))

    def _following(self, session: Session) -> Envelope | None:
        """The envelope that may travel with the dot: of a copy that is at hand, and that the relay may be asked for."""
        is_over = self._run.stopped is not None or self._stopping.is_set()
        if is_over or not session.pipelining or session.sent >= self._engine.smtp.reuse:
            return None
        self._next = self._work.at_hand()
        if self._next is None:
            return None
        try:
            session.check(self._next.envelope)
        except Refused:
            return None
        return self._next.envelope

    def _record(self, copy: Copy, result: Outcome) -> None:
        engine = self._engine
        retry_at = next_try(copy.attempts + 1, engine.clock(), engine.rng)
        self._recorded = self._ledger.record(copy.delivery_id, result, retry_at)
        self._run.note(result)
        if result.state is not DeliveryState.ACCEPTED:
            log.info(
                "delivery", id=copy.delivery_id, state=result.state.value, scope=result.scope.value, reply=result.reply
            )

    async def _connected(self, copy: Copy) -> Session:
        session = self._session
        if session and session.usable and (session.sent < self._engine.smtp.reuse or session.has_begun(copy.envelope)):
            return session
        if session:
            await session.close()
        self._session = None
        self._session = await open_session(self._engine.smtp, self._engine.limits, self._engine.tls)
        return self._session


def _said(error: Refused | Interrupted) -> str:
    if isinstance(error, Refused):
        return outcome(error.stage, error.reply).reply
    return interrupted(error.stage, error.why).reply
