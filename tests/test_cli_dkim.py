"""The commands about DKIM, as an operator uses them."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mail.test_dkim import letter, plain, raw
from tests.test_cli import Desk

SECTION = '\n[newsletters.watchdog.dkim]\nselector = "w2026"\nkey = "dkim.pem"\n'
SECOND = (
    '\n[newsletters.second]\ntitle = "S"\nsender = "S <s@example.org>"\nsources = [{feed = "https://example.org/"}]\n'
)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made("init")
    return made


def declare(desk: Desk, text: str = SECTION) -> None:
    with (desk.folder / "digest.toml").open("a") as file:
        file.write(text)


def test_a_key_is_made_once_and_its_record_printed(desk: Desk) -> None:
    assert '[newsletters.watchdog.dkim] with selector = "w1"' in desk("dkim", "make", code=1)
    declare(desk)
    assert "There is no DKIM key" in desk("dkim", "record", code=1)
    said = desk("dkim", "make")
    path = desk.folder / "dkim.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "name:  w2026._domainkey.digest.example.org\n" in said
    assert 'value: "v=DKIM1; k=rsa; p=' in said
    assert "PRIVATE" not in said
    before = path.read_bytes()
    assert "is there already; nothing was changed" in desk("dkim", "make", code=1)
    assert path.read_bytes() == before
    assert desk("dkim", "record") in said
    path.chmod(0o644)
    assert f"run `chmod 600 {path.name}`" in desk("dkim", "record", code=1).replace(f"{desk.folder}/", "")


def test_where_there_are_several_newsletters_one_is_named(desk: Desk) -> None:
    declare(desk, SECTION + SECOND)
    assert "say which with --newsletter: watchdog, second" in desk("dkim", "make", code=1)
    assert "There is no newsletter 'third'" in desk("dkim", "make", "-n", "third", code=1)
    assert "second is not signed by us" in desk("dkim", "make", "-n", "second", code=1)
    assert "w2026._domainkey" in desk("dkim", "make", "-n", "watchdog")


def test_doctor_says_who_signs_and_how_to_look(desk: Desk) -> None:
    # No relay listens here, so the doctor is not content anyway.
    said = desk("doctor", code=1)
    assert "watchdog is left to the relay to sign; send a test issue to a mailbox of yours" in said
    assert "`digest dkim check FILE`" in said
    declare(desk)
    assert "WRONG  dkim" in desk("doctor", code=1)
    desk("dkim", "make")
    assert "watchdog is signed by us; w2026._domainkey.digest.example.org must be in the DNS" in desk("doctor", code=1)


def test_doctor_asks_no_signing_key_of_a_machine_that_does_not_send(desk: Desk) -> None:
    declare(desk)
    keys = desk.folder / "digest.keys"
    lines = keys.read_text().splitlines(keepends=True)
    keys.write_text("".join(line for line in lines if not line.startswith("private")))
    said = desk("doctor", code=1)
    assert "not looked at: this machine does not send" in said


def test_a_received_message_is_checked(desk: Desk) -> None:
    path = desk.folder / "message.eml"
    path.write_bytes(raw(plain()))
    said = desk("dkim", "check", str(path))
    assert "Signed as w2026._domainkey.example.org: it covers all that it must." in said
    assert "The signature covers what it must." in said
    path.write_bytes(raw(plain()).replace(b"d=example.org", b"d=relay.example"))
    said = desk("dkim", "check", str(path), code=1)
    assert "it is in the name of relay.example, and the sender is of example.org" in said
    assert "No signature covers what it must." in said
    path.write_bytes(raw(plain()).partition(b"\r\nFrom:")[2])
    assert "nobody signs this mail" in desk("dkim", "check", str(path), code=1)
    path.write_bytes(b"Authentication-Results: mx.example; dkim=fail\r\n" + letter())
    said = desk("dkim", "check", str(path), code=1)
    assert "The message has no List-Id, List-Unsubscribe, List-Unsubscribe-Post, Feedback-ID." in said
    assert "The receiver says: dkim=fail" in said
    assert "none.eml cannot be read" in desk("dkim", "check", "none.eml", code=1)


def test_a_received_message_is_read_from_standard_input(desk: Desk) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "digest", "dkim", "check"],
        cwd=desk.folder,
        env=desk.environ,
        input=raw(plain()),
        capture_output=True,
        check=True,
    )
    assert b"it covers all that it must" in done.stdout
