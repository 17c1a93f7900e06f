"""The scripted relay itself: it does on the wire what its plan says (Q-01)."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from digest.mail.replies import Stage, interrupted, outcome
from digest.mail.smtp import Envelope, Interrupted, Limits, Refused, open_session
from digest.models import DeliveryState
from digest.settings import Smtp
from tests.crash.faults import ODD, UNREADABLE
from tests.smtp_server import Act, HangUp, Moment, Plan, Say, ScriptedServer

LETTER = b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n"


@contextmanager
def talk(server: ScriptedServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        assert connection.recv(1000).startswith(b"220 ")
        yield connection


def at(command: str, act: Act) -> Plan:
    return lambda moment: act if moment.command == command else None


def test_answers_that_are_held_back_travel_with_the_next() -> None:
    def plan(moment: Moment) -> Act | None:
        return Say(hold=True) if moment.command in ("MAIL", "RCPT") else None

    with ScriptedServer(plan) as server, talk(server) as connection:
        connection.sendall(LETTER)
        assert connection.recv(1000) == b"250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n"


def test_an_answer_in_pieces_comes_in_pieces() -> None:
    reply = b"250-one\r\n250 two\r\n"
    with ScriptedServer(at("RSET", Say(reply, piece=3, delay=0.01))) as server, talk(server) as connection:
        connection.sendall(b"RSET\r\n")
        assert len(connection.recv(1000)) < len(reply)


def test_after_half_a_close_it_still_listens_and_says_nothing() -> None:
    with ScriptedServer(at("MAIL", Say(half_close=True))) as server:
        with talk(server) as connection:
            connection.sendall(LETTER)
            assert connection.recv(1000) == b"250 2.1.0 ok\r\n"
            assert connection.recv(1000) == b""
            connection.shutdown(socket.SHUT_WR)
        commands = [moment.command for moment in server.commands]
    assert commands[:2] == ["CONNECT", "MAIL"]
    assert server.caught == []


@pytest.mark.parametrize("reset", [False, True])
def test_a_hang_up_is_an_end_or_a_reset(reset: bool) -> None:
    with ScriptedServer(at("RSET", HangUp(reset=reset))) as server, talk(server) as connection:
        connection.sendall(b"RSET\r\n")
        if reset:
            with pytest.raises(ConnectionResetError):
                connection.recv(1000)
        else:
            assert connection.recv(1000) == b""


def test_it_keeps_what_it_said_to_each_dot() -> None:
    replies = iter([b"250 2.0.0 yes\r\n", b"452 4.3.1 later\r\n", b"554 5.6.0 no\r\n"])
    with ScriptedServer(lambda m: Say(next(replies)) if m.command == "DOT" else None) as server:
        with talk(server) as connection:
            for _ in range(3):
                connection.sendall(LETTER + b"text\r\n.\r\n")
            seen = b""
            while b"5.6.0" not in seen:
                seen += connection.recv(1000)
        found = [(caught.answered, caught.refused) for caught in server.caught]
    assert found == [(True, False), (False, True), (False, True)]


def test_somebody_is_told_when_an_answer_has_left() -> None:
    told: list[str] = []
    with ScriptedServer(at("RSET", Say(then=lambda: told.append("left")))) as server, talk(server) as connection:
        connection.sendall(b"RSET\r\nNOOP\r\n")
        while b"what?" not in connection.recv(1000):
            pass
    assert told == ["left"]


@pytest.mark.parametrize("reply", UNREADABLE + ODD)
def test_what_the_matrix_calls_unreadable_is_so_to_the_sender_and_what_it_calls_odd_is_a_yes(reply: bytes) -> None:
    async def send(port: int) -> DeliveryState:
        limits = Limits(dot=10)
        try:
            async with await open_session(Smtp(url=f"smtp+plain://127.0.0.1:{port}"), limits) as session:
                await session.begin(Envelope("a@x.example", "b@x.example", 10))
                await session.accepted()
                await session.body([b"text\r\n"])
                return outcome(Stage.DOT, await session.dot()).state
        except Refused as error:
            return outcome(error.stage, error.reply).state
        except Interrupted as error:
            return interrupted(error.stage, error.why).state

    with ScriptedServer(at("DOT", Say(reply))) as server:
        state = asyncio.run(send(server.port))
    assert state is (DeliveryState.UNKNOWN if reply in UNREADABLE else DeliveryState.ACCEPTED)
