"""Postfix itself as the relay: TLS, log-in, a greylist, and a real queue that delivers on to a sink."""

import asyncio
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
import trustme

from digest.mail.course import Run
from digest.mail.lanes import Lanes
from digest.mail.pace import Rates
from digest.mail.send import Engine
from digest.mail.smtp import Envelope, Limits, open_session
from digest.mail.work import Gate
from digest.models import Delivery, DeliveryState
from digest.settings import Smtp
from subscribers.db import Database
from tests.house import House
from tests.mail.postfix import Accounts, Greylist, Postfix, missing
from tests.smtp_server import Moment, Say, ScriptedServer

AUTHORITY = trustme.CA()
READERS = 14
"""Over two connections: enough refusals that Postfix closes them in the middle of the greylist."""


REMOVED = ": removed"
"""What the log says when a message has left the queue for good."""
OVER = ": disconnect from"
"""What it says when a client has gone; the line counts its commands."""


@dataclass
class Line:
    """The relay, and what is behind it."""

    postfix: Postfix
    sink: ScriptedServer

    def smtp(self, scheme: str, password: str = "open sesame") -> Smtp:
        port = self.postfix.smtps if scheme == "smtps" else self.postfix.starttls
        return Smtp(url=f"{scheme}://digest:{password.replace(' ', '%20')}@localhost:{port}", connections=2)

    def engine(self, house: House, smtp: Smtp, tls: ssl.SSLContext | None = None) -> Engine:
        return replace(house.engine(0), smtp=smtp, limits=Limits(), tls=tls or trusting())


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


@pytest.fixture(scope="module")
def running() -> Iterator[Line]:
    if why := missing():
        pytest.skip(why)
    with (
        ScriptedServer() as sink,
        Accounts({"digest": "open sesame"}) as accounts,
        Greylist() as greylist,
        Postfix(AUTHORITY, sink.port, accounts, greylist) as postfix,
    ):
        yield Line(postfix, sink)


@pytest.fixture
def line(running: Line) -> Iterator[Line]:
    """The relay as if nothing had come through it."""
    running.postfix.forget()
    running.sink.caught.clear()
    running.sink.plan = lambda _: None
    yield running
    running.postfix.rest()


def send(house: House, engine: Engine, issue: int) -> Run:
    run = asyncio.run(engine.run(house.work(issue), asyncio.Event()))
    assert run is not None
    return run


def copies(house: House, issue: int) -> dict[str, bytes]:
    """What every reader is to get, byte by byte."""
    work = house.work(issue)
    work.begin(house.now, Gate(Lanes(1000), Rates()))

    async def load() -> dict[str, bytes]:
        found = {}
        while copy := await work.next(house.now):
            found[copy.envelope.recipient] = b"".join(copy.segments)
        return found

    return asyncio.run(load())


def attempts(database: Database) -> set[int]:
    with database.read() as session:
        return set(session.scalars(sa.select(Delivery.attempts)))


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
def test_postfix_puts_everybody_off_once_and_then_delivers_each_copy_once_as_we_made_it(
    line: Line, sqlite_database: Database, scheme: str
) -> None:
    house = House(sqlite_database)
    readers = house.readers(READERS)
    issue = house.issue()
    made = copies(house, issue)
    engine = line.engine(house, line.smtp(scheme))

    first = send(house, engine, issue)
    assert (first.counts, first.stopped) == ({DeliveryState.DEFERRED: READERS}, None)
    assert sorted(line.postfix.greylist.put_off) == sorted(readers)
    line.postfix.wait("too many errors after")
    assert attempts(sqlite_database) == {1}

    house.now += timedelta(minutes=10)
    second = send(house, engine, issue)
    assert (second.counts, second.stopped) == ({DeliveryState.ACCEPTED: READERS}, None)
    assert house.books(issue).closes
    assert attempts(sqlite_database) == {2}

    line.postfix.wait(REMOVED, READERS)
    assert sorted(line.sink.dotted) == sorted(readers)
    for caught in line.sink.caught:
        added = caught.body.removesuffix(made[caught.recipients[0]])
        assert re.fullmatch(rb"Received: [^\r]+(\r\n\t[^\r]+)*\r\n", added)
    assert all(b"\r\nList-Unsubscribe: <https://" in copy and b"\r\nMessage-ID: <" in copy for copy in made.values())


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
def test_a_wrong_password_stops_the_run_before_any_mail(line: Line, sqlite_database: Database, scheme: str) -> None:
    house = House(sqlite_database)
    house.readers(3)
    issue = house.issue()
    run = send(house, line.engine(house, line.smtp(scheme, "open barley")), issue)
    assert run.stopped is not None
    assert run.stopped.startswith("the relay cannot be used: 535 5.7.8")
    assert "barley" not in run.stopped
    assert (run.counts, attempts(sqlite_database)) == ({}, {0})
    over = line.postfix.wait(OVER, 2)
    assert all("auth=0/1" in entry and "mail=" not in entry for entry in over)


@pytest.mark.parametrize(("scheme", "seen"), [("smtps", set()), ("smtp", {"ehlo", "starttls"})])
def test_a_certificate_that_nobody_vouches_for_gets_neither_password_nor_mail(
    line: Line, sqlite_database: Database, scheme: str, seen: set[str]
) -> None:
    house = House(sqlite_database)
    house.readers(3)
    issue = house.issue()
    run = send(house, line.engine(house, line.smtp(scheme), ssl.create_default_context()), issue)
    assert run.stopped is not None
    assert "certificate verify failed" in run.stopped
    assert (run.counts, attempts(sqlite_database)) == ({}, {0})
    for entry in line.postfix.wait(OVER, 2):
        assert set(re.findall(r"(\w+)=", entry)) - {"commands"} == seen


def test_a_report_of_failure_names_our_copy_and_holds_no_text(line: Line) -> None:
    async def one() -> None:
        async with await open_session(line.smtp("smtps"), Limits(), trusting()) as session:
            envelope = Envelope("list@example.org", "nobody@readers.example", 100, envid="c0ffee+1=x")
            await session.begin(envelope)
            await session.accepted()
            await session.body([b"Subject: the week\r\n\r\n", b"a secret\r\n"])
            await session.dot()

    def refuse(moment: Moment) -> Say | None:
        return Say(b"550 5.1.1 no such reader\r\n") if moment.argument == "RCPT TO:<nobody@readers.example>" else None

    line.sink.plan = refuse
    line.postfix.greylist.known.add(("127.0.0.1", "list@example.org", "nobody@readers.example"))
    asyncio.run(one())
    line.postfix.wait(REMOVED, 2)
    (report,) = line.sink.caught
    assert (report.sender, report.recipients) == ("", ["list@example.org"])
    assert b"\r\nOriginal-Envelope-Id: c0ffee+1=x\r\n" in report.body
    assert b"\r\nSubject: the week\r\n" in report.body
    assert b"a secret" not in report.body
