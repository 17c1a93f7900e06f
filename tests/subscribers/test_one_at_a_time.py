"""Whoever says never while somebody enters them: either comes first, and nobody is mailed who must not be (N-23)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from subscribers import choices, fresh
from subscribers.db import Database, give_way, is_lock_timeout
from subscribers.lifecycle import State
from subscribers.models import Subscriber, Subscription, Suppression
from subscribers.people import People
from subscribers.service import Refused
from subscribers.suppression import ASKED, BOUNCE, COMPLAINT, add_suppression, suppress
from subscribers.transfer.bringing import Bringing, Request
from subscribers.transfer.landing import Landing
from tests.house import House
from tests.subscribers.house import before
from tests.subscribers.test_erasing import link

ADDRESS = "reader-1@readers.example"


class Complaint:
    """A complaint that comes in the middle of something else; where it has to wait, it is made afterwards."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.has_waited = False

    def comes(self) -> None:
        try:
            self._make()
        except OperationalError as error:
            if not is_lock_timeout(error):
                raise
            self.has_waited = True

    def is_made_at_last(self) -> None:
        if self.has_waited:
            self._make()

    def _make(self) -> None:
        with self.house.database.write() as session:
            give_way(session)
            assert suppress(session, self.house.vault, 1, COMPLAINT, self.house.now)


def who_reads(database: Database) -> list[str]:
    with database.read() as session:
        assert session.scalars(sa.select(Suppression.reason)).all() == [COMPLAINT]
        query = sa.select(Subscription.newsletter).where(Subscription.state == State.CONFIRMED)
        return list(session.scalars(query))


@pytest.fixture
def house(postgres_database: Database) -> House:
    """A house where they read one newsletter, and are about to be entered for another."""
    house = House(postgres_database)
    house.readers(1)
    with postgres_database.write() as session:
        session.execute(sa.update(Subscription).values(newsletter="other"))
    return house


def test_a_complaint_during_an_import(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complaint = Complaint(house)
    before(monkeypatch, Landing, "_here", complaint.comes)
    path = tmp_path / "list.csv"
    path.write_text(f"email\n{ADDRESS}\n")
    run = Bringing(house.database, house.vault, Request(path, "watchdog", "en", "e", {"email": "email"}), house.now)
    run.bring(tmp_path / "rejected.csv")
    complaint.is_made_at_last()
    assert who_reads(house.database) == []


def test_a_complaint_during_an_entry_by_hand(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    complaint = Complaint(house)
    before(monkeypatch, People, "find", complaint.comes)
    house.service.enter("watchdog", ADDRESS, "Signed a list.", house.now)
    complaint.is_made_at_last()
    assert who_reads(house.database) == []
    assert isinstance(house.service.enter("watchdog", ADDRESS, "Signed a list.", house.now), Refused)


def test_never_on_one_page_and_a_newsletter_on_another(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with house.database.write() as session:
        session.execute(sa.update(Subscription).values(newsletter="watchdog"))
    token, found = link(house), list[object]()
    with house.database.write() as session:
        session.execute(sa.update(Subscription).values(newsletter="other"))
    with house.database.read() as session:
        person = session.get_one(Subscriber, 1)
    assert person.suppression_hash
    never = house.links.never(person.blind_index, person.suppression_hash).rpartition("/")[2]
    other = threading.Thread(target=lambda: found.append(house.service.never(never, house.now)))

    def press() -> None:
        other.start()
        until(lambda: not other.is_alive() or somebody_waits(house.database))

    before(monkeypatch, choices, "_subscription", press)
    with house.database.write() as session:
        held = fresh.person_of(session, token, house.now, locked=True)
        assert held
        assert choices.join(session, held, house.service.newsletters["watchdog"], token, house.now)
    other.join(20)
    assert found
    with house.database.read() as session:
        assert set(session.scalars(sa.select(Subscription.state))) == {State.LEFT}
        assert session.scalars(sa.select(Suppression.reason)).all() == [ASKED]


@pytest.mark.parametrize(("reason", "stays"), [(COMPLAINT, COMPLAINT), (BOUNCE, ASKED)])
def test_two_that_suppress_the_same_address_are_both_done(
    postgres_database: Database, now: Any, reason: str, stays: str
) -> None:
    def add(reason: str) -> None:
        with postgres_database.write() as session:
            add_suppression(session, b"h" * 32, reason, now)

    errors = list[BaseException]()

    def second() -> None:
        try:
            add(reason)
        except BaseException as error:  # noqa: BLE001 -- told below.
            errors.append(error)

    thread = threading.Thread(target=second)
    with postgres_database.write() as session:
        add_suppression(session, b"h" * 32, ASKED if stays == ASKED else BOUNCE, now)
        session.flush()
        thread.start()
        until(lambda: not thread.is_alive() or somebody_waits(postgres_database))
    thread.join(20)
    assert errors == []
    with postgres_database.read() as session:
        assert session.scalars(sa.select(Suppression.reason)).all() == [stays]


def somebody_waits(database: Database) -> bool:
    with database.read() as session:
        return bool(session.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


def until(happened: Callable[[], bool]) -> None:
    """Look again and again, each look being a question to the database."""
    assert any(happened() for _ in range(20_000))
