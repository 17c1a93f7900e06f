"""What is sent to readers whose subject line gives nothing away."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = (
    "rendered_neutral_subject",
    "rendered_neutral_text",
    "rendered_neutral_html",
    "rendered_neutral_full_text",
    "rendered_neutral_full_html",
)


def upgrade() -> None:
    with op.batch_alter_table("issues", schema=None) as batch_op:
        for name in COLUMNS:
            batch_op.add_column(sa.Column(name, sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("issues", schema=None) as batch_op:
        for name in reversed(COLUMNS):
            batch_op.drop_column(name)
