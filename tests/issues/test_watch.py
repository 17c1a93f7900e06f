"""Looking after open issues: links wanted and asked, an approved one that turns red held with a letter, spam scores."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from digest.configuration import parse
from digest.gather.fetch import Fetcher
from digest.issues import control, watch
from digest.issues.checks import examine
from digest.issues.outcomes import Done, Finding, Override
from digest.issues.plan import URGENT, Hands, tick
from digest.issues.watch import Eyes
from digest.mail.outbox import LedgerOutbox
from digest.models import Delivery, IssueState, Link, MailScore, Post, PostVersion, User
from subscribers.db import Database
from subscribers.vault import Keys, Vault, make_keys
from tests.gather.conftest import Faults
from tests.issues.newsroom import BASE_URL, DAY, HOUR, THURSDAY, House, make_newsletter, templates

SEND = dt.datetime(2026, 11, 19, 9, 0, tzinfo=dt.UTC)


@pytest.fixture
def faults() -> Iterator[Faults]:
    server = Faults()
    yield server
    server.close()


@cache
def keys() -> Keys:
    return make_keys()


@dataclass
class Room:
    """A newsroom whose source is on loopback, with somebody to write to."""

    house: House
    eyes: Eyes
    now: dt.datetime = THURSDAY

    def watch(self, now: dt.datetime = THURSDAY) -> tuple[str, ...]:
        return watch.watch(self.eyes, self.house.newsletter, now)

    def ask(self) -> int:
        return watch.ask_now(self.eyes)

    def findings(self, issue_id: int) -> tuple[Finding, ...]:
        with self.house.database.read() as session:
            return examine(session, issue_id, self.house.newsletter, templates(), base_url=BASE_URL).findings

    def approve(self, issue_id: int, *overrides: Override) -> None:
        findings = self.findings(issue_id)
        with self.house.database.write() as session:
            done = control.approve(session, issue_id, who="Paula", now=THURSDAY, findings=findings, overrides=overrides)
        assert isinstance(done, Done)

    def letters(self) -> list[str]:
        with self.house.database.read() as session:
            return list(session.scalars(sa.select(Delivery.letter)))


@pytest.fixture
def room(database: Database, faults: Faults) -> Room:
    return make_room(database, faults)


def make_room(database: Database, faults: Faults, **checks: object) -> Room:
    newsletter = make_newsletter(sources=[{"feed": f"{faults.url}/feed"}])
    house = House(database, newsletter)
    house.source(f"{faults.url}/feed")
    for number, title in enumerate(("A court orders a station off the air", "Police search the flat of an activist")):
        link = faults.says(f"/a/{number}.html", b"x")
        house.post(title, source=f"{faults.url}/feed", link=link, ago=DAY * (number + 1))
    vault = Vault(database, keys())
    vault.prepare()
    with database.write() as session:
        values = {"name": "anna", "public_id": b"u" * 16, "password_hash": "-", "created_at": THURSDAY}
        session.add(User(**values, address_sealed=b"sealed", address_verified_at=THURSDAY))
    source = {"feed": f"{faults.url}/feed"}
    data = {
        "newsletters": {"watchdog": {"title": "Watchdog", "sender": "W <digest@example.org>", "sources": [source]}},
        "fetch": {"allow_private": ["127.0.0.1"], "delay": 0, "timeout": 2},
        "checks": checks,
    }
    settings = parse(data, {}, Path("/nowhere/digest.toml"))
    hands = Hands(database, templates(), BASE_URL, LedgerOutbox(vault), gather=lambda *_: None, prepare=vault.prepare)
    eyes = Eyes(hands, settings, lambda: THURSDAY, lambda: Fetcher(settings.fetch), {})
    return Room(house, eyes)


def test_an_open_issue_s_links_are_asked_in_the_background(room: Room, faults: Faults) -> None:
    room.house.draft()
    assert faults.methods == []
    assert room.watch() == ()
    assert faults.methods == []
    assert room.ask() == 2
    assert ("HEAD", "/a/0.html") in faults.methods
    room.watch()
    assert room.ask() == 0
    # After the settings' span they are asked once more.
    room.watch(THURSDAY + 6 * HOUR)
    assert room.ask() == 0  # Their hour has not come on the eyes' clock.
    later = replace(room.eyes, clock=lambda: THURSDAY + 6 * HOUR)
    assert watch.ask_now(later) == 2


def test_where_links_are_switched_off_nothing_is_asked(database: Database, faults: Faults) -> None:
    room = make_room(database, faults, links=False)
    room.house.draft()
    room.watch()
    assert room.ask() == 0
    with database.read() as session:
        assert list(session.scalars(sa.select(Link))) == []


def test_an_approved_issue_that_turns_red_is_held_at_once_and_the_newsroom_told(room: Room, faults: Faults) -> None:
    issue_id = room.house.draft().issue_id
    room.approve(issue_id)
    room.watch()
    del faults.answers["/a/1.html"]
    room.ask()
    (said,) = room.watch()
    assert said.startswith("watchdog/2026-W47 is held. The checks do not let it go out. story 2: Police search")
    issue = room.house.issue(issue_id)
    assert (issue.state, issue.approved_by) == (IssueState.HELD, None)
    assert "is dead" in issue.hold_reason
    assert room.letters() == ["reminder"]
    # Once is enough.
    assert room.watch() == ()
    assert room.letters() == ["reminder"]


def test_a_draft_that_turns_red_waits_for_its_editor(room: Room, faults: Faults) -> None:
    issue_id = room.house.draft().issue_id
    faults.answers.clear()
    room.watch()
    room.ask()
    assert room.watch() == ()
    assert room.house.issue(issue_id).state is IssueState.DRAFT
    assert room.letters() == []
    assert [one.code for one in room.findings(issue_id)] == ["link-dead", "link-dead"]


def test_with_a_reason_an_approved_issue_stays_approved_and_goes_out(room: Room, faults: Faults) -> None:
    issue_id = room.house.draft().issue_id
    del faults.answers["/a/1.html"]
    room.watch()
    room.ask()
    (dead,) = room.findings(issue_id)
    room.approve(issue_id, Override(dead.key, "The page is back within the hour."))
    assert room.watch() == ()
    assert room.house.issue(issue_id).state is IssueState.APPROVED
    acts = tick(room.eyes.hands, room.house.newsletter, SEND, URGENT)
    assert [act.published is not None for act in acts] == [True]


def test_at_its_hour_the_same_truth_holds(room: Room, faults: Faults) -> None:
    issue_id = room.house.draft().issue_id
    room.approve(issue_id)
    room.watch()
    faults.answers.clear()
    room.ask()
    (act,) = tick(room.eyes.hands, room.house.newsletter, SEND, URGENT)
    assert act.published is None
    assert "is held. The checks do not let it go out." in act.said
    assert room.house.issue(issue_id).state is IssueState.HELD
    assert room.letters() == ["reminder"]


def test_an_issue_that_was_forgotten_is_let_be(room: Room) -> None:
    issue_id = room.house.draft().issue_id
    room.house.set(issue_id, send_at=THURSDAY - watch.LOOKED_AFTER)
    room.watch()
    assert room.ask() == 0


def spam_filter(tmp_path: Path, body: str) -> list[str]:
    script = tmp_path / "filter.py"
    script.write_text(f"import sys\nmail = sys.stdin.buffer.read().decode()\n{body}\n", encoding="utf-8")
    return [sys.executable, str(script)]


SAYS = 'print("Content analysis details:   (7.5 points, 5.0 required)\\n\\n 7.5 MADE_UP  A rule")'


def test_a_spam_filter_is_asked_once_about_each_mail(sqlite_database: Database, faults: Faults, tmp_path: Path) -> None:
    room = make_room(sqlite_database, faults, spam="spamc", links=False)
    command = spam_filter(tmp_path, f"open({str(tmp_path / 'seen')!r}, 'a').write(mail)\n{SAYS}")
    room.eyes = replace(room.eyes, filters={"spamc": command})
    issue_id = room.house.draft().issue_id
    room.watch()
    room.watch()
    seen = (tmp_path / "seen").read_text()
    assert seen.count("Subject: A court orders") == 1
    assert "To: reader@example.org" in seen
    assert "@@" not in seen
    (one,) = room.findings(issue_id)
    assert (one.level, one.code) == ("warns", "spam-score")
    room.house.set(issue_id, subject="Another subject altogether")
    room.watch()
    assert (tmp_path / "seen").read_text().count("\nSubject:") == 2


def test_a_filter_that_is_not_there_is_said_once(sqlite_database: Database, faults: Faults) -> None:
    room = make_room(sqlite_database, faults, spam="spamassassin", links=False)
    room.eyes = replace(room.eyes, filters={"spamassassin": ["no-such-filter-here"]})
    issue_id = room.house.draft().issue_id
    with capture_logs() as logs:
        room.watch()
        room.watch()
    assert [entry["event"] for entry in logs] == ["no spam score"]
    assert room.findings(issue_id) == ()


def test_what_is_old_is_forgotten(room: Room) -> None:
    post_id = room.house.post("A post")
    with room.house.database.write() as session:
        session.add(PostVersion(post_id=post_id, title="x", summary="", body="", until=THURSDAY))
        session.add(MailScore(digest=b"x" * 32, at=THURSDAY, score=1.0, required=5.0))
        session.add(Link(digest=b"x" * 32, address="https://x.example/", wanted_at=THURSDAY))
    for now, left in ((THURSDAY + watch.FORGOTTEN, 1), (THURSDAY + watch.FORGOTTEN + HOUR, 0)):
        watch.forget(room.eyes, now)
        with room.house.database.read() as session:
            counts = [len(list(session.scalars(sa.select(table)))) for table in (PostVersion, MailScore, Link)]
            assert counts == [left] * 3
            assert session.get(Post, post_id) is not None
