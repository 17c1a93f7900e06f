"""The ledger, and what the senders share: leases, slow lanes, rates; and the account that stays."""

from __future__ import annotations

import datetime as dt
import enum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from subscribers.db import Base, UTCDateTime
from subscribers.lifecycle import Format


class DeliveryState(enum.StrEnum):
    """The ledger's states (DESIGN 4.2); `digest.mail.ledger` knows the legal steps."""

    QUEUED = "queued"
    COMMITTING = "committing"
    """The final dot may have left; durable before it does."""
    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    """The dot left and no answer came: never sent again by itself."""
    EXCLUDED = "excluded"
    """Left, was suppressed or erased between the freeze and the dot."""


class Delivery(Base):
    """One letter to one person: the only truth about who got what. For issues unique per (issue, subscriber)."""

    __tablename__ = "deliveries"
    __table_args__ = (
        sa.UniqueConstraint("issue_id", "subscriber_id"),
        # A delivery is in it until it is settled. The state is in no index, so that the step to `committing` changes
        # one row and nothing else; counting an issue's states reads its rows instead.
        sa.Index(
            "ix_deliveries_unsettled",
            "issue_id",
            "slice",
            "due_at",
            sqlite_where=sa.text("settled_at IS NULL"),
            postgresql_where=sa.text("settled_at IS NULL"),
        ),
        sa.Index(
            "ix_deliveries_letters",
            "state",
            "due_at",
            sqlite_where=sa.text("letter <> 'issue'"),
            postgresql_where=sa.text("letter <> 'issue'"),
        ),
        # Room in each page for the changed row beside the old one (PostgreSQL's heap-only tuples).
        {"postgresql_with": {"fillfactor": 80}},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    letter: Mapped[str] = mapped_column(sa.String(32))
    """The letter's kind, the name of its template folder: `issue`, `confirm`, …"""
    newsletter: Mapped[str] = mapped_column(sa.String(40))
    issue_id: Mapped[int | None] = mapped_column(sa.ForeignKey("issues.id"))
    slice: Mapped[int] = mapped_column(default=0, server_default="0")
    """Which slice of its issue it belongs to: the piece of work that one sender has at a time."""
    # No foreign key: an erased person's rows stay as counts, without a person to point at.
    subscriber_id: Mapped[int | None]
    subscription_id: Mapped[int | None]
    format: Mapped[Format] = mapped_column(
        sa.Enum(Format, native_enum=False, length=12), default=Format.SUMMARIES, server_default=Format.SUMMARIES.name
    )
    is_neutral: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    """What the reader had chosen when the audience was frozen: a resend is the same, whatever they chose since."""
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id", ondelete="SET NULL"))
    """The editor it goes to, for test-sends and reminders."""
    context_sealed: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    """What a letter says beyond its kind (a link with a token), sealed like an address, and removed once it is out."""
    public_id: Mapped[bytes] = mapped_column(sa.LargeBinary(16), unique=True)
    """Random; makes the Message-ID, stable across retries (F-22)."""
    state: Mapped[DeliveryState] = mapped_column(
        sa.Enum(DeliveryState, native_enum=False, length=16), default=DeliveryState.QUEUED
    )
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    created_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    give_up_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    settled_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    """When it came to one of the four outcomes; none while it is on its way."""
    reply: Mapped[str | None] = mapped_column(sa.Text)
    """The relay's last answer, bounded, without addresses (S-23); or our own reason."""
    provider: Mapped[str | None] = mapped_column(sa.String(12))
    """The coarse class of the mailbox provider (E-07), known once it was tried."""
    scope: Mapped[str | None] = mapped_column(sa.String(12))
    """Whom the last failure was about (S-22); none where nothing failed."""
    resolved_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    """When a person decided to leave an unknown one as it is."""


class Lease(Base):
    """A right that one process has for a while: whoever sends an issue. A lost one costs time, never a double."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(sa.String(64))
    until: Mapped[dt.datetime] = mapped_column(UTCDateTime)


class SlowLane(Base):
    """A mailbox provider that asked to be left alone for a while (B-09): what every sender has to know."""

    __tablename__ = "slow_lanes"

    provider: Mapped[str] = mapped_column(sa.String(12), primary_key=True)
    until: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    reply: Mapped[str] = mapped_column(sa.Text)


class Quota(Base):
    """How much of a rate limit is used up, by all senders together (S-46)."""

    __tablename__ = "quotas"

    name: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    """`second`, `hour` or `day`."""
    since: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    """When the hour or the day began; for the second, the instant up to which all is given away."""
    used: Mapped[int] = mapped_column(default=0)


class Report(Base):
    """The account of one issue that stays when its deliveries are purged to counts (O-55)."""

    __tablename__ = "reports"

    issue_id: Mapped[int] = mapped_column(sa.ForeignKey("issues.id", ondelete="CASCADE"), primary_key=True)
    made_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    data: Mapped[str] = mapped_column(sa.Text)
    """JSON, as `digest report --json` prints it; numbers and classes only, nobody in it."""
    purged_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    """When the deliveries it was made from were removed."""
