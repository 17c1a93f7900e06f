"""Erasure: what goes, what stays, and that no copy on its way reaches somebody who is no longer known (O-52)."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import threading
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from digest.mail.letters_work import LettersWork
from digest.mail.personal import LedgerRecords
from digest.mail.work import Work
from digest.models import Bounce, Delivery, DeliveryState
from subscribers import db, fresh
from subscribers.db import Base, Database
from subscribers.erasing import Mark, erase
from subscribers.models import FreshLink, LetterMemory, Subscriber, Subscription, Suppression
from subscribers.service import Entered, Refused, Rooms
from subscribers.suppression import COMPLAINT, ERASED, add_suppression
from subscribers.vault import DELIVERY_CONTEXT, Vault
from tests.house import House, keys
from tests.smtp_server import Moment, ScriptedServer

RECORDS = LedgerRecords()


def link(house: House, number: int = 1) -> str:
    """A fresh link's token, read from the letter to the reader of that number."""
    with house.database.read() as session:
        person = session.get_one(Subscriber, number)
        public_id = session.scalars(sa.select(Subscription.public_id).where(Subscription.subscriber_id == number)).one()
    fresh.ask(house.service, house.links.manage(public_id).rpartition("/")[2], house.now)
    with house.database.read() as session:
        letter = session.scalars(
            sa.select(Delivery).where(Delivery.letter == "manage", Delivery.subscriber_id == person.id)
        ).all()[-1]
        assert letter.context_sealed
        said = json.loads(house.vault.open(letter.context_sealed, DELIVERY_CONTEXT, letter.public_id))
    return str(said["mine_url"]).rpartition("/")[2]


def erased(house: House, token: str, *, keeps_mark: bool = True) -> Mark | None:
    return erase(house.service.rooms, token, house.now, keeps_mark=keeps_mark)


def letters_work(house: House) -> LettersWork:
    kit = house.kit
    return LettersWork(kit.database, kit.vault, kit.newsletters, kit.links, kit.renderer, kit.signers)


def send(house: House, relay: ScriptedServer, work: Work) -> None:
    asyncio.run(house.engine(relay.port, connections=1).run(work, asyncio.Event()))


def ties(database: Database) -> set[int | None]:
    """Whom the ledger knows."""
    with database.read() as session:
        return set(session.scalars(sa.select(Delivery.subscriber_id)))


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


class TestWhatGoes:
    def test_nothing_of_the_person_is_left_but_the_mark(self, house: House, database: Database) -> None:
        house.readers(2)
        issue = house.issue()
        token = link(house)
        with database.write() as session:
            person = session.get_one(Subscriber, 1)
            secrets = [person.blind_index, person.public_id, person.address_sealed]
            secrets += session.scalars(sa.select(Subscription.public_id).where(Subscription.subscriber_id == 1))
            for number in (1, 2):
                session.add(Bounce(subscriber_id=number, at=house.now, sign="soft", domain_key=bytes(32)))
        assert erased(house, token) is Mark.KEPT
        with database.read() as session:
            tables = Base.metadata.sorted_tables
            octets = {one for t in tables for row in session.execute(sa.select(t)) for one in row if type(one) is bytes}
            assert not octets & set(secrets)
            for table, count in ((Subscriber, 1), (Subscription, 1), (FreshLink, 0), (LetterMemory, 0), (Delivery, 3)):
                assert session.scalar(sa.select(sa.func.count()).select_from(table)) == count, table
            [mark] = session.scalars(sa.select(Suppression))
            assert (mark.reason, mark.month) == (ERASED, "2026-11")
            assert mark.address_hash == house.vault.suppression_hash("reader-1@readers.example")
            assert set(session.scalars(sa.select(Bounce.subscriber_id))) == {None, 2}
            assert set(session.scalars(sa.select(Delivery.subscription_id))) == {None, 2}
        assert ties(database) == {None, 2}
        assert house.books(issue).audience == 2

    def test_full_erasure_leaves_not_even_that(self, house: House, database: Database) -> None:
        house.readers(1)
        assert erased(house, link(house), keeps_mark=False) is Mark.GONE
        with database.read() as session:
            assert session.scalars(sa.select(Suppression)).all() == []

    @pytest.mark.parametrize("keeps_mark", [True, False])
    def test_the_mark_keeps_them_off_what_others_enter(self, house: House, keeps_mark: bool) -> None:
        house.readers(1)
        erased(house, link(house), keeps_mark=keeps_mark)
        answer = house.service.enter("watchdog", "Reader-1@readers.example", "an old list", house.now)
        assert isinstance(answer, Refused if keeps_mark else Entered)

    def test_a_graver_reason_stays(self, house: House, database: Database) -> None:
        house.readers(1)
        token = link(house)
        with database.write() as session:
            mark = house.vault.suppression_hash("reader-1@readers.example")
            add_suppression(session, mark, COMPLAINT, house.now)
        erased(house, token)
        with database.read() as session:
            assert session.scalars(sa.select(Suppression.reason)).all() == [COMPLAINT]

    def test_the_link_is_gone_with_the_person_and_wears_off_before(self, house: House, database: Database) -> None:
        house.readers(2)
        first, second = link(house, 1), link(house, 2)
        assert erased(house, first) is Mark.KEPT
        assert erased(house, first) is None
        house.now += fresh.GOOD_FOR
        assert erased(house, second) is None
        with database.read() as session:
            assert session.scalars(sa.select(Subscriber.id)).all() == [2]

    def test_a_process_that_cannot_open_addresses_erases_too(self, house: House, database: Database) -> None:
        house.readers(2)
        web = Rooms(database, Vault(database, replace(keys(), private=None)), house.service.rooms.outbox, RECORDS)
        assert erase(web, link(house, 1), house.now, keeps_mark=True) is Mark.KEPT
        with database.write() as session:
            session.execute(sa.update(Subscriber).values(suppression_hash=None))
        # A row from before the column: nothing to make the mark of, and that is said.
        assert erase(web, link(house, 2), house.now, keeps_mark=True) is Mark.UNKNOWN
        with database.read() as session:
            assert session.scalars(sa.select(Subscriber.id)).all() == []


