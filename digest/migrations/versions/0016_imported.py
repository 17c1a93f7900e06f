"""Fewer indexes that an imported list makes a database write another page of with each row."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TABLE = "subscriptions"
ASKED, AUDIENCE = "ix_subscriptions_requested_at", "ix_subscriptions_audience"
CONFIRMED = "ix_subscriptions_confirmed_at"


def upgrade() -> None:
    for name in (ASKED, AUDIENCE, CONFIRMED):
        op.drop_index(name, table_name=TABLE)
    op.create_index(AUDIENCE, TABLE, ["newsletter", "state", "id", "confirmed_at", "method"])
    _create_partial(ASKED, ["requested_at", "state"], "method <> 'import'")


def downgrade() -> None:
    for name in (ASKED, AUDIENCE):
        op.drop_index(name, table_name=TABLE)
    op.create_index(AUDIENCE, TABLE, ["newsletter", "state", "id"])
    op.create_index(ASKED, TABLE, ["requested_at", "state"])
    _create_partial(CONFIRMED, ["newsletter", "confirmed_at", "method"], "confirmed_at IS NOT NULL")


def _create_partial(name: str, columns: list[str], condition: str) -> None:
    only = sa.text(condition)
    op.create_index(name, TABLE, columns, sqlite_where=only, postgresql_where=only)
