"""A newsletter's calendar: what digest.toml says and what the desk has changed, united. There is no other way to one.

Whoever asks without a session (a test, the demo before its database) says so by uniting with no changes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.models import CalendarChange, ChangeKind
from digest.settings import Newsletter
from digest.weeks import Calendar, Moment, Week

_LOCK = 0x63616C65
"""PostgreSQL's advisory lock, together with a newsletter's own number: one change of a calendar at a time."""


@dataclass(frozen=True)
class Change:
    """What the desk has said of one week."""

    week: Week
    moment: Moment | None
    """When it is sent instead; none where the week is skipped."""
    reason: str
    who: str
    at: dt.datetime
    shelved: bool
    """Whether the week's draft was put aside with it, and comes back when the change is taken back."""

    @property
    def is_skip(self) -> bool:
        """Whether the week has no issue."""
        return self.moment is None

    @property
    def mark(self) -> str:
        """What a page carries of it, so that the server sees whether somebody has changed it since."""
        return f"{self.moment or 'skip'}; {self.who}; {self.at:%Y-%m-%dT%H:%M:%S.%f}"


UNCHANGED = "unchanged"
"""The mark of a week that nobody has changed."""


def united(newsletter: Newsletter, changes: Iterable[Change] = ()) -> Calendar:
    """The calendar by the settings with the desk's changes in it. Pure."""
    known = list(changes)
    return Calendar(
        newsletter.timezone,
        newsletter.send,
        newsletter.cutoff,
        newsletter.skip,
        frozenset(change.week for change in known if change.is_skip),
        {change.week: change.moment for change in known if change.moment},
    )


def calendar_of(session: Session, newsletter: Newsletter) -> Calendar:
    """The calendar as it stands now."""
    return united(newsletter, changes_of(session, newsletter).values())


def changes_of(session: Session, newsletter: Newsletter) -> dict[Week, Change]:
    """What the desk has changed, by week."""
    query = sa.select(CalendarChange).where(CalendarChange.newsletter == newsletter.slug).order_by(CalendarChange.week)
    rows = session.scalars(query.execution_options(populate_existing=True))
    return {change.week: change for change in map(_change, rows)}


def lock(session: Session, newsletter: Newsletter) -> None:
    """Until the transaction ends nobody else changes this calendar, or opens an issue by it."""
    # SQLite's one write lock is held from the start of a write.
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK, sa.func.hashtext(newsletter.slug))))


def _change(row: CalendarChange) -> Change:
    moment = None
    if row.kind is ChangeKind.MOVE and row.day is not None and row.time is not None:
        moment = Moment(row.day, row.time)
    return Change(Week.parse(row.week), moment, row.reason, row.who, row.at, row.shelved)
