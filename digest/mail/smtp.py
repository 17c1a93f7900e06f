"""SMTP: aiosmtplib opens and secures the session, a small protocol of ours carries the mail.

aiosmtplib connects, negotiates TLS and logs in. Then `set_protocol()` hands its open transport to `Channel`, which
reads replies by itself and walks DATA in recorded steps (S-10): what a broken connection means depends on how far the
transaction had come, and only our own reader knows that. Bytes go out as they are given, never re-encoded (trap T2).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, cast

import aiosmtplib

from digest.mail.channel import Channel
from digest.mail.replies import CLOSING, Reply, Stage
from digest.settings import Smtp

CHUNK = 65536
GOODBYE = 2.0
"""Seconds for QUIT and for closing."""


@dataclass(frozen=True)
class Limits:
    """How long each answer is waited for, in seconds: the minima of RFC 5321 §4.5.3.2 (S-13)."""

    connect: float = 60.0
    mail: float = 300.0
    rcpt: float = 300.0
    data: float = 120.0
    body: float = 180.0
    dot: float = 600.0
    age: float = 300.0
    """How old a connection may be that another transaction is begun on (S-44)."""

    def of(self, stage: Stage) -> float:
        """How long a stage's answer is waited for."""
        return float(getattr(self, stage))


class Interrupted(Exception):
    """The connection was lost, fell silent or spoke no SMTP; `stage` says how far the transaction had come."""

    def __init__(self, stage: Stage, why: str) -> None:
        self.stage = stage
        self.why = why
        super().__init__(f"{stage}: {why}")


class Refused(Exception):
    """The relay answered, and not with yes."""

    def __init__(self, stage: Stage, reply: Reply) -> None:
        self.stage = stage
        self.reply = reply
        super().__init__(f"{stage}: {reply}")


@dataclass(frozen=True)
class Envelope:
    """From whom, to whom, and about how many octets (RFC 1870)."""

    sender: str
    recipient: str = field(repr=False)
    size: int
    envid: str = ""
    """What a report about this copy names it by (RFC 3461 §4.4): opaque, and at most 100 characters once coded."""


