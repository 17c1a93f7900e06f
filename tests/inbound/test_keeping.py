"""Whoever writes to us, and however much: what waits for a person stays small, and somebody is told what went."""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from pathlib import Path

import pytest
import sqlalchemy as sa

from digest.cli import doctor
from digest.cli.setup import CONFIG
from digest.configuration import parse
from digest.inbound import arrivals, keeping
from digest.inbound.arrivals import take_in
from digest.inbound.posted import Posted, post, unpacked
from digest.models import Arrival, ArrivalState
from subscribers.db import Database
from subscribers.vault import StoodStill
from tests.house import NOW
from tests.inbound.letters import BOUNCES, note
from tests.inbound.test_inbox import Room


@pytest.fixture
def room(database: Database) -> Room:
    return Room(database)


def octets(room: Room) -> int:
    with room.database.read() as session:
        return session.scalar(sa.select(sa.func.sum(sa.func.length(Arrival.sealed)))) or 0


def states(room: Room) -> list[ArrivalState]:
    return [one.state for one in room.arrivals()]


def test_of_what_waits_for_a_person_the_beginning_is_kept(room: Room) -> None:
    long = note("Hello", "Dear editors\n" + "x" * 70 + "\n" * 2000 + "y" * 60_000)
    room.comes(long, "digest@example.org", sender="r@reader.example")
    (arrival,) = room.arrivals()
    assert arrival.state is ArrivalState.KEPT
    kept = unpacked(arrivals.opened(room.house.vault, arrival))
    assert (kept.recipient, kept.sender) == ("digest@example.org", "r@reader.example")
    assert keeping.FIRST - 200 < len(kept.octets) < keeping.FIRST
    assert long.startswith(kept.octets)


def test_so_many_are_kept_and_the_oldest_go_first(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOST", 3)
    for number in range(5):
        assert (keeping.trouble(room.database) is None) is (number <= 3)
        room.comes(note(f"Number {number}"), "digest@example.org", sender="r@reader.example")
    assert states(room) == [ArrivalState.DONE] * 2 + [ArrivalState.KEPT] * 3
    assert [bool(one.sealed) for one in room.arrivals()] == [False] * 2 + [True] * 3
    assert "asks for nothing we know" in room.arrivals()[0].outcome
    assert "2 that waited for a person went unread" in str(keeping.trouble(room.database))


def test_so_much_is_kept_whoever_writes(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOST_OCTETS", 5 * keeping.FIRST)
    for number in range(60):
        mail = Posted(note(f"Number {number}", "z" * 50_000), f"leave{number}@{BOUNCES}", "r@reader.example")
        post(room.database, room.house.vault, mail, NOW)
    while room.inbox.step(NOW):
        pass
    assert octets(room) <= 5 * keeping.FIRST
    assert states(room) == [ArrivalState.DONE] * 56 + [ArrivalState.KEPT] * 4


def test_what_was_let_go_is_not_done_twice(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOST", 1)
    monkeypatch.setattr(keeping, "MOST_REMEMBERED", 1)
    for number in (b"1", b"2"):
        assert take_in(room.database, room.house.vault, "unheard", number, b"x", NOW)
        room.inbox.step(NOW)
    room.inbox.sweep(NOW)
    assert states(room) == [ArrivalState.DONE, ArrivalState.KEPT]
    assert not take_in(room.database, room.house.vault, "unheard", b"1", b"x", NOW + dt.timedelta(hours=24))


def test_very_much_mail_is_not_remembered_for_two_weeks(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOST_REMEMBERED", 5)
    for number in range(8):
        answer = note("leave", more=f"Auto-Submitted: auto-replied\nX-Number: {number}\n")
        room.comes(answer, f"leave@{BOUNCES}", sender="r@reader.example")
    room.inbox.sweep(NOW)
    assert states(room) == [ArrivalState.DONE] * 5


def test_mail_that_nobody_reads_is_told_of(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOST_UNREAD", 2 * 2**20)
    for number in range(10):
        mail = Posted(bytes([number]) * 240_000, f"leave@{BOUNCES}", "")
        post(room.database, room.house.vault, mail, NOW)
    assert "MB of mail wait" in str(keeping.trouble(room.database))


def test_what_the_database_cannot_hold_keeps_nothing_else_back(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot_be_held(raw: bytes) -> list[object]:
        raise sa.exc.DataError("INSERT", {}, Exception(raw))

    def stood_still(_raw: bytes) -> list[object]:
        raise StoodStill("try again")

    readers = {**room.inbox.readers, "odd": cannot_be_held, "again": stood_still}
    monkeypatch.setattr(room.inbox, "readers", readers)
    for source in ("odd", "unheard"):
        take_in(room.database, room.house.vault, source, b"1", b"\0", NOW)
    assert room.inbox.step(NOW) == 2
    assert states(room) == [ArrivalState.KEPT] * 2

    take_in(room.database, room.house.vault, "again", b"1", json.dumps("x").encode(), NOW)
    with pytest.raises(StoodStill):
        room.inbox.step(NOW)
    assert states(room)[-1] is ArrivalState.WAITING


def test_doctor_says_what_becomes_of_mail_that_comes_in(
    tmp_path: Path, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(**inbound: object) -> doctor.Row:
        found = parse({**tomllib.loads(CONFIG), "inbound": inbound}, {}, tmp_path / "digest.toml")
        return doctor._looked("inbound", lambda: doctor._inbound(found, sqlite_database))

    told: dict[str, object] = {"domain": BOUNCES, "authserv_id": "mx.example.org"}
    assert look()[2].startswith("no mail is taken in")
    assert look(**told) == (doctor.OK, "inbound", f"mail to {BOUNCES} is taken in, and read where the private key is")
    how, _, said = look(**told, feedback_domains=["yahoo.co.uk"])
    assert how != doctor.OK
    assert "whoever has a mailbox at yahoo.co.uk" in said
    monkeypatch.setattr(keeping, "MOST_UNREAD", 0)
    assert look(**told)[::2] == (doctor.WRONG, str(keeping.trouble(sqlite_database)))
