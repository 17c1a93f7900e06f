"""Rows by the thousand into a table, past the mapper: its care would take most of the time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import sqlalchemy as sa

from subscribers.db import UTCDateTime

Values = tuple[Any, ...]
_LOG_PAGES = 16_000
"""Of 4 KB each."""
_NAMES = {
    sa.Boolean: "bool",
    sa.Enum: "varchar",
    sa.Integer: "int4",
    sa.LargeBinary: "bytea",
    sa.String: "varchar",
    sa.Text: "text",
    UTCDateTime: "timestamptz",
}
"""What PostgreSQL calls the types of our columns."""


class BulkInsert:
    """Inserts into some columns of a table; the others take what the database gives them."""

    def __init__(
        self, table: sa.Table, columns: Sequence[str], dialect: sa.Dialect, always: Sequence[str] = ()
    ) -> None:
        """`always`: columns that have one value in all rows of a call."""
        names = [*columns, *always]
        into, marks = f"{table.name} ({', '.join(names)})", ", ".join("?" * len(names))
        self._insert = f"INSERT INTO {into} VALUES ({marks})"  # noqa: S608 -- names of our own tables.
        self._copy = f"COPY {into} FROM STDIN (FORMAT BINARY)"
        self._types = [_NAMES[type(table.c[name].type)] for name in names]
        binds = [_bind(table.c[name].type, dialect) for name in columns]
        self._binds = [(place, bind) for place, bind in enumerate(binds) if bind]
        self._always = {name: _bind(table.c[name].type, dialect) for name in always}
        self._is_sqlite = dialect.name == "sqlite"

    def __call__(self, connection: sa.Connection, rows: Iterable[Values], **always: object) -> None:
        """Insert the rows in the connection's transaction; what all have in common is made for the driver once."""
        common = [bind(always[name]) if bind else always[name] for name, bind in self._always.items()]
        bound = [self._bound(row, common) for row in rows]
        if not bound:
            return
        if self._is_sqlite:
            connection.exec_driver_sql(self._insert, bound)
            return
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(self._copy) as copy:
            # In its binary form, for which the types have to be said, a row takes a fifth less than as text.
            copy.set_types(self._types)
            write: Callable[[Values], None] = copy.write_row
            for row in bound:
                write(row)

    def _bound(self, row: Values, common: list[Any]) -> Values:
        values = [*row, *common]
        for place, bind in self._binds:
            if values[place] is not None:
                values[place] = bind(values[place])
        return tuple(values)


class Lookup:
    """Finds rows of a table by columns of octets, whichever of many values they have; nothing is converted."""

    def __init__(self, table: sa.Table, columns: Sequence[str], by: Sequence[str], dialect: sa.Dialect) -> None:
        self._head = f"SELECT {', '.join(columns)} FROM {table.name} WHERE "  # noqa: S608 -- names of our own tables.
        self._by = by
        self._is_sqlite = dialect.name == "sqlite"

    def __call__(self, connection: sa.Connection, *values: Sequence[bytes], hold_by: str = "") -> Sequence[sa.Row[Any]]:
        """The rows that have one of the values in one of the columns; `values` has a list for each of them.

        With `hold_by` they are held until the transaction ends, taken in the order of that column.
        """
        held = f" ORDER BY {hold_by} FOR UPDATE" if hold_by and not self._is_sqlite else ""
        if not self._is_sqlite:
            query = self._head + " OR ".join(f"{name} = ANY(%s::bytea[])" for name in self._by) + held
            return connection.exec_driver_sql(query, tuple(map(_array, values))).all()
        pairs = zip(self._by, values, strict=True)
        query = self._head + " OR ".join(f"{name} IN ({', '.join('?' * len(some))})" for name, some in pairs)
        return connection.exec_driver_sql(query, tuple(chain.from_iterable(values))).all()


def _array(values: Sequence[bytes]) -> str:
    """Octets as PostgreSQL reads an array of them, in a tenth of the driver's time."""
    return "{" + ",".join([f'"\\\\x{value.hex()}"' for value in values]) + "}"


def write_much(connection: sa.Connection) -> None:
    """Let SQLite's log grow to 64 MB before it is worked into the database, as long as this connection is used.

    By default it is a sixteenth, which one batch of readers fills: the next would have the same pages written again.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")


def _bind(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Callable[[Any], Any] | None:
    """What makes a value of a type into one that the driver stores; none where it is one already."""
    if isinstance(kind, sa.LargeBinary):
        return None
    if isinstance(kind, UTCDateTime):
        return _as_text if dialect.name == "sqlite" else _aware
    bind: Callable[[Any], Any] | None = kind.dialect_impl(dialect).bind_processor(dialect)
    if bind and isinstance(kind, sa.Enum) and kind.enum_class:
        return {member: bind(member) for member in kind.enum_class}.__getitem__
    return bind


def _as_text(instant: dt.datetime) -> str:
    """An instant as `UTCDateTime` has SQLite store it, in a fifth of the time."""
    in_utc = instant if instant.tzinfo is dt.UTC else _aware(instant).astimezone(dt.UTC)
    return in_utc.isoformat(" ", "microseconds")[:26]


def _aware(instant: dt.datetime) -> dt.datetime:
    if instant.tzinfo is None:
        raise ValueError("a naive datetime was given where an instant is stored")
    return instant
