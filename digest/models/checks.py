"""What the checks remember: overrides, how links answered, how posts read before an edit, and spam scores."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from subscribers.db import Base, UTCDateTime


class KeptOverride(Base):
    """A publisher's reason to let an issue out in spite of one finding (`issues.overrides`)."""

    __tablename__ = "overrides"
    __table_args__ = (sa.UniqueConstraint("issue_id", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    issue_id: Mapped[int] = mapped_column(sa.ForeignKey("issues.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(sa.String(64))
    """The finding's: its code, its place, and what it is about."""
    code: Mapped[str] = mapped_column(sa.String(32))
    place: Mapped[str] = mapped_column(sa.Text)
    why: Mapped[str] = mapped_column(sa.Text)
    """What the finding said."""
    reason: Mapped[str] = mapped_column(sa.Text)
    who: Mapped[str] = mapped_column(sa.Text)
    at: Mapped[dt.datetime] = mapped_column(UTCDateTime)


class Link(Base):
    """How an address that issues link to answered last: pages show this, and only the scheduler asks the site."""

    __tablename__ = "links"
    __table_args__ = (sa.Index("ix_links_due_at", "due_at"), sa.Index("ix_links_wanted_at", "wanted_at"))

    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True)
    """SHA-256 of the address: addresses can be longer than an index takes."""
    address: Mapped[str] = mapped_column(sa.Text)
    outcome: Mapped[str] = mapped_column(sa.String(16), default="")
    """`fine`, `moved`, `dead`, `unreachable` or `unasked`; empty until it was looked at."""
    final: Mapped[str] = mapped_column(sa.Text, default="")
    """Where it redirects to in the end."""
    reason: Mapped[str] = mapped_column(sa.Text, default="")
    """What was wrong, or why it is not asked, in a sentence."""
    checked_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    due_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    """From when on it is to be looked at; none where nobody waits for it."""
    wanted_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    """When an open issue had it last: what is forgotten goes by it."""


class PostVersion(Base):
    """How a post read before an edit at its source: what an editor compares the new text with."""

    __tablename__ = "post_versions"
    __table_args__ = (sa.Index("ix_post_versions_post_id", "post_id", "until"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(sa.ForeignKey("posts.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(sa.Text)
    summary: Mapped[str] = mapped_column(sa.Text)
    body: Mapped[str] = mapped_column(sa.Text)
    until: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    """When we saw that it read otherwise."""


class MailScore(Base):
    """What a spam filter on this machine said of one mail; the same mail is not asked about twice."""

    __tablename__ = "mail_scores"

    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True)
    """SHA-256 of subject, text part and HTML part."""
    at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    score: Mapped[float] = mapped_column(sa.Double)
    required: Mapped[float] = mapped_column(sa.Double)
    """From this score on the filter calls it spam."""
    said: Mapped[str] = mapped_column(sa.Text, default="")
    """The rules that counted, a line each."""
