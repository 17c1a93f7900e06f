"""The database's two doors, on both databases."""

import datetime as dt
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa

from digest.models import Lease
from subscribers.db import Database, insert_new
from subscribers.lifecycle import Format, State
from subscribers.models import LetterMemory, Subscriber, Subscription

UNTIL = dt.datetime(2026, 11, 19, 10, 0, tzinfo=dt.timezone(dt.timedelta(hours=1)))


def test_an_instant_comes_back_in_utc(database: Database) -> None:
    with database.write() as session:
        session.add(Lease(name="a", owner="me", until=UNTIL))
    with database.read() as session:
        until = session.scalars(sa.select(Lease.until)).one()
    assert until == UNTIL
    assert until.utcoffset() == dt.timedelta(0)


def test_a_write_that_raises_leaves_nothing(database: Database) -> None:
    def half_done() -> None:
        with database.write() as session:
            session.add(Lease(name="a", owner="me", until=UNTIL))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half_done()
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Lease)) == 0


def test_a_read_keeps_nothing(database: Database) -> None:
    with database.read() as session:
        session.add(Lease(name="a", owner="me", until=UNTIL))
        session.flush()
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Lease)) == 0


def test_a_naive_time_is_refused(database: Database) -> None:
    with pytest.raises(sa.exc.StatementError, match="naive"), database.write() as session:
        session.add(Lease(name="a", owner="me", until=dt.datetime(2026, 1, 1)))  # noqa: DTZ001


def test_what_was_read_can_be_used_afterwards(database: Database) -> None:
    with database.write() as session:
        session.add(Lease(name="a", owner="me", until=UNTIL))
    with database.read() as session:
        lease = session.get_one(Lease, "a")
    assert lease.owner == "me"


def test_new_rows_get_their_own_numbers_and_what_the_mapper_would_have_put(database: Database) -> None:
    people = [
        Subscriber(public_id=bytes([n] * 16), address_sealed=b"x", blind_index=bytes([n] * 32), created_at=UNTIL)
        for n in (9, 3, 7)
    ]
    with database.write() as session:
        insert_new(session, people)
        about = {"newsletter": "watch", "language": "en", "state": State.PENDING, "method": "form", "evidence": "{}"}
        reading = [
            Subscription(public_id=one.public_id, subscriber_id=one.id, requested_at=UNTIL, **about) for one in people
        ]
        insert_new(session, reading)
        insert_new(session, list[Subscriber]())
    with database.read() as session:
        for person, subscription in zip(people, reading, strict=True):
            assert session.get_one(Subscriber, person.id).public_id == person.public_id
            stored = session.get_one(Subscription, subscription.id)
            assert stored.public_id == person.public_id
            assert (stored.state, stored.format, stored.is_neutral) == (State.PENDING, Format.SUMMARIES, False)
            assert (stored.requested_at, stored.confirmed_at) == (UNTIL, None)


def test_new_rows_with_different_columns_are_not_inserted_together(database: Database) -> None:
    rows = [
        LetterMemory(rate_key=b"a", letter="confirm", at=UNTIL),
        LetterMemory(id=9, rate_key=b"b", letter="confirm"),
    ]
    with pytest.raises(ValueError, match="different columns"), database.write() as session:
        insert_new(session, rows)
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(LetterMemory)) == 0


def test_sqlite_s_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'digest.db'}")
    assert not database.file or not database.file.exists()
    with database.write() as session:
        session.execute(sa.text("CREATE TABLE t (x)"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    database.close()
    assert modes == dict.fromkeys(("digest.db", "digest.db-wal", "digest.db-shm"), 0o600)
