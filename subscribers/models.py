"""Tables of the people. No column of them holds an address in plain text (E-01 to E-04)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from subscribers.db import Base, UTCDateTime
from subscribers.lifecycle import IMPORT, Format, State

ASKED_HERE = f"method <> '{IMPORT}'"
"""In words that an index can be found by: they did not come with a list from elsewhere."""
HAS_LEFT = "left_at IS NOT NULL AND confirmed_at IS NOT NULL"


def _where(condition: str) -> dict[str, Any]:
    """An index of the rows alone that meet a condition, on both databases."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


class DataKey(Base):
    """A key that addresses are encrypted with, itself sealed to the sender's public key."""

    __tablename__ = "data_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    sealed: Mapped[bytes] = mapped_column(sa.LargeBinary)
    created_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    pair: Mapped[bytes | None] = mapped_column(sa.LargeBinary(8))
    """Which public key it is sealed to, by `keys.pair_of`; none where the row is older than this column."""
    retired_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    """Since when nothing new is sealed with it and nothing was found sealed with it: a rotation then deletes it."""


class ClosedPair(Base):
    """A key pair that was rotated away: whoever still has its public key seals nothing to it any more."""

    __tablename__ = "closed_pairs"

    pair: Mapped[bytes] = mapped_column(sa.LargeBinary(8), primary_key=True)
    closed_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)


class Subscriber(Base):
    """A person, as far as we know one: a sealed address and the keyed hash to find it by."""

    __tablename__ = "subscribers"
    # While the index key is rotated, processes with the old and with the new one find and make nobody twice by this.
    __table_args__ = (
        sa.Index("ix_subscribers_suppression_hash", "suppression_hash", unique=True),
        # No number is ever given again, as on PostgreSQL: what the ledger says of one is never about another person.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[bytes] = mapped_column(sa.LargeBinary(16), unique=True)
    """Random; binds the sealed address to this row (E-02)."""
    address_sealed: Mapped[bytes] = mapped_column(sa.LargeBinary)
    blind_index: Mapped[bytes] = mapped_column(sa.LargeBinary(32), unique=True)
    suppression_hash: Mapped[bytes | None] = mapped_column(sa.LargeBinary(32))
    """What a suppression of this address is kept under, so that a process that cannot open addresses can make one.

    None only where the row is older than this column, and until a sender has started once: it makes what is missing.
    """
    created_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)

    subscriptions: Mapped[list[Subscription]] = relationship(back_populates="subscriber", passive_deletes=True)

    def __repr__(self) -> str:
        return f"Subscriber({self.id})"

    @classmethod
    def known_by(cls, blind_index: bytes, suppression_hash: bytes) -> sa.ColumnElement[bool]:
        """Who a person is, in a query: either hash is enough.

        While the index key is rotated, the row may have its blind index by the other key than this process has, or
        the link by another than the row (E-06).
        """
        return sa.or_(cls.blind_index == blind_index, cls.suppression_hash == suppression_hash)


