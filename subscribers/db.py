"""The database: one handle with two doors, `read` and `write`, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

# Names of constraints are fixed, so that a migration can speak of them on both databases.
NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


IDLE_IN_TRANSACTION = 40.0
"""Seconds after which PostgreSQL ends the session of a process that stands still in the middle of a transaction.

A frozen machine would else keep its locks, and whoever takes its work over (a minute later) would wait for it for ever.
"""


class Base(DeclarativeBase):
    """Every table of the project, the people's and the issues'."""

    metadata = sa.MetaData(naming_convention=NAMES)


class UTCDateTime(sa.types.TypeDecorator[dt.datetime]):
    """An instant: aware in Python (always UTC when read), `timestamptz` on PostgreSQL, naive UTC on SQLite.

    Raises `ValueError` for a naive datetime: a local time is no instant.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """Store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime was given where an instant is stored")
        value = value.astimezone(dt.UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:  # noqa: ARG002
        """Read UTC, and say so."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


PATIENCE = dt.timedelta(milliseconds=400)
"""How long who gives way waits for a row that somebody holds: less than PostgreSQL takes (1 s) to see a deadlock."""


class Database:
    """The handle that every room is given.

    `read()` yields a session whose changes are thrown away; `write()` one that commits at the end of the block, or
    rolls back if the block raises. On SQLite a write takes the write lock at once (BEGIN IMMEDIATE), so that two
    writers wait for each other instead of failing half-way.
    """

    def __init__(self, url: str | URL) -> None:
        self.url = with_driver(url)
        self.engine = _engine(self.url)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded default, where one process does everything."""
        return self.engine.dialect.name == "sqlite"

    @property
    def file(self) -> Path | None:
        """SQLite's file; none on PostgreSQL, in memory, and where the URL is more than a path to one."""
        return _file_of(self.url)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for looking; nothing done in it is kept. What was loaded may be used after it."""
        with self._sessions() as session:
            try:
                yield session
            finally:
                # A rollback empties what the session still holds, so it lets go of the rows first.
                session.expunge_all()
                session.rollback()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are one transaction: all kept at the end of the block, or none."""
        with self._sessions() as session:
            if self.is_sqlite:
                session.connection(execution_options={"digest_begin": "IMMEDIATE"})
            yield session
            session.commit()

    def writer(self) -> Connection:
        """A connection for somebody who writes again and again; each `begin()` on it is one transaction. Close it."""
        return self.engine.connect().execution_options(digest_begin="IMMEDIATE")

    def on(self, what: str, act: Callable[..., None]) -> None:
        """Call `act` at that event of each of this database's sessions (`after_flush`, `before_commit`, …)."""
        event.listen(self._sessions, what, act)

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


def give_way(session: Session) -> None:
    """Let this transaction be the one to stop, of two that wait for each other; its error `is_lock_timeout`."""
    if session.get_bind().dialect.name != "sqlite":
        session.execute(sa.text(f"SET LOCAL lock_timeout = {PATIENCE // dt.timedelta(milliseconds=1)}"))


def is_lock_timeout(error: OperationalError) -> bool:
    """Whether somebody gave way, and may try again."""
    return getattr(error.orig, "sqlstate", None) == "55P03"


def lock_names(session: Session, names: Iterable[bytes]) -> None:
    """Wait for whoever else does something about one of these names, and let others wait until the transaction ends.

    The name of a person is the hash that a suppression of their address is kept under: it stays when keys are rotated,
    and is there before and after any row of theirs. It is locked before their rows, and what is decided by is read
    after it. On SQLite a write transaction is alone from its beginning.
    """
    if session.get_bind().dialect.name != "sqlite":
        # In one order, so that two transactions never wait for each other.
        numbers = sorted({int.from_bytes(name[:8], "big", signed=True) for name in names})
        query = "SELECT count(pg_advisory_xact_lock(number)) FROM unnest(CAST(:numbers AS bigint[])) number"
        session.execute(sa.text(query), {"numbers": numbers})


def insert_into(session: Session, table: type[DeclarativeBase]) -> postgresql.Insert | sqlite.Insert:
    """An insert that may say what is to happen where the row is there already (`on_conflict_do_…`)."""
    dialect = session.get_bind().dialect.name
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def insert_new(session: Session, rows: Sequence[Base]) -> None:
    """Insert new rows of one table, and give them their numbers; they are no part of the session.

    It takes a quarter of what the mapper takes, which counts where hundreds a second sign up. What the session has
    still to write is not written before. All must have the same columns set, as those have that the same lines of code
    have made. Raises `ValueError` where they have not.
    """
    if not rows:
        return
    table = _table_of(type(rows[0]))
    values = [{name: value for name, value in vars(row).items() if name in table.c} for row in rows]
    # The database would be told of those of the first row alone.
    if any(one.keys() != values[0].keys() for one in values):
        raise ValueError("rows that are inserted together have different columns set")
    made = session.connection().execute(_insert_into(table), values).mappings()
    for row, key in zip(rows, made, strict=True):
        for name, value in key.items():
            setattr(row, name, value)


def update_known(session: Session, kind: type[Base], changes: Mapping[int, Mapping[str, object]]) -> None:
    """Change rows of one table by their numbers, as cheaply as `insert_new`; in all of them the same columns.

    What the session has loaded of them stays as it was.
    """
    if changes:
        values = [{"number": number, **change} for number, change in changes.items()]
        session.connection().execute(_update_of(_table_of(kind)), values)


def _table_of(kind: type[Base]) -> sa.Table:
    return cast("sa.Table", kind.__table__)


@cache
def _insert_into(table: sa.Table) -> sa.sql.dml.ReturningInsert[tuple[object, ...]]:
    return sa.insert(table).returning(*table.primary_key, sort_by_parameter_order=True)


@cache
def _update_of(table: sa.Table) -> sa.Update:
    return sa.update(table).where(table.c.id == sa.bindparam("number"))


def with_driver(url: str | URL) -> URL:
    """The URL with our one driver for PostgreSQL (psycopg 3), whatever spelling a host's documents use."""
    parsed = make_url(url)
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg2"):
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def _file_of(url: URL) -> Path | None:
    name = url.database or ""
    is_path = url.get_backend_name() == "sqlite" and name and not name.startswith((":", "file:"))
    return Path(name) if is_path else None


def _engine(url: URL) -> Engine:
    # Parameters are kept out of errors: what was typed into a form must not end up in a log (O-53).
    if url.get_backend_name() != "sqlite":
        engine = sa.create_engine(url, pool_pre_ping=True, hide_parameters=True)
        event.listen(engine, "connect", _prepare_postgresql)
        return engine
    engine = sa.create_engine(url, connect_args={"timeout": 30}, hide_parameters=True)
    if file := _file_of(url):
        event.listen(engine, "do_connect", lambda *_: _make_for_owner(file))
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_postgresql(connection: Any, _record: object) -> None:
    connection.execute(f"SET idle_in_transaction_session_timeout = {int(IDLE_IN_TRANSACTION * 1000)}")
    connection.commit()


def _make_for_owner(file: Path) -> None:
    """Make SQLite's file with mode 0600, where it is not there: SQLite would let everybody read it.

    The files beside it (`-wal`, `-shm`) get the mode of this one.
    """
    # What stands in the way of that is said by the connection, which tries the same.
    with suppress(OSError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own transaction handling is switched off (isolation_level None): it would begin only at the first
    # INSERT, and a read before it would then not belong to the transaction.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get("digest_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")
