"""`digest users`: all that the desk's page of people does, from a terminal at night."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from digest.models import LogEntry
from digest.web.accounts import check_password
from subscribers.db import Database
from tests.commands import run

PASSWORD = "a long pass phrase"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert run(tmp_path, "init")[0] == 0
    return tmp_path


def users(folder: Path, *words: str, code: int = 0, **environ: str) -> str:
    """Run `digest users …`; what it said, its line breaks taken out."""
    got, said = run(folder, "users", *words, **environ)
    assert got == code, said
    return " ".join(said.split())


def test_the_first_account_is_made_by_a_link_that_is_printed(folder: Path):
    said = users(folder, "first")
    token = re.search(r"http://127\.0\.0\.1:8000/desk/first/([A-Za-z0-9_-]{43})", said)
    assert token
    assert token[1].encode() not in (folder / "digest.db").read_bytes()
    assert users(folder, "first") != said
    users(folder, "add", "maria", DIGEST_USER_PASSWORD=PASSWORD)
    assert "has an account already" in users(folder, "first", code=1)


def test_a_night_with_a_lost_phone_and_a_stolen_laptop(folder: Path):
    users(folder, "add", "maria", DIGEST_USER_PASSWORD=PASSWORD)
    link = re.search(r"/desk/invited/([\w-]{43})", users(folder, "invite", "paul", "--role", "publisher"))
    assert link
    assert "no second factor any more" in users(folder, "reset-factor", "maria")
    assert "sessions ended: 0" in users(folder, "end-sessions", "maria")
    assert "is editor" in users(folder, "role", "paul", "editor")
    assert "may not come in any more" in users(folder, "disable", "paul")
    assert "Let them in again first" in users(folder, "link", "paul", code=1)
    assert "may come in again" in users(folder, "enable", "paul")
    assert re.search(r"/desk/invited/[\w-]{43}", users(folder, "link", "Paul"))
    listed = json.loads(run(folder, "users", "list", "--json")[1])
    assert [(one["name"], one["role"], one["state"]) for one in listed] == [
        ("maria", "admin", "in"),
        ("paul", "editor", "invited"),
    ]
    assert "taken back" in users(folder, "take-back", "paul")
    database = Database(f"sqlite:///{folder / 'digest.db'}")
    assert check_password(database, "maria", PASSWORD) == 1
    with database.read() as session:
        said = session.scalars(sa.select(LogEntry.who)).all()
    assert all(who.endswith("(command line)") for who in said)
    database.close()


def test_what_cannot_be_done_is_a_line_and_changes_nothing(folder: Path):
    users(folder, "add", "maria", DIGEST_USER_PASSWORD=PASSWORD)
    for words in (("role", "maria", "viewer"), ("disable", "maria")):
        assert "the last administrator" in users(folder, *words, code=1)
    assert "Keep them out instead" in users(folder, "take-back", "maria", code=1)
    assert "no desk user" in users(folder, "disable", "nobody", code=1)
    assert "already somebody" in users(folder, "invite", "maria", code=1)
    users(folder, "role", "maria", "owner", code=2)


def test_an_invitation_by_mail_prints_no_link(folder: Path):
    said = users(folder, "invite", "paul", "--address", "paul@newsroom.example")
    assert "sends the letter" in said
    assert "/desk/invited/" not in said
    assert "paul@newsroom.example" not in said
