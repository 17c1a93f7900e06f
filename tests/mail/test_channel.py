"""How answers are read: whole, in pieces, several at once, late, never, and when they are no SMTP."""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.mail.channel import MAX_LINE, Channel
from digest.mail.replies import Reply

PATIENCE = 5.0


class Wire(asyncio.Transport):
    """The end of a wire that only notes whether it was cut."""

    cut = False

    def abort(self) -> None:
        self.cut = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[Channel, socket.socket]]:
    """A channel on a real socket, and the relay's end of it."""
    ours, theirs = socket.socketpair()
    with theirs:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        channel = Channel(transport)
        transport.set_protocol(channel)
        yield channel, theirs
        transport.abort()
        await channel.closed.wait()


def heard(pieces: Iterable[bytes]) -> tuple[list[Reply], str | None]:
    """The answers in what the relay sends piece by piece, and why nothing more is read."""

    async def story() -> tuple[list[Reply], str | None]:
        wire = Wire()
        channel = Channel(wire)
        for piece in pieces:
            channel.data_received(piece)
        replies = []
        while channel.has_reply:
            replies.append(await channel.reply(PATIENCE))
        assert wire.cut is (channel.broken is not None)
        channel.connection_lost(None)
        return replies, channel.broken

    return asyncio.run(story())


TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_characters="\x7f\x85\xa0"), max_size=20)
REPLIES = st.tuples(st.integers(200, 599), st.lists(TEXTS.map(str.strip), min_size=1, max_size=4))


@given(st.lists(REPLIES, max_size=5), st.lists(st.integers(0, 400), max_size=12), st.sampled_from([b"\r\n", b"\n"]))
def test_answers_are_the_same_however_they_are_cut(
    said: list[tuple[int, list[str]]], cuts: list[int], end: bytes
) -> None:
    wire = b"".join(
        f"{code}{'-' if number < len(lines) - 1 else ' '}{line}".encode() + end
        for code, lines in said
        for number, line in enumerate(lines)
    )
    places = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    replies, broken = heard(wire[start:stop] for start, stop in itertools.pairwise(places))
    assert replies == [Reply(code, " ".join(lines)) for code, lines in said]
    assert broken == "the relay hung up"


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_whatever_comes_is_an_answer_or_the_end(pieces: list[bytes]) -> None:
    replies, _ = heard(pieces)
    assert all(200 <= reply.code <= 599 and "\n" not in reply.text for reply in replies)


@pytest.mark.parametrize(
    ("wire", "codes", "broken"),
    [
        (b"250\r\n", [250], "the relay hung up"),
        (b"250 caf\xe9\r\n", [250], "the relay hung up"),
        (b"250 ok\r\nwhat?\r\n250 ok\r\n", [250], "the relay's answer is not SMTP"),
        (b"\r\n250 ok\r\n", [], "the relay's answer is not SMTP"),
        (b"150 ok\r\n", [], "the relay's answer is not SMTP"),
        (b"650 ok\r\n", [], "the relay's answer is not SMTP"),
        (b"2500 ok\r\n", [], "the relay's answer is not SMTP"),
        (b"250-one\r\n251 two\r\n250 ok\r\n", [], "the relay's answer is not SMTP"),
        (b"250 " + b"x" * MAX_LINE, [], "the relay sent an endless line"),
        (b"250 ok\r\n250 " + b"x" * MAX_LINE, [250], "the relay sent an endless line"),
        (b"250-and so on\r\n" * 10000 + b"250 ok\r\n", [], "the relay's answer is not SMTP"),
    ],
)
def test_what_is_no_answer_ends_the_talk_at_once(wire: bytes, codes: list[int], broken: str) -> None:
    replies, why = heard([wire])
    assert ([reply.code for reply in replies], why) == (codes, broken)


def test_an_answer_is_waited_for_as_long_as_was_said_and_no_longer() -> None:
    async def story() -> None:
        async with joined() as (channel, relay):
            relay.sendall(b"250 at once\r\n")
            assert (await channel.reply(0.01)).text == "at once"
            # The alarm of the first is still set: it must not cut the second short.
            asyncio.get_running_loop().call_later(0.05, relay.sendall, b"250 late\r\n")
            assert (await channel.reply(PATIENCE)).text == "late"
            # Nor may the alarm of a long wait lengthen a short one.
            with pytest.raises(ConnectionError, match="no answer in time"):
                await asyncio.wait_for(channel.reply(0.01), PATIENCE)
            assert channel.transport.is_closing()

    asyncio.run(story())


def test_an_answer_that_came_before_the_end_is_still_heard() -> None:
    async def story() -> None:
        async with joined() as (channel, relay):
            relay.sendall(b"250 last words\r\n")
            relay.shutdown(socket.SHUT_RDWR)
            await channel.closed.wait()
            assert (await channel.reply(PATIENCE)).text == "last words"
            with pytest.raises(ConnectionError, match="the relay hung up"):
                await channel.reply(PATIENCE)

    asyncio.run(story())


@pytest.mark.parametrize("size", [20_000, 60_000, 10_000_000])
def test_a_relay_that_takes_nothing_is_waited_for_as_long_as_was_said(size: int) -> None:
    async def story() -> None:
        async with joined() as (channel, _):
            # The kernel keeps little, as on a slow line: what is left must not pass for sent.
            channel.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            channel.transport.write(b"x" * size)
            with pytest.raises(ConnectionError, match="no answer in time"):
                await asyncio.wait_for(channel.drain(0.01), PATIENCE)

    asyncio.run(story())


def test_a_relay_that_reads_slowly_is_waited_for() -> None:
    async def story() -> int:
        async with joined() as (channel, relay):
            relay.settimeout(0)
            loop, taken = asyncio.get_running_loop(), 0
            channel.transport.write(b"x" * 2_000_000)
            draining = asyncio.create_task(channel.drain(PATIENCE))
            while not draining.done() or taken < 2_000_000:
                taken += len(await loop.sock_recv(relay, 65536))
            await draining
            return taken

    assert asyncio.run(story()) == 2_000_000
