"""The whole way: a copy leaves with a return path of its own, comes back, and the next one is never sent."""

from __future__ import annotations

import asyncio
import re
import smtplib
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from digest.cli import with_commands
from digest.configuration import BadSettings, parse
from digest.inbound import keeping
from digest.mail.headers import issue_headers
from digest.mail.verp import read_return_path
from digest.models import Arrival, ArrivalState
from digest.run import Roles, serve
from digest.settings import Settings
from digest.wiring import House, build
from subscribers.keys import write_keys
from subscribers.lifecycle import BY_MAIL, State
from subscribers.models import Subscription
from tests.house import NOW, keys
from tests.inbound import letters
from tests.inbound.letters import BOUNCES
from tests.smtp_server import ScriptedServer

CONFIG = """\
[newsletters.watchdog]
title = "Watchdog"
sender = "Watchdog <digest@example.org>"
publisher = "The Newsroom, 1 Main Street, Example City"
sources = [{{ feed = "https://www.example.org/api/" }}]

[smtp]
url = "smtp+plain://127.0.0.1:{port}"

[inbound]
domain = "bounces.example.org"
listen = "{listen}"
authserv_id = "mx.example.org"
"""


def configured(**inbound: str) -> Settings:
    newsletter = {
        "title": "Watchdog",
        "sender": "Watchdog <digest@example.org>",
        "sources": [{"feed": "https://www.example.org/api/"}],
    }
    return parse({"newsletters": {"watchdog": newsletter}, "inbound": inbound}, {}, Path("/etc/digest/digest.toml"))


def test_every_newsletter_is_told_where_its_bounces_go() -> None:
    assert configured(domain="Bounces.example.org").newsletters["watchdog"].inbound_domain == BOUNCES
    assert configured().newsletters["watchdog"].inbound_domain is None
    assert configured(listen="unix:run/lmtp").inbound.listen == "unix:/etc/digest/run/lmtp"
    for good in ("127.0.0.1:8024", "[::1]:24", "unix:/run/digest/lmtp", "localhost:24"):
        assert configured(listen=good).inbound.listen == good


def test_an_issue_names_the_mailbox_that_leaves() -> None:
    for settings, mailbox in ((configured(domain=BOUNCES), f"leave@{BOUNCES}"), (configured(), "digest@example.org")):
        paper = settings.newsletters["watchdog"]
        fields = dict(issue_headers(paper, subject="x", base_url="https://x", week="w", made_at=NOW, by_hand=True))
        assert f"<mailto:{mailbox}?subject=unsubscribe%20".encode() in b"".join(
            part for part in fields["List-Unsubscribe"] if isinstance(part, bytes)
        )


@pytest.mark.parametrize("wrong", ["0.0.0.0:24", "127.0.0.1", "127.0.0.1:70000", "mx.example.org:24", "unix:"])
def test_the_door_is_on_this_machine_alone(wrong: str) -> None:
    with pytest.raises(BadSettings, match=r"inbound\.listen"):
        configured(listen=wrong)


@contextmanager
def running(house: House, **roles: bool) -> Iterator[None]:
    """These roles, in a thread."""
    loop, stopping = asyncio.new_event_loop(), asyncio.Event()
    work = serve(house, Roles(**roles), stopping=stopping)
    thread = threading.Thread(target=loop.run_until_complete, args=(work,))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(20)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()


def until(is_so: Callable[[], object]) -> None:
    """Wait until that is so."""
    for _ in range(400):
        if is_so():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it did not come to pass")


