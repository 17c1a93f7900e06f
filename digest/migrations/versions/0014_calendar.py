"""Weeks that the desk skips or moves, and the index that search works on, filled with what was said so far."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from digest.folding import words
from digest.models.search import Words
from subscribers.db import UTCDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

FTS5 = (
    """CREATE VIRTUAL TABLE search_words USING fts5(
    head, body, content='search_entries', content_rowid='id', prefix='2 3',
    tokenize="unicode61 remove_diacritics 0 categories 'L* N* M* Co'"
)""",
    """CREATE TRIGGER search_entries_added AFTER INSERT ON search_entries BEGIN
    INSERT INTO search_words (rowid, head, body) VALUES (new.id, new.head, new.body);
END""",
    """CREATE TRIGGER search_entries_removed AFTER DELETE ON search_entries BEGIN
    INSERT INTO search_words (search_words, rowid, head, body) VALUES ('delete', old.id, old.head, old.body);
END""",
    """CREATE TRIGGER search_entries_changed AFTER UPDATE ON search_entries BEGIN
    INSERT INTO search_words (search_words, rowid, head, body) VALUES ('delete', old.id, old.head, old.body);
    INSERT INTO search_words (rowid, head, body) VALUES (new.id, new.head, new.body);
END""",
)
# As they stand at this point of the chain: the models know columns that later ones add.
ISSUES = sa.table("issues", *map(sa.column, ("id", "newsletter", "week", "subject", "introduction", "send_at")))
ITEMS = sa.table("items", *map(sa.column, ("id", "issue_id", "included", "position", "headline", "summary")))


def upgrade() -> None:
    op.create_table(
        "calendar_changes",
        sa.Column("newsletter", sa.String(length=40), nullable=False),
        sa.Column("week", sa.String(length=8), nullable=False),
        sa.Column("kind", sa.Enum("SKIP", "MOVE", name="changekind", native_enum=False, length=8), nullable=False),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("time", sa.Time(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("shelved", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "(kind = 'MOVE') = (day IS NOT NULL AND time IS NOT NULL)",
            name=op.f("ck_calendar_changes_a_move_has_its_moment"),
        ),
        sa.PrimaryKeyConstraint("newsletter", "week", name=op.f("pk_calendar_changes")),
    )
    entries = op.create_table(
        "search_entries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("issue_id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=True),
        sa.Column("newsletter", sa.String(length=40), nullable=False),
        sa.Column("week", sa.String(length=8), nullable=False),
        sa.Column("head", Words("A"), nullable=False),
        sa.Column("body", Words("C"), nullable=False),
        sa.ForeignKeyConstraint(
            ["issue_id"], ["issues.id"], name=op.f("fk_search_entries_issue_id_issues"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["item_id"], ["items.id"], name=op.f("fk_search_entries_item_id_items"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_entries")),
        sa.UniqueConstraint("item_id", name=op.f("uq_search_entries_item_id")),
    )
    op.create_index(op.f("ix_search_entries_issue_id"), "search_entries", ["issue_id"])
    op.create_index(op.f("ix_search_entries_week"), "search_entries", ["week"])
    if op.get_bind().dialect.name == "sqlite":
        for statement in FTS5:
            op.execute(sa.text(statement.replace(":", r"\:")))
    else:
        op.create_index(
            "ix_search_entries_words", "search_entries", [sa.text("(head || body)")], postgresql_using="gin"
        )
    for rows in batches():
        op.get_bind().execute(sa.insert(entries), rows)


def batches() -> Iterator[list[dict[str, Any]]]:
    """The entries of every issue that there is, an issue at a time, oldest first."""
    bind = op.get_bind()
    for issue in bind.execute(sa.select(ISSUES).order_by(ISSUES.c.send_at, ISSUES.c.id)).all():
        where = {"issue_id": issue.id, "newsletter": issue.newsletter, "week": issue.week}
        own = {"item_id": None, "head": words(issue.subject), "body": words(issue.introduction)}
        inside = sa.select(ITEMS).where(ITEMS.c.issue_id == issue.id, ITEMS.c.included.is_(sa.true()))
        yield [
            {**where, **own},
            *(
                {**where, "item_id": item.id, "head": words(item.headline), "body": words(item.summary)}
                for item in bind.execute(inside.order_by(ITEMS.c.position, ITEMS.c.id))
            ),
        ]


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.drop_table("search_words")
    op.drop_table("search_entries")
    op.drop_table("calendar_changes")
