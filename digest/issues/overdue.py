"""The dead-man's alarm: Thursday's issue should have left by now, and nothing of it has.

Three ask the same question: the planner, which then writes to the newsroom once; `/overdue`, for a monitor outside,
which also hears when nobody answers at all; and `digest overdue`. Where an issue waits for a person, that is why it has
not left, and a person learns of it all the same.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.calendar import calendar_of
from digest.models import Beat, Delivery, DeliveryState, Issue, IssueState, LogEntry
from digest.settings import Newsletter
from subscribers.db import Database

LETTER = "overdue"
"""The template folder of the letter."""
ACTION = "overdue"
STILL_AT_WORK = dt.timedelta(minutes=5)
"""A role that was not seen for longer is not at work."""
SCHEDULER, WORKER = "scheduler", "worker"
_OVER = (IssueState.SENT, IssueState.CANCELLED)
_REASONS = {
    IssueState.DRAFT: "nobody has approved it.",
    IssueState.HELD: "it is on hold.",
    IssueState.APPROVED: "it is approved, and nobody sends it; is the scheduler at work?",
    IssueState.SENDING: "no copy was accepted so far; is the worker at work, and does the relay answer?",
    IssueState.PAUSED: "it is paused.",
}
_LEFT = (DeliveryState.ACCEPTED, DeliveryState.UNKNOWN)


@dataclass(frozen=True)
class Overdue:
    """An issue that should have left, and why it has not."""

    name: str
    """`watchdog/2026-W47`, also where there is no issue yet."""
    due_at: dt.datetime
    why: str

    @property
    def week(self) -> str:
        """Its week, `2026-W47`."""
        return self.name.partition("/")[2]

    def sentence(self, newsletter: Newsletter) -> str:
        """What is told to operators."""
        hour = f"{self.due_at.astimezone(newsletter.timezone):%Y-%m-%d at %H:%M %Z}"
        return f"{self.name} was due on {hour} and has not left: {self.why}"


def overdue(session: Session, newsletter: Newsletter, now: dt.datetime) -> Overdue | None:
    """The newsletter's issue that should have left by now; none where all is well or nothing is due."""
    calendar = calendar_of(session, newsletter)
    week = calendar.drafting(now)
    mine = Issue.newsletter == newsletter.slug
    issue = session.scalar(sa.select(Issue).where(mine, Issue.week == str(week)))
    due_at = issue.send_at if issue else calendar.send_at(week)
    # What a person approved after its hour, or what begins to leave late, has its time from there.
    begun = [at for at in (issue.approved_at, issue.frozen_at) if at] if issue else []
    if now < max([due_at, *begun]) + newsletter.overdue:
        return None
    if issue is None:
        # A newsletter that has had no issue at all has just been set up.
        has_begun = session.scalar(sa.select(sa.exists().where(mine, Issue.send_at < due_at)))
        why = "there is no draft; is the scheduler at work, and can the sources be read?"
        return Overdue(f"{newsletter.slug}/{week}", due_at, why) if has_begun else None
    why = _why(session, issue)
    return Overdue(issue.name, due_at, why) if why else None


def is_told(session: Session, name: str) -> bool:
    """Whether the newsroom was told of it."""
    return bool(session.scalar(sa.select(sa.exists().where(LogEntry.object == name, LogEntry.action == ACTION))))


def context(late: Overdue, newsletter: Newsletter, base_url: str) -> dict[str, str]:
    """What the letter says."""
    local = late.due_at.astimezone(newsletter.timezone)
    return {
        "newsletter_title": newsletter.title,
        "language": newsletter.language,
        "direction": newsletter.direction,
        "issue_name": late.name,
        "due_at_local": f"{local:%Y-%m-%d %H:%M} ({newsletter.timezone.key})",
        "desk_url": f"{base_url}/desk/issues/{late.name}",
        "reasons": late.why,
    }


def beat(database: Database, role: str, now: dt.datetime) -> None:
    """Say that a role is at work."""
    with database.write() as session:
        known = session.get(Beat, role)
        if known is None:
            session.add(Beat(role=role, at=now))
        else:
            known.at = max(known.at, now)


def away(session: Session, now: dt.datetime) -> tuple[str, ...]:
    """A sentence for each role that was at work once and is not now: nothing leaves without it."""
    beats = session.scalars(sa.select(Beat).where(Beat.at < now - STILL_AT_WORK).order_by(Beat.role))
    return tuple(f"The {one.role} was last at work on {one.at:%Y-%m-%d at %H:%M} UTC; start it." for one in beats)


def _why(session: Session, issue: Issue) -> str:
    """Why an issue has not left; an empty text where it has, or where somebody decided that it should not."""
    if issue.state in _OVER or (issue.frozen_at and _has_left(session, issue)):
        return ""
    return f"{_REASONS[issue.state]} {' '.join(issue.hold_reason.splitlines())}".strip()


def _has_left(session: Session, issue: Issue) -> bool:
    """Whether there is anything to send, and any copy may have left."""
    left = sa.exists().where(Delivery.issue_id == issue.id, Delivery.state.in_(_LEFT))
    return issue.audience == 0 or bool(session.scalar(sa.select(left)))
