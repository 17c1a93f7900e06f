"""The week's issue and its items."""

from __future__ import annotations

import datetime as dt
import enum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from digest.models.sources import Post
from subscribers.db import Base, UTCDateTime


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


RENDERINGS = "renderings"
"""The group of an issue's rendered columns: `undefer_group` loads them all."""


def _rendering() -> Mapped[str | None]:
    """A column of an issue that is large, and that is only asked for where a mail is made or shown."""
    return mapped_column(sa.Text, deferred=True, deferred_group=RENDERINGS)


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
    """By the editor, in the small Markdown of `mail.render_introduction`; a blank line parts paragraphs."""
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
    rendered_subject: Mapped[str | None] = _rendering()
    rendered_text: Mapped[str | None] = _rendering()
    rendered_html: Mapped[str | None] = _rendering()
    """What was sent, with the slots unfilled: for the wire, for a resend byte by byte, and for the archive."""
    rendered_full_text: Mapped[str | None] = _rendering()
    rendered_full_html: Mapped[str | None] = _rendering()
    """The same with the whole stories, for who wants them."""
    rendered_neutral_subject: Mapped[str | None] = _rendering()
    rendered_neutral_text: Mapped[str | None] = _rendering()
    rendered_neutral_html: Mapped[str | None] = _rendering()
    rendered_neutral_full_text: Mapped[str | None] = _rendering()
    rendered_neutral_full_html: Mapped[str | None] = _rendering()
    """Both again, with a subject and preheader that give nothing away (F-52)."""
    wire_digest: Mapped[bytes | None] = mapped_column(sa.LargeBinary(32))
    """SHA-256 of its messages as they were first made for the wire: a resend has to be the same (S-12)."""

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
    image_alt: Mapped[str] = mapped_column(sa.Text, default="", server_default="")
    """What the editor says is to be seen in the picture; empty while the post's own words stand."""
    taken_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    """When this was made of the post, or an editor last compared the two; none: when the issue was opened."""

    issue: Mapped[Issue] = relationship(back_populates="items")
    post: Mapped[Post] = relationship()

    @property
    def is_edited(self) -> bool:
        """Whether its post has changed at its source since this was made of it, or since somebody compared the two."""
        edited = self.post.edited_at
        return edited is not None and edited > (self.taken_at or self.issue.created_at)


class Approval(Base):
    """One publisher's word for one revision of an issue; where the newsletter asks for two, both have a row (W-41).

    A row of another revision than the one that stands counts for nothing.
    """

    __tablename__ = "approvals"
    __table_args__ = (sa.UniqueConstraint("issue_id", "revision", "who"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    issue_id: Mapped[int] = mapped_column(sa.ForeignKey("issues.id", ondelete="CASCADE"))
    revision: Mapped[int]
    who: Mapped[str] = mapped_column(sa.Text)
    at: Mapped[dt.datetime] = mapped_column(UTCDateTime)


class Revision(Base):
    """What an issue said at one of its revisions, and who made it so.

    Going back makes a new revision that says what an older one said, so nothing is ever lost. `issues.snapshot` reads
    and writes the snapshot; they are removed when the issue's deliveries are purged.
    """

    __tablename__ = "revisions"

    issue_id: Mapped[int] = mapped_column(sa.ForeignKey("issues.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    who: Mapped[str] = mapped_column(sa.Text)
    said: Mapped[str] = mapped_column(sa.Text)
    """What was done, as the rest of a sentence that begins with the name: `moved “A court orders …” up`."""
    same_as: Mapped[int]
    """The revision that first said the same: its own number, unless a change was undone or done again."""
    undo_to: Mapped[int | None]
    """The revision that undoing goes back to."""
    redo_to: Mapped[int | None]
    """The revision that was undone last, until somebody changes something else."""
    snapshot: Mapped[bytes] = mapped_column(sa.LargeBinary, deferred=True)
    """All that an editor can change, as deflated JSON: only loaded where it is looked at."""
