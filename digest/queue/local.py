"""Slices in this process: on SQLite, and wherever one command sends one issue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from digest.mail.course import Course, Run
from digest.mail.slices import Slice
from digest.queue.sending import AFTER_A_FAULT, AT_ONCE, Rest, Sending, sleep

log = structlog.get_logger()

LOOK_EVERY = 0.5
"""Seconds between two looks at the database."""


async def serve(sending: Sending, stopping: asyncio.Event) -> None:
    """Send whatever becomes due until `stopping` is set; what is under way is then finished."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_letters(sending, stopping))
        group.create_task(_issues(sending, stopping))


async def _letters(sending: Sending, stopping: asyncio.Event) -> None:
    rest = Rest(after_any_stop=True)

    async def act() -> None:
        rest.after(await sending.letters(stopping), sending.now)

    while not stopping.is_set():
        await guarded("letters", act, stopping)
        await sleep(max(LOOK_EVERY, rest.seconds), stopping)


async def _issues(sending: Sending, stopping: asyncio.Event) -> None:
    slices = Slices(sending, stopping)
    while not stopping.is_set():
        await guarded("issues", slices.step, stopping)
        if slices.has_found_others:
            await sleep(LOOK_EVERY, stopping)
        slices.look_anew()
    await slices.drain()


async def guarded(what: str, act: Callable[[], Awaitable[None]], stopping: asyncio.Event) -> None:
    """Do something that must go on for ever: after a fault, wait and let it be tried again."""
    try:
        await act()
    except Exception:
        # The database is away, a disk is full, or there is a fault of ours: the books stay true, nothing is lost by
        # waiting, and letters must not stand still for an issue's sake.
        log.exception("sending is interrupted", what=what)
        await sleep(AFTER_A_FAULT, stopping)


@dataclass
class Slices:
    """Keeps so many slices on their way at once as `AT_ONCE` says."""

    sending: Sending
    stopping: asyncio.Event
    issue_id: int | None = None
    """The one issue that is meant; none: every one."""
    total: Run = field(default_factory=lambda: Run(Course()))
    _running: dict[Slice, asyncio.Task[Run | None]] = field(default_factory=dict)
    _elsewhere: set[Slice] = field(default_factory=set)
    """What was found to be somebody else's work, for this look."""
    _has_run: bool = False
    _faults: list[Exception] = field(default_factory=list)

    async def step(self) -> None:
        """Begin what is due where there is room, and wait for an end or for the next look.

        Raises the faults of the slices that have ended meanwhile; the others go on, and are waited for by later steps.
        """
        await self._begin()
        await self._wait()
        self._collect()
        self._raise_faults()

    async def until_done(self) -> Run | None:
        """Send all that is due of one issue. None where nothing was, or all of it is somebody else's work.

        After a fault no other slice is begun, and it is raised when those on their way have heard their answers.
        """
        try:
            await self._begin()
            while self._running or self._is_held:
                await (self._wait() if self._running else sleep(self.sending.rest.seconds, self.stopping))
                self._collect()
                if not self.total.is_over and not self._faults:
                    await self._begin()
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)
        self._raise_faults()
        return self.total if self._has_run else None

    @property
    def _is_held(self) -> bool:
        """Whether a quota alone keeps what is left back."""
        is_over = self.total.is_over or self._faults or self.stopping.is_set()
        return self.sending.rest.seconds > 0 and not is_over

    @property
    def has_found_others(self) -> bool:
        """Whether something was due that could not be begun: looking again at once would find the same."""
        return bool(self._elsewhere)

    def look_anew(self) -> None:
        """Forget what was somebody else's work: it may be free by now."""
        self._elsewhere.clear()

    async def drain(self) -> None:
        """Wait for what is on its way, the rest of it also where something fails; raises the faults at the end."""
        while self._running:
            await self._wait()
            self._collect()
        self._raise_faults()

    async def _begin(self) -> None:
        if len(self._running) >= AT_ONCE or self.sending.rest.seconds or self.stopping.is_set():
            return
        for slice_ in await asyncio.to_thread(self.sending.due, self.issue_id):
            if len(self._running) < AT_ONCE and slice_ not in self._running and slice_ not in self._elsewhere:
                self._running[slice_] = asyncio.create_task(self.sending.slice(slice_, self.stopping))

    async def _wait(self) -> None:
        if self.stopping.is_set() and not self._running:
            return
        stop = asyncio.create_task(self.stopping.wait())
        waiting = {*self._running.values()} if self.stopping.is_set() else {*self._running.values(), stop}
        await asyncio.wait(waiting, timeout=LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()

    def _collect(self) -> None:
        for slice_, task in [(one, task) for one, task in self._running.items() if task.done()]:
            del self._running[slice_]
            try:
                self._add(slice_, task.result())
            except Exception as error:  # noqa: BLE001 -- it is raised when the others have ended.
                self._faults.append(error)

    def _raise_faults(self) -> None:
        if faults := self._faults:
            self._faults = []
            raise ExceptionGroup("slices failed", faults)

    def _add(self, slice_: Slice, run: Run | None) -> None:
        if run is None:
            # Somebody else is at it, or it was paused for a fault: the next look at the database decides.
            self._elsewhere.add(slice_)
            return
        self._elsewhere.clear()
        self._has_run = True
        for state, count in run.counts.items():
            self.total.counts[state] = self.total.counts.get(state, 0) + count
        self.total.halted |= run.halted
        if run.stopped:
            self.total.course.stop(run.stopped, relay_down=run.relay_down)
