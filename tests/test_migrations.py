"""The schema by migrations is the one the models describe; a newer database is refused."""

import datetime as dt
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from digest.issues.search import search
from digest.migrations import BadDatabase, trouble, upgrade
from digest.models import Issue, IssueState, Item, Post
from subscribers.db import Base, Database

NOW = dt.datetime(2026, 11, 12, 9, tzinfo=dt.UTC)
BEFORE_THE_INDEX = "0007"
"""The migration before the one that makes the index."""


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
        context = MigrationContext.configure(connection, opts={"include_name": is_a_models})
        assert compare_metadata(context, Base.metadata) == []


def is_a_models(name: str | None, kind: str, _parents: object) -> bool:
    """What full-text search works on is made by statements of its own; the next test compares it."""
    return kind not in {"table", "index"} or not (name or "").startswith(("search_words", "ix_search_entries_words"))


def test_the_index_of_words_is_the_same_by_migrations_and_by_models(empty: Database) -> None:
    upgrade(empty)
    migrated = index_of_words(empty)
    assert len(migrated) == (8 if empty.is_sqlite else 1)
    with empty.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE search_entries"))
        if empty.is_sqlite:
            connection.execute(sa.text("DROP TABLE search_words"))
    assert index_of_words(empty) == set()
    Base.metadata.create_all(empty.engine)
    assert index_of_words(empty) == migrated


def index_of_words(database: Database) -> set[str]:
    """The statements that made what full-text search works on."""
    in_sqlite = "SELECT sql FROM sqlite_master WHERE name LIKE 'search_words%' OR type = 'trigger'"
    in_postgresql = "SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_search_entries_words'"
    with database.engine.connect() as connection:
        return set(connection.scalars(sa.text(in_sqlite if database.is_sqlite else in_postgresql)))


def test_what_was_said_before_there_was_an_index_can_be_found(empty: Database) -> None:
    upgrade(empty)
    with empty.write() as session:
        made = {"window_start": NOW, "window_end": NOW, "send_at": NOW, "created_at": NOW, "state": IssueState.SENT}
        issue = Issue(newsletter="watchdog", week="2026-W46", subject="Crème", introduction="Good news first.", **made)
        post = {"newsletter": "watchdog", "source_url": "", "identity": "1", "link": "", "title": "", "fingerprint": ""}
        story = Post(published_at=NOW, gathered_at=NOW, **post)
        session.add_all([issue, story])
        session.flush()
        session.add(Item(issue_id=issue.id, post_id=story.id, position=0, headline="A court rules", summary="At last."))
        for name in ("search_words",) * empty.is_sqlite + ("search_entries", "calendar_changes"):
            session.execute(sa.text(f"DROP TABLE {name}"))
        session.execute(sa.text("UPDATE alembic_version SET version_num = :before"), {"before": BEFORE_THE_INDEX})
    upgrade(empty)
    with empty.read() as session:
        assert search(session, "creme news").total == 1
        assert search(session, "court last").total == 1


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
