"""Slices: an issue's deliveries are cut into pieces of work that any number of senders share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.mail import ledger
from digest.mail.leases import is_taken
from digest.models import Delivery, Issue, IssueState, Lease


@dataclass(frozen=True)
class Slice:
    """One piece of an issue: so many deliveries as `ledger.SLICE` says, numbered from 0."""

    issue_id: int
    number: int

    @property
    def lease(self) -> str:
        """The name of the lease that its sender has."""
        return f"{_LEASE}{self.issue_id}/{self.number}"


_LEASE = "issue "

Enqueue = Callable[[Session, Sequence[Slice]], None]
"""Makes a job for each slice, in the caller's transaction: what the queue offers to whoever freezes an issue."""


def slices_of(issue_id: int, audience: int) -> list[Slice]:
    """All slices of an issue for so many readers; one at least, which closes the books of an issue for nobody."""
    return [Slice(issue_id, number) for number in range(max(1, -(-audience // ledger.SLICE)))]


def due_slices(session: Session, now: dt.datetime, issue_id: int | None = None) -> list[Slice]:
    """The slices that have something to do now and that nobody is at, the oldest issue's first.

    A slice of a cancelled issue is among them while a delivery in it is unsettled: its books are closed too.
    """
    taken = set(session.scalars(sa.select(Lease.name).where(*is_taken(now))))
    sending = _with_work(session, issue_id, IssueState.SENDING, Delivery.due_at <= now)
    cancelled = _with_work(session, issue_id, IssueState.CANCELLED)
    return sorted(
        (one for one in sending + cancelled if one.lease not in taken), key=lambda one: (one.issue_id, one.number)
    )


def _with_work(
    session: Session, issue_id: int | None, state: IssueState, *which: sa.ColumnElement[bool]
) -> list[Slice]:
    """The slices of issues in a state that have something unsettled.

    The issues come first: of one that is paused, half a million deliveries would be looked through at every look.
    """
    query = sa.select(Issue.id).where(Issue.state == state)
    issues = session.scalars(query if issue_id is None else query.where(Issue.id == issue_id)).all()
    if not issues:
        return []
    unsettled = (Delivery.issue_id.in_(issues), ledger.IS_ISSUE, *ledger.unsettled(), *which)
    found = session.execute(sa.select(Delivery.issue_id, Delivery.slice).distinct().where(*unsettled))
    return [Slice(one, number) for one, number in found if one is not None]


def close_finished(session: Session, now: dt.datetime) -> None:
    """Close the books of issues whose last slice ended without doing so: a crash came between."""
    empty = ~sa.exists().where(Delivery.issue_id == Issue.id, *ledger.LEFT_TO_DO)
    for issue_id in session.scalars(sa.select(Issue.id).where(Issue.state == IssueState.SENDING, empty)).all():
        ledger.finish(session, issue_id, now)
