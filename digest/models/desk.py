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
    password_hash: Mapped[str] = mapped_column(sa.Text)
    """Argon2id (W-03)."""
    address_sealed: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    """Where test-sends and reminders go."""
    role: Mapped[str] = mapped_column(sa.String(16), default="editor")
    created_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)


class DeskSession(Base):
    """Somebody's being logged in (W-01, W-02): the cookie holds the id, this row its SHA-256."""

    __tablename__ = "desk_sessions"

    id_hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    csrf_token: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    seen_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)

    user: Mapped[User] = relationship()


class LogEntry(Base):
    """Who did what on the desk or the command line, when: appended to, never changed."""

    __tablename__ = "log"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    who: Mapped[str] = mapped_column(sa.Text)
    action: Mapped[str] = mapped_column(sa.String(32))
    object: Mapped[str] = mapped_column(sa.Text)
    detail: Mapped[str] = mapped_column(sa.Text, default="")
