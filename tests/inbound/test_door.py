"""A mail server hands mail over by LMTP, and hears that it is taken only once it is."""

from __future__ import annotations

import asyncio
import dataclasses
import smtplib
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import undefer

from digest.inbound import arrivals, keeping
from digest.inbound.door import CannotTakeMail, Doorkeeper, listening, serve
from digest.inbound.keeping import Unread
from digest.inbound.mailboxes import Mailboxes
from digest.inbound.posted import LARGEST, Posted, unpacked
from digest.mail.verp import verp_token
from digest.models import Arrival, ArrivalState
from subscribers.db import Database
from subscribers.vault import Vault
from tests.house import NOW, keys, newsletter
from tests.inbound import letters

PATH = f"b.{verp_token(keys().token, bytes(16))}@{letters.BOUNCES}"
LEAVE, SUBSCRIBE = f"leave@{letters.BOUNCES}", f"subscribe@{letters.BOUNCES}"


def doorkeeper(database: Database) -> Doorkeeper:
    """What the door of a small newsroom works with."""
    mailboxes = Mailboxes(keys().token, {"watchdog": newsletter()}, letters.BOUNCES)
    return Doorkeeper(database, Vault(database, keys()), lambda: NOW, mailboxes, Unread(database))


@dataclass(frozen=True)
class Away(Doorkeeper):
    """A door whose database is away at first."""

    tried: list[str]
    fault: Exception

    def keep(self, mail: Posted) -> bool:
        self.tried.append(mail.recipient)
        if len(self.tried) == 1:
            raise self.fault
        return super().keep(mail)


@contextmanager
def open_door(keeper: Doorkeeper, where: str = "127.0.0.1:0") -> Iterator[socket.socket]:
    """The door, served by a thread of its own."""
    loop = asyncio.new_event_loop()
    stopping = asyncio.Event()
    with listening(where) as door:
        thread = threading.Thread(target=loop.run_until_complete, args=(serve(door, keeper, stopping),))
        thread.start()
        try:
            yield door
        finally:
            loop.call_soon_threadsafe(stopping.set)
            thread.join(20)
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0.01))
            loop.close()


@contextmanager
def talk(door: socket.socket) -> Iterator[smtplib.LMTP]:
    host, port = door.getsockname()[:2] if door.family == socket.AF_INET else (door.getsockname(), 0)
    with smtplib.LMTP(host, port, local_hostname="mx.example.org") as client:
        if door.family == socket.AF_UNIX:
            client.ehlo_or_helo_if_needed()
        yield client


@pytest.fixture
def keeper(database: Database) -> Doorkeeper:
    return doorkeeper(database)


def taken(database: Database) -> list[Posted]:
    vault = Vault(database, keys())
    with database.read() as session:
        rows = session.scalars(sa.select(Arrival).options(undefer(Arrival.sealed)).order_by(Arrival.id)).all()
    return [unpacked(arrivals.opened(vault, row)) for row in rows]


def test_mail_is_taken_for_each_recipient_with_what_its_envelope_says(keeper: Doorkeeper, database: Database) -> None:
    with open_door(keeper) as door, talk(door) as client:
        for recipient in (PATH, LEAVE):
            assert client.sendmail("", [recipient], letters.QMAIL) == {}
        assert client.sendmail("r@reader.example", [LEAVE], letters.note("x")) == {}
    assert [(one.recipient, one.sender) for one in taken(database)] == [
        (PATH, ""),
        (LEAVE, ""),
        (LEAVE, "r@reader.example"),
    ]
    assert taken(database)[0].octets == letters.QMAIL


def test_mail_that_is_handed_over_again_is_the_same(keeper: Doorkeeper, database: Database) -> None:
    with open_door(keeper) as door, talk(door) as client:
        for _ in range(2):
            client.sendmail("", [PATH], letters.QMAIL)
    assert len(taken(database)) == 1


