"""The sender's loop of one process: letters at any time, and issues beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from digest.inbound.inbox import Inbox
from digest.issues.overdue import WORKER, beat
from digest.mail.course import Run
from digest.mail.send import Engine, Sender
from digest.queue import jobs, local
from digest.queue.sending import Kit, Sending, sleep

BEAT_EVERY = 60.0
"""Seconds between two signs of life."""
READ_EVERY = 2.0
"""Seconds between two looks whether anything came in."""


@dataclass(frozen=True)
class Worker:
    """Sends what is due, in this process. Any number of them may run on one database.

    A lease gives each piece of work to one of them at a time, and the ledger makes even a doubled one harmless.
    """

    kit: Kit
    engine: Engine
    inbox: Inbox | None = None
    """What reads bounces and other mail that came in, beside the sending."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Send whatever becomes due until `stopping` is set; what is under way is then finished."""
        async with self._sending() as sending, asyncio.TaskGroup() as group:
            serve = local.serve if self.kit.database.is_sqlite else jobs.serve
            group.create_task(serve(sending, stopping))
            group.create_task(self._beat(stopping))
            if self.inbox:
                group.create_task(self._read(self.inbox, stopping))

    async def _beat(self, stopping: asyncio.Event) -> None:
        """Say every minute that a worker is at work: else somebody is told that nothing can leave."""

        async def step() -> None:
            await asyncio.to_thread(beat, self.kit.database, WORKER, self.engine.clock())

        while not stopping.is_set():
            await local.guarded("beat", step, stopping)
            await sleep(BEAT_EVERY, stopping)

    async def _read(self, inbox: Inbox, stopping: asyncio.Event) -> None:
        """Read what came in, a handful at a time, and look again every few seconds."""
        found = 0

        async def step() -> None:
            nonlocal found
            found = 0
            found = await asyncio.to_thread(inbox.step, self.engine.clock())

        while not stopping.is_set():
            await local.guarded("inbound", step, stopping)
            await sleep(0 if found else READ_EVERY, stopping)

    async def send_letters(self, stopping: asyncio.Event) -> Run | None:
        """Send the letters that are due now. None where there are none, or somebody else is at it."""
        async with self._sending() as sending:
            return await sending.letters(stopping)

    async def send_issues(self, stopping: asyncio.Event) -> Run | None:
        """Send what is due now of the issues that go out. None where nothing was to be done."""
        return await self._send(stopping, None)

    async def send_issue(self, issue_id: int, stopping: asyncio.Event) -> Run | None:
        """Send what is due now of one issue. None where nothing was, or somebody else is at it."""
        return await self._send(stopping, issue_id)

    async def _send(self, stopping: asyncio.Event, issue_id: int | None) -> Run | None:
        async with self._sending() as sending:
            return await local.Slices(sending, stopping, issue_id).until_done()

    @asynccontextmanager
    async def _sending(self) -> AsyncIterator[Sending]:
        async with Sender(self.engine) as sender:
            yield Sending(self.kit, sender)
