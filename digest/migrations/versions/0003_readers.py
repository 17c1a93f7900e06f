"""Readers' choices, what comes in, suppression by anybody."""

import sqlalchemy as sa
from alembic import op

from subscribers.db import UTCDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "arrivals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("arrived_at", UTCDateTime(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column(
            "state",
            sa.Enum("WAITING", "DONE", "KEPT", name="arrivalstate", native_enum=False, length=12),
            nullable=False,
        ),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("settled_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_arrivals")),
        sa.UniqueConstraint("key", name=op.f("uq_arrivals_key")),
        sa.UniqueConstraint("public_id", name=op.f("uq_arrivals_public_id")),
    )
    with op.batch_alter_table("arrivals", schema=None) as batch_op:
        batch_op.create_index("ix_arrivals_state", ["state", "id"], unique=False)

    op.create_table(
        "bounces",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subscriber_id", sa.Integer(), nullable=True),
        sa.Column("newsletter", sa.String(length=40), nullable=False),
        sa.Column("issue_id", sa.Integer(), nullable=True),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("sign", sa.String(length=12), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("domain_key", sa.LargeBinary(length=32), nullable=True),
        sa.Column("verdict", sa.String(length=12), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bounces")),
    )
    with op.batch_alter_table("bounces", schema=None) as batch_op:
        batch_op.create_index("ix_bounces_at", ["at"], unique=False)
        batch_op.create_index("ix_bounces_subscriber", ["subscriber_id", "at"], unique=False)

    op.create_table(
        "fresh_links",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("subscriber_id", sa.Integer(), nullable=False),
        sa.Column("until", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscriber_id"],
            ["subscribers.id"],
            name=op.f("fk_fresh_links_subscriber_id_subscribers"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_fresh_links")),
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "format",
                sa.Enum("SUMMARIES", "FULL", "TEXT", name="format", native_enum=False, length=12),
                server_default="SUMMARIES",
                nullable=False,
            )
        )
        batch_op.add_column(sa.Column("is_neutral", sa.Boolean(), server_default=sa.false(), nullable=False))

    with op.batch_alter_table("issues", schema=None) as batch_op:
        batch_op.add_column(sa.Column("rendered_full_text", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("rendered_full_html", sa.Text(), nullable=True))

    with op.batch_alter_table("subscribers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("suppression_hash", sa.LargeBinary(length=32), nullable=True))

    with op.batch_alter_table("subscriptions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("left_reason", sa.String(length=16), nullable=True))
        batch_op.add_column(
            sa.Column(
                "format",
                sa.Enum("SUMMARIES", "FULL", "TEXT", name="format", native_enum=False, length=12),
                server_default="SUMMARIES",
                nullable=False,
            )
        )
        batch_op.add_column(sa.Column("is_neutral", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("paused_until", UTCDateTime(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("subscriptions", schema=None) as batch_op:
        batch_op.drop_column("paused_until")
        batch_op.drop_column("is_neutral")
        batch_op.drop_column("format")
        batch_op.drop_column("left_reason")

    with op.batch_alter_table("subscribers", schema=None) as batch_op:
        batch_op.drop_column("suppression_hash")

    with op.batch_alter_table("issues", schema=None) as batch_op:
        batch_op.drop_column("rendered_full_html")
        batch_op.drop_column("rendered_full_text")

    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_column("is_neutral")
        batch_op.drop_column("format")

    op.drop_table("fresh_links")
    with op.batch_alter_table("bounces", schema=None) as batch_op:
        batch_op.drop_index("ix_bounces_subscriber")
        batch_op.drop_index("ix_bounces_at")

    op.drop_table("bounces")
    with op.batch_alter_table("arrivals", schema=None) as batch_op:
        batch_op.drop_index("ix_arrivals_state")

    op.drop_table("arrivals")
