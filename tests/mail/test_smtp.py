"""The SMTP session against a scripted server: every row of the table in email.md §3.3, with and without pipelining."""

import asyncio
import ssl
from dataclasses import dataclass

import pytest
import trustme

from digest.mail.replies import Stage, interrupted, outcome
from digest.mail.smtp import Envelope, Interrupted, Limits, Refused, Session, open_session
from digest.models import DeliveryState as D
from digest.settings import Smtp
from tests.smtp_server import HangUp, Moment, Plan, Say, ScriptedServer, Silence

LIMITS = Limits()
"""As long as RFC 5321 says: a machine that is busy must not look like a relay that is silent."""
BODY = [b"Subject: x\r\n\r\n", b"hello\r\n" * 20000]


def at(command: str, act: Say | HangUp | Silence) -> Plan:
    return lambda moment: act if moment.command == command else None


async def ask(session: Session, sender: str, recipient: str, size: int) -> None:
    envelope = Envelope(sender, recipient, size)
    session.check(envelope)
    await session.begin(envelope)
    await session.accepted()


async def send_one(server: ScriptedServer, body: list[bytes] = BODY, limits: Limits = LIMITS) -> tuple[D, bool]:
    """Try one message; returns what became of it, and whether the connection could carry another."""
    session = await open_session(Smtp(url=f"smtp+plain://127.0.0.1:{server.port}"), limits)
    try:
        await ask(session, "list@example.org", "reader@example.org", 100)
        await session.body(body)
        result = outcome(Stage.DOT, await session.dot())
    except Refused as error:
        result = outcome(error.stage, error.reply)
    except Interrupted as error:
        result = interrupted(error.stage, error.why)
    goes_on = session.usable
    await session.close()
    return result.state, goes_on


PIPELINING = [("PIPELINING", "SIZE 10000000"), ("SIZE 10000000",), ()]


@dataclass(frozen=True)
class Row:
    """One row of the table in email.md §3.3: what the relay does, and what it must mean to us."""

    name: str
    plan: Plan
    state: D
    dots: int
    """How many final dots the relay sees."""
    goes_on: bool = True
    """Whether the connection can be used again."""
    limits: Limits = LIMITS


def right_after_354(moment: Moment) -> Say | None:
    return Say(b"354 go on\r\n550 5.7.1 no thanks\r\n") if moment.command == "DATA" else None


def no_sender(moment: Moment) -> Say | None:
    refusals = {"MAIL": b"550 5.7.1 not you\r\n", "RCPT": b"503 5.5.1 no sender\r\n"}
    return Say(refusals[moment.command]) if moment.command in refusals else None


TABLE = [
    Row("drops at DATA, before 354", at("DATA", HangUp()), D.DEFERRED, 0, goes_on=False),
    Row("drops at DATA, by RST", at("DATA", HangUp(reset=True)), D.DEFERRED, 0, goes_on=False),
    Row("421 at DATA", at("DATA", Say(b"421 4.3.2 closing\r\n")), D.DEFERRED, 0, goes_on=False),
    Row("421 at DATA and drops", at("DATA", Say(b"421 4.3.2 closing\r\n", hang_up=True)), D.DEFERRED, 0, goes_on=False),
    Row("drops after dot", at("DOT", HangUp()), D.UNKNOWN, 1, goes_on=False),
    Row("drops after dot, by RST", at("DOT", HangUp(reset=True)), D.UNKNOWN, 1, goes_on=False),
    Row("silent after dot", at("DOT", Silence()), D.UNKNOWN, 1, goes_on=False, limits=Limits(dot=0.3)),
    Row("421 after dot", at("DOT", Say(b"421 4.3.2 closing\r\n")), D.DEFERRED, 1, goes_on=False),
    Row("451 after dot", at("DOT", Say(b"451 4.3.0 later\r\n")), D.DEFERRED, 1),
    Row("200 after dot", at("DOT", Say(b"200 ok\r\n")), D.ACCEPTED, 1),
    Row("garbage line after dot", at("DOT", Say(b"what?\r\n")), D.UNKNOWN, 1, goes_on=False),
    Row("252 to RCPT", at("RCPT", Say(b"252 2.0.0 perhaps\r\n")), D.ACCEPTED, 1),
    Row("550 sent right after 354", right_after_354, D.REJECTED, 0, goes_on=False),
]
"""`drops while body is sent` has a test of its own below: it needs a text that no buffer swallows."""

