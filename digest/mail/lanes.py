"""Lanes per mailbox provider: one that asks for patience gets it, and comes back one connection at a time (B-09)."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from dataclasses import dataclass, field

from digest.mail.providers import Provider

REST = dt.timedelta(minutes=10)
"""How long a provider is left alone that said "too fast" (B-09)."""
FORGET = dt.timedelta(hours=1)
"""A rest that ended longer ago than this says nothing any more."""
HELD = 8
"""So many copies of a narrow lane are kept at hand; the others wait in the ledger, so that they hold nobody up."""
CROWDED = dt.timedelta(seconds=30)
"""When those are looked at again."""


@dataclass
class Lanes:
    """How many connections each provider's copies may use in this process; `width` is as many as there are."""

    width: int
    _narrowed: dict[Provider, int] = field(default_factory=dict)
    _until: dict[Provider, dt.datetime] = field(default_factory=dict)
    _busy: Counter[Provider] = field(default_factory=Counter)
    _before: Counter[Provider] = field(default_factory=Counter)
    """How many of those were begun before the provider said "too fast": what becomes of them says nothing new."""
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def slow_down(self, provider: Provider, until: dt.datetime) -> None:
        """Leave a provider alone until then, and begin again with a single connection."""
        if until > self._until.get(provider, until - REST):
            self._until[provider] = until
            self._narrowed[provider] = 1
            self._before[provider] = self._busy[provider]

    def learn(self, provider: Provider, until: dt.datetime, now: dt.datetime) -> None:
        """Take notice of a rest that another sender has recorded, or this one in an earlier life."""
        if until > now - FORGET and until != self._until.get(provider):
            self.slow_down(provider, until)

    def closed_until(self, provider: Provider, now: dt.datetime) -> dt.datetime | None:
        """Until when a provider is to be left alone; none where it is not."""
        until = self._until.get(provider)
        return until if until and until > now else None

    def is_narrow(self, provider: Provider) -> bool:
        """Whether a provider has less than all connections."""
        return provider in self._narrowed

    def has_room(self, provider: Provider, now: dt.datetime) -> bool:
        """Whether another copy for this provider may be begun."""
        if provider not in self._narrowed:
            return True
        return self.closed_until(provider, now) is None and self._busy[provider] < self._narrowed[provider]

    def enter(self, provider: Provider) -> None:
        """Note that a copy is begun."""
        self._busy[provider] += 1

    def leave(self, provider: Provider, *, accepted: bool) -> None:
        """Note that a copy is done with. Every success widens a narrow lane by one, until it is as wide as all."""
        self._busy[provider] -= 1
        if self._before[provider]:
            self._before[provider] -= 1
        elif accepted and provider in self._narrowed:
            self._narrowed[provider] += 1
            if self._narrowed[provider] >= self.width:
                del self._narrowed[provider]
        while self._waiting:
            waiting = self._waiting.pop()
            if not waiting.done():
                waiting.set_result(None)

    async def wait(self) -> None:
        """Wait until a copy is done with: then a full lane may have room."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting
