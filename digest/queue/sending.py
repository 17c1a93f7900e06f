"""One process's sending: a slice or the letters, with what goes wrong turned into a pause or a rest."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
import structlog

from digest.mail import ledger
from digest.mail.course import Run
from digest.mail.dkim import Signer
from digest.mail.issue_work import IssueWork, Mailings
from digest.mail.letters_work import LettersWork
from digest.mail.render import Renderer
from digest.mail.send import Sender
from digest.mail.slices import Slice, close_finished, due_slices
from digest.models import Delivery, Issue, IssueState
from digest.settings import Newsletter
from subscribers.db import Database
from subscribers.tokens import Links
from subscribers.vault import Vault

log = structlog.get_logger()

AT_ONCE = 3
"""Slices on their way in one process at a time: while the last copies of one wait for answers, the next begins."""
AFTER_A_FAULT = 15.0
"""Seconds to wait after something that should not have happened."""
RELAY_WAIT = (5.0, 15.0, 60.0, 300.0)
"""Seconds to leave a relay alone that could not be spoken to, the first time, the second, … (S-31)."""


@dataclass(frozen=True)
class Kit:
    """What every piece of work is made with."""

    database: Database
    vault: Vault
    renderer: Renderer
    links: Links
    newsletters: Mapping[str, Newsletter]
    signers: Mapping[str, Signer] = field(default_factory=dict)
    """Who signs a newsletter's mail with DKIM; the relay signs for one that is not in it."""


@dataclass
class Rest:
    """How long something is left alone: the relay that cannot be used, a quota that is used up."""

    after_any_stop: bool = False
    """Whether every stop is followed by a rest. An issue is paused for most; letters cannot be, and wait a while."""
    failures: int = 0
    until: float = 0.0
    """An instant of the running loop's clock."""

    def after(self, run: Run | None, now: dt.datetime) -> None:
        """Take the end of a run into account."""
        loop_now = asyncio.get_running_loop().time()
        if run is not None and run.held_until:
            self.until = loop_now + (run.held_until - now).total_seconds()
        if run is None or not run.stopped:
            self.failures = 0
        elif (run.relay_down or self.after_any_stop) and not self.seconds:
            # Several slices may learn of one failure: they all ended while none was begun any more.
            self.failures += 1
            wait = RELAY_WAIT[min(self.failures, len(RELAY_WAIT)) - 1]
            self.until = loop_now + wait
            log.warning("the relay is left alone for a while", seconds=wait, why=run.stopped)

    @property
    def seconds(self) -> float:
        """How long it still lasts."""
        return max(0.0, self.until - asyncio.get_running_loop().time())


@dataclass
class Sending:
    """What a process sends with, and what it has learnt about the relay."""

    kit: Kit
    sender: Sender
    rest: Rest = field(default_factory=Rest)
    mailings: Mailings = field(init=False)

    def __post_init__(self) -> None:
        self.mailings = Mailings(self.kit.links, self.kit.signers)

    @property
    def now(self) -> dt.datetime:
        """The time by the sender's clock."""
        return self.sender.engine.clock()

    async def letters(self, stopping: asyncio.Event) -> Run | None:
        """Send the letters that are due. None where there are none, or somebody else is at it."""
        if not await asyncio.to_thread(self.letters_due):
            return None
        kit = self.kit
        work = LettersWork(kit.database, kit.vault, kit.newsletters, kit.links, kit.renderer, kit.signers)
        return await self.sender.run(work, stopping)

    async def slice(self, slice_: Slice, stopping: asyncio.Event) -> Run | None:
        """Send what is due of a slice; a fault that its issue alone has pauses it. None where somebody else is at it.

        Raises what may be over by itself: the database is away, a disk is full.
        """
        run = None
        try:
            run = await self._sent(slice_, stopping)
        except* (sa.exc.SQLAlchemyError, OSError):
            raise
        except* Exception as errors:
            # A fault that this issue alone has must not keep the others back.
            log.exception("an issue cannot be sent", issue=slice_.issue_id)
            # Its name alone is stored: what a fault says may hold whatever it failed on, an address included.
            kind = type(_first(errors)).__name__
            await asyncio.to_thread(self._pause, slice_.issue_id, f"a fault of ours ({kind}); the log has it whole")
        if run:
            self.rest.after(run, self.now)
        return run

    async def _sent(self, slice_: Slice, stopping: asyncio.Event) -> Run | None:
        slug = await asyncio.to_thread(self._newsletter_of, slice_.issue_id)
        newsletter = self.kit.newsletters.get(slug) if slug else None
        if newsletter is None:
            log.error("an issue waits for a newsletter that is not declared", newsletter=slug, issue=slice_.issue_id)
            reason = f"the newsletter {slug!r} is no longer declared"
            await asyncio.to_thread(self._put_aside, slice_, reason)
            return None
        kit = self.kit
        work = IssueWork(kit.database, kit.vault, newsletter, self.mailings, slice_)
        run = await self.sender.run(work, stopping)
        if run:
            counts = {state.value: count for state, count in run.counts.items()}
            log.info("slice", issue=slice_.issue_id, number=slice_.number, stopped=run.stopped, **counts)
        return run

    def letters_due(self) -> bool:
        """Whether any letter is to be sent now, or was left by a dead sender between the dot and the answer."""
        due = sa.select(Delivery.id).where(ledger.IS_LETTER, *ledger.due(self.now)).limit(1)
        with self.kit.database.read() as session:
            return session.scalar(due) is not None or ledger.is_abandoned(session, self.now)

    def due(self, issue_id: int | None = None) -> list[Slice]:
        """The slices that have something to do now; on the way, books that only want closing are closed."""
        with self.kit.database.read() as session:
            found = due_slices(session, self.now, issue_id)
        if not found:
            with self.kit.database.write() as session:
                close_finished(session, self.now)
        return found

    def _put_aside(self, slice_: Slice, reason: str) -> None:
        """Pause an issue that cannot be sent; of one that is cancelled close the books, or it is due for ever."""
        self._pause(slice_.issue_id, reason)
        mine = ledger.of_slice(slice_.issue_id, slice_.number)
        with self.kit.database.write() as session:
            if session.get_one(Issue, slice_.issue_id).state is IssueState.CANCELLED:
                ledger.recover(session, mine, self.now)
                ledger.exclude_all(session, mine, "the issue was cancelled", self.now)

    def _pause(self, issue_id: int, reason: str) -> None:
        with self.kit.database.write() as session:
            ledger.pause(session, issue_id, reason, self.now)

    def _newsletter_of(self, issue_id: int) -> str | None:
        with self.kit.database.read() as session:
            return session.scalar(sa.select(Issue.newsletter).where(Issue.id == issue_id))


def _first(error: BaseException) -> BaseException:
    """The first single fault in a group of them."""
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def sleep(seconds: float, stopping: asyncio.Event) -> None:
    """Wait so long, or until `stopping` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
