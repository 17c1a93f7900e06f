"""The sender: claims what is due, wires it, speaks SMTP over several connections, and records every step.

It has no rules of its own: `replies` says what answers mean, `ledger` what steps are legal, `course` when to stop.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from digest.mail.commits import Commits
from digest.mail.compose import NotSendable
from digest.mail.course import Course, Run
from digest.mail.lanes import REST, Lanes
from digest.mail.leases import LEASE, Claim, drop_lease, take_lease
from digest.mail.ledger import Verdict
from digest.mail.pace import Rates
from digest.mail.pool import Pool
from digest.mail.replies import CLOSING, Outcome, Stage, interrupted, next_try, outcome, without
from digest.mail.smtp import Envelope, Interrupted, Limits, Refused, Session, open_session
from digest.mail.steps import Result
from digest.mail.work import Copy, Gate, Work
from digest.models import DeliveryState
from digest.settings import Smtp
from subscribers.db import Database

log = structlog.get_logger()

TAKEN_OVER = "another process has taken over"
LOOK_AGAIN = 1.0
"""Seconds between two looks for letters that have come in during a run."""
RENEW = 15.0
"""Seconds between two renewals of the lease."""
FOR_LETTERS = 2
"""Connections that letters have to themselves: however busy an issue keeps the others, a confirmation goes out."""
IDLE = 5.0
"""Seconds that connections are kept open with nothing to send."""
TURN = 0.2
"""Seconds between two looks whether a run is to end, for a connection that waits for its turn."""


@dataclass(frozen=True)
class Engine:
    """What a sender needs and does not choose: the relay, the time, the books."""

    database: Database
    smtp: Smtp
    clock: Callable[[], dt.datetime]
    limits: Limits = field(default_factory=Limits)
    tls: ssl.SSLContext | None = None
    """Whom to trust, where it is not the system's list of authorities."""
    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    rng: random.Random = field(default_factory=random.SystemRandom)

    async def run(self, work: Work, stopping: asyncio.Event) -> Run | None:
        """Send one piece of work with a sender of its own (see `Sender.run`)."""
        async with Sender(self) as sender:
            return await sender.run(work, stopping)


