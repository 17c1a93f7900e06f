"""The schema by migrations is the one the models describe; a newer database is refused."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from digest.issues.search import search
from digest.migrations import BadDatabase, _config, trouble, upgrade
from digest.models import Issue, IssueState, Item, Post
from subscribers.db import Base, Database

NOW = dt.datetime(2026, 11, 12, 9, tzinfo=dt.UTC)
BEFORE_THE_INDEX, WITH_THE_INDEX = "0013", "0014"
"""The migration before the one that makes the index, and that one."""


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
    upgrade(empty, WITH_THE_INDEX)
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


class TestNumbers:
    """0008: on SQLite two tables are made anew under those that refer to them."""

    AT = "2026-11-18 18:00:00.000000"
    LATER = "2026-11-20 18:00:00.000000"

    def people(self, database: Database) -> None:
        """Three readers as 0007 had them, with a letter and a bounce each; the last one is deleted then."""
        columns = {
            "subscribers": "id, public_id, address_sealed, blind_index, suppression_hash, created_at",
            "subscriptions": "id, public_id, subscriber_id, newsletter, state, language, requested_at, method, "
            "evidence",
            "fresh_links": "token_hash, subscriber_id, until",
            "deliveries": "letter, newsletter, subscriber_id, subscription_id, public_id, state, attempts, due_at, "
            "created_at, give_up_at, settled_at",
            "bounces": "subscriber_id, newsletter, at, sign, status, reason, verdict",
        }
        values = {
            "subscribers": ":n, :id, :hash, :hash, :hash, :at",
            "subscriptions": ":n, :id, :n, 'watchdog', 'CONFIRMED', 'en', :at, 'form', 'e'",
            "fresh_links": ":hash, :n, :at",
            "deliveries": "'confirm', 'watchdog', :n, :n, :id, 'ACCEPTED', 1, :at, :at, :at, :at",
            "bounces": ":n, 'watchdog', :at, 'soft', '', '', 'counted'",
        }
        with database.write() as session:
            for number in (1, 2, 3):
                person = {"n": number, "id": bytes([number]) * 16, "hash": bytes([number]) * 32, "at": self.AT}
                for table, names in columns.items():
                    session.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({values[table]})"), person)
            session.execute(sa.text("DELETE FROM subscribers WHERE id = 3"))
            # The second came after what the ledger says of that number.
            session.execute(sa.text("UPDATE subscribers SET created_at = :at WHERE id = 2"), {"at": self.LATER})

    def ties(self, database: Database) -> dict[str, list[tuple[object, ...]]]:
        asked = {
            "people": "SELECT id, public_id, suppression_hash FROM subscribers ORDER BY id",
            "subscriptions": "SELECT id, subscriber_id, format, is_neutral FROM subscriptions ORDER BY id",
            "links": "SELECT subscriber_id FROM fresh_links ORDER BY 1",
            "deliveries": "SELECT subscriber_id, subscription_id FROM deliveries ORDER BY id",
            "bounces": "SELECT subscriber_id FROM bounces ORDER BY id",
        }
        with database.read() as session:
            return {name: [tuple(row) for row in session.execute(sa.text(one))] for name, one in asked.items()}

    def test_rows_and_what_refers_to_them_stay_and_nothing_points_at_who_is_gone(self, empty: Database) -> None:
        upgrade(empty, "0007")
        self.people(empty)
        before = self.ties(empty)
        upgrade(empty)
        after = self.ties(empty)
        assert {name: before[name] for name in ("people", "subscriptions", "links")} == {
            name: after[name] for name in ("people", "subscriptions", "links")
        }
        assert before["deliveries"] == [(1, 1), (2, 2), (3, 3)]
        assert after["deliveries"] == [(1, 1), (None, None), (None, None)]
        assert after["bounces"] == [(1,), (None,), (None,)]

    def test_what_keeps_the_tables_in_order_is_as_the_models_say(self, empty: Database, tmp_path: Path) -> None:
        upgrade(empty, "0007")
        self.people(empty)
        upgrade(empty)
        made = Database(f"sqlite:///{tmp_path / 'made.db'}") if empty.is_sqlite else None
        inspector = sa.inspect(empty.engine)
        for table in ("subscribers", "subscriptions"):
            described = Base.metadata.tables[table]
            assert {one["name"] for one in inspector.get_indexes(table)} >= {one.name for one in described.indexes}
            assert inspector.get_unique_constraints(table)
        (key,) = inspector.get_foreign_keys("subscriptions")
        assert (key["referred_table"], key["options"]) == ("subscribers", {"ondelete": "CASCADE"})
        if made:
            Base.metadata.create_all(made.engine)
            assert [shape(made, name) for name in SHAPED] == [shape(empty, name) for name in SHAPED]
            made.close()
        # Who refers to them is still looked after: with a person go the subscription and the link.
        with empty.write() as session:
            session.execute(sa.text("DELETE FROM subscribers WHERE id = 1"))
        assert (len(self.ties(empty)["subscriptions"]), len(self.ties(empty)["links"])) == (1, 1)
        with pytest.raises(sa.exc.IntegrityError), empty.write() as session:
            session.execute(sa.text("UPDATE subscriptions SET subscriber_id = 99"))

    def test_no_number_is_given_again(self, empty: Database) -> None:
        upgrade(empty, "0007")
        self.people(empty)
        upgrade(empty)
        for number in (4, 5):
            if not empty.is_sqlite:
                break
            with empty.write() as session:
                columns = "public_id, address_sealed, blind_index, created_at"
                new = sa.text(f"INSERT INTO subscribers ({columns}) VALUES (:id, :id, :id, :at) RETURNING id")
                said = {"id": bytes([number]) * 16, "at": self.AT}
                assert session.scalar(new, said) == number
                session.execute(sa.text("DELETE FROM subscribers WHERE id = :id"), {"id": number})

    def test_it_can_be_undone(self, sqlite_url: str) -> None:
        database = Database(sqlite_url)
        upgrade(database)
        self.people(database)
        with database.engine.connect() as connection:
            assert shape(database, "subscribers")["counts on"]
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute("PRAGMA foreign_keys=OFF")
            with connection.begin():
                command.downgrade(_config(connection), "0007")
        assert not shape(database, "subscribers")["counts on"]
        assert len(self.ties(database)["subscriptions"]) == 2
        database.close()


SHAPED = ("subscribers", "subscriptions")


def shape(database: Database, table: str) -> dict[str, object]:
    """What an SQLite table is like, whatever the order in which its parts were said."""
    with database.read() as session:
        made = session.scalar(sa.text("SELECT sql FROM sqlite_master WHERE name = :name"), {"name": table}) or ""
        columns = session.execute(sa.text(f"PRAGMA table_info({table})")).all()
        indexes = session.execute(sa.text(f"PRAGMA index_list({table})")).all()
    return {
        "counts on": "AUTOINCREMENT" in made,
        "columns": sorted((row.name, row.type, row.notnull, row.dflt_value, row.pk) for row in columns),
        "indexes": sorted((row.name if row.origin == "c" else "", row.unique) for row in indexes),
    }
