"""No address and no reader's link is in a log, however it came there (O-53)."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from digest.cli.logs import _fence_json, redacted, set_up_logs

SPELLINGS = (
    "canary@example.org",
    "canary.o'brien=x@example.org",
    "canary%40example.org",
    "canary@localhost",
    '"canary bird"@example.org',
    "canary@bücher.example",
    "канарейка@пример.рф",
    "canary\uff20example.org",
    "canary@[192.0.2.1]",
)
WORDS = ("canary", "bird", "brien", "example", "пример", "канарейка", "bücher", "localhost", "192.0", "secret-token")


class Terminal(io.StringIO):
    """What standard error is for people."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[Terminal, io.StringIO], ids=["people", "programs"])
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is written to standard error, by each of the renderers."""
    stream: io.StringIO = request.param()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # Taken off first: setting up closes what it finds.
    root.handlers[:] = []
    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logs()
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def assert_clean(stream: io.StringIO) -> None:
    text = stream.getvalue()
    decoded = (
        text
        if isinstance(stream, Terminal)
        else json.dumps([json.loads(x) for x in text.splitlines()], ensure_ascii=False)
    )
    assert "something" in decoded
    assert "<address>" in decoded
    assert not [word for word in WORDS if word in decoded], decoded


@pytest.mark.parametrize("address", SPELLINGS)
def test_whatever_holds_the_address(written: io.StringIO, address: str) -> None:
    log = structlog.get_logger()
    for value in (
        address,
        f"to {address}, please",
        ValueError(f"no {address} here"),
        {"to": address, address: 1},
        {address},
        (address, [address]),
    ):
        log.warning("something", value=value)
    log.warning("something about " + address)  # noqa: G003 -- as a library might.
    assert_clean(written)


def test_octets_and_links(written: io.StringIO) -> None:
    log = structlog.get_logger()
    log.warning("something", value=b"RCPT TO:<canary@example.org>", path="/u/secret-token")
    log.warning("something", value={b"canary@example.org"}, paths=("/confirm/secret-token",))
    assert_clean(written)
    assert "/u/<token>" in written.getvalue()


@pytest.mark.parametrize("address", SPELLINGS)
def test_tracebacks_of_ours_and_of_libraries(written: io.StringIO, address: str) -> None:
    try:
        try:
            raise KeyError(address)
        except KeyError as error:
            raise ValueError(f"something with {address}") from error
    except ValueError:
        structlog.get_logger().exception("something broke")
        logging.getLogger("a.library").exception("something broke for %s", address)
    logging.getLogger("a.library").warning("something %r", {"to": address}, stack_info=True)
    assert "Traceback" in written.getvalue()
    assert_clean(written)


@given(st.text(st.sampled_from("ab1 /u\\\"'<%40@\uff20\ufe6bü.\n") | st.characters(), max_size=40))
def test_a_line_for_programs_holds_what_the_fence_leaves(text: str) -> None:
    links = [f"/{way}/{text}" for way in ("confirm", "u", "manage", "mine", "never")]
    for said in (text, *links, f"{text}@example.org"):
        line = structlog.processors.JSONRenderer()(None, "info", {"said": said, said: 1})
        expected = {"said": redacted(said)} | {redacted(said): 1}
        assert json.loads(_fence_json(None, "info", line)) == expected


def test_the_rest_stays_and_no_line_takes_long() -> None:
    assert redacted("sent 3 of 4 to watchdog/2026-W47 at 10:00") == "sent 3 of 4 to watchdog/2026-W47 at 10:00"
    assert redacted("from <canary@example.org>, at last") == "from <<address>>, at last"
    assert redacted("x" * 200_000 + " a@b") == "x" * 200_000 + " <address>"
    assert redacted('"' * 20_000) == '"' * 20_000
