"""The connections of one sender: at most so many, kept open from one piece of work to the next."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from digest.mail.smtp import Interrupted, Refused, Session

WIDEN_AFTER = 30.0
"""Seconds after which one more connection is tried again where the relay had refused one."""


class Pool:
    """Lends connections. Where the relay refuses one more, the pool makes do with those it has, and widens again."""

    def __init__(self, open_one: Callable[[], Awaitable[Session]], width: int) -> None:
        self._open_one = open_one
        self._width = width
        self._narrowed = width
        self._narrowed_at = 0.0
        self._idle: list[Session] = []
        self._taken = 0
        self._connected = 0
        self._connecting = 0
        self.is_asked = False
        """Whether a connection is wanted elsewhere."""
        self._free = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for one connection, waited for; whoever has it may `take` one."""
        async with self._free:
            await self._free.wait_for(lambda: self._taken < self._room())
            self._taken += 1
        try:
            yield
        finally:
            async with self._free:
                self._taken -= 1
                self._free.notify_all()

    def _room(self) -> int:
        if self._narrowed < self._width and asyncio.get_running_loop().time() > self._narrowed_at + WIDEN_AFTER:
            self._narrowed += 1
            self._narrowed_at = asyncio.get_running_loop().time()
        return self._narrowed

    async def take(self) -> Session:
        """An open connection, or a new one. Raises `Refused` or `Interrupted` where none can be had."""
        while self._idle:
            session = self._idle.pop()
            if self.is_good(session):
                return session
            await self.drop(session)
        self._connecting += 1
        try:
            session = await self._open_one()
        except (Refused, Interrupted):
            self._narrow()
            raise
        finally:
            self._connecting -= 1
        self._connected += 1
        # One may have been refused while this one was being made: the relay allows at least as many as there are.
        self._narrowed = max(self._narrowed, min(self._connected, self._width))
        return session

    def _narrow(self) -> None:
        self._narrowed = max(1, self._connected)
        self._narrowed_at = asyncio.get_running_loop().time()

    async def give_way(self) -> None:
        """Make do with one connection less for a while, if there are several: another pool needs one."""
        if self._connected > 1:
            self._narrowed = self._connected - 1
            self._narrowed_at = asyncio.get_running_loop().time()
            if self._idle:
                await self.drop(self._idle.pop())
            else:
                self.is_asked = True

    def must_go(self) -> bool:
        """Whether the one who asks, between two messages, is to end its connection; one alone is told so."""
        asked, self.is_asked = self.is_asked, False
        return asked

    @property
    def has_none(self) -> bool:
        """Whether no connection is open or about to be: then one that failed says that the relay cannot be used."""
        return self._connected + self._connecting == 0

    def is_good(self, session: Session) -> bool:
        """Whether a connection may carry another message."""
        return session.usable and not session.is_spent

    def keep(self, session: Session) -> None:
        """Take a connection back that is in order, for whoever comes next."""
        self._idle.append(session)

    async def drop(self, session: Session) -> None:
        """End a connection, with a goodbye where that is possible."""
        self._connected -= 1
        await session.close()

    def lose(self, session: Session) -> None:
        """End a connection at once, without a word."""
        self._connected -= 1
        session.abort()

    async def close(self) -> None:
        """Say goodbye on all connections that nobody uses."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(self.drop(session) for session in idle))
