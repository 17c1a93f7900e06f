"""Keys can be rotated: data keys know their pair and retire, closed pairs are remembered, people have two handles."""

import sqlalchemy as sa
from alembic import op

from subscribers.db import UTCDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "closed_pairs",
        sa.Column("pair", sa.LargeBinary(length=8), nullable=False),
        sa.Column("closed_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("pair", name=op.f("pk_closed_pairs")),
    )
    with op.batch_alter_table("data_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("pair", sa.LargeBinary(length=8), nullable=True))
        batch_op.add_column(sa.Column("retired_at", UTCDateTime(), nullable=True))
    op.create_index("ix_subscribers_suppression_hash", "subscribers", ["suppression_hash"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_subscribers_suppression_hash", "subscribers")
    with op.batch_alter_table("data_keys", schema=None) as batch_op:
        batch_op.drop_column("retired_at")
        batch_op.drop_column("pair")
    op.drop_table("closed_pairs")
