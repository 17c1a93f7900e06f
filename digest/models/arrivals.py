"""What came in by mail or from a provider, and what it said of readers' mailboxes."""

from __future__ import annotations

import datetime as dt
import enum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from subscribers.db import Base, UTCDateTime


class ArrivalState(enum.StrEnum):
    """Where something stands that came in."""

    WAITING = "waiting"
    DONE = "done"
    KEPT = "kept"
    """It could not be read, or changes nothing by itself: it is kept for a person, as long as O-55 allows."""


class Arrival(Base):
    """A mail or a provider's notice that came in, sealed as it came, and what became of it.

    Whoever takes it in needs no key that opens anything; the sender's process reads it.
    """

    __tablename__ = "arrivals"
    __table_args__ = (sa.Index("ix_arrivals_state", "state", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[bytes] = mapped_column(sa.LargeBinary(16), unique=True)
    """Random; binds the sealed octets to this row."""
    source: Mapped[str] = mapped_column(sa.String(16))
    """`mail`, or the provider whose notice it is: `ses`, `mailgun`, `postmark`, `sendgrid`."""
    key: Mapped[bytes] = mapped_column(sa.LargeBinary(32), unique=True)
    """SHA-256 of what makes it the same: what comes twice is done once (N-31)."""
    arrived_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    sealed: Mapped[bytes | None] = mapped_column(sa.LargeBinary, deferred=True)
    """Removed when it is done."""
    state: Mapped[ArrivalState] = mapped_column(
        sa.Enum(ArrivalState, native_enum=False, length=12), default=ArrivalState.WAITING
    )
    outcome: Mapped[str] = mapped_column(sa.Text, default="")
    """What came of it, or why it waits for a person; without an address."""
    settled_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)


class Bounce(Base):
    """What a notice said of a reader's mailbox: what the policy of N-20 to N-22 counts."""

    __tablename__ = "bounces"
    __table_args__ = (
        sa.Index("ix_bounces_subscriber", "subscriber_id", "at"),
        sa.Index("ix_bounces_at", "at"),
        sa.Index("ix_bounces_delivery", "delivery_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    # No foreign key: an erased person's rows stay as counts, without a person to point at.
    subscriber_id: Mapped[int | None]
    newsletter: Mapped[str] = mapped_column(sa.String(40), default="")
    issue_id: Mapped[int | None]
    delivery_id: Mapped[int | None]
    """The copy that came back, where that is known; a copy counts once."""
    at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    sign: Mapped[str] = mapped_column(sa.String(12))
    """`hard`, `soft`, `policy` or `complaint`."""
    status: Mapped[str] = mapped_column(sa.String(12), default="")
    """The enhanced status code (RFC 3463), where one was given."""
    reason: Mapped[str] = mapped_column(sa.String(32), default="")
    """The class of the reason: `user-unknown`, `mailbox-full`, …"""
    domain_key: Mapped[bytes | None] = mapped_column(sa.LargeBinary(32))
    """A keyed hash of the mailbox's domain: a spike of one domain is seen by it (N-20)."""
    verdict: Mapped[str] = mapped_column(sa.String(12), default="counted")
    """`counted`, `suppressed`, `quarantined` or `cleared`."""
