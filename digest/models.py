"""Tables of the weekly issue: sources, posts, issues, items, deliveries, the desk's users and its log."""

from __future__ import annotations

import datetime as dt
import enum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from subscribers.db import Base, UTCDateTime
from subscribers.lifecycle import Format


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


class IssueState(enum.StrEnum):
    """Where an issue stands."""

    DRAFT = "draft"
    HELD = "held"
    """A draft that must not go out without a person: `hold_reason` says why."""
    APPROVED = "approved"
    SENDING = "sending"
    """Its audience is frozen and its text rendered; deliveries are on their way."""
    PAUSED = "paused"
    SENT = "sent"
    CANCELLED = "cancelled"


class Issue(Base):
    """One week's digest of one newsletter. The unique key on (newsletter, week) is what makes it once (S-15)."""

    __tablename__ = "issues"
    __table_args__ = (sa.UniqueConstraint("newsletter", "week"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    newsletter: Mapped[str] = mapped_column(sa.String(40))
    week: Mapped[str] = mapped_column(sa.String(8))
    window_start: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    window_end: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    send_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    state: Mapped[IssueState] = mapped_column(sa.Enum(IssueState, native_enum=False, length=16))
    hold_reason: Mapped[str] = mapped_column(sa.Text, default="")
    is_doubtful: Mapped[bool] = mapped_column(default=False)
    """Held by the draft itself, for want of news, and looked at by nobody since: it is drafted anew with what comes."""
    subject: Mapped[str] = mapped_column(sa.Text, default="")
    preheader: Mapped[str] = mapped_column(sa.Text, default="")
    introduction: Mapped[str] = mapped_column(sa.Text, default="")
    """Plain text by the editor; a blank line parts paragraphs."""
    revision: Mapped[int] = mapped_column(default=1)
    """Counts every change by an editor; an approval is of one revision."""
    touched: Mapped[bool] = mapped_column(default=False)
    """Whether a person had a hand in it: an untouched one goes out as `Auto-Submitted: auto-generated` (F-33)."""
    approved_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    approved_by: Mapped[str | None] = mapped_column(sa.Text)
    reminded_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    frozen_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    audience: Mapped[int] = mapped_column(default=0)
    """How many readers the freeze found: the left side of the closing equation."""
    rendered_subject: Mapped[str | None] = mapped_column(sa.Text, deferred=True)
    rendered_text: Mapped[str | None] = mapped_column(sa.Text, deferred=True)
    rendered_html: Mapped[str | None] = mapped_column(sa.Text, deferred=True)
    """What was sent, with the slots unfilled: for the wire, for a resend byte by byte, and for the archive."""
    rendered_full_text: Mapped[str | None] = mapped_column(sa.Text, deferred=True)
    rendered_full_html: Mapped[str | None] = mapped_column(sa.Text, deferred=True)
    """The same with the whole stories, for who wants them."""
    wire_digest: Mapped[bytes | None] = mapped_column(sa.LargeBinary(32))
    """SHA-256 of the message as it was first made for the wire: a resend has to be the same (S-12)."""

    items: Mapped[list[Item]] = relationship(
        back_populates="issue", order_by="Item.position", cascade="all, delete-orphan", passive_deletes=True
    )

    @property
    def name(self) -> str:
        """Its name, `watchdog/2026-W47`."""
        return f"{self.newsletter}/{self.week}"


class Item(Base):
    """A post's place in an issue: section, position, the editor's headline and summary."""

    __tablename__ = "items"
    __table_args__ = (sa.UniqueConstraint("issue_id", "post_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    issue_id: Mapped[int] = mapped_column(sa.ForeignKey("issues.id", ondelete="CASCADE"))
    post_id: Mapped[int] = mapped_column(sa.ForeignKey("posts.id"))
    section: Mapped[str] = mapped_column(sa.Text, default="")
    position: Mapped[int]
    """Order within the whole issue; the first included item of the main part is the lead."""
    included: Mapped[bool] = mapped_column(default=True)
    headline: Mapped[str] = mapped_column(sa.Text)
    summary: Mapped[str] = mapped_column(sa.Text, default="")

    issue: Mapped[Issue] = relationship(back_populates="items")
    post: Mapped[Post] = relationship()


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
