"""The words that people agreed to, by the hash that their subscriptions name."""

import sqlalchemy as sa
from alembic import op

from subscribers.db import UTCDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "wordings",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("used_from", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_wordings")),
    )


def downgrade() -> None:
    op.drop_table("wordings")
