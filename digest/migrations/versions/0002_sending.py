"""Sending in slices, and its accounts."""

import sqlalchemy as sa
from alembic import op

from subscribers.db import UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quotas",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_quotas")),
    )
    op.create_table(
        "slow_lanes",
        sa.Column("provider", sa.String(length=12), nullable=False),
        sa.Column("until", UTCDateTime(), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_slow_lanes")),
    )
    op.create_table(
        "reports",
        sa.Column("issue_id", sa.Integer(), nullable=False),
        sa.Column("made_at", UTCDateTime(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("purged_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["issue_id"], ["issues.id"], name=op.f("fk_reports_issue_id_issues"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("issue_id", name=op.f("pk_reports")),
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.add_column(sa.Column("slice", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("provider", sa.String(length=12), nullable=True))
        batch_op.add_column(sa.Column("scope", sa.String(length=12), nullable=True))
        batch_op.add_column(sa.Column("resolved_at", UTCDateTime(), nullable=True))
        batch_op.drop_index(batch_op.f("ix_deliveries_due"))
        batch_op.create_index(
            "ix_deliveries_unsettled",
            ["issue_id", "slice", "due_at"],
            unique=False,
            sqlite_where=sa.text("settled_at IS NULL"),
            postgresql_where=sa.text("settled_at IS NULL"),
        )

    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE deliveries SET (fillfactor = 80)")

    with op.batch_alter_table("issues", schema=None) as batch_op:
        batch_op.add_column(sa.Column("wire_digest", sa.LargeBinary(length=32), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("issues", schema=None) as batch_op:
        batch_op.drop_column("wire_digest")

    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_deliveries_unsettled",
            sqlite_where=sa.text("settled_at IS NULL"),
            postgresql_where=sa.text("settled_at IS NULL"),
        )
        batch_op.create_index(batch_op.f("ix_deliveries_due"), ["issue_id", "state", "due_at"], unique=False)
        batch_op.drop_column("resolved_at")
        batch_op.drop_column("scope")
        batch_op.drop_column("provider")
        batch_op.drop_column("slice")

    op.drop_table("reports")
    op.drop_table("slow_lanes")
    op.drop_table("quotas")
