"""How people get in: half-done log-ins, one-time links, second factors, passkeys; who is invited or may not come in."""

import sqlalchemy as sa
from alembic import op

from subscribers.db import UTCDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _users()
    _sessions()
    op.create_table(
        "login_steps",
        sa.Column("id_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        _of_user("login_steps"),
        sa.PrimaryKeyConstraint("id_hash", "kind", name=op.f("pk_login_steps")),
    )
    op.create_table(
        "desk_links",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.Column("is_mailed", sa.Boolean(), nullable=False),
        _of_user("desk_links"),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_desk_links")),
    )
    _factors()


def _users() -> None:
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.alter_column("password_hash", existing_type=sa.Text(), nullable=True)
        for name in ("address_verified_at", "joined_at", "disabled_at", "seen_at"):
            batch_op.add_column(sa.Column(name, UTCDateTime(), nullable=True))
    # Whoever is here already was entered by the operator, with an address that the operator knows to be theirs.
    op.execute("UPDATE users SET joined_at = created_at")
    op.execute("UPDATE users SET address_verified_at = created_at WHERE address_sealed IS NOT NULL")


def _sessions() -> None:
    # Nobody has to do more than log in again; how these sessions were opened is not known.
    op.execute("DELETE FROM desk_sessions")
    with op.batch_alter_table("desk_sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("is_strong", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("proven_at", UTCDateTime(), nullable=False))
        batch_op.add_column(sa.Column("browser", sa.String(length=40), server_default="", nullable=False))


def _factors() -> None:
    op.create_table(
        "totp_secrets",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("confirmed_at", UTCDateTime(), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        _of_user("totp_secrets"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_totp_secrets")),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(length=32), nullable=False),
        _of_user("recovery_codes"),
        sa.PrimaryKeyConstraint("user_id", "code_hash", name=op.f("pk_recovery_codes")),
    )
    op.create_table(
        "passkeys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("credential_id", sa.LargeBinary(length=1023), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("used_at", UTCDateTime(), nullable=True),
        _of_user("passkeys"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passkeys")),
        sa.UniqueConstraint("credential_id", name=op.f("uq_passkeys_credential_id")),
    )
    op.create_table(
        "provider_ties",
        sa.Column("issuer", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        _of_user("provider_ties"),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_provider_ties")),
    )
    for table in ("passkeys", "provider_ties"):
        op.create_index(op.f(f"ix_{table}_user_id"), table, ["user_id"], unique=False)


def _of_user(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["user_id"], ["users.id"], name=op.f(f"fk_{table}_user_id_users"), ondelete="CASCADE"
    )


def downgrade() -> None:
    for table in ("provider_ties", "passkeys", "recovery_codes", "totp_secrets", "desk_links", "login_steps"):
        op.drop_table(table)
    with op.batch_alter_table("desk_sessions", schema=None) as batch_op:
        for name in ("browser", "proven_at", "is_strong"):
            batch_op.drop_column(name)
    # Who has no password cannot come in by an older version either.
    op.execute("UPDATE users SET password_hash = '' WHERE password_hash IS NULL")
    with op.batch_alter_table("users", schema=None) as batch_op:
        for name in ("seen_at", "disabled_at", "joined_at", "address_verified_at"):
            batch_op.drop_column(name)
        batch_op.alter_column("password_hash", existing_type=sa.Text(), nullable=False)
