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
from dataclasses import dataclass, field, replace

import structlog
from sqlalchemy.exc import SQLAlchemyError

from digest.mail import ledger as books
from digest.mail.compose import NotSendable
from digest.mail.ledger import Claim, Ledger, Result, Verdict
from digest.mail.replies import Outcome, Scope, Stage, interrupted, next_try, outcome, without
from digest.mail.smtp import Envelope, Interrupted, Limits, Refused, Session, open_session
from digest.mail.work import Copy, Work
from digest.models import DeliveryState
from digest.settings import Smtp
from subscribers.db import Database

log = structlog.get_logger()

LEASE = dt.timedelta(seconds=60)
TAKEN_OVER = "another process has taken over"
CLOSING = 421
"""The relay's word that it closes the connection (RFC 5321 §3.8)."""
LOOK_AGAIN = 1.0
"""Seconds between two looks for letters that have come in during a run."""
RENEW = 15.0
"""Seconds between two renewals of the lease."""
BREAKER = 10
"""So many refusals in a row that are not about the reader stop the run (S-24)."""
FIRST = 200
BOUNCES = 10
"""More readers than this, of an issue's first 200, refused for good: the list or the relay is at fault (S-24)."""


@dataclass
class Run:
    """What one run did; `stopped` is a sentence when it ended before its work was done."""

    counts: dict[DeliveryState, int] = field(default_factory=dict)
    stopped: str | None = None
    relay_down: bool = False
    """Whether it stopped because the relay could not be spoken to: worth another try by itself, later."""
    lost: bool = False
    """Whether another process has the right to send now: then nothing more may be done here, not even tidying."""
    in_a_row: int = 0
    put_off: int = 0
    bounced: int = 0
    is_first: bool = False
    """Whether nobody of this issue had an outcome when the run began."""
    lanes: int = 0
    """How many connections there may be."""
    busy: int = 0
    """How many of them have a message under way."""

    def note(self, result: Outcome) -> None:
        """Count an outcome, and stop the run where the outcomes say that something is wrong with us (S-24)."""
        self.counts[result.state] = self.counts.get(result.state, 0) + 1
        about_us = result.state is not DeliveryState.ACCEPTED and result.scope is not Scope.RECIPIENT
        put_off = about_us and result.state is DeliveryState.DEFERRED
        self.in_a_row = self.in_a_row + 1 if about_us and not put_off else 0
        self.put_off = self.put_off + 1 if put_off else 0
        bounced = result.state is DeliveryState.REJECTED and result.scope is Scope.RECIPIENT
        if bounced and self.is_first and sum(self.counts.values()) <= FIRST:
            self.bounced += 1
        if self.stopped is None:
            self._judge(result)

    def _judge(self, result: Outcome) -> None:
        if self.in_a_row >= BREAKER:
            self.stopped = f"{self.in_a_row} answers in a row were about us and not about the reader: {result.reply}"
        elif self.bounced > BOUNCES:
            self.stopped = f"{self.bounced} of the first {FIRST} readers were refused for good: {result.reply}"
        elif self.put_off >= BREAKER:
            # It wants us to wait, and so we do: by ourselves, and with everybody.
            self.stopped = f"{self.put_off} answers in a row put us off: {result.reply}"
            self.relay_down = True


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
        if not run.lost:
            await asyncio.to_thread(work.end, self.clock(), None if run.relay_down else run.stopped)
            await asyncio.to_thread(books.drop_lease, self.database, claim)
        return run

    async def _send(self, work: Work, claim: Claim, run: Run, stopping: asyncio.Event) -> None:
        run.is_first = await asyncio.to_thread(work.begin, self.clock())
        due = await asyncio.to_thread(work.size)
        async with Ledger(self.database, claim, self.clock) as ledger, asyncio.TaskGroup() as lanes:
            for _ in range(self.smtp.connections if work.grows else min(self.smtp.connections, due)):
                run.lanes += 1
                lanes.create_task(_Lane(self, work, ledger, run, stopping).work())

    async def _keep(self, claim: Claim, run: Run) -> None:
        """Renew the lease while the run lasts. Should it be lost, no intent is granted any more; the run then ends."""
        while run.stopped is None:
            await asyncio.sleep(RENEW)
            try:
                kept = await asyncio.to_thread(books.take_lease, self.database, claim, self.clock(), LEASE)
            except SQLAlchemyError:
                # The ledger will fail too, and stop the run, unless the database is back before the lease ends.
                log.exception("the lease could not be renewed", lease=claim.name)
                continue
            if not kept:
                run.stopped, run.lost = TAKEN_OVER, True


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
        self._committed = False
        self._recorded: asyncio.Future[None] | None = None

    async def work(self) -> None:
        try:
            while copy := await self._take():
                self._run.busy += 1
                try:
                    if not await self._deliver(copy):
                        break
                finally:
                    self._run.busy -= 1
            if self._recorded:
                await self._recorded
        except NotSendable as error:
            self._run.stopped = self._run.stopped or str(error)
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
            return self._foreseen(self._next)
        copy = None if self._is_over() else await self._work.next(self._engine.clock())
        while copy is None and self._work.grows and self._run.busy and not self._is_over():
            # Another connection may wait minutes for an answer; what comes in meanwhile must not wait with it.
            await asyncio.sleep(LOOK_AGAIN)
            self._work.look_again()
            copy = await self._work.next(self._engine.clock())
        return copy

    def _foreseen(self, copy: Copy) -> Copy | None:
        """The copy whose envelope left with the last dot, unless this run is to end."""
        self._next = None
        if not self._is_over():
            return copy
        self._work.give_back(copy)
        if self._session and self._session.has_begun(copy.envelope):
            # Without a text it is nothing.
            self._session.abort()
        return None

    def _is_over(self) -> bool:
        """Whether this run is to end."""
        return self._run.stopped is not None or self._stopping.is_set()

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
            if was_used and error.stage is Stage.MAIL and error.reply.code == CLOSING:
                return await self._deliver(copy)
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
        self._committed = False
        if not session.has_begun(copy.envelope):
            session.check(copy.envelope)
            await session.begin(copy.envelope)
        await session.accepted()
        await session.body(copy.segments())
        verdict = await self._ledger.intend(copy.delivery_id)
        if self._recorded:
            # It was handed over before the intent, so it is durable now, or the ledger has failed.
            self._recorded.result()
        if verdict is not Verdict.GO:
            session.abort()
            if verdict is Verdict.LOST:
                self._run.stopped, self._run.lost = TAKEN_OVER, True
            return None
        self._committed = True
        return outcome(Stage.DOT, await session.dot(self._following(session)))

    def _following(self, session: Session) -> Envelope | None:
        """The envelope that may travel with the dot: of a copy that is at hand, and that the relay may be asked for."""
        if self._is_over() or not session.pipelining or session.sent >= self._engine.smtp.reuse:
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
        result = replace(result, reply=without(result.reply, copy.envelope.recipient))
        retry_at = next_try(copy.attempts + 1, engine.clock(), engine.rng)
        self._recorded = self._ledger.record(Result(copy.delivery_id, result, retry_at, self._committed, copy.provider))
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
