"""The stage on which senders die, made once a run."""

import pytest

from tests.crash.stage import Stage


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Where runs are played; PostgreSQL is started by the first that wants it."""
    return Stage(tmp_path_factory.mktemp("crash"), lambda: request.getfixturevalue("postgres_url"))
