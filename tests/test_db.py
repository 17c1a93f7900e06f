"""The database's two doors, on both databases."""

import datetime as dt
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa

from digest.models import Lease
from subscribers.db import Database

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


def test_sqlite_s_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'digest.db'}")
    assert not database.file or not database.file.exists()
    with database.write() as session:
        session.execute(sa.text("CREATE TABLE t (x)"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    database.close()
    assert modes == dict.fromkeys(("digest.db", "digest.db-wal", "digest.db-shm"), 0o600)
