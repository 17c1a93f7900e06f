"""Lines in, replies out: what an open SMTP connection speaks to. It knows nothing of transactions."""

from __future__ import annotations

import asyncio
import re
from collections import deque

from digest.mail.replies import Reply

MAX_LINE = 8192
MAX_REPLY = 65536
_REPLY_LINE = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?", re.DOTALL)


class Channel(asyncio.Protocol):
    """Lines in, replies out: what the open transport speaks to once aiosmtplib has done its part."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        # `drain` then waits until the kernel has everything: a whole message would fit into the 64 KB that asyncio
        # keeps back otherwise, and a relay that takes nothing would be noticed only after the dot (S-10). One and not
        # none: asyncio's TLS pauses a writer at the limit itself, and would never let it go on.
        transport.set_write_buffer_limits(high=1)
        self._rest = b""
        """The beginning of a line whose end has not come."""
        self._lines: list[str] = []
        self._code = b""
        self._size = 0
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._loop = asyncio.get_running_loop()
        self._deadline = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self.closed = asyncio.Event()
        self.broken: str | None = None
        """Why nothing more can be read, once that is so."""

    def data_received(self, data: bytes) -> None:
        """Take what the relay sends; called by asyncio."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if self.broken is not None:
                # After a line that is not SMTP nothing counts any more: what follows would be taken for another answer.
                return
            self._line(line.removesuffix(b"\r"))
        if len(self._rest) > MAX_LINE:
            self._break("the relay sent an endless line")

    def _line(self, line: bytes) -> None:
        match = _REPLY_LINE.fullmatch(line)
        self._size += len(line)
        if not match or self._size > MAX_REPLY or (self._lines and match[1] != self._code):
            self._break("the relay's answer is not SMTP")
            return
        self._code = match[1]
        self._lines.append((match[3] or b"").decode("utf-8", "replace").strip())
        if match[2] != b"-":
            self._replies.append(Reply(int(self._code), " ".join(self._lines)))
            self._lines, self._size = [], 0
            self._wake()

    def _break(self, why: str) -> None:
        if self.broken is None:
            self.broken = why
            self.transport.abort()
        self._wake()
        self._writable.set()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take notice of the end; called by asyncio."""
        if self.broken is None:
            self.broken = f"the connection was lost ({type(exc).__name__})" if exc else "the relay hung up"
        if self._alarm:
            self._alarm.cancel()
        self.closed.set()
        self._wake()
        self._writable.set()

    def pause_writing(self) -> None:
        """Let `drain` wait; called by asyncio."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let `drain` go on; called by asyncio."""
        self._writable.set()

    @property
    def has_reply(self) -> bool:
        """Whether an answer lies here that nobody has read yet."""
        return bool(self._replies)

    async def reply(self, limit: float) -> Reply:
        """The next answer, waited for so many seconds. Raises `ConnectionError` when none will come."""
        self._expect(limit)
        while not self._replies:
            if self.broken is not None:
                raise ConnectionError(self.broken)
            self._waiter = self._loop.create_future()
            await self._waiter
        return self._replies.popleft()

    async def drain(self, limit: float) -> None:
        """Wait until the kernel has what was written. Raises `ConnectionError` when it cannot leave any more."""
        self._expect(limit)
        if not self._writable.is_set():
            await self._writable.wait()
        if self.broken is not None:
            raise ConnectionError(self.broken)

    def _expect(self, limit: float) -> None:
        """Something has to come within so many seconds.

        One timer stands for many deadlines: when it rings too early, it is set again. A timer for each answer would
        cost more than reading the answer.
        """
        self._deadline = self._loop.time() + limit
        if self._alarm is None or self._alarm.when() > self._deadline:
            if self._alarm:
                self._alarm.cancel()
            self._alarm = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._loop.time() < self._deadline:
            self._alarm = self._loop.call_at(self._deadline, self._ring)
        elif (self._waiter and not self._waiter.done()) or not self._writable.is_set():
            self._break("no answer in time")
