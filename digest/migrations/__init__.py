"""The database's schema over time: brought up to date at every start, refused where it is newer than this program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from subscribers.db import Database

_LOCK = 0x64696765
"""PostgreSQL's advisory lock that lets one process at a time change the schema."""


class BadDatabase(Exception):
    """The database cannot be used; the message is a sentence that says why and what to do."""


class NoDatabase(BadDatabase):
    """There is no database, and whoever asks for it is not one to make it."""


def demand(database: Database) -> None:
    """See to it that there is a database; none is made. Raises `NoDatabase`."""
    if is_missing(database):
        where = database.file.absolute() if database.file else database.url.render_as_string(hide_password=True)
        raise NoDatabase(f"There is no database at {where}; `digest up`, or what is first put into it, makes it.")


def is_missing(database: Database) -> bool:
    """Whether nothing of ours is there yet: SQLite's file, or any table. No file is made."""
    if database.file and not database.file.exists():
        return True
    try:
        return not sa.inspect(database.engine).get_table_names()
    except sa.exc.SQLAlchemyError:
        # It cannot be looked into, which is another trouble than that it is not there.
        return False


def upgrade(database: Database, target: str = "head") -> None:
    """Bring the schema up to date; several processes may do so at once. Raises `BadDatabase`."""
    try:
        with database.engine.connect().execution_options(digest_begin="IMMEDIATE") as connection, _loose(connection):
            _upgrade(connection, target)
    except sa.exc.DatabaseError as error:
        raise BadDatabase(f"the database cannot be reached or opened: {_short(error)}") from error


def _upgrade(connection: Connection, target: str) -> None:
    with connection.begin():
        if connection.dialect.name != "sqlite":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if _is_newer(connection):
            raise BadDatabase(_NEWER)
        before = MigrationContext.configure(connection).get_current_revision()
        command.upgrade(_config(connection), target)
        is_changed = MigrationContext.configure(connection).get_current_revision() != before
        if is_changed and (broken := _broken_references(connection)):
            raise BadDatabase(f"the database was not changed: in {broken} rows point at others that are gone")


@contextmanager
def _loose(connection: Connection) -> Iterator[None]:
    """On SQLite nothing refers to anything meanwhile.

    A table that is made anew is dropped once, and with its rows would go all that refer to them. It has to be said
    outside of a transaction (SQLite's documentation of ALTER TABLE).
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


def _broken_references(connection: Connection) -> str:
    """The tables in which a row refers to one that is not there, on SQLite, which was not looking."""
    if connection.dialect.name != "sqlite":
        return ""
    return ", ".join(sorted({row[0] for row in connection.exec_driver_sql("PRAGMA foreign_key_check")}))


def trouble(database: Database) -> str | None:
    """Why the database cannot be worked with now, in a sentence; none when it can."""
    try:
        with database.engine.connect() as connection:
            if _is_newer(connection):
                return _NEWER
            if MigrationContext.configure(connection).get_current_revision() != _scripts().get_current_head():
                return "the database's schema is older than this program; start `digest up` or any role once"
    except sa.exc.DatabaseError as error:
        return f"the database cannot be reached or opened: {_short(error)}"
    return None


_NEWER = (
    "the database was made by a newer version of this program; install that version, or restore the backup that "
    "belongs to this one"
)


def _short(error: sa.exc.DatabaseError) -> str:
    return " ".join(str(error.orig).split())


def _is_newer(connection: Connection) -> bool:
    current = MigrationContext.configure(connection).get_current_revision()
    return current is not None and current not in {script.revision for script in _scripts().walk_revisions()}


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent))


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config