class Sender:
    """One process's connections, lanes and books, shared by all pieces of work that it sends. An async context."""

    def __init__(self, engine: Engine) -> None:
        smtp = engine.smtp
        self.engine = engine
        self.gate = Gate(Lanes(smtp.connections), Rates(smtp.per_second, smtp.per_hour, smtp.per_day))
        self.commits = Commits(engine.database, engine.clock)
        self.pool = Pool(self._open, smtp.connections)
        self._for_letters = Pool(self._open, min(FOR_LETTERS, smtp.connections))
        self._courses: dict[str, Course] = {}
        self._names: set[str] = set()
        """What is on its way here: a lease keeps other processes out, and this one only from what is theirs."""
        self._leaving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.commits.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._leaving:
            self._leaving.cancel()
        await self._goodbye()
        await self.commits.__aexit__()

    async def run(self, work: Work, stopping: asyncio.Event) -> Run | None:
        """Send what is due of a piece of work. None where somebody else is sending it, or this sender already is.

        When `stopping` is set, transactions under way are finished and no new one is begun (S-14).
        """
        if work.name in self._names:
            return None
        self._names.add(work.name)
        try:
            return await self._run(work, stopping)
        finally:
            self._names.discard(work.name)

    async def _run(self, work: Work, stopping: asyncio.Event) -> Run | None:
        engine = self.engine
        claim = Claim(work.name, engine.owner)
        if not await asyncio.to_thread(take_lease, engine.database, claim, engine.clock(), LEASE):
            return None
        course = self._course(work.group)
        course.runs += 1
        run = Run(course)
        keeper = asyncio.create_task(self._keep(claim, run))
        try:
            await self._send(work, claim, run, stopping)
        except NotSendable as error:
            course.stop(str(error))
        finally:
            keeper.cancel()
            course.runs -= 1
            if not course.runs and self._courses[work.group] is course:
                # The next one of this issue begins with a clean slate.
                del self._courses[work.group]
        if not run.lost:
            why = None if course.relay_down else course.stopped
            await asyncio.to_thread(work.end, engine.clock(), why)
            course.is_told = course.stopped is not None
            run.held_until = work.held_until
            await asyncio.to_thread(drop_lease, engine.database, claim)
        if not self._courses and (self._leaving is None or self._leaving.done()):
            self._leaving = asyncio.create_task(self._leave())
        return run

    def _course(self, group: str) -> Course:
        """The course that a piece of work shares with its group: one that stopped ends what was begun before that."""
        course = self._courses.get(group)
        if course is None or course.is_told:
            course = self._courses[group] = Course()
        return course

    async def _send(self, work: Work, claim: Claim, run: Run, stopping: asyncio.Event) -> None:
        run.course.is_first |= await asyncio.to_thread(work.begin, self.engine.clock(), self.gate)
        due = await asyncio.to_thread(work.size)
        pool = self._for_letters if work.grows else self.pool
        width = self.engine.smtp.connections
        async with asyncio.TaskGroup() as lanes:
            for _ in range(min(FOR_LETTERS, width) if work.grows else min(width, due)):
                lanes.create_task(_Lane(self, pool, work, claim, run, stopping).work())
        if run.faults:
            # Not before every answer to a dot was heard: it would be unknown for ever.
            raise ExceptionGroup("connections failed", run.faults)

    async def _keep(self, claim: Claim, run: Run) -> None:
        """Renew the lease while the run lasts. Should it be lost, no intent is granted any more; the run then ends."""
        engine = self.engine
        while not run.lost:
            await asyncio.sleep(RENEW)
            try:
                kept = await asyncio.to_thread(take_lease, engine.database, claim, engine.clock(), LEASE)
            except SQLAlchemyError:
                # The ledger will fail too, and stop the run, unless the database is back before the lease ends.
                log.exception("the lease could not be renewed", lease=claim.name)
                continue
            run.lost = not kept

    async def _open(self) -> Session:
        return await open_session(self.engine.smtp, self.engine.limits, self.engine.tls)

    async def make_room_for(self, pool: Pool) -> None:
        """Let an issue do with one connection less where the relay allows none to letters, which are tried again."""
        if pool is self._for_letters:
            await self.pool.give_way()

    async def _leave(self) -> None:
        """Say goodbye to the relay when nothing has come for a while."""
        await asyncio.sleep(IDLE)
        if not self._courses:
            await self._goodbye()

    async def _goodbye(self) -> None:
        await self.pool.close()
        await self._for_letters.close()


