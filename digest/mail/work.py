"""What there is to send, loaded a handful at a time: the part that is the same for an issue's slices and for letters.

Addresses are opened just before they are needed, at most a batch of them at once, and leave this process in an
envelope only (E-08).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import idna
import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from digest.mail import ledger, pace
from digest.mail.compose import NotSendable
from digest.mail.lanes import CROWDED, HELD, Lanes
from digest.mail.pace import Grant, Rates
from digest.mail.providers import Provider
from digest.mail.replies import Outcome, Scope
from digest.mail.smtp import Envelope
from digest.models import Delivery, DeliveryState, SlowLane
from subscribers.db import Database
from subscribers.vault import WrongKeys

log = structlog.get_logger()

IDS = 5000
BATCH = 64
LOW = 32
"""When so few copies are at hand, more are loaded: not more than a hundred addresses are open at once (E-08)."""
MEND_WITHIN = dt.timedelta(minutes=10)
"""When a copy is tried again that could not be made."""
BAD_DOMAIN = "the address cannot be used: its domain is no name (IDNA)"
"""What the library says would name the domain, and this is stored."""


@dataclass(frozen=True)
class Copy:
    """One message for one person, ready for an envelope."""

    delivery_id: int
    attempts: int
    provider: Provider
    envelope: Envelope
    segments: list[bytes] = field(repr=False)
    """The message's octets; all but a few small pieces are those of every other copy."""
    earliest: float = 0.0
    """Not before this instant of the monotonic clock: the rate limits' pace."""


