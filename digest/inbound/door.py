"""The LMTP door: a mail server on this machine hands mail over, and is told that it is taken once it is (RFC 2033)."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import AnyStr

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import Envelope, Session

from digest.inbound.keeping import Unread
from digest.inbound.mailboxes import Mailboxes
from digest.inbound.posted import LARGEST, Posted, post
from subscribers.db import Database
from subscribers.vault import Vault

log = structlog.get_logger()

TAKEN = "250 2.0.0 it is kept"
HERE = "250 2.1.5 there is such a mailbox"
NOT_HERE = "550 5.1.1 there is no such mailbox here"
TOO_MUCH = "452 4.3.1 too much waits to be read; come again later"
NOT_NOW = "451 4.3.0 it cannot be kept just now"
SOCKET_MODE = 0o660
"""Who may connect: the owner and their group, which the mail server is to be in."""


class CannotTakeMail(Exception):
    """Mail cannot be taken where the settings say; the message says why and what to do."""


@dataclass(frozen=True)
class Doorkeeper:
    """What the door does with a mail."""

    database: Database
    vault: Vault
    clock: Callable[[], dt.datetime]
    mailboxes: Mailboxes
    unread: Unread

    async def handle_RCPT(  # noqa: N802 -- the library's.
        self,
        server: object,  # noqa: ARG002
        session: Session,  # noqa: ARG002
        envelope: Envelope,
        address: str,
        options: list[str],  # noqa: ARG002
    ) -> str:
        """Whether there is such a mailbox: what nobody can have been told to write to is not even read."""
        if not self.mailboxes.has(address):
            return NOT_HERE
        envelope.rcpt_tos.append(address)
        return HERE

    async def handle_DATA(self, server: object, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802 -- the library's.
        """Keep the mail for each of its recipients, then say so. A server that hears 451 hands it over again."""
        content = envelope.original_content or b""
        # The library gives the null return path as it was written.
        sender = (envelope.mail_from or "").removeprefix("<").removesuffix(">")
        for recipient in envelope.rcpt_tos:
            try:
                is_kept = await asyncio.to_thread(self.keep, Posted(content, recipient, sender))
            except Exception as error:  # noqa: BLE001 -- whatever is wrong is ours: the mail server must keep the mail.
                log.error("a mail cannot be kept", why=type(error).__name__)
                return NOT_NOW
            if not is_kept:
                log.warning("mail is not taken in: too much waits to be read")
                return TOO_MUCH
        return TAKEN

    async def handle_exception(self, error: Exception) -> str:
        """What the library says where something failed: its own 500 would make the mail server give the mail up."""
        log.error("a talk with the mail server failed", why=type(error).__name__)
        return NOT_NOW

    def keep(self, mail: Posted) -> bool:
        """Keep one mail, durably; false where so much waits to be read that no more is taken."""
        now = self.clock()
        if self.unread.is_too_much(now):
            return False
        post(self.database, self.vault, mail, now)
        return True


class Conversation(LMTP):
    """One connection. Each recipient gets an answer of its own after the dot (RFC 2033 §4.2)."""

    # Reports hold lines as long as whoever made them pleased.
    line_length_limit = LARGEST
    _answers = 1

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 -- the library's.
        """Take the text; what is said after it is said once a recipient."""
        try:
            await super().smtp_DATA(arg)
        finally:
            self._answers = 1

    async def push(self, status: AnyStr) -> None:
        """Say something to the mail server."""
        for _ in range(self._answers):
            await super().push(status)
        if str(status).startswith("354") and self.envelope is not None:
            self._answers = len(self.envelope.rcpt_tos)


@contextlib.contextmanager
def listening(where: str) -> Iterator[socket.socket]:
    """A socket that mail is handed over at: `127.0.0.1:8024` (0: any port that is free), or `unix:` and a path.

    Raises `CannotTakeMail`.
    """
    try:
        door = _at_path(Path(where.removeprefix("unix:"))) if where.startswith("unix:") else _at_port(where)
    except OSError as error:
        raise CannotTakeMail(f"cannot listen at {where} ({error.strerror}); set [inbound] listen") from error
    with door:
        try:
            yield door
        finally:
            if where.startswith("unix:"):
                Path(where.removeprefix("unix:")).unlink(missing_ok=True)


async def serve(door: socket.socket, keeper: Doorkeeper, stopping: asyncio.Event) -> None:
    """Take mail until `stopping` is set. What is cut off then was not taken, and is handed over again."""
    loop = asyncio.get_running_loop()

    def talk() -> Conversation:
        # The library would ask the name server for this machine's name.
        return Conversation(
            keeper,
            hostname="localhost",
            ident="Watchdog Digest",
            data_size_limit=LARGEST,
            enable_SMTPUTF8=True,
            loop=loop,
        )

    is_path = door.family == socket.AF_UNIX
    server = await (loop.create_unix_server if is_path else loop.create_server)(talk, sock=door)
    log.info("mail is taken in", at=str(door.getsockname()))
    try:
        await stopping.wait()
    finally:
        server.close()


def _at_port(where: str) -> socket.socket:
    host, _, port = where.rpartition(":")
    is_six = host.startswith("[")
    return socket.create_server((host.strip("[]"), int(port)), family=socket.AF_INET6 if is_six else socket.AF_INET)


def _at_path(path: Path) -> socket.socket:
    """A socket in the file system. One that a dead process has left behind is taken away; a living one is not."""
    door = socket.socket(socket.AF_UNIX)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _is_answered(path):
            path.unlink()
        door.bind(str(path))
        path.chmod(SOCKET_MODE)
        door.listen()
    except BaseException:
        door.close()
        raise
    return door


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
