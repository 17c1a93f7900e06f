"""Whoever stood still while keys were rotated stores nothing that nobody can open: it is sealed anew (E-06)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import undefer

from digest.inbound import arrivals
from digest.inbound.inbox import Inbox
from digest.models import Arrival, ArrivalState
from subscribers.db import Database
from subscribers.keys import KeysFile, read_keys, write_keys
from subscribers.models import Subscriber
from subscribers.rotation import DRAIN, begin, forget, reseal, retire_all
from subscribers.sealed import check_values
from subscribers.transfer.bringing import Bringing, Request
from subscribers.transfer.landing import Landing
from subscribers.vault import (
    ARRIVAL,
    LOOK_EVERY,
    SEALS_PER_KEY,
    STALE,
    SUBSCRIBER_ADDRESS,
    StoodStill,
    Vault,
    check_standing,
    key_id_of,
)
from tests.house import NOW, keys
from tests.inbound.letters import BOUNCES, note
from tests.inbound.test_inbox import Room
from tests.subscribers.house import before
from tests.subscribers.installation import FIRST, Installation


@pytest.fixture
def room(database: Database) -> Room:
    return Room(database)


def rotate(database: Database) -> None:
    """Make the data keys anew, and let the time pass after which the old ones go."""
    retire_all(database, NOW)
    assert reseal(database, keys(), lambda: NOW) == []
    assert forget(database, NOW + DRAIN) >= 1


def bringing(room: Room, folder: Path, count: int) -> Bringing:
    path = folder / "list.csv"
    path.write_text("email\n" + "".join(f"reader-{number}@readers.example\n" for number in range(count)))
    wanted = Request(path, "watchdog", "en", "Signed a list.", {"email": "email"})
    return Bringing(room.database, room.house.vault, wanted, NOW)


def test_an_import_seals_its_batch_anew(room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before(monkeypatch, Landing, "land", lambda: rotate(room.database))
    tally = bringing(room, tmp_path, 5).bring(tmp_path / "rejected.csv")
    assert tally.changes == 5
    assert list(check_values(room.database, Vault(room.database, keys()), None)) == []
    assert len(room.states()) == 5


def test_an_import_that_stands_still_twice_says_so_and_has_stored_nothing_of_the_batch(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land = Landing.land

    def rotated(self, *arguments):
        rotate(room.database)
        return land(self, *arguments)

    monkeypatch.setattr(Landing, "land", rotated)
    with pytest.raises(StoodStill):
        bringing(room, tmp_path, 5).bring(tmp_path / "rejected.csv")
    assert room.states() == []


def test_no_data_key_seals_more_people_of_a_list_than_a_thief_may_learn_at_once(
    sqlite_database: Database, tmp_path: Path
) -> None:
    bringing(Room(sqlite_database), tmp_path, 2 * SEALS_PER_KEY + 10).bring(tmp_path / "rejected.csv")
    with sqlite_database.read() as session:
        found = Counter(key_id_of(one) for one in session.scalars(sa.select(Subscriber.address_sealed)))
    assert sorted(found.values()) == [10, SEALS_PER_KEY, SEALS_PER_KEY]


def test_what_comes_in_is_sealed_anew(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    before(monkeypatch, arrivals, "_keep", lambda: rotate(room.database))
    pairs = [(bytes([number]), b"octets") for number in range(3)]
    assert arrivals.take_in_all(room.database, room.house.vault, "ses", pairs, NOW) == 3
    with room.database.read() as session:
        kept = session.scalars(sa.select(Arrival).options(undefer(Arrival.sealed))).all()
    assert [arrivals.opened(Vault(room.database, keys()), one) for one in kept] == [b"octets"] * 3


def test_a_mail_that_could_not_be_answered_waits_and_is_answered(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def stand_still() -> None:
        raise StoodStill("try again")

    before(monkeypatch, Inbox, "_answer", stand_still)
    results = "mx.example.org; dkim=pass header.d=readers.example"
    asking = note("subscribe", sender="reader-1@readers.example", results=results)
    with pytest.raises(StoodStill):
        room.comes(asking, f"subscribe@{BOUNCES}", sender="reader-1@readers.example")
    assert [one.state for one in room.arrivals()] == [ArrivalState.WAITING]
    assert room.inbox.step(NOW) == 1
    assert [one.state for one in room.arrivals()] == [ArrivalState.DONE]
    assert room.letters() == ["confirm"]


def test_a_data_key_that_was_retired_only_now_does_not_stand_any_more(room: Room) -> None:
    room.house.vault.prepare()
    value = room.house.vault.seal("x", ARRIVAL, b"r")
    with room.database.read() as session:
        check_standing(session, [value, value])
        check_standing(session, [])
    retire_all(room.database, NOW)
    with room.database.read() as session, pytest.raises(StoodStill):
        check_standing(session, [value])


def test_who_is_imported_while_the_keys_change_is_indexed_by_the_ones_they_are_sealed_with(
    sqlite_database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "digest.keys"
    write_keys(path, keys())
    ticks = iter(range(10**6))
    room = Room(sqlite_database)
    room.house.vault = Vault(sqlite_database, keys(), KeysFile(path), lambda: LOOK_EVERY * next(ticks))
    room.house.vault.prepare()
    begin(sqlite_database, path, NOW)
    bringing(room, tmp_path, 3).bring(tmp_path / "rejected.csv")
    present = Vault(sqlite_database, read_keys(path))
    assert reseal(sqlite_database, read_keys(path), lambda: NOW) == []
    assert list(check_values(sqlite_database, present, None)) == []


def test_a_process_that_stood_still_seals_nothing_with_a_key_that_is_gone(house: Installation) -> None:
    frozen = house.process()
    frozen.vault.prepare()
    retire_all(house.database, house.clocks.now)
    house.reseal()
    house.clocks.turn(STALE - 1)
    frozen.vault.seal("a@example.org", SUBSCRIBER_ADDRESS, b"r")
    house.clocks.turn(DRAIN.total_seconds())
    assert forget(house.database, house.clocks.now) == 1
    with pytest.raises(StoodStill):
        frozen.vault.seal("a@example.org", SUBSCRIBER_ADDRESS, b"r")
    frozen.vault.prepare()
    sealed = frozen.vault.seal("a@example.org", SUBSCRIBER_ADDRESS, b"r")
    assert Vault(house.database, FIRST).open(sealed, SUBSCRIBER_ADDRESS, b"r") == "a@example.org"