class Session:
    """One open, secured and logged-in connection to the relay.

    The steps of a transaction, in order: `begin`, `accepted`, `body`, `dot`. Where the relay offers PIPELINING the next
    transaction's `begin` travels with the dot (RFC 2920 §3.1). Each step raises `Refused` with the relay's answer or
    `Interrupted`; whichever it is, `stage` tells whether anything can have been accepted.
    """

    def __init__(self, client: aiosmtplib.SMTP, limits: Limits, reuse: int) -> None:
        transport = cast("asyncio.Transport", client.transport)
        self._client = client
        self._channel = Channel(transport)
        self._limits = limits
        self._reuse = reuse
        self._loop = asyncio.get_running_loop()
        self._old_at = self._loop.time() + limits.age
        self.pipelining = client.supports_extension("pipelining")
        self._utf8 = client.supports_extension("smtputf8")
        self._dsn = client.supports_extension("dsn")
        self._secure = transport.get_extra_info("ssl_object") is not None
        self._max_size = _advertised_size(client)
        self._begun: Envelope | None = None
        self.sent = 0
        """Transactions begun on this connection."""
        self.usable = True
        transport.set_protocol(self._channel)

    @property
    def is_spent(self) -> bool:
        """Whether the next transaction is to have a new connection: after so many, or so long a time (S-44)."""
        return self.sent >= self._reuse or self._loop.time() >= self._old_at

    def check(self, envelope: Envelope) -> None:
        """Refuse by ourselves what must not be asked, or what the relay has said it does not take. Raises `Refused`."""
        for address in (envelope.sender, envelope.recipient):
            if _FORBIDDEN.search(address):
                raise Refused(Stage.RCPT, Reply(553, "5.1.3 the address has characters that no envelope may hold"))
        if not envelope.recipient.isascii() and not self._utf8:
            raise Refused(Stage.RCPT, Reply(553, "5.6.7 the relay takes no internationalised addresses (SMTPUTF8)"))
        if self._max_size and envelope.size > self._max_size:
            raise Refused(
                Stage.DATA, Reply(552, f"5.3.4 the message is larger than the relay takes ({self._max_size})")
            )

    async def begin(self, envelope: Envelope) -> None:
        """Ask for a transaction. Without PIPELINING the answers are waited for here, step by step."""
        self._begun = envelope
        self.sent += 1
        if self.pipelining:
            self._write(b"".join(command for _, command in self._commands(envelope)))
        else:
            await self._stepwise(envelope)

    async def accepted(self) -> None:
        """Wait until the relay wants the text of the transaction that was begun."""
        if not self.pipelining:
            return
        refused: Refused | None = None
        for stage in _ENVELOPE:
            reply = await self._answer(stage)
            if not self.usable:
                # It has said 421: no more answers will come.
                raise refused or Refused(stage, reply)
            if not _is_go_ahead(stage, reply):
                refused = refused or Refused(stage, reply)
            elif refused and stage is Stage.DATA:
                # The relay wants a text that has no recipient: the lone dot of RFC 2920 §3.1 would do, a new
                # connection is surer.
                self.abort()
        if refused:
            await self._reset()
            raise refused

    async def body(self, segments: Iterable[bytes]) -> None:
        """Hand the text over, without the final dot. It is ended already with CRLF and needs no dot-stuffing."""
        try:
            for number, batch in enumerate(_batches(segments)):
                if number:
                    # The loop gets a turn even where the kernel takes everything at once: only then are a write that
                    # failed and a relay that speaks in the middle of a text noticed.
                    await asyncio.sleep(0)
                self._write_all(batch)
                await self._channel.drain(self._limits.body)
        except ConnectionError as error:
            raise self._interrupted(Stage.BODY, error) from error
        await self._unasked()

    async def dot(self, following: Envelope | None = None) -> Reply:
        """End the text. Whatever goes wrong from here on leaves the outcome unknown, unless the relay answers.

        `following`, which PIPELINING is needed for, is begun in the same write; `accepted` then waits for its answers.
        """
        await self._unasked()
        self._begun = following
        if following:
            self.sent += 1
            self._write(b".\r\n" + b"".join(command for _, command in self._commands(following)))
        else:
            self._write(b".\r\n")
        reply = await self._answer(Stage.DOT)
        if not reply.is_positive:
            raise Refused(Stage.DOT, reply)
        return reply

    def has_begun(self, envelope: Envelope) -> bool:
        """Whether this very transaction was begun along with the last dot, and can go on."""
        return self.usable and self._begun is envelope

    async def close(self) -> None:
        """Say goodbye, briefly; a relay that does not answer is left all the same."""
        try:
            async with asyncio.timeout(GOODBYE):
                if self.usable:
                    self._write(b"QUIT\r\n")
                    await self._channel.reply(GOODBYE)
                self._channel.transport.close()
                await self._channel.closed.wait()
        except (ConnectionError, TimeoutError):
            # The goodbye is a courtesy; every outcome is recorded by now.
            self._channel.transport.abort()
        self.usable = False

    def abort(self) -> None:
        """Drop the connection at once: what stands before the dot is then nothing (RFC 5321 §4.1.1.10)."""
        self.usable = False
        self._channel.transport.abort()

    def _commands(self, envelope: Envelope) -> tuple[tuple[Stage, bytes], ...]:
        utf8 = "" if envelope.recipient.isascii() else " SMTPUTF8"
        announced = f" SIZE={envelope.size}" if self._max_size is not None else ""
        report, notify = ("", "") if not self._dsn else (_report(envelope), " NOTIFY=FAILURE,DELAY")
        return (
            (Stage.MAIL, f"MAIL FROM:<{envelope.sender}>{announced}{utf8}{report}\r\n".encode()),
            (Stage.RCPT, f"RCPT TO:<{envelope.recipient}>{notify}\r\n".encode()),
            (Stage.DATA, b"DATA\r\n"),
        )

    async def _stepwise(self, envelope: Envelope) -> None:
        for stage, command in self._commands(envelope):
            self._write(command)
            reply = await self._answer(stage)
            if not _is_go_ahead(stage, reply):
                await self._reset()
                raise Refused(stage, reply)

    async def _unasked(self) -> None:
        """Notice a relay that has hung up or refused without being asked: the dot has not left, so it is safe."""
        if self._channel.has_reply:
            reply = await self._channel.reply(0)
            self.abort()
            raise Refused(Stage.BODY, reply)
        if self._channel.broken is not None:
            raise self._interrupted(Stage.BODY, ConnectionError(self._channel.broken))

    async def _reset(self) -> None:
        """Make the session ready for the next transaction after a refusal; where that fails, it is done with."""
        self._begun = None
        if not self.usable:
            return
        self._write(b"RSET\r\n")
        try:
            if not (await self._answer(Stage.MAIL)).is_positive:
                self.abort()
        except Interrupted:
            self.abort()

    def _write_all(self, segments: list[bytes]) -> None:
        if self._secure:
            # Each write makes a TLS record: whole they cost less, and none tells the length of a reader's own part.
            self._write(b"".join(segments))
        else:
            self._channel.transport.writelines(segments)

    def _write(self, data: bytes) -> None:
        self._channel.transport.write(data)

    async def _answer(self, stage: Stage) -> Reply:
        try:
            reply = await self._channel.reply(self._limits.of(stage))
        except ConnectionError as error:
            raise self._interrupted(stage, error) from error
        if reply.code == CLOSING or reply.code // 100 == (2 if stage is Stage.DATA else 3):
            # It is closing the connection, whatever was asked (§3.8), or it answers something that was not: where yes
            # is 3yz a 2yz is out of step, and the other way round.
            self.abort()
        return reply

    def _interrupted(self, stage: Stage, error: Exception) -> Interrupted:
        self.abort()
        return Interrupted(stage, str(error))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