BESIDE = [
    Row("behaves", lambda _: None, D.ACCEPTED, 1),
    Row("250 in two lines after dot", at("DOT", Say(b"250-two\r\n250 lines\r\n")), D.ACCEPTED, 1),
    Row("250 without a text after dot", at("DOT", Say(b"250\r\n")), D.ACCEPTED, 1),
    Row("two codes after dot", at("DOT", Say(b"250-two\r\n550 codes\r\n")), D.UNKNOWN, 1, goes_on=False),
    Row("an endless line after dot", at("DOT", Say(b"2" * 9000)), D.UNKNOWN, 1, goes_on=False),
    Row("half a line after dot", at("DOT", Say(b"250 o", hang_up=True)), D.UNKNOWN, 1, goes_on=False),
    Row("354 after dot", at("DOT", Say(b"354 go on\r\n")), D.UNKNOWN, 1, goes_on=False),
    Row("554 after dot", at("DOT", Say(b"554 5.7.1 spam\r\n")), D.REJECTED, 1),
    Row("550 to RCPT", at("RCPT", Say(b"550 5.1.1 nobody\r\n")), D.REJECTED, 0),
    Row("450 to RCPT", at("RCPT", Say(b"450 4.2.0 greylisted\r\n")), D.DEFERRED, 0),
    Row("drops at RCPT", at("RCPT", HangUp()), D.DEFERRED, 0, goes_on=False),
    Row("garbage at RCPT", at("RCPT", Say(b"garbage\r\n")), D.DEFERRED, 0, goes_on=False),
    Row("550 to MAIL", no_sender, D.DEFERRED, 0),
    Row("drops at MAIL", at("MAIL", HangUp()), D.DEFERRED, 0, goes_on=False),
    Row("silent at DATA", at("DATA", Silence()), D.DEFERRED, 0, goes_on=False, limits=Limits(data=0.3)),
    Row("451 to DATA", at("DATA", Say(b"451 4.3.0 later\r\n")), D.DEFERRED, 0),
    Row("250 to DATA", at("DATA", Say(b"250 ok\r\n")), D.DEFERRED, 0, goes_on=False),
    Row("354 to RCPT", at("RCPT", Say(b"354 go on\r\n")), D.DEFERRED, 0, goes_on=False),
]


@pytest.mark.parametrize("extensions", PIPELINING, ids=["pipelined", "step by step", "bare"])
@pytest.mark.parametrize("row", [*TABLE, *BESIDE], ids=lambda row: row.name)
def test_what_the_relay_does_and_what_it_means(extensions, row: Row) -> None:
    with ScriptedServer(row.plan, extensions) as server:
        state, goes_on = asyncio.run(send_one(server, limits=row.limits))
    assert (state, goes_on) == (row.state, row.goes_on)
    assert len(server.dotted) == row.dots
    # Both sides' books agree: what is certain for us is what the relay has answered.
    assert state is not D.ACCEPTED or server.accepted == ["reader@example.org"]
    # A connection that is out of step gets no further command: its answer would be taken for another's.
    assert (server.commands[-1].command == "QUIT") is row.goes_on


def test_a_text_that_is_wanted_for_nobody_is_not_sent() -> None:
    # RFC 2920 §3.1: a lone dot would do; a connection that is dropped can leave no empty message behind.
    with ScriptedServer(at("MAIL", Say(b"550 5.7.1 not you\r\n"))) as server:
        assert asyncio.run(send_one(server)) == (D.DEFERRED, False)
    assert server.dotted == []
    assert "RSET" not in {moment.command for moment in server.commands}


