"""Purging the send log to counts (O-55): 35 days after an issue is over, its report stays and its deliveries go.

What it said at each revision goes with them: who changed what stays in the log, and what was sent in the archive.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa

from digest.mail import ledger
from digest.mail.report import for_ever, to_json
from digest.mail.report_data import count
from digest.models import Delivery, Issue, IssueState, Report, Revision
from subscribers.db import Database

KEEP = dt.timedelta(days=35)
"""How long it is known what became of a single copy (O-55)."""
BATCH = 5000
"""Deliveries that are removed in one transaction: a sender that waits for it waits a moment."""
OVER = (IssueState.SENT, IssueState.CANCELLED)


@dataclass(frozen=True)
class Purged:
    """What a purge has done."""

    issues: tuple[str, ...]
    """The issues of which only the report is left now."""
    deliveries: int
    letters: int
    unclosed: tuple[str, ...]
    """Issues that are old enough and whose books do not close: they are kept, and a person should look."""


def purge(database: Database, now: dt.datetime) -> Purged:
    """Keep the report of every issue that has been over for 35 days, and remove its deliveries; old letters too.

    It may be stopped anywhere: the report is stored first, and from then on it stands for the deliveries, however many
    of them are left. The next purge removes the rest. Two at once do no harm.
    """
    done, unclosed, removed = [], [], 0
    for issue_id, name in _old(database, now):
        if not _store(database, issue_id, now):
            unclosed.append(name)
            continue
        removed += _remove(database, sa.and_(Delivery.issue_id == issue_id, ledger.IS_ISSUE))
        with database.write() as session:
            session.execute(sa.update(Report).where(Report.issue_id == issue_id).values(purged_at=now))
        done.append(name)
    _remove_revisions(database, now)
    letters = _remove(database, sa.and_(ledger.IS_LETTER, Delivery.settled_at <= now - KEEP))
    return Purged(tuple(done), removed, letters, tuple(unclosed))


def _old(database: Database, now: dt.datetime) -> list[tuple[int, str]]:
    """The issues that are over for long enough and not yet purged to the end."""
    purged = sa.exists().where(Report.issue_id == Issue.id, Report.purged_at.is_not(None))
    query = sa.select(Issue).where(_is_old(now), ~purged).order_by(Issue.id)
    with database.read() as session:
        return [(issue.id, issue.name) for issue in session.scalars(query)]


def _is_old(now: dt.datetime) -> sa.ColumnElement[bool]:
    return sa.and_(Issue.state.in_(OVER), Issue.frozen_at.is_not(None), Issue.finished_at <= now - KEEP)


def _store(database: Database, issue_id: int, now: dt.datetime) -> bool:
    """Store the report for ever. False where the issue is no longer over, or its books do not close."""
    with database.write() as session:
        # Its row is locked: nobody reopens it for a resend now, and of two purges the second sees the first's report.
        issue = session.scalars(sa.select(Issue).where(Issue.id == issue_id, _is_old(now)).with_for_update()).first()
        if issue is None:
            return False
        if session.get(Report, issue_id):
            return True  # A purge was stopped after this: what is left of the deliveries no longer counts.
        report = count(session, issue, now)
        if report.closes:
            session.add(Report(issue_id=issue_id, made_at=now, data=to_json(for_ever(report))))
        return report.closes


def _remove_revisions(database: Database, now: dt.datetime) -> None:
    """Remove the revisions of issues that have been over for as long, those that never went out among them."""
    over = sa.select(Issue.id).where(Issue.state.in_(OVER), Issue.finished_at <= now - KEEP)
    with database.write() as session:
        session.execute(
            sa.delete(Revision).where(Revision.issue_id.in_(over)), execution_options={"synchronize_session": False}
        )


def _remove(database: Database, which: sa.ColumnElement[bool]) -> int:
    """Remove deliveries by the handful, each in its own transaction. Returns how many."""
    removed = 0
    while True:
        with database.write() as session:
            some = sa.select(Delivery.id).where(which).limit(BATCH)
            gone = session.execute(
                sa.delete(Delivery).where(Delivery.id.in_(some)), execution_options={"synchronize_session": False}
            )
            number = cast("sa.CursorResult[Any]", gone).rowcount
        if not number:
            return removed
        removed += number
