"""The people of the newsroom, their being logged in, and the log of what they did."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from subscribers.db import Base, UTCDateTime


class User(Base):
    """A person of the newsroom who may enter the desk."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[bytes] = mapped_column(sa.LargeBinary(16), unique=True)
    name: Mapped[str] = mapped_column(sa.String(64), unique=True)
    """What they log in with and what the log shows; not an address."""
    password_hash: Mapped[str | None] = mapped_column(sa.Text)
    """Argon2id (W-03); none for somebody who comes in by a passkey or the newsroom's provider, or is only invited."""
    address_sealed: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    """Where test-sends and reminders go, once it is confirmed."""
    address_verified_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    """When the address was shown to be theirs (W-43): by a link that was sent there, or by the operator who gave it."""
    role: Mapped[str] = mapped_column(sa.String(16), default="editor")
    created_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    joined_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    """When they had a way in of their own; none while an invitation waits."""
    disabled_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    """Since when they may not come in."""
    seen_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    """When they were last at the desk, to the minute."""


class DeskSession(Base):
    """Somebody's being logged in (W-01, W-02): the cookie holds the id, this row its SHA-256."""

    __tablename__ = "desk_sessions"

    id_hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    csrf_token: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    seen_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    is_strong: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    """Whether a second factor was shown, or what counts as two: a passkey, or the newsroom's own provider."""
    proven_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    """When they last showed who they are; what changes the ways in needs it to be fresh."""
    browser: Mapped[str] = mapped_column(sa.String(40), default="", server_default="")
    """A coarse name, like `Firefox on Linux`, so that they know their own sessions; no address of a machine (O-54)."""

    user: Mapped[User] = relationship()


class LogEntry(Base):
    """Who did what on the desk or the command line, when: appended to, never changed.

    `digest.issues.audit` numbers and links the entries a little later, so that a change to one of them shows.
    """

    __tablename__ = "log"
    __table_args__ = (
        sa.Index(
            "ix_log_unlinked",
            "id",
            sqlite_where=sa.text("number IS NULL"),
            postgresql_where=sa.text("number IS NULL"),
        ),
        sa.Index("ix_log_object", "object", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    who: Mapped[str] = mapped_column(sa.Text)
    action: Mapped[str] = mapped_column(sa.String(32))
    object: Mapped[str] = mapped_column(sa.Text)
    detail: Mapped[str] = mapped_column(sa.Text, default="")
    number: Mapped[int | None] = mapped_column(unique=True)
    """Its place in the chain, without gaps; none until it is linked."""
    link: Mapped[bytes | None] = mapped_column(sa.LargeBinary(32))
    """A keyed hash over the entry and the link before it."""


class Beat(Base):
    """When a role was last at work: what shows that nothing can go out because nobody is there to do it."""

    __tablename__ = "beats"

    role: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    """`scheduler` or `worker`."""
    at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