@dataclass(frozen=True)
class Gate:
    """What says how many copies may go out now: the providers' lanes and the rate limits of one sender."""

    lanes: Lanes
    rates: Rates

    @property
    def low(self) -> int:
        """When so few copies are at hand, more are loaded."""
        return min(LOW, self.rates.handful(BATCH) // 2)

    def learn(self, session: Session, now: dt.datetime) -> None:
        """Take notice of the providers that ask to be left alone, whoever was told."""
        for row in session.scalars(sa.select(SlowLane)):
            self.lanes.learn(Provider(row.provider), row.until, now)


class Work(Protocol):
    """What the sender asks of a piece of work."""

    name: str
    """The lease that only one sender has at a time."""
    group: str
    """What it is a part of: an issue's slices stop together."""
    held_until: dt.datetime | None
    """Until when the rate limits let nothing more out; none where they do."""

    def begin(self, now: dt.datetime, gate: Gate) -> bool:
        """Bring the books in order before the first copy; returns whether nobody has an outcome yet.

        Raises `NotSendable`.
        """

    def size(self) -> int:
        """About how many copies are due."""

    async def next(self, now: dt.datetime) -> Copy | None:
        """The next copy that is due; none when there is no more."""

    @property
    def grows(self) -> bool:
        """Whether more may come in while a run lasts."""

    def look_again(self) -> None:
        """Let `next` look for what has come in since."""

    def at_hand(self) -> Copy | None:
        """The next copy if it can be had without waiting, and may be sent at once."""

    def done(self, copy: Copy, *, accepted: bool) -> None:
        """Take notice that a copy was tried."""

    def give_back(self, copy: Copy) -> None:
        """Take back a copy that was not tried."""

    def end(self, now: dt.datetime, stopped: str | None) -> None:
        """Bring the books in order after the last copy; `stopped` says why a person has to look."""


class Batches:
    """The part of `Work` that is the same for issues and letters: copies by the handful, as the gate lets them out."""

    grows = False
    _query: sa.Select[*tuple[Any, ...]]
    """Selects what a copy is made of, the delivery first, for `these` numbers. Built once: it is asked often."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gate = Gate(Lanes(1), Rates())
        self._ready: deque[Copy] = deque()
        self._ids: deque[int] = deque()
        self._last = 0
        self._done = False
        self._loading: asyncio.Task[None] | None = None
        self._read_all = False
        """Whether the last reading of numbers found fewer than it asked for."""
        self._now: dt.datetime | None = None
        self.held_until: dt.datetime | None = None
        """Until when the rate limits let nothing more out."""

    async def next(self, now: dt.datetime) -> Copy | None:
        """The next copy that is due and whose lane has room; none when there is no more."""
        self._now = now
        while True:
            if copy := self._pick(now):
                return copy
            if not self._done or self._loading:
                loading = self._load_more(now)
                await asyncio.wait([loading])
                loading.result()
            elif self._ready and self._is_open(now):
                # Narrow lanes are full; each copy that is done makes room.
                await self._gate.lanes.wait()
            else:
                return None

    def at_hand(self) -> Copy | None:
        """The next copy if it can be had without waiting; more are loaded before they run out."""
        if len(self._ready) <= self._gate.low and not self._done and self._now:
            self._load_more(self._now)
        if self._now is None or (self._ready and self._ready[0].earliest > time.monotonic()):
            return None
        return self._pick(self._now)

    def _pick(self, now: dt.datetime) -> Copy | None:
        """The first copy whose provider's lane has room."""
        lanes = self._gate.lanes
        for place, copy in enumerate(self._ready):
            if lanes.has_room(copy.provider, now):
                del self._ready[place]
                lanes.enter(copy.provider)
                return copy
        return None

    def _is_open(self, now: dt.datetime) -> bool:
        """Whether any copy at hand may be sent before its provider's rest is over."""
        return any(self._gate.lanes.closed_until(copy.provider, now) is None for copy in self._ready)

    def done(self, copy: Copy, *, accepted: bool) -> None:
        """Take notice that a copy was tried: its lane has room again."""
        self._gate.lanes.leave(copy.provider, accepted=accepted)

    def give_back(self, copy: Copy) -> None:
        """Take back a copy that was not tried."""
        self._gate.lanes.leave(copy.provider, accepted=False)
        self._ready.appendleft(copy)

    def look_again(self) -> None:
        """Let `next` look for what has come in since: its numbers are higher than those that were read."""
        self._done = False

    def _load_more(self, now: dt.datetime) -> asyncio.Task[None]:
        """The load that is under way, or a new one."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._fill(now))
            # One that fails with nobody waiting is tried again by whoever comes next, and fails for them.
            self._loading.add_done_callback(lambda done: done.cancelled() or done.exception())
        return self._loading

    async def _fill(self, now: dt.datetime) -> None:
        held = Counter(copy.provider for copy in self._ready)
        try:
            self._ready.extend(await asyncio.to_thread(self._load, now, held))
        finally:
            self._loading = None

    def _load(self, now: dt.datetime, held: Counter[Provider]) -> list[Copy]:
        with self._database.read() as session:
            self._gate.learn(session, now)
            wanted = self._next_ids(session, now)
            grant = self._granted(wanted, now)
            rows = session.execute(self._query, {"these": wanted}).all()
            made = [(row[0], self._made(session, row)) for row in rows]
        copies = [copy for _, copy in made if isinstance(copy, Copy)]
        refused = [(which, copy) for which, copy in made if isinstance(copy, Outcome)]
        kept, later = _by_lane(copies, held, self._gate.lanes, now)
        self._leave_for_later(refused, later, now)
        return _paced(kept, grant)

    def _granted(self, wanted: list[int], now: dt.datetime) -> Grant:
        """What the rate limits let out of a handful; `wanted` loses the rest."""
        rates = self._gate.rates
        if not rates.are_set or not wanted:
            return Grant(len(wanted))
        with self._database.write() as session:
            if self.grows:
                pace.charge(session, rates, len(wanted), now)
                return Grant(len(wanted))
            grant = pace.reserve(session, rates, rates.handful(len(wanted)), now)
        self._ids.extendleft(reversed(wanted[grant.count :]))
        del wanted[grant.count :]
        if not grant.count:
            self.held_until, self._done = grant.again_at, True
        elif self._ids:
            self._done = False
        return grant

    def _next_ids(self, session: Session, now: dt.datetime) -> list[int]:
        """The next handful. Numbers are read by the thousand: finding where to go on costs as much as reading them."""
        if not self._ids:
            due = sa.select(Delivery.id).where(*self._which(), *ledger.due(now), Delivery.id > self._last)
            self._ids.extend(session.scalars(due.order_by(Delivery.id).limit(IDS)))
            self._read_all = len(self._ids) < IDS
            self._last = self._ids[-1] if self._ids else self._last
        handful = [self._ids.popleft() for _ in range(min(BATCH, len(self._ids)))]
        self._done = self._read_all and not self._ids
        return handful

    def _leave_for_later(
        self, refused: list[tuple[int, Outcome]], later: dict[dt.datetime, list[int]], now: dt.datetime
    ) -> None:
        """Record what could not be made, and leave for later what its provider does not want now."""
        if refused or later:
            results = [ledger.Result(which, said, now + MEND_WITHIN, committed=False) for which, said in refused]
            with self._database.write() as session:
                ledger.settle(session, results, now)
                for until, ids in later.items():
                    ledger.put_off(session, ids, until)

    def _made(self, session: Session, row: sa.Row[*tuple[Any, ...]]) -> Copy | Outcome:
        try:
            return self._copy(session, row)
        except (NotSendable, WrongKeys):
            raise
        except Exception as error:
            log.exception("a copy cannot be made", delivery=row[0])
            return Outcome(DeliveryState.DEFERRED, f"it cannot be made: {type(error).__name__}", Scope.MESSAGE)

    def _leave_the_rest(self, session: Session, now: dt.datetime) -> None:
        """What is still at hand when a run ends waits for its provider's rest to be over."""
        for copy in self._ready:
            if until := self._gate.lanes.closed_until(copy.provider, now):
                ledger.put_off(session, [copy.delivery_id], until)

    def _which(self) -> ledger.Which:
        raise NotImplementedError

    def _copy(self, session: Session, row: sa.Row[*tuple[Any, ...]]) -> Copy | Outcome:
        raise NotImplementedError


THESE = Delivery.id.in_(sa.bindparam("these", expanding=True))
"""The condition of `Batches._query`."""


def _by_lane(
    copies: Sequence[Copy], held: Counter[Provider], lanes: Lanes, now: dt.datetime
) -> tuple[list[Copy], dict[dt.datetime, list[int]]]:
    """Which copies are kept at hand, beside those that are `held`, and which are left for later, by when."""
    kept: list[Copy] = []
    later: dict[dt.datetime, list[int]] = {}
    for copy in copies:
        until = lanes.closed_until(copy.provider, now)
        held[copy.provider] += 1
        if until is None and lanes.is_narrow(copy.provider) and held[copy.provider] > HELD:
            until = now + CROWDED
        if until is None:
            kept.append(copy)
        else:
            later.setdefault(until, []).append(copy.delivery_id)
    return kept, later


def _paced(copies: list[Copy], grant: Grant) -> list[Copy]:
    """The copies with the instants at which the rate limits let them out."""
    if not grant.spacing:
        return copies
    begin = time.monotonic() + grant.wait
    return [replace(copy, earliest=begin + place * grant.spacing) for place, copy in enumerate(copies)]


def envelope_address(address: str) -> str:
    """The address for an envelope: its domain always as an A-label (S-42). Raises `idna.IDNAError`."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain if domain.isascii() else idna.encode(domain, uts46=True).decode('ascii')}"