@pytest.mark.parametrize("act", [HangUp(), HangUp(reset=True), Say(b"550 5.7.1 enough\r\n")])
def test_a_relay_that_drops_while_the_text_is_sent_has_accepted_nothing(act) -> None:
    endless = [b"more than any socket buffers\r\n" * 1000] * 1000
    with ScriptedServer(at("BODY", act)) as server:
        state, goes_on = asyncio.run(send_one(server, endless))
    assert state is (D.REJECTED if isinstance(act, Say) else D.DEFERRED)
    assert not goes_on
    assert server.dotted == []


def test_the_bytes_arrive_as_they_were_given() -> None:
    with ScriptedServer() as server:
        asyncio.run(send_one(server))
    assert server.caught[0].body == b"".join(BODY)
    assert server.caught[0].sender == "list@example.org"


@pytest.mark.parametrize("extensions", PIPELINING)
def test_a_refused_reader_does_not_disturb_the_next(extensions) -> None:
    def plan(moment: Moment) -> Say | None:
        return Say(b"550 5.1.1 no\r\n") if moment.command == "RCPT" and "bad" in moment.argument else None

    async def story(server: ScriptedServer) -> None:
        session = await open_session(Smtp(url=f"smtp+plain://127.0.0.1:{server.port}"), LIMITS)
        async with session:
            for name in ("one", "two"):
                await ask(session, "list@example.org", f"{name}@example.org", 10)
                await session.body(BODY)
                await session.dot()
                with pytest.raises(Refused) as caught:
                    await ask(session, "list@example.org", "bad@example.org", 10)
                assert caught.value.stage is Stage.RCPT

    with ScriptedServer(plan, extensions) as server:
        asyncio.run(story(server))
    assert server.accepted == ["one@example.org", "two@example.org"]
    assert server.connections == 1


@pytest.mark.parametrize("address", ["a@b.org>\r\nRCPT TO:<x@y.org", "a b@c.org", "a\x00@c.org", "<a@c.org"])
def test_an_address_cannot_carry_a_command(address: str) -> None:
    async def story(server: ScriptedServer) -> None:
        async with await open_session(Smtp(url=f"smtp+plain://127.0.0.1:{server.port}"), LIMITS) as session:
            with pytest.raises(Refused):
                await ask(session, "list@example.org", address, 10)

    with ScriptedServer() as server:
        asyncio.run(story(server))
    assert {moment.command for moment in server.commands} == {"CONNECT", "EHLO", "QUIT"}


@pytest.mark.parametrize(
    ("extensions", "address", "size"),
    [(("SIZE 1000",), "reader@example.org", 2000), (("SIZE",), "чтец@example.org", 10)],
)
def test_what_the_relay_said_it_cannot_take_is_not_tried(extensions, address, size) -> None:
    async def story(server: ScriptedServer) -> None:
        async with await open_session(Smtp(url=f"smtp+plain://127.0.0.1:{server.port}"), LIMITS) as session:
            with pytest.raises(Refused):
                await ask(session, "list@example.org", address, size)

    with ScriptedServer(extensions=extensions) as server:
        asyncio.run(story(server))
    assert "MAIL" not in {moment.command for moment in server.commands}


AUTHORITY = trustme.CA()


