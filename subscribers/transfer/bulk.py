"""Rows by the thousand into a table, past the mapper: its care would take most of the time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice
from typing import Any

import sqlalchemy as sa

CHUNK = 100
"""Rows of one statement on SQLite: a step of the database for each row would take the interpreter's lock as often."""

Values = tuple[Any, ...]


class BulkInsert:
    """Inserts into some columns of a table; the others take what the database gives them."""

    def __init__(self, table: sa.Table, columns: Sequence[str], dialect: sa.Dialect) -> None:
        self._table = table.name
        self._columns = ", ".join(columns)
        self._width = len(columns)
        found = enumerate(_bind(table.c[name].type, dialect) for name in columns)
        self._binds = [(place, bind) for place, bind in found if bind]
        self._is_sqlite = dialect.name == "sqlite"

    def __call__(self, connection: sa.Connection, rows: Iterable[Values]) -> None:
        """Insert the rows in the connection's transaction."""
        bound = map(self._bound, rows) if self._binds else iter(rows)
        if self._is_sqlite:
            self._by_statements(connection, bound)
        else:
            self._by_copy(connection, bound)

    def _bound(self, row: Values) -> Values:
        values = list(row)
        for place, bind in self._binds:
            values[place] = bind(values[place])
        return tuple(values)

    def _by_statements(self, connection: sa.Connection, rows: Iterable[Values]) -> None:
        rows, one = iter(rows), f"({', '.join('?' * self._width)})"
        head = f"INSERT INTO {self._table} ({self._columns}) VALUES "  # noqa: S608 -- names of our own tables.
        whole = head + ", ".join([one] * CHUNK)
        while len(chunk := list(islice(rows, CHUNK))) == CHUNK:
            connection.exec_driver_sql(whole, tuple(chain.from_iterable(chunk)))
        if chunk:
            connection.exec_driver_sql(head + ", ".join([one] * len(chunk)), tuple(chain.from_iterable(chunk)))

    def _by_copy(self, connection: sa.Connection, rows: Iterable[Values]) -> None:
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(f"COPY {self._table} ({self._columns}) FROM STDIN") as copy:
            write: Callable[[Values], None] = copy.write_row
            for row in rows:
                write(row)


def _bind(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Callable[[Any], Any] | None:
    """What makes a value of a type into one that the driver stores; none where it is one already."""
    if isinstance(kind, sa.LargeBinary):
        return None
    bind: Callable[[Any], Any] | None = kind.dialect_impl(dialect).bind_processor(dialect)
    if bind and isinstance(kind, sa.Enum) and kind.enum_class:
        return {member: bind(member) for member in kind.enum_class}.__getitem__
    return bind
