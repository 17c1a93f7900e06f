"""What the desk has changed in a newsletter's calendar."""

from __future__ import annotations

import datetime as dt
import enum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from subscribers.db import Base, UTCDateTime


class ChangeKind(enum.StrEnum):
    """What can be changed about one week."""

    SKIP = "skip"
    MOVE = "move"


class CalendarChange(Base):
    """One week that is skipped or sent at another moment. What is taken back is removed; the log keeps who did what."""

    __tablename__ = "calendar_changes"
    __table_args__ = (
        sa.CheckConstraint("(kind = 'MOVE') = (day IS NOT NULL AND time IS NOT NULL)", name="a_move_has_its_moment"),
    )

    newsletter: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    week: Mapped[str] = mapped_column(sa.String(8), primary_key=True)
    kind: Mapped[ChangeKind] = mapped_column(sa.Enum(ChangeKind, native_enum=False, length=8))
    day: Mapped[dt.date | None] = mapped_column(sa.Date)
    time: Mapped[dt.time | None] = mapped_column(sa.Time)
    """The moment it is moved to, on the newsletter's own clock, which holds though the zone's rules change."""
    reason: Mapped[str] = mapped_column(sa.Text)
    who: Mapped[str] = mapped_column(sa.Text)
    at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    shelved: Mapped[bool] = mapped_column(default=False)
    """Whether the week's draft was cancelled by the skip, and comes back with the week."""
