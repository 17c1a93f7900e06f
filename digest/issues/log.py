"""The log of who did what to an issue: appended to, never changed (W-42)."""

from __future__ import annotations

import datetime as dt

from sqlalchemy.orm import Session

from digest.issues.text import one_line
from digest.models import LogEntry

DETAIL_LIMIT = 500


def append(session: Session, *, at: dt.datetime, who: str, action: str, about: str, detail: str = "") -> None:
    """Add one entry in the caller's transaction; `about` is the object's name, `watchdog/2026-W47`.

    Every text becomes one line: what a person typed must not look like an entry of its own.
    """
    entry = LogEntry(at=at, who=one_line(who), action=action, object=one_line(about))
    entry.detail = one_line(detail)[:DETAIL_LIMIT]
    session.add(entry)
