"""Where jobs run: a loop that asks the database what is to be sent, letters at any time and issues beside them.

Any number of processes may run it on one database: a lease gives each piece of work to one of them at a time, and the
ledger makes even a doubled one harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
import structlog

from digest.mail import ledger
from digest.mail.render import Renderer
from digest.mail.send import Engine, Run
from digest.mail.work import IssueWork, LettersWork
from digest.models import Delivery, DeliveryState, Issue, IssueState
from digest.settings import Newsletter
from subscribers.db import Database
from subscribers.tokens import Links
from subscribers.vault import Vault

log = structlog.get_logger()

LOOK_EVERY = 1.0
"""Seconds between two looks at the database."""
AFTER_A_FAULT = 15.0
"""Seconds to wait after something that should not have happened."""
RELAY_WAIT = (5.0, 15.0, 60.0, 300.0)
"""Seconds to leave a relay alone that could not be spoken to, the first time, the second, … (S-31)."""


@dataclass
class Worker:
    """The sender's loop of one process."""

    database: Database
    vault: Vault
    renderer: Renderer
    links: Links
    newsletters: Mapping[str, Newsletter]
    engine: Engine
    _failures: dict[str, int] = field(default_factory=dict)

    async def run(self, stopping: asyncio.Event) -> None:
        """Send whatever becomes due until `stopping` is set; what is under way is then finished."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat("letters", self.send_letters, stopping))
            group.create_task(self._repeat("issues", self.send_issues, stopping))

    async def send_letters(self, stopping: asyncio.Event) -> Run | None:
        """Send the letters that are due. None where there are none, or somebody else is at it."""
        if not await asyncio.to_thread(self._letters_due):
            return None
        work = LettersWork(self.database, self.vault, self.newsletters, self.links, self.renderer)
        return await self.engine.run(work, stopping)

    async def send_issues(self, stopping: asyncio.Event) -> Run | None:
        """Send what is due of the issues that go out now, one after the other. None where nothing was to be done."""
        last = None
        for issue_id, slug in await asyncio.to_thread(self._issues_due):
            if stopping.is_set():
                break
            try:
                last = await self.send_issue(issue_id, slug, stopping) or last
            except* (sa.exc.SQLAlchemyError, OSError):
                raise
            except* Exception as errors:
                # A fault that this issue alone has must not keep the others back.
                log.exception("an issue cannot be sent", issue=issue_id)
                # Its name alone is stored: what a fault says may hold whatever it failed on, an address included.
                kind = type(errors.exceptions[0]).__name__
                await asyncio.to_thread(self._pause, issue_id, f"a fault of ours ({kind}); the log has it whole")
        return last

    def _pause(self, issue_id: int, reason: str) -> None:
        with self.database.write() as session:
            ledger.pause(session, issue_id, reason, self.engine.clock())

    async def send_issue(self, issue_id: int, slug: str, stopping: asyncio.Event) -> Run | None:
        """Send what is due of one issue. None where somebody else is at it."""
        newsletter = self.newsletters.get(slug)
        if newsletter is None:
            log.error("an issue waits for a newsletter that is no longer declared", newsletter=slug, issue=issue_id)
            await asyncio.to_thread(self._pause, issue_id, f"the newsletter {slug!r} is no longer declared")
            return None
        work = IssueWork(self.database, self.vault, newsletter, self.links, issue_id)
        run = await self.engine.run(work, stopping)
        if run:
            counts = {state.value: count for state, count in run.counts.items()}
            log.info("issue", id=issue_id, newsletter=slug, stopped=run.stopped, **counts)
        return run

    async def _repeat(
        self, name: str, act: Callable[[asyncio.Event], Awaitable[Run | None]], stopping: asyncio.Event
    ) -> None:
        while not stopping.is_set():
            try:
                wait = self._wait_after(name, await act(stopping))
            except Exception:
                # The database is away, a disk is full, or there is a fault of ours: the books stay true, nothing is
                # lost by waiting, and letters must not stand still for an issue's sake.
                log.exception("sending is interrupted", what=name)
                wait = AFTER_A_FAULT
            await _pause(wait, stopping)

    def _wait_after(self, name: str, run: Run | None) -> float:
        if run is None or not run.stopped:
            self._failures[name] = 0
            return LOOK_EVERY
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        wait = RELAY_WAIT[min(failures, len(RELAY_WAIT)) - 1]
        log.warning("the relay is left alone for a while", what=name, seconds=wait, why=run.stopped)
        return wait

    def _letters_due(self) -> bool:
        query = sa.select(Delivery.id).where(ledger.IS_LETTER, *ledger.due(self.engine.clock())).limit(1)
        with self.database.read() as session:
            return session.scalar(query) is not None

    def _issues_due(self) -> list[tuple[int, str]]:
        mine = sa.and_(Delivery.issue_id == Issue.id, ledger.IS_ISSUE)
        due = sa.exists().where(mine, *ledger.due(self.engine.clock()))
        waiting = sa.exists().where(mine, Delivery.state.in_(ledger.OPEN))
        unsettled = sa.exists().where(mine, Delivery.state.in_((*ledger.OPEN, DeliveryState.COMMITTING)))
        goes_out = sa.and_(Issue.state == IssueState.SENDING, sa.or_(due, ~waiting))
        # A cancelled one may have been cut off in the middle: its books are closed too.
        to_close = sa.and_(Issue.state == IssueState.CANCELLED, unsettled)
        query = sa.select(Issue.id, Issue.newsletter).where(sa.or_(goes_out, to_close)).order_by(Issue.id)
        with self.database.read() as session:
            return [(issue_id, slug) for issue_id, slug in session.execute(query)]


async def _pause(seconds: float, stopping: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
