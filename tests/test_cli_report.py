"""`digest report` and `digest resolve` as an operator uses them: a terminal, and a relay that hangs up."""

import json
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
import sqlalchemy as sa

from digest.configuration import load
from digest.mail.issue_work import editions_of, wire_digest
from digest.mail.report_purge import KEEP
from digest.models import Issue, IssueState
from digest.schedule import tidy_once
from digest.wiring import House, build, utc_now
from tests.commands import told
from tests.smtp_server import HangUp, Moment, ScriptedServer

WEEK = "2026-W46"
NAME = f"watchdog/{WEEK}"


class Desk:
    """A folder with an installation whose relay hangs up after the first final dot."""

    def __init__(self, folder: Path, relay: ScriptedServer) -> None:
        self.folder = folder
        self.relay = relay
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("DIGEST_")}

    def __call__(self, *words: str, code: int = 0) -> str:
        return told(self.folder, *words, code=code)

    def answering(self, answer: str, *words: str) -> tuple[int, str]:
        """Run a command on a terminal, and type an answer to what it asks."""
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "digest", *words]
        process = subprocess.Popen(
            command, cwd=self.folder, env=self.environ, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        said = b""
        with closing(os.fdopen(ours, "rb+", buffering=0)) as terminal:
            while select.select([terminal], [], [], 60)[0]:
                try:
                    piece = terminal.read(4096)
                except OSError:  # The other side is closed: it has ended.
                    break
                if not piece:
                    break
                said += piece
                if said.endswith(b"[y/N]: "):
                    terminal.write(f"{answer}\n".encode())
        return process.wait(60), said.decode()

    def house(self) -> House:
        return build(load(self.folder / "digest.toml", {}))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    answered: list[bool] = []

    def plan(moment: Moment) -> HangUp | None:
        if moment.command != "DOT" or answered:
            return None
        answered.append(True)
        return HangUp()

    with ScriptedServer(plan) as relay:
        made = Desk(tmp_path, relay)
        made("init")
        config = (tmp_path / "digest.toml").read_text()
        config = config.replace("smtp+plain://127.0.0.1:25", f"smtp+plain://127.0.0.1:{relay.port}")
        (tmp_path / "digest.toml").write_text(config.replace("connections = 4", "connections = 1"))
        _freeze(made.house())
        made("send", NAME)
        yield made


def _freeze(house: House) -> None:
    """An issue for two readers, as the freeze leaves it."""
    from tests.house import House as Small

    small = Small(house.database)
    small.now = utc_now()
    for number in (1, 2):
        house.service.enter("watchdog", f"reader-{number}@readers.example", "asked on paper", small.now)
    issue_id = small.issue(WEEK)
    with house.database.write() as session:
        issue = session.get_one(Issue, issue_id)
        session.refresh(issue, ["rendered_subject", "rendered_text", "rendered_html"])
        issue.wire_digest = wire_digest(editions_of(issue, house.newsletter("watchdog"), house.service.links, None))


def test_the_account_is_printed_for_people_and_for_programs(desk: Desk) -> None:
    said = desk("report", NAME)
    assert "audience 2 = 1 accepted + 0 rejected + 0 excluded + 1 unknown" in said
    assert "unknown: 1 open, 0 left as they are by a person" in said
    assert f"`digest resolve {NAME}` settles the open ones." in said
    assert re.search(r"^other +2 +1 +0 +0 +1 +0\b", said, re.MULTILINE)
    data = json.loads(desk("report", NAME, "--json"))
    assert (data["version"], data["issue"], data["closes"]) == (1, NAME, True)
    assert data["equation"]["unknown"] == 1
    assert "readers.example" not in said + json.dumps(data)


def test_the_unknown_one_is_listed_with_its_message_id_and_left(desk: Desk) -> None:
    said = desk("resolve", NAME)
    (one,) = json.loads(desk("resolve", NAME, "--json"))
    assert one["message_id"] in said
    assert f"Message-ID: {one['message_id']}".encode() in desk.relay.caught[0].body
    assert "readers.example" not in said
    assert "is no delivery number" in desk("resolve", NAME, "1x", "--leave", code=1)
    assert "Not open in" in desk("resolve", NAME, "4711", "--leave", code=1)
    assert "not both" in desk("resolve", NAME, "--leave", "--resend", code=1)
    assert desk("resolve", NAME, str(one["delivery"]), "--leave") == f"{NAME}: 1 delivery stays unknown.\n"
    assert desk("resolve") == f"Nothing of {NAME} is open.\n"
    assert "no delivery is unknown that was not settled before" in desk("resolve", NAME, "--leave", code=1)
    assert "0 open, 1 left as they are by a person" in desk("report")


def test_a_resend_is_asked_about_and_is_the_same_byte_by_byte(desk: Desk) -> None:
    assert "add --yes" in desk("resolve", NAME, "--resend", code=1)
    code, said = desk.answering("n", "resolve", NAME, "--resend")
    assert code == 1
    assert f"Send all 1 open deliveries of {NAME} again?" in said
    assert "Nothing was done." in said
    code, said = desk.answering("y", "resolve", NAME, "--resend")
    assert (code, "1 delivery is sent again." in said) == (0, True)
    assert len(desk.relay.caught) == 2
    desk("send", NAME)
    first, _, again = desk.relay.caught
    assert (again.body, again.recipients) == (first.body, first.recipients)
    assert "audience 2 = 2 accepted + 0 rejected + 0 excluded + 0 unknown" in desk("report", NAME)


def test_after_a_change_of_the_settings_nothing_is_sent_again(desk: Desk) -> None:
    path = desk.folder / "digest.toml"
    config = path.read_text()
    changed = re.sub(r'^base_url = ".*"', 'base_url = "https://elsewhere.example.org"', config, flags=re.MULTILINE)
    assert changed != config
    path.write_text(changed)
    assert "would not be the same byte by byte" in desk("resolve", NAME, "--resend", "--yes", code=1)
    path.write_text(config)
    assert "1 delivery is sent again." in desk("resolve", NAME, "--resend", "--yes")


def test_a_purged_issue_is_still_accounted_for(desk: Desk) -> None:
    house = desk.house()
    with house.database.read() as session:
        issue = session.scalars(sa.select(Issue)).one()
    assert issue.state is IssueState.SENT
    # A fault in one half of the tidying does not keep the other back.
    broken = Mock(spec=house.service, purge=Mock(side_effect=RuntimeError("a fault of ours")))
    tidy_once(replace(house, clock=lambda: utc_now() + KEEP + timedelta(days=1), service=broken))
    house.database.close()
    said = desk("report", NAME)
    assert "its copies are purged" in said
    assert "audience 2 = 1 accepted + 0 rejected + 0 excluded + 1 unknown" in said
    assert "digest resolve" not in said
    assert "were purged to counts on" in desk("resolve", NAME, "--leave", code=1)
    assert desk("resolve", NAME) == f"Nothing of {NAME} is open.\n"