def test_a_copy_that_comes_back_ends_the_subscription(tmp_path: Path, database_url: str) -> None:
    write_keys(tmp_path / "digest.keys", keys())
    (tmp_path / "digest.toml").write_text(CONFIG.format(port=1, listen="unix:lmtp"))
    with ScriptedServer() as relay:
        data = {"DIGEST_DATABASE_URL": database_url, "DIGEST_SMTP_URL": f"smtp+plain://127.0.0.1:{relay.port}"}
        config = tomllib.loads((tmp_path / "digest.toml").read_text())
        house = build(parse(config, data, tmp_path / "digest.toml"), lambda: NOW)
        house.service.join("watchdog", "reader@reader.example", NOW, BY_MAIL)
        with running(house, worker=True, lmtp=True):
            until(lambda: relay.caught)
            (letter,) = relay.caught
            until((tmp_path / "lmtp").exists)
            with smtplib.LMTP(str(tmp_path / "lmtp"), local_hostname="mx.example.org") as client:
                client.sendmail("", [letter.sender], letters.QMAIL)

            def has_left() -> bool:
                with house.database.read() as session:
                    return session.scalars(sa.select(Subscription.state)).all() == [State.LEFT]

            until(has_left)
        house.database.close()
    assert read_return_path(keys().token, letter.sender) is not None
    assert letter.sender.endswith(f"@{BOUNCES}")
    head = letter.body.partition(b"\r\n\r\n")[0]
    assert b"\r\nAuto-Submitted: auto-replied" in head
    assert b"reader" not in letter.sender.encode()
    assert not (tmp_path / "lmtp").exists()


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    write_keys(tmp_path / "digest.keys", keys())
    path = tmp_path / "digest.toml"
    path.write_text(CONFIG.format(port=1, listen="127.0.0.1:8024"))
    # Its roles have been at work: where they never were, there is no database, and mail is asked for again later.
    build(parse_file(path), lambda: NOW).database.close()
    return path


def run(config: Path, *words: str, octets: bytes = b"", code: int = 0) -> str:
    """A command, with that on standard input."""
    done = CliRunner().invoke(with_commands(), ["-c", str(config), "inbound", *words], input=octets)
    assert done.exit_code == code, done.output
    return re.sub(r"\s+", " ", done.output)


def test_a_pipe_hands_mail_over_and_a_person_sees_what_is_kept(installation: Path) -> None:
    octets = letters.note("Hi\x1b[31m", "<b>Dear</b> editors \u202e", more="Delivered-To: digest@example.org\n")
    run(installation, octets=octets)
    run(installation, "--recipient", "digest@example.org", "--sender", "MAILER-DAEMON", octets=letters.EXCHANGE)
    assert "2 more wait" in run(installation, "list")

    house = build(parse_file(installation), lambda: NOW)
    house.inbox().step(NOW)
    house.database.close()

    listed = run(installation, "list")
    assert "asks for nothing we know" in listed
    assert "no return path of ours" in listed
    assert "reader@" not in listed
    assert '"waiting": 0' in run(installation, "list", "--json")
    shown = run(installation, "show", "1")
    assert "<b>Dear</b> editors" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "removed" in run(installation, "done", "1")
    run_fails(installation, "done", "1")
    run_fails(installation, "show", "1")
    with build_database(installation) as states:
        assert states == [ArrivalState.DONE, ArrivalState.KEPT]


def test_a_pipe_knows_which_mailboxes_there_are(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = run(installation, "--recipient", f"guessed@{BOUNCES}", octets=letters.QMAIL, code=67)
    assert "no such mailbox" in refused
    run(installation, "--recipient", f"leave@{BOUNCES}", octets=letters.QMAIL)
    monkeypatch.setattr(keeping, "MOST_UNREAD", 1)
    later = run(installation, "--recipient", f"leave@{BOUNCES}", octets=letters.EXCHANGE, code=75)
    assert "too much waits" in later
    with build_database(installation) as states:
        assert states == [ArrivalState.WAITING]


def run_fails(config: Path, *words: str) -> None:
    done = CliRunner().invoke(with_commands(), ["-c", str(config), "inbound", *words])
    assert "number 1" in str(done.exception)


@contextmanager
def build_database(config: Path) -> Iterator[list[ArrivalState]]:
    house = build(parse_file(config), lambda: NOW)
    with house.database.read() as session:
        yield list(session.scalars(sa.select(Arrival.state).order_by(Arrival.id)))
    house.database.close()


def parse_file(config: Path) -> Settings:
    return parse(tomllib.loads(config.read_text()), {}, config)


def test_what_cannot_be_kept_now_is_for_later_and_what_never_can_is_not(installation: Path) -> None:
    assert "standard input" in run(installation, octets=b"", code=65)
    assert "256 KB" in run(installation, octets=b"x" * (256 * 1024 + 1), code=65)
    (installation.parent / "digest.keys").unlink()
    assert "just now" in run(installation, octets=letters.QMAIL, code=75)
    installation.write_text("[newsletters]\n")
    assert "just now" in run(installation, octets=letters.QMAIL, code=75)


def test_the_role_without_a_place_to_listen_says_what_to_set(installation: Path) -> None:
    installation.write_text(installation.read_text().replace('listen = "127.0.0.1:8024"', ""))
    done = CliRunner().invoke(with_commands(), ["-c", str(installation), "lmtp"])
    assert "[inbound] listen" in str(done.exception)
