"""Whoever measures how long an answer takes does not learn what stands in the database (O-20)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from digest.mail.outbox import LedgerOutbox
from digest.models import Delivery
from subscribers.db import Base, Database
from subscribers.models import LetterMemory, Subscriber
from subscribers.service import Outcome, Service
from subscribers.suppression import BOUNCE, suppress
from subscribers.vault import Keys, Vault
from tests.subscribers.house import BASE_URL, NEGAH, WATCH, Recorder, make_service

NAMES = ("new", "waiting", "asked-just-now", "confirmed", "told-just-now", "elsewhere", "left", "never", "gone")


@pytest.fixture
def people(database: Database, vault: Vault, keys: Keys, now: dt.datetime) -> Service:
    """A service whose letters are rows, and of each of `NAMES` but the new one somebody whose state it tells."""
    outbox = Recorder()
    before = make_service(database, vault, keys, outbox)
    earlier = now - dt.timedelta(days=2)
    for name in NAMES[1:]:
        before.join("negah" if name == "elsewhere" else "watch", f"{name}@example.org", earlier)
        if name in ("confirmed", "told-just-now", "left"):
            assert before.confirm(outbox.tokens("confirm_url")[-1], earlier) is Outcome.DONE
    before.join("watch", "asked-just-now@example.org", now)
    before.join("watch", "told-just-now@example.org", now)
    before.never(outbox.tokens("never_url")[NAMES.index("never") - 1], now)
    _leave(database, before, now)
    with database.write() as session:
        gone = sa.select(Subscriber.id).where(Subscriber.blind_index == vault.blind_index("gone@example.org"))
        assert suppress(session, vault, session.scalars(gone).one(), BOUNCE, now)
    return Service(database, vault, keys, LedgerOutbox(vault), BASE_URL, {one.slug: one for one in (WATCH, NEGAH)})


def _leave(database: Database, service: Service, now: dt.datetime) -> None:
    with database.read() as session:
        index = service._vault.blind_index("left@example.org")
        query = sa.text(
            "SELECT s.public_id FROM subscriptions s JOIN subscribers p ON p.id = s.subscriber_id "
            "WHERE p.blind_index = :index"
        )
        public_id = session.scalars(query, {"index": index}).one()
    assert service.leave(service.links.leave(bytes(public_id)).rpartition("/")[2], now) is Outcome.DONE


@contextmanager
def counted(database: Database) -> Iterator[dict[str, int]]:
    """How many statements of each kind the database is given meanwhile, and how many commits."""
    found = {"SELECT": 0, "write": 0, "COMMIT": 0}

    def statement(_connection: object, _cursor: object, text: str, *_rest: Any) -> None:
        if text.split(maxsplit=1)[0] in ("SELECT", "INSERT", "UPDATE", "DELETE"):
            found["SELECT" if text.startswith("SELECT") else "write"] += 1

    def commit(_connection: object) -> None:
        found["COMMIT"] += 1

    event.listen(database.engine, "before_cursor_execute", statement)
    event.listen(database.engine, "commit", commit)
    yield found
    event.remove(database.engine, "before_cursor_execute", statement)
    event.remove(database.engine, "commit", commit)


def test_every_request_gives_the_database_the_same_work(people: Service, database: Database, now) -> None:
    people._vault.prepare()
    # Once for each newsletter in a process, whoever is first.
    people.wordings.keep(WATCH, now)
    work = {}
    for name in NAMES:
        with counted(database) as found:
            people.join("watch", f"{name}@example.org", now)
        work[name] = found
    assert {found["COMMIT"] for found in work.values()} == {1}
    assert len({found["SELECT"] for found in work.values()}) == 1, work
    writes = [found["write"] for found in work.values()]
    assert min(writes) >= 4, work
    assert max(writes) - min(writes) <= 1, work


def test_what_makes_up_for_a_letter_leaves_nothing(people: Service, database: Database, now) -> None:
    def everything() -> dict[str, list[str]]:
        with database.read() as session:
            return {one.name: sorted(map(repr, session.execute(sa.select(one)))) for one in Base.metadata.sorted_tables}

    people._vault.prepare()
    people.wordings.keep(WATCH, now)
    before = everything()
    for name in ("asked-just-now", "told-just-now", "never"):
        people.join("watch", f"{name}@example.org", now)
    assert everything() == before
    people.join("watch", "confirmed@example.org", now)
    with database.read() as session:
        assert session.scalars(sa.select(Delivery.letter)).all() == ["already-subscribed"]
        assert set(session.scalars(sa.select(LetterMemory.letter))) == {"confirm", "already-subscribed"}
