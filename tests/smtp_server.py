"""A scripted SMTP server on loopback: it does to each command what a plan says, and keeps what it accepted (Q-01).

A plan is a function from the `Moment` (which connection, which command, which message of that connection) to an act;
without one, or where it answers `None`, the server behaves well. It runs in a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Moment:
    """When the plan is asked: `command` is CONNECT, EHLO, MAIL, RCPT, DATA, BODY (the text has begun), DOT, RSET, …."""

    connection: int
    command: str
    message: int
    """How many messages this connection has carried so far."""
    argument: str = ""


@dataclass(frozen=True)
class Say:
    """Answer with these bytes, whatever they are; without any, say what is usual, in another manner."""

    reply: bytes | None = None
    hang_up: bool = False
    """Close after the answer."""
    half_close: bool = False
    """Say no more after the answer, but go on reading."""
    piece: int = 0
    """How many octets are written at a time; 0: all at once."""
    delay: float = 0.0
    """Seconds before each piece."""
    hold: bool = False
    """Keep the answer back, and let it travel in one write with the next."""
    then: Callable[[], None] | None = None
    """Called when the answer has left."""


@dataclass(frozen=True)
class HangUp:
    """Close without an answer; `reset` by RST. A text whose dot was seen is kept all the same."""

    reset: bool = False


@dataclass(frozen=True)
class Silence:
    """Never answer, and keep the connection open."""


Act = Say | HangUp | Silence
Plan = Callable[[Moment], Act | None]


@dataclass
class Caught:
    """A message whose final dot was seen; `answered` tells whether it was accepted with 2yz."""

    sender: str
    recipients: list[str]
    body: bytes
    connection: int
    reply: bytes = b""
    """What was said to the dot; empty where nothing was."""

    @property
    def answered(self) -> bool:
        """Whether it was accepted."""
        return self.reply[:1] == b"2"

    @property
    def refused(self) -> bool:
        """Whether it was refused, for now or for good: then it may come again."""
        return self.reply[:1] in (b"4", b"5")


@dataclass
class ScriptedServer:
    """Use as a context manager; `port` is known inside."""

    plan: Plan = lambda _: None
    extensions: tuple[str, ...] = ("PIPELINING", "SIZE 10000000", "8BITMIME", "SMTPUTF8")
    tls: ssl.SSLContext | None = None
    implicit_tls: bool = False
    port: int = 0
    caught: list[Caught] = field(default_factory=list)
    commands: list[Moment] = field(default_factory=list)
    connections: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def open(self) -> int:
        """How many connections there are now."""
        return len(self._talks)

    @property
    def accepted(self) -> list[str]:
        """The recipients of all messages that were answered with 2yz, in order."""
        return [recipient for caught in self.caught if caught.answered for recipient in caught.recipients]

    @property
    def dotted(self) -> list[str]:
        """The recipients of all messages whose final dot arrived, whatever was answered."""
        return [recipient for caught in self.caught for recipient in caught.recipients]

    def _serve(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main(started))
        self._loop.close()

    async def _main(self, started: threading.Event) -> None:
        self._stop = asyncio.Event()
        self._talks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, ssl=self.tls if self.implicit_tls else None, limit=2**20
        )
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._stop.wait()
        server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            await _Talk(self, self.connections, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
            self._talks.discard(task)


class _Over(ConnectionError):
    """The talk is over by plan."""


class _Talk:
    """One connection's dialogue."""

    def __init__(
        self, server: ScriptedServer, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server, self.number, self.reader, self.writer = server, number, reader, writer
        self.messages = 0
        self.sender = ""
        self.recipients: list[str] = []
        self.secure = server.implicit_tls
        self.closing = False
        self.held = b""
        self.mute = False

    async def run(self) -> None:
        await self.answer("CONNECT", b"220 test.example.org ESMTP\r\n")
        while not self.closing and (line := await self.reader.readline()):
            text = line.decode("utf-8", "replace").strip()
            command = text.split(":")[0].split()[0].upper() if text else ""
            await self.handle("STARTTLS" if command == "STARTTLS" else command, text)

    async def handle(self, command: str, text: str) -> None:
        match command:
            case "EHLO" | "HELO":
                await self.answer("EHLO", self.greeting())
            case "STARTTLS":
                await self.start_tls()
            case "MAIL":
                self.sender, self.recipients = _address(text), []
                await self.answer("MAIL", b"250 2.1.0 ok\r\n", text)
            case "RCPT":
                if _is_yes(await self.answer("RCPT", b"250 2.1.5 ok\r\n", text)):
                    self.recipients.append(_address(text))
            case "DATA":
                await self.data()
            case "RSET":
                self.recipients = []
                await self.answer("RSET", b"250 2.0.0 ok\r\n")
            case "QUIT":
                await self.answer("QUIT", b"221 2.0.0 bye\r\n")
                raise _Over
            case _:
                await self.answer(command, b"502 5.5.1 what?\r\n")

    def greeting(self) -> bytes:
        offered = [*self.server.extensions]
        if self.server.tls and not self.secure:
            offered.append("STARTTLS")
        lines = ["test.example.org", *offered]
        return b"".join(
            f"250{' ' if index == len(lines) - 1 else '-'}{line}\r\n".encode() for index, line in enumerate(lines)
        )

    async def start_tls(self) -> None:
        await self.answer("STARTTLS", b"220 2.0.0 go on\r\n")
        assert self.server.tls is not None
        await self.writer.start_tls(self.server.tls)
        self.secure = True

    async def data(self) -> None:
        if not self.recipients:
            await self.answer("DATA", b"503 5.5.1 no valid recipient\r\n")
            return
        if not _is_yes(await self.answer("DATA", b"354 go on\r\n")):
            return
        first = await self.reader.readline()
        await self.answer("BODY", b"")
        if self.closing:
            return
        lines = [first]
        while lines[-1] != b".\r\n":
            lines.append(await self.reader.readuntil(b"\n"))
        caught = Caught(self.sender, list(self.recipients), b"".join(lines[:-1]), self.number)
        self.server.caught.append(caught)
        self.messages += 1
        await self.answer("DOT", b"250 2.0.0 queued\r\n", caught=caught)

    async def answer(self, command: str, usual: bytes, argument: str = "", caught: Caught | None = None) -> bytes:
        """Answer as the plan says or as usual; returns what was said, which is noted before anybody can read it."""
        moment = Moment(self.number, command, self.messages, argument)
        self.server.commands.append(moment)
        if self.mute:
            return b""
        act = self.server.plan(moment) or Say()
        match act:
            case HangUp(reset=reset):
                self.hang_up(reset=reset)
            case Silence():
                await asyncio.Event().wait()
        assert isinstance(act, Say)
        reply = usual if act.reply is None else act.reply
        if caught:
            caught.reply = reply
        await self.say(reply, act)
        return reply

    async def say(self, reply: bytes, manner: Say) -> None:
        self.held += reply
        if manner.hold:
            return
        data, self.held = self.held, b""
        size = manner.piece or max(1, len(data))
        for start in range(0, len(data), size):
            if manner.delay:
                await asyncio.sleep(manner.delay)
            self.writer.write(data[start : start + size])
            await self.writer.drain()
        self.closing = manner.hang_up
        if manner.half_close:
            self.mute = True
            self.writer.write_eof()
        if manner.then:
            manner.then()

    def hang_up(self, *, reset: bool) -> None:
        sock = self.writer.get_extra_info("socket")
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()
        else:
            self.writer.close()
        raise _Over


def _is_yes(reply: bytes) -> bool:
    return reply[:1] in (b"2", b"3")


def _address(text: str) -> str:
    return text.partition("<")[2].partition(">")[0]