def contexts(name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    AUTHORITY.issue_cert(name).configure_cert(server)
    AUTHORITY.configure_trust(client)
    return server, client


async def connect(scheme: str, port: int, tls: ssl.SSLContext | None, body: list[bytes] = BODY) -> None:
    async with await open_session(Smtp(url=f"{scheme}://user:word@localhost:{port}"), LIMITS, tls) as session:
        await ask(session, "list@example.org", "reader@example.org", 10)
        await session.body(body)
        await session.dot()


def plan_auth(moment: Moment) -> Say | None:
    return Say(b"235 2.7.0 in\r\n") if moment.command == "AUTH" else None


@pytest.mark.parametrize(("scheme", "implicit"), [("smtps", True), ("smtp", False)])
def test_tls_carries_the_mail(scheme, implicit) -> None:
    server_tls, client_tls = contexts("localhost")
    extensions = ("PIPELINING", "AUTH PLAIN")
    with ScriptedServer(plan_auth, extensions, tls=server_tls, implicit_tls=implicit) as server:
        asyncio.run(connect(scheme, server.port, client_tls))
    assert server.accepted == ["reader@example.org"]
    assert server.caught[0].body == b"".join(BODY)


def test_a_text_that_fills_every_buffer_passes_tls() -> None:
    server_tls, client_tls = contexts("localhost")
    long = [b"more than any socket buffers\r\n" * 1000] * 300
    with ScriptedServer(plan_auth, ("PIPELINING", "AUTH PLAIN"), tls=server_tls, implicit_tls=True) as server:
        asyncio.run(connect("smtps", server.port, client_tls, long))
    assert server.caught[0].body == b"".join(long)


def seen(server: ScriptedServer) -> set[str]:
    return {moment.command for moment in server.commands} - {"CONNECT"}


def test_a_relay_without_starttls_gets_neither_password_nor_mail() -> None:
    with ScriptedServer(plan_auth, ("AUTH PLAIN",)) as server, pytest.raises(Interrupted) as caught:
        asyncio.run(connect("smtp", server.port, contexts("localhost")[1]))
    assert caught.value.stage is Stage.CONNECT
    assert seen(server) <= {"EHLO", "QUIT"}


@pytest.mark.parametrize("trouble", ["wrong name", "unknown authority", "454"])
def test_broken_tls_is_never_given_up(trouble: str) -> None:
    server_tls, client_tls = contexts("other.example.org" if trouble == "wrong name" else "localhost")
    if trouble == "unknown authority":
        client_tls = ssl.create_default_context()

    def plan(moment: Moment) -> Say | None:
        if moment.command == "STARTTLS" and trouble == "454":
            return Say(b"454 4.7.0 not now\r\n")
        return plan_auth(moment)

    with ScriptedServer(plan, ("AUTH PLAIN",), tls=server_tls) as server, pytest.raises((Refused, Interrupted)):
        asyncio.run(connect("smtp", server.port, client_tls))
    assert seen(server) <= {"EHLO", "STARTTLS", "QUIT"}


def test_a_refused_password_stops_before_any_mail() -> None:
    server_tls, client_tls = contexts("localhost")
    no = Say(b"535 5.7.8 bad credentials\r\n")
    relay = ScriptedServer(at("AUTH", no), ("AUTH PLAIN",), tls=server_tls)
    with relay as server, pytest.raises(Refused) as caught:
        asyncio.run(connect("smtp", server.port, client_tls))
    assert caught.value.stage is Stage.CONNECT
    assert "MAIL" not in seen(server)


def test_the_next_envelope_travels_with_the_dot() -> None:
    async def story(server: ScriptedServer) -> list[str]:
        session = await open_session(Smtp(url=f"smtp+plain://127.0.0.1:{server.port}"), LIMITS)
        one, two = (Envelope("list@example.org", f"{name}@example.org", 10) for name in ("one", "two"))
        async with session:
            await session.begin(one)
            await session.accepted()
            await session.body(BODY)
            await session.dot(two)
            assert session.has_begun(two)
            await session.accepted()
            await session.body(BODY)
            await session.dot()
            assert not session.has_begun(two)
        return [moment.command for moment in server.commands]

    with ScriptedServer() as server:
        commands = asyncio.run(story(server))
    assert server.accepted == ["one@example.org", "two@example.org"]
    assert commands.count("RSET") == 0


def test_a_refused_text_leaves_the_envelope_that_travelled_with_it() -> None:
    refuse_first = Say(b"554 5.6.0 bad\r\n")

    def plan(moment: Moment) -> Say | None:
        return refuse_first if moment.command == "DOT" and moment.message == 1 else None

    async def story(server: ScriptedServer) -> None:
        session = await open_session(Smtp(url=f"smtp+plain://127.0.0.1:{server.port}"), LIMITS)
        one, two = (Envelope("list@example.org", f"{name}@example.org", 10) for name in ("one", "two"))
        async with session:
            await session.begin(one)
            await session.accepted()
            await session.body(BODY)
            with pytest.raises(Refused):
                await session.dot(two)
            await session.accepted()
            await session.body(BODY)
            await session.dot()

    with ScriptedServer(plan) as server:
        asyncio.run(story(server))
    assert server.accepted == ["two@example.org"]
