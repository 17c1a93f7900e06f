"""The schema by migrations is the one the models describe; a newer database is refused."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from digest.migrations import BadDatabase, trouble, upgrade
from subscribers.db import Base, Database


@pytest.fixture
def empty(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


def test_an_empty_database_becomes_what_the_models_describe(empty: Database) -> None:
    assert "older" in (trouble(empty) or "")
    upgrade(empty)
    assert trouble(empty) is None
    with empty.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_bringing_it_up_to_date_twice_changes_nothing(empty: Database) -> None:
    upgrade(empty)
    upgrade(empty)
    assert trouble(empty) is None


def test_a_newer_database_is_refused_with_the_reason(empty: Database) -> None:
    upgrade(empty)
    with empty.write() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    assert "newer version" in (trouble(empty) or "")
    with pytest.raises(BadDatabase, match="newer version"):
        upgrade(empty)


def test_a_database_that_is_not_there_is_a_sentence() -> None:
    nowhere = Database("sqlite:////nowhere/at/all/digest.db")
    with pytest.raises(BadDatabase, match="cannot be reached or opened"):
        upgrade(nowhere)
    assert "cannot be reached" in (trouble(nowhere) or "")
