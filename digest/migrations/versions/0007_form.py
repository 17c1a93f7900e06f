"""What the form's budgets count, and which proofs of work were used."""

import sqlalchemy as sa
from alembic import op

from subscribers.db import UTCDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "form_counts",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("level", sa.Double(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_form_counts")),
    )
    op.create_table(
        "spent_proofs",
        sa.Column("name", sa.LargeBinary(length=32), nullable=False),
        sa.Column("until", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_spent_proofs")),
    )
    with op.batch_alter_table("spent_proofs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_spent_proofs_until"), ["until"], unique=False)
    with op.batch_alter_table("subscriptions", schema=None) as batch_op:
        batch_op.create_index("ix_subscriptions_requested_at", ["requested_at", "state"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("subscriptions", schema=None) as batch_op:
        batch_op.drop_index("ix_subscriptions_requested_at")
    op.drop_table("spent_proofs")
    op.drop_table("form_counts")
