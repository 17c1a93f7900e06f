"""Telling the newsroom that the sender has stopped an issue: one letter a pause, at once.

The log remembers who was told of what: an issue is to be told of while it stands paused, its last pause was the
sender's, and no alarm came after that pause. So a tick that comes twice tells nobody twice, and a new pause is told
anew. A pause by a person is no news to anybody.
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.mail.ledger import equation
from digest.models import Issue, IssueState, LogEntry
from digest.settings import Newsletter

LETTER = "stopped"
"""The template folder of the letter."""
ACTION = "alarm"
SENDER = "sender"
"""Who the log says has paused, where it was no person (`ledger.pause`)."""


def stopped(session: Session, newsletter: str) -> tuple[int, ...]:
    """The issues of a newsletter that the sender has paused and about which nobody was told."""
    paused = sa.select(Issue).where(Issue.newsletter == newsletter, Issue.state == IssueState.PAUSED)
    return tuple(
        issue.id for issue in session.scalars(paused.order_by(Issue.id)) if _untold(session, issue.name) is not None
    )


def context(session: Session, issue: Issue, newsletter: Newsletter, base_url: str) -> dict[str, str]:
    """What the letter says of an issue that the sender has paused."""
    books = equation(session, issue.id)
    paused_at = _untold(session, issue.name)
    local = f"{paused_at.astimezone(newsletter.timezone):%Y-%m-%d %H:%M}" if paused_at else ""
    desk_url = f"{base_url}/desk/issues/{issue.name}"
    return {
        "newsletter_title": newsletter.title,
        "language": newsletter.language,
        "direction": newsletter.direction,
        "issue_name": issue.name,
        "stopped_at_local": f"{local} ({newsletter.timezone.key})",
        "accepted": f"{books.accepted:,}",
        "audience": f"{books.audience:,}",
        "waiting": f"{books.queued + books.deferred + books.committing:,}",
        "unknown": f"{books.unknown:,}",
        "report_url": f"{desk_url}/report",
        "desk_url": desk_url,
        "reasons": issue.hold_reason,
    }


def _untold(session: Session, issue_name: str) -> dt.datetime | None:
    """When the sender paused the issue last, where nobody was told of that pause."""
    query = sa.select(LogEntry).where(LogEntry.object == issue_name).order_by(LogEntry.id.desc()).limit(1)
    pause = session.scalar(query.where(LogEntry.action == "pause"))
    alarm = session.scalar(query.where(LogEntry.action == ACTION))
    if pause is None or pause.who != SENDER or (alarm is not None and alarm.id > pause.id):
        return None
    return pause.at
