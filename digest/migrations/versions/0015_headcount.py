"""Indexes that the desk counts readers by. Nothing new is kept of anybody."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

STANDING = ["newsletter", "state", "left_reason", "format", "is_neutral", "language", "paused_until"]


def upgrade() -> None:
    op.create_index("ix_subscriptions_standing", "subscriptions", STANDING)
    for name, columns, condition in (
        ("ix_subscriptions_confirmed_at", ["newsletter", "confirmed_at", "method"], "confirmed_at IS NOT NULL"),
        (
            "ix_subscriptions_left_at",
            ["newsletter", "left_at", "left_reason"],
            "left_at IS NOT NULL AND confirmed_at IS NOT NULL",
        ),
    ):
        only = sa.text(condition)
        op.create_index(name, "subscriptions", columns, sqlite_where=only, postgresql_where=only)


def downgrade() -> None:
    for name in ("ix_subscriptions_left_at", "ix_subscriptions_confirmed_at", "ix_subscriptions_standing"):
        op.drop_index(name, table_name="subscriptions")
