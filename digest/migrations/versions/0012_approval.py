"""Approvals by more than one, a log that shows changes to it, and who is at work."""

import sqlalchemy as sa
from alembic import op

from subscribers.db import UTCDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("issue_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["issue_id"], ["issues.id"], name=op.f("fk_approvals_issue_id_issues"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
        sa.UniqueConstraint("issue_id", "revision", "who", name=op.f("uq_approvals_issue_id_revision_who")),
    )
    op.create_table(
        "beats",
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("role", name=op.f("pk_beats")),
    )
    with op.batch_alter_table("log", schema=None) as batch_op:
        batch_op.add_column(sa.Column("number", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("link", sa.LargeBinary(length=32), nullable=True))
        batch_op.create_unique_constraint(batch_op.f("uq_log_number"), ["number"])
        batch_op.create_index(
            "ix_log_unlinked",
            ["id"],
            unique=False,
            sqlite_where=sa.text("number IS NULL"),
            postgresql_where=sa.text("number IS NULL"),
        )
        batch_op.create_index("ix_log_object", ["object", "id"], unique=False)
    # What was approved before, by one as it was then.
    op.execute(
        "INSERT INTO approvals (issue_id, revision, who, at) "
        "SELECT id, revision, approved_by, approved_at FROM issues "
        "WHERE approved_by IS NOT NULL AND approved_at IS NOT NULL"
    )


def downgrade() -> None:
    with op.batch_alter_table("log", schema=None) as batch_op:
        batch_op.drop_index("ix_log_object")
        batch_op.drop_index("ix_log_unlinked")
        batch_op.drop_constraint(batch_op.f("uq_log_number"), type_="unique")
        batch_op.drop_column("link")
        batch_op.drop_column("number")
    op.drop_table("beats")
    op.drop_table("approvals")