_ENVELOPE = (Stage.MAIL, Stage.RCPT, Stage.DATA)
_FORBIDDEN = re.compile(r"[\x00-\x20<>\x7f]")
_CODED = re.compile(r"[^!-~]|[+=]")


async def open_session(smtp: Smtp, limits: Limits, tls: ssl.SSLContext | None = None) -> Session:
    """Connect, secure and log in. TLS that was asked for is never given up (S-02, S-03).

    Raises `Interrupted` or `Refused`, with the stage `connect`.
    """
    client = aiosmtplib.SMTP(
        hostname=smtp.host,
        port=smtp.port,
        local_hostname=smtp.hostname,
        use_tls=smtp.security == "smtps",
        start_tls=smtp.security == "smtp",
        tls_context=tls or (None if smtp.security == "smtp+plain" else _tls()),
        timeout=limits.connect,
    )
    # Inside TLS a plain password is as safe as a hashed one, and relays that still prefer CRAM-MD5 keep it readable.
    client.AUTH_METHODS = ("plain", "login")
    try:
        await client.connect()
        if client.is_ehlo_or_helo_needed:
            await client.ehlo()
        if smtp.username is not None:
            await client.login(smtp.username, smtp.password or "")
    except aiosmtplib.SMTPResponseException as error:
        _drop(client)
        raise Refused(Stage.CONNECT, Reply(error.code, error.message)) from error
    except (aiosmtplib.SMTPException, OSError, UnicodeError) as error:
        # UnicodeError: a host name that cannot be one.
        _drop(client)
        raise Interrupted(Stage.CONNECT, str(error) or type(error).__name__) from error
    return Session(client, limits, smtp.reuse)


def _drop(client: aiosmtplib.SMTP) -> None:
    """Leave a connection that never became a session, without the goodbyes of TLS."""
    if client.transport:
        cast("asyncio.Transport", client.transport).abort()
    client.close()


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _advertised_size(client: aiosmtplib.SMTP) -> int | None:
    """The size limit of RFC 1870: none where it is not offered, 0 where it is offered without a limit."""
    if not client.supports_extension("size"):
        return None
    value = client.esmtp_extensions.get("size", "")
    return int(value) if value.isdigit() else 0


def _report(envelope: Envelope) -> str:
    """What a report may hold: the headers and never the text, and the copy's own name (RFC 3461 §4.3, §4.4; S-45)."""
    return " RET=HDRS" + (f" ENVID={_xtext(envelope.envid)}" if envelope.envid else "")


def _xtext(text: str) -> str:
    """The coding of RFC 3461 §4: printable ASCII stands for itself; `+`, `=` and the rest are `+` and two digits."""
    return _CODED.sub(lambda match: "".join(f"+{octet:02X}" for octet in match[0].encode()), text)


def _is_go_ahead(stage: Stage, reply: Reply) -> bool:
    return reply.code // 100 == 3 if stage is Stage.DATA else reply.is_positive  # noqa: PLR2004


def _batches(segments: Iterable[bytes]) -> Iterable[list[bytes]]:
    """Segments in handfuls, so that a slow relay is noticed between them."""
    batch: list[bytes] = []
    size = 0
    for segment in segments:
        batch.append(segment)
        size += len(segment)
        if size >= CHUNK:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