class Subscription(Base):
    """A person's tie to one newsletter, and the evidence that they wanted it (O-50: no IP, no user agent)."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        sa.UniqueConstraint("subscriber_id", "newsletter"),
        # The last two are for the desk, which counts who came when: behind the id they cost an imported list no page.
        sa.Index("ix_subscriptions_audience", "newsletter", "state", "id", "confirmed_at", "method"),
        sa.Index("ix_subscriptions_requested_at", "requested_at", "state", **_where(ASKED_HERE)),
        # What the desk counts by (`headcount`): each holds all that its query asks for, so that no row is read.
        sa.Index(
            "ix_subscriptions_standing",
            "newsletter",
            "state",
            "left_reason",
            "format",
            "is_neutral",
            "language",
            "paused_until",
        ),
        sa.Index("ix_subscriptions_left_at", "newsletter", "left_at", "left_reason", **_where(HAS_LEFT)),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[bytes] = mapped_column(sa.LargeBinary(16), unique=True)
    """Random; what the tokens in mail name (F-24)."""
    subscriber_id: Mapped[int] = mapped_column(sa.ForeignKey("subscribers.id", ondelete="CASCADE"))
    newsletter: Mapped[str] = mapped_column(sa.String(40))
    state: Mapped[State] = mapped_column(sa.Enum(State, native_enum=False, length=16))
    language: Mapped[str] = mapped_column(sa.String(35))
    requested_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    confirmed_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    left_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    method: Mapped[str] = mapped_column(sa.String(32))
    """How they came: `lifecycle.FORM` and the others there."""
    evidence: Mapped[str] = mapped_column(sa.Text)
    """The wording they agreed to (by its hash), or why no confirmation was needed."""
    confirm_hash: Mapped[bytes | None] = mapped_column(sa.LargeBinary(32), unique=True)
    """SHA-256 of the confirmation token that is good now (O-01, O-02)."""
    confirm_until: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    left_reason: Mapped[str | None] = mapped_column(sa.String(16))
    """Why they left where it was not by themselves: `bounce` or `complaint`."""
    format: Mapped[Format] = mapped_column(
        sa.Enum(Format, native_enum=False, length=12), default=Format.SUMMARIES, server_default=Format.SUMMARIES.name
    )
    is_neutral: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    """Whether subject and preheader give nothing away to whoever sees the lock-screen (F-52)."""
    paused_until: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    """Issues that are frozen before this instant pass them by."""

    subscriber: Mapped[Subscriber] = relationship(back_populates="subscriptions")


class LetterMemory(Base):
    """When a kind of letter last went to an address, by keyed hash: what O-21's budgets count."""

    __tablename__ = "letter_memory"
    __table_args__ = (sa.Index("ix_letter_memory_rate_key", "rate_key", "letter", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    rate_key: Mapped[bytes] = mapped_column(sa.LargeBinary(32))
    letter: Mapped[str] = mapped_column(sa.String(32))
    at: Mapped[dt.datetime] = mapped_column(UTCDateTime)


class FreshLink(Base):
    """A link that was just sent to a person's address: who has it may do what a forwarded issue must not allow."""

    __tablename__ = "fresh_links"

    token_hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True)
    """SHA-256 of a random token (O-01)."""
    subscriber_id: Mapped[int] = mapped_column(sa.ForeignKey("subscribers.id", ondelete="CASCADE"))
    until: Mapped[dt.datetime] = mapped_column(UTCDateTime)


class Suppression(Base):
    """A keyed hash that says: never mail this address. It outlives erasure (O-52)."""

    __tablename__ = "suppressions"

    address_hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True)
    reason: Mapped[str] = mapped_column(sa.String(16))
    """`asked`, `complaint`, `bounce`, `left`, `erased` or `hand`."""
    mailbox_hash: Mapped[bytes | None] = mapped_column(sa.LargeBinary(32), index=True)
    """The same kind of hash of the mailbox in whatever spelling, where its owner said never or complained: then the
    form sends no confirmation to another spelling of it either."""
    month: Mapped[str] = mapped_column(sa.String(7))
    """`2026-11`: no more of the time than that is kept."""


class Wording(Base):
    """Words that people agreed to, whose hash the evidence of their subscriptions names (O-50). Nobody is in it."""

    __tablename__ = "wordings"

    hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    """`NewsletterInfo.wording_hash`"""
    text: Mapped[str] = mapped_column(sa.Text)
    used_from: Mapped[dt.datetime] = mapped_column(UTCDateTime)


class FormCount(Base):
    """How full one of the form's budgets is (`counts`): a number, no address, no network, no name of a domain."""

    __tablename__ = "form_counts"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    level: Mapped[float] = mapped_column(sa.Double)
    at: Mapped[float] = mapped_column(sa.Double)
    """Seconds since 1970: what leaks is reckoned by the database itself."""


class SpentProof(Base):
    """A proof of work that was used, until it expires anyway (O-30)."""

    __tablename__ = "spent_proofs"

    name: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True)
    """SHA-256 of the challenge's signature."""
    until: Mapped[dt.datetime] = mapped_column(UTCDateTime, index=True)
