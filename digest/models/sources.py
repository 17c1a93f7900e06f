"""What is gathered: a source as we remember it, and its posts."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from subscribers.db import Base, UTCDateTime


class SourceState(Base):
    """What we remember of a source between two readings, its last failure included."""

    __tablename__ = "sources"
    __table_args__ = (sa.UniqueConstraint("newsletter", "url"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    newsletter: Mapped[str] = mapped_column(sa.String(40))
    url: Mapped[str] = mapped_column(sa.Text)
    etag: Mapped[str | None] = mapped_column(sa.Text)
    last_modified: Mapped[str | None] = mapped_column(sa.Text)
    checked_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    succeeded_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    failures: Mapped[int] = mapped_column(default=0)
    """How many readings in a row have failed."""
    reason: Mapped[str | None] = mapped_column(sa.Text)
    """Why the last reading failed, for people; none when it did not."""
    entries: Mapped[int] = mapped_column(default=0)
    """How many entries the last good reading had: what "shrunk by more than 80 %" is measured against (W-56)."""


class Post(Base):
    """One article, gathered from a source. Text columns are plain text; only `body` is (cleaned) HTML."""

    __tablename__ = "posts"
    __table_args__ = (
        sa.UniqueConstraint("newsletter", "identity"),
        sa.Index("ix_posts_window", "newsletter", "published_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    newsletter: Mapped[str] = mapped_column(sa.String(40))
    source_url: Mapped[str] = mapped_column(sa.Text)
    identity: Mapped[str] = mapped_column(sa.Text)
    """What makes it the same post: the number in a Pangea address, else the canonical link, else the guid."""
    link: Mapped[str] = mapped_column(sa.Text)
    title: Mapped[str] = mapped_column(sa.Text)
    byline: Mapped[str] = mapped_column(sa.Text, default="")
    language: Mapped[str] = mapped_column(sa.String(35), default="")
    published_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    summary: Mapped[str] = mapped_column(sa.Text, default="")
    body: Mapped[str] = mapped_column(sa.Text, default="")
    """Cleaned, well-formed HTML (W-54); empty where only a summary could be had."""
    image_url: Mapped[str] = mapped_column(sa.Text, default="")
    image_alt: Mapped[str] = mapped_column(sa.Text, default="")
    image_caption: Mapped[str] = mapped_column(sa.Text, default="")
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    """SHA-256 of what a reader would see; another one means the post was edited."""
    gathered_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    edited_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    """When we last saw that it had changed at its source."""
    withdrawn_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    """When its page was found to be gone (404 or 410)."""