class _Lane:
    """One connection at a time, one message after the other; the next envelope travels with the dot where it may."""

    def __init__(self, sender: Sender, pool: Pool, work: Work, claim: Claim, run: Run, stopping: asyncio.Event) -> None:
        self._sender = sender
        self._engine = sender.engine
        self._pool = pool
        self._work = work
        self._claim = claim
        self._run = run
        self._stopping = stopping
        self._session: Session | None = None
        self._next: Copy | None = None
        self._committed = False
        self._is_going = False
        self._recorded: asyncio.Future[None] | None = None

    async def work(self) -> None:
        async with self._pool.place():
            try:
                await self._work_on()
            except NotSendable as error:
                self._run.course.stop(str(error))
            except Exception as error:  # noqa: BLE001 -- it ends the run, and is raised when the others have ended.
                self._run.faults.append(error)
                self._lose()
            except BaseException:
                # In the middle of a transaction there is no goodbye: it would become part of the text.
                self._lose()
                raise
            if self._session and self._pool.is_good(self._session) and not self._is_going:
                self._pool.keep(self._session)
            elif self._session:
                await self._pool.drop(self._session)

    async def _work_on(self) -> None:
        while copy := await self._take():
            self._run.busy += 1
            try:
                if not await self._deliver(copy):
                    break
            except BaseException:
                # Others may wait for the room that it had in its lane.
                for left in filter(None, (copy, self._next)):
                    self._work.done(left, accepted=False)
                raise
            finally:
                self._run.busy -= 1
        if self._recorded:
            await self._recorded

    async def _take(self) -> Copy | None:
        """The next copy; none when there is no more, or this run is to end."""
        if self._next:
            return self._foreseen(self._next)
        self._is_going = self._session is not None and self._pool.must_go()
        if self._is_over() or self._is_going:
            return None
        copy = await self._work.next(self._engine.clock())
        while copy is None and self._work.grows and self._run.busy and not self._is_over():
            # Another connection may wait minutes for an answer; what comes in meanwhile must not wait with it.
            await asyncio.sleep(LOOK_AGAIN)
            self._work.look_again()
            copy = await self._work.next(self._engine.clock())
        if copy:
            await self._wait_for_turn(copy)
        if copy and self._is_over():
            self._work.give_back(copy)
            return None
        return copy

    async def _wait_for_turn(self, copy: Copy) -> None:
        """Wait for the instant at which the rate limits let a copy out, or for the run's end."""
        try:
            while copy.earliest > time.monotonic() and not self._is_over():  # noqa: ASYNC110 -- no one event ends it.
                await asyncio.sleep(min(TURN, copy.earliest - time.monotonic()))
        except BaseException:
            # Its lane is the whole process's, and would be fuller by one for ever.
            self._work.give_back(copy)
            raise

    def _foreseen(self, copy: Copy) -> Copy | None:
        """The copy whose envelope left with the last dot, unless this run is to end."""
        self._next = None
        if not self._is_over():
            return copy
        self._work.give_back(copy)
        if self._session and self._session.has_begun(copy.envelope):
            # Without a text it is nothing.
            self._lose()
        return None

    def _is_over(self) -> bool:
        """Whether this run is to end."""
        return self._run.is_over or self._stopping.is_set()

    def _lose(self) -> None:
        """Drop the connection: what was begun on it is then nothing."""
        if self._session:
            self._pool.lose(self._session)
            self._session = None

    async def _deliver(self, copy: Copy) -> bool:
        """Try one copy. False where this lane has no connection to go on with."""
        try:
            session = await self._connected(copy)
        except (Refused, Interrupted) as error:
            self._work.give_back(copy)
            if self._pool.has_none:
                await self._sender.make_room_for(self._pool)
                # The others may have got the connections that this relay allows; only without any is it unusable.
                self._run.course.stop(f"the relay cannot be used: {_said(error)}", relay_down=True)
            return False
        was_used = session.sent > 0
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
        self._work.done(copy, accepted=result is not None and result.state is DeliveryState.ACCEPTED)
        return True

    async def _transact(self, session: Session, copy: Copy) -> Outcome | None:
        """The three recorded steps of DATA (S-10). None where the reader or the issue said stop before the dot."""
        self._committed = False
        if not session.has_begun(copy.envelope):
            session.check(copy.envelope)
            await session.begin(copy.envelope)
        await session.accepted()
        await session.body(copy.segments)
        verdict = await self._sender.commits.intend(copy.delivery_id, self._claim, self._recorded)
        if verdict is not Verdict.GO:
            self._lose()
            self._run.halted |= verdict is Verdict.HALT
            self._run.lost |= verdict is Verdict.LOST
            return None
        self._committed = True
        return outcome(Stage.DOT, await session.dot(self._following(session)))

    def _following(self, session: Session) -> Envelope | None:
        """The envelope that may travel with the dot: of a copy that is at hand, and that the relay may be asked for."""
        if self._is_over() or self._pool.is_asked or not session.pipelining or not self._pool.is_good(session):
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
        now = self._engine.clock()
        retry_at = rest_until = None
        result = replace(result, reply=without(result.reply, copy.envelope.recipient))
        if result.state is not DeliveryState.ACCEPTED:
            retry_at = next_try(copy.attempts + 1, now, self._engine.rng)
            log.info(
                "delivery", id=copy.delivery_id, state=result.state.value, scope=result.scope.value, reply=result.reply
            )
        if result.is_too_fast:
            rest_until = now + REST
            retry_at = max(retry_at or rest_until, rest_until)
            self._sender.gate.lanes.slow_down(copy.provider, rest_until)
        self._recorded = self._sender.commits.record(
            Result(copy.delivery_id, result, retry_at, self._committed, copy.provider, rest_until)
        )
        self._run.note(result)

    async def _connected(self, copy: Copy) -> Session:
        session = self._session
        if session and (self._pool.is_good(session) or session.has_begun(copy.envelope)):
            return session
        if session:
            self._session = None
            await self._pool.drop(session)
        self._session = await self._pool.take()
        return self._session


def _said(error: Refused | Interrupted) -> str:
    if isinstance(error, Refused):
        return outcome(error.stage, error.reply).reply
    return interrupted(error.stage, error.why).reply