def test_each_recipient_hears_an_answer_of_its_own(keeper: Doorkeeper, database: Database) -> None:
    # The standard library's client knows one answer only.
    with open_door(keeper) as door, socket.create_connection(door.getsockname()) as raw, raw.makefile("rb") as lines:
        envelope = f"MAIL FROM:<>\r\nRCPT TO:<{LEAVE}>\r\nRCPT TO:<x@y.example>\r\nRCPT TO:<{SUBSCRIBE}>\r\n"
        raw.sendall(f"LHLO mx\r\n{envelope}DATA\r\n".encode())
        while not lines.readline().startswith(b"354"):
            pass
        raw.sendall(b"Subject: x\r\n\r\nx\r\n.\r\nNOOP\r\n")
        assert [lines.readline()[:3] for _ in range(3)] == [b"250"] * 3
        raw.sendall(b"QUIT\r\n")
        assert lines.readline().startswith(b"221")
    assert [one.recipient for one in taken(database)] == [LEAVE, SUBSCRIBE]


@pytest.mark.parametrize(
    "fault", [sa.exc.OperationalError("INSERT", {}, Exception("the server is away")), ValueError("a fault of ours")]
)
def test_what_is_wrong_here_is_a_later(keeper: Doorkeeper, database: Database, fault: Exception) -> None:
    away = Away(**vars(keeper), tried=[], fault=fault)
    with open_door(away) as door, talk(door) as client:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail("", [PATH], letters.QMAIL)
        assert refused.value.smtp_code == 451
        assert taken(database) == []
        client.sendmail("", [PATH], letters.QMAIL)
    assert len(taken(database)) == 1


def test_what_is_too_large_is_refused_and_long_lines_are_not(keeper: Doorkeeper, database: Database) -> None:
    head = b"Subject: x\r\n\r\n"
    with open_door(keeper) as door, talk(door) as client:
        assert int(client.esmtp_features["size"]) == LARGEST if client.does_esmtp else True
        client.sendmail("", [PATH], head + b"x" * 20_000)
        with pytest.raises((smtplib.SMTPDataError, smtplib.SMTPSenderRefused)) as refused:
            client.sendmail("", [PATH], head + b"x" * 70 * 1024 + (b"\r\n" + b"x" * 70 * 1024) * 4)
        assert refused.value.smtp_code == 552
    assert len(taken(database)) == 1


def test_a_mailbox_that_is_not_there_is_refused_before_the_text(keeper: Doorkeeper, database: Database) -> None:
    guessed = [f"nobody{number}@{letters.BOUNCES}" for number in range(100)]
    with open_door(keeper) as door, talk(door) as client:
        client.ehlo_or_helo_if_needed()
        client.mail("anybody@stranger.example")
        answers = {client.rcpt(one) for one in [*guessed, f"b.{'a' * 40}@{letters.BOUNCES}"]}
        assert answers == {(550, b"5.1.1 there is no such mailbox here")}
        assert client.docmd("data")[0] == 503
        client.rset()
        client.sendmail("", [PATH], letters.QMAIL)
    assert [one.recipient for one in taken(database)] == [PATH]


def test_while_much_waits_to_be_read_the_mail_server_keeps_the_rest(
    keeper: Doorkeeper, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [NOW]
    keeper = dataclasses.replace(keeper, clock=lambda: now[0])
    monkeypatch.setattr(keeping, "MOST_UNREAD", 3000)
    with open_door(keeper) as door, talk(door) as client:
        client.sendmail("", [PATH], letters.note("x", "word " * 600))
        now[0] += keeping.LOOK_EVERY
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail("", [PATH], letters.QMAIL)
        assert refused.value.smtp_code == 452
        with database.write() as session:
            session.execute(sa.update(Arrival).values(state=ArrivalState.DONE, sealed=None))
        now[0] += keeping.LOOK_EVERY
        client.sendmail("", [PATH], letters.QMAIL)


def test_a_socket_in_the_file_system_serves_too_and_is_gone_afterwards(
    keeper: Doorkeeper, database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "lmtp"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with open_door(keeper, f"unix:{path}") as door:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with pytest.raises(CannotTakeMail, match="listen"), listening(f"unix:{path}"):
            pass
        with talk(door) as client:
            client.sendmail("", [PATH], letters.QMAIL)
    assert not path.exists()
    assert len(taken(database)) == 1


def test_a_port_that_is_taken_is_a_sentence(keeper: Doorkeeper) -> None:
    with open_door(keeper) as door:
        port = door.getsockname()[1]
        with pytest.raises(CannotTakeMail, match=r"\[inbound\] listen"), listening(f"127.0.0.1:{port}"):
            pass
