"""No reader's number is given twice, nothing points at readers who are gone, and a mailbox can say never as a whole."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NUMBERED = ("subscribers", "subscriptions")
# From the highest number that is still said anywhere, though its row may be gone.
COUNT_ON = (
    "DELETE FROM sqlite_sequence WHERE name IN ('subscribers', 'subscriptions')",
    """INSERT INTO sqlite_sequence (name, seq) SELECT 'subscribers', MAX(number) FROM (
        SELECT COALESCE(MAX(id), 0) AS number FROM subscribers
        UNION ALL SELECT COALESCE(MAX(subscriber_id), 0) FROM deliveries
        UNION ALL SELECT COALESCE(MAX(subscriber_id), 0) FROM bounces)""",
    """INSERT INTO sqlite_sequence (name, seq) SELECT 'subscriptions', MAX(number) FROM (
        SELECT COALESCE(MAX(id), 0) AS number FROM subscriptions
        UNION ALL SELECT COALESCE(MAX(subscription_id), 0) FROM deliveries)""",
)
# What points at somebody who is gone, or who has come since and was given the number again. A letter that still waits
# for a subscription that is gone keeps its number, by which the sender sees that.
SEVER = (
    """UPDATE deliveries SET subscriber_id = NULL, subscription_id = NULL
        WHERE subscriber_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM subscribers
            WHERE subscribers.id = deliveries.subscriber_id AND subscribers.created_at <= deliveries.created_at)""",
    """UPDATE bounces SET subscriber_id = NULL
        WHERE subscriber_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM subscribers
            WHERE subscribers.id = bounces.subscriber_id AND subscribers.created_at <= bounces.at)""",
    """UPDATE deliveries SET subscription_id = NULL
        WHERE subscription_id IS NOT NULL AND settled_at IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM subscriptions WHERE subscriptions.id = deliveries.subscription_id)""",
)


def upgrade() -> None:
    with op.batch_alter_table("suppressions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("mailbox_hash", sa.LargeBinary(length=32), nullable=True))
        batch_op.create_index("ix_suppressions_mailbox_hash", ["mailbox_hash"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        _number(is_final=True)
        for statement in COUNT_ON:
            op.execute(sa.text(statement))
    for statement in SEVER:
        op.execute(sa.text(statement))


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _number(is_final=False)
    with op.batch_alter_table("suppressions", schema=None) as batch_op:
        batch_op.drop_index("ix_suppressions_mailbox_hash")
        batch_op.drop_column("mailbox_hash")


def _number(*, is_final: bool) -> None:
    """Make the tables anew, so that a number that was given is given no more, or as they were."""
    for table in NUMBERED:
        with op.batch_alter_table(table, recreate="always", table_kwargs={"sqlite_autoincrement": is_final}):
            pass