class TestWhatIsOnItsWay:
    def test_a_frozen_issue_passes_them_by_and_its_books_close(self, house: House) -> None:
        house.readers(3)
        issue = house.issue()
        erased(house, link(house, 2))
        with ScriptedServer() as relay:
            send(house, relay, house.work(issue))
        assert relay.dotted == ["reader-1@readers.example", "reader-3@readers.example"]
        books = house.books(issue)
        assert (books.accepted, books.excluded, books.closes) == (2, 1, True)

    def test_erased_while_the_text_is_under_way_they_get_nothing(self, house: House) -> None:
        house.readers(2)
        issue = house.issue()
        token = link(house)

        def plan(moment: Moment) -> None:
            if moment.command == "DATA":
                erased(house, token)

        with ScriptedServer(plan) as relay:
            send(house, relay, house.work(issue))
        assert relay.dotted == ["reader-2@readers.example"]
        assert (house.books(issue).excluded, house.books(issue).closes) == (1, True)

    def test_erased_between_dot_and_answer_it_is_accepted_and_nobody_s(self, house: House, database: Database) -> None:
        house.readers(2)
        issue = house.issue()
        token = link(house)

        def plan(moment: Moment) -> None:
            if moment.command == "DOT":
                erased(house, token)

        with ScriptedServer(plan) as relay:
            send(house, relay, house.work(issue))
        assert (house.books(issue).accepted, house.books(issue).closes) == (2, True)
        assert ties(database) == {None, 2}

    def test_a_letter_that_waits_is_settled(self, house: House, database: Database) -> None:
        house.readers(1)
        erased(house, link(house))
        with database.read() as session:
            [letter] = session.scalars(sa.select(Delivery))
        assert (letter.state, letter.settled_at, letter.context_sealed) == (DeliveryState.EXCLUDED, house.now, None)
        with ScriptedServer() as relay:
            send(house, relay, letters_work(house))
        assert relay.dotted == []

    def test_a_letter_whose_text_is_under_way_does_not_arrive(self, house: House) -> None:
        house.readers(2)
        token = link(house)
        link(house, 2)

        def plan(moment: Moment) -> None:
            if moment.command == "DATA":
                erased(house, token)

        with ScriptedServer(plan) as relay:
            send(house, relay, letters_work(house))
        assert relay.dotted == ["reader-2@readers.example"]
        assert house.states() == {"accepted": 1, "excluded": 1}


class TestWaiting:
    """A sender holds rows of the same person. It must not be stopped as one of two that wait for each other."""

    def test_it_gives_way_and_tries_again(self, postgres_database: Database) -> None:
        house = House(postgres_database)
        house.readers(1)
        house.issue()
        token, gave_way, found = link(house), threading.Event(), []
        event.listen(postgres_database.engine, "handle_error", lambda _context: gave_way.set())
        with postgres_database.engine.connect() as other:
            other.execute(sa.update(Delivery).values(attempts=1))
            thread = threading.Thread(target=lambda: found.append(erased(house, token)))
            thread.start()
            assert gave_way.wait(10)
            other.rollback()
        thread.join(10)
        assert found == [Mark.KEPT]

    def test_one_that_gave_way_too_often_has_changed_nothing(
        self, postgres_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(db, "PATIENCE", dt.timedelta(milliseconds=10))
        house = House(postgres_database)
        house.readers(1)
        house.issue()
        token = link(house)
        with postgres_database.engine.connect() as other:
            other.execute(sa.update(Delivery).values(attempts=1))
            with pytest.raises(OperationalError):
                erased(house, token)
        with postgres_database.read() as session:
            assert session.scalars(sa.select(Suppression)).all() == []
        assert ties(postgres_database) == {1}

    def test_of_two_at_once_one_erases(self, house: House) -> None:
        house.readers(1)
        token, found = link(house), []
        threads = [threading.Thread(target=lambda: found.append(erased(house, token))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(map(str, found)) == ["None", "kept"]


def test_the_ledger_is_searched_by_its_indexes(sqlite_database: Database) -> None:
    """An erasure holds the write lock: it must not read a million rows for it."""
    house = House(sqlite_database)
    house.readers(1)
    house.issue()
    plans: list[str] = []

    def explain(connection: sa.Connection, _cursor: object, text: str, parameters: Any, *_rest: object) -> None:
        if text.startswith("UPDATE deliveries"):
            rows = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {text}", parameters).fetchall()
            plans.extend(row[3] for row in rows if "deliveries" in row[3])

    event.listen(sqlite_database.engine, "before_cursor_execute", explain)
    with sqlite_database.write() as session:
        RECORDS.sever(session, [1], house.now)
    assert len(plans) == 3
    assert all("USING INDEX" in plan for plan in plans), plans
