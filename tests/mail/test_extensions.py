"""What a relay is asked for with each extension that it offers and without (S-40 to S-45); and when it is left."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.mail.smtp import Envelope, Limits, Refused, Session, _xtext, open_session
from digest.settings import Smtp
from tests.smtp_server import ScriptedServer

SENDER, READER, ABROAD = "list@example.org", "reader@example.org", "чтец@example.org"


async def opened(server: ScriptedServer, reuse: int = 100) -> Session:
    return await open_session(Smtp(url=f"smtp+plain://127.0.0.1:{server.port}", reuse=reuse), Limits())


async def transact(session: Session, envelope: Envelope) -> None:
    session.check(envelope)
    await session.begin(envelope)
    await session.accepted()
    await session.body([b"Subject: x\r\n\r\n"])
    await session.dot()


def asked(extensions: tuple[str, ...], envelope: Envelope) -> tuple[str, str]:
    """The MAIL and the RCPT that the relay gets."""

    async def story(server: ScriptedServer) -> None:
        async with await opened(server) as session:
            await transact(session, envelope)

    with ScriptedServer(extensions=extensions) as server:
        asyncio.run(story(server))
    assert server.accepted == [envelope.recipient]
    mail, rcpt = (moment.argument for moment in server.commands if moment.command in ("MAIL", "RCPT"))
    return mail, rcpt


@pytest.mark.parametrize("pipelining", [("PIPELINING",), ()], ids=["pipelined", "step by step"])
@pytest.mark.parametrize(
    ("offered", "reader", "envid", "mail", "rcpt"),
    [
        ((), READER, "c0ffee", "", ""),
        (("SIZE 1000",), READER, "c0ffee", " SIZE=77", ""),
        (("SIZE",), READER, "c0ffee", " SIZE=77", ""),
        # No octet of ours has eight bits (F-08): nothing is asked for (S-41).
        (("8BITMIME", "BINARYMIME", "CHUNKING"), READER, "c0ffee", "", ""),
        # Only an address that needs it asks for it, so that the others pass relays that do not offer it (S-42).
        (("SMTPUTF8",), READER, "c0ffee", "", ""),
        (("SMTPUTF8",), ABROAD, "c0ffee", " SMTPUTF8", ""),
        (("DSN",), READER, "c0ffee", " RET=HDRS ENVID=c0ffee", " NOTIFY=FAILURE,DELAY"),
        (("DSN",), READER, "a+b=c d", " RET=HDRS ENVID=a+2Bb+3Dc+20d", " NOTIFY=FAILURE,DELAY"),
        (("DSN",), READER, "", " RET=HDRS", " NOTIFY=FAILURE,DELAY"),
        (
            ("SIZE 1000", "SMTPUTF8", "DSN"),
            ABROAD,
            "c0ffee",
            " SIZE=77 SMTPUTF8 RET=HDRS ENVID=c0ffee",
            " NOTIFY=FAILURE,DELAY",
        ),
    ],
)
def test_a_relay_is_asked_for_what_it_offers_and_nothing_else(
    pipelining: tuple[str, ...], offered: tuple[str, ...], reader: str, envid: str, mail: str, rcpt: str
) -> None:
    envelope = Envelope(SENDER, reader, 77, envid)
    assert asked((*pipelining, *offered), envelope) == (f"MAIL FROM:<{SENDER}>{mail}", f"RCPT TO:<{reader}>{rcpt}")


def test_a_report_is_never_asked_to_name_the_address() -> None:
    mail, rcpt = asked(("DSN",), Envelope(SENDER, READER, 77, "c0ffee"))
    assert "ORCPT" not in rcpt
    assert READER not in mail


@given(st.text(max_size=40))
def test_the_coding_of_a_name_is_printable_and_can_be_undone(text: str) -> None:
    coded = _xtext(text)
    assert all("!" <= char <= "~" and char != "=" for char in coded)
    head, *rest = coded.encode().split(b"+")
    assert head + b"".join(bytes.fromhex(part[:2].decode()) + part[2:] for part in rest) == text.encode()


@pytest.mark.parametrize(
    ("extensions", "envelope", "code"),
    [
        (("SIZE 1000",), Envelope(SENDER, READER, 1001), 552),
        ((), Envelope(SENDER, ABROAD, 77), 553),
    ],
)
def test_what_a_relay_cannot_take_is_refused_before_it_is_asked(
    extensions: tuple[str, ...], envelope: Envelope, code: int
) -> None:
    async def story(server: ScriptedServer) -> Refused:
        async with await opened(server) as session:
            with pytest.raises(Refused) as caught:
                session.check(envelope)
            # The next reader is not concerned.
            await transact(session, Envelope(SENDER, READER, 77))
        return caught.value

    with ScriptedServer(extensions=extensions) as server:
        refused = asyncio.run(story(server))
    assert refused.reply.code == code
    assert envelope.recipient not in str(refused)
    assert server.accepted == [READER]


def test_a_connection_is_spent_after_so_many_messages() -> None:
    async def story(server: ScriptedServer) -> list[bool]:
        seen = []
        async with await opened(server, reuse=3) as session:
            for _ in range(3):
                seen.append(session.is_spent)
                await transact(session, Envelope(SENDER, READER, 77))
            return [*seen, session.is_spent]

    with ScriptedServer() as server:
        assert asyncio.run(story(server)) == [False, False, False, True]


def test_a_connection_is_spent_after_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(server: ScriptedServer) -> list[bool]:
        loop = asyncio.get_running_loop()
        async with await opened(server) as session:
            began, seen = loop.time(), []
            for seconds in (0.0, 290.0, 300.0):
                with monkeypatch.context() as patch:
                    patch.setattr(loop, "time", lambda at=began + seconds: at)
                    seen.append(session.is_spent)
            return seen

    with ScriptedServer() as server:
        assert asyncio.run(story(server)) == [False, False, True]
