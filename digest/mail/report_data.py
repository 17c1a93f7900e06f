"""The counts that an issue's report is made of, asked of the database in groups: no delivery is loaded.

Once an issue's deliveries are purged (`report_purge`), its kept report stands for them everywhere.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.mail import ledger
from digest.mail.ledger import Equation, equation
from digest.mail.report import (
    A_MINUTE,
    SAID_LENGTH,
    VERSION,
    Cell,
    Event,
    IssueReport,
    Rate,
    Unknown,
    attempts_of,
    equation_of,
    from_json,
    outcomes_of,
    plot_ends,
    providers_of,
    rate_of,
)
from digest.models import Delivery, DeliveryState, Issue, LogEntry, Report

UNKNOWN_LISTED = 200
EVENTS_LISTED = 200
EVENTS = ("publish", "pause", "resume", "cancel", "slow", "reopen", "resolve", "alarm")
"""What the log says of an issue while it goes out."""
REASON_LENGTH = 120
BY_THE_SECOND = 2 * 60 * 60
"""Seconds of a plot up to which it is counted second by second; a longer one minute by minute."""
ROWS = 1000


def report_of(session: Session, issue_id: int, now: dt.datetime) -> IssueReport:
    """The account of an issue: the kept one where there is one, else counted now."""
    issue = session.get_one(Issue, issue_id)
    found = kept(session, issue_id) or count(session, issue, now)
    return replace(found, events=events(session, issue.name))


def books(session: Session, issue_id: int) -> Equation:
    """The closing equation, also after the deliveries are purged."""
    found = kept(session, issue_id)
    return found.equation if found else equation(session, issue_id)


def kept(session: Session, issue_id: int) -> IssueReport | None:
    """The report that stands for the deliveries; none while they are there."""
    row = session.get(Report, issue_id)
    return from_json(row.data) if row else None


def reached() -> sa.ColumnElement[bool]:
    """Whether an issue that is purged had reached anybody: a condition for queries of issues, for the archive."""
    # The JSON is compact, and in a text of it a quotation mark is escaped: this can be nothing but the field.
    return sa.exists().where(Report.issue_id == Issue.id, Report.data.contains('"reached":true'))


def count(session: Session, issue: Issue, now: dt.datetime) -> IssueReport:
    """Count an issue's deliveries now. On 500,000 of them it takes a few seconds, and no memory to speak of."""
    found = list(cells(session, issue.id))
    first, last = _span(session, issue.id)
    outcomes = outcomes_of(found)
    sums = equation_of(issue.audience, found)
    return IssueReport(
        version=VERSION,
        issue=issue.name,
        state=issue.state,
        made_at=now,
        is_kept=False,
        equation=sums,
        closes=sums.closes,
        reached=bool(sums.accepted or sums.unknown),
        outcomes=outcomes,
        providers=providers_of(found),
        attempts=attempts_of(found),
        frozen_at=issue.frozen_at,
        first_accepted_at=first,
        last_accepted_at=last,
        finished_at=issue.finished_at,
        rate=_rate(session, issue.id),
        unknown=unknown(session, issue.id) if outcomes.unknown else (),
    )


def cells(session: Session, issue_id: int) -> Iterator[Cell]:
    """The deliveries of an issue, counted by everything that the report tells apart."""
    wordy = Delivery.state.in_((DeliveryState.REJECTED, DeliveryState.DEFERRED))
    reply = sa.func.ltrim(sa.func.coalesce(Delivery.reply, ""))
    said = sa.case(
        (wordy, sa.func.substr(reply, 1, SAID_LENGTH)),
        (Delivery.state == DeliveryState.EXCLUDED, sa.func.substr(reply, 1, REASON_LENGTH)),
        else_="",
    )
    columns = (
        Delivery.state,
        Delivery.provider,
        Delivery.scope,
        Delivery.attempts,
        Delivery.resolved_at.is_not(None),
        said.label("said"),
    )
    # By position: on PostgreSQL an expression with parameters is not seen to be the one that is selected.
    grouping: list[sa.ColumnElement[object]] = [sa.literal_column(str(place)) for place in range(1, len(columns) + 1)]
    query = sa.select(*columns, sa.func.count()).where(*_of(issue_id)).group_by(*grouping)
    for row in session.execute(query.execution_options(yield_per=ROWS)):
        yield Cell(*row)


def unknown(session: Session, issue_id: int, limit: int = UNKNOWN_LISTED) -> tuple[Unknown, ...]:
    """The deliveries whose outcome is unknown, those first about which nobody has decided."""
    query = (
        sa.select(Delivery.id, Delivery.settled_at, Delivery.reply, Delivery.resolved_at)
        .where(*_of(issue_id), Delivery.state == DeliveryState.UNKNOWN)
        .order_by(Delivery.resolved_at.is_not(None), Delivery.id)
        .limit(limit)
    )
    return tuple(Unknown(which, at, reply or "", resolved) for which, at, reply, resolved in session.execute(query))


def events(session: Session, issue_name: str) -> tuple[Event, ...]:
    """What was done to the issue while it went out, oldest first; of very many the newest."""
    query = (
        sa.select(LogEntry)
        .where(LogEntry.object == issue_name, LogEntry.action.in_(EVENTS))
        .order_by(LogEntry.id.desc())
        .limit(EVENTS_LISTED)
    )
    entries = session.scalars(query).all()
    return tuple(Event(entry.at, entry.who, entry.action, entry.detail) for entry in reversed(entries))


def _of(issue_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (Delivery.issue_id == issue_id, ledger.IS_ISSUE)


def _accepted(issue_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    accepted = Delivery.state == DeliveryState.ACCEPTED
    return (*_of(issue_id), accepted, Delivery.settled_at.is_not(None))


def _span(session: Session, issue_id: int) -> tuple[dt.datetime | None, dt.datetime | None]:
    at = Delivery.settled_at
    first, last = session.execute(sa.select(sa.func.min(at), sa.func.max(at)).where(*_accepted(issue_id))).one()
    return first, last


def _rate(session: Session, issue_id: int) -> Rate:
    """The rate over time, second by second where the plot will show so much."""
    minutes = _moments(session, issue_id, A_MINUTE)
    if not minutes:
        return rate_of(())
    end = plot_ends(minutes)
    if end - min(second for second, _ in minutes) > BY_THE_SECOND:
        return rate_of(minutes, A_MINUTE)
    shown = Delivery.settled_at < dt.datetime.fromtimestamp(end, dt.UTC)
    seconds = _moments(session, issue_id, 1, shown)
    return rate_of([*seconds, *((second, count) for second, count in minutes if second >= end)])


def _moments(session: Session, issue_id: int, step: int, *where: sa.ColumnElement[bool]) -> list[tuple[int, int]]:
    """How many were accepted in each second or minute in which any was."""
    second: sa.ColumnElement[int] = sa.cast(_epoch(session), sa.BigInteger)
    moment = (second - second % step).label("moment")
    query = sa.select(moment, sa.func.count()).where(*_accepted(issue_id), *where).group_by(sa.literal_column("1"))
    return [(int(at), accepted) for at, accepted in session.execute(query)]


def _epoch(session: Session) -> sa.ColumnElement[Any]:
    """The whole seconds since 1970 at which a delivery was settled."""
    epoch = sa.extract("epoch", Delivery.settled_at)
    # SQLite's has no fraction; PostgreSQL's has one, and a cast would round it up.
    return sa.func.floor(epoch) if session.get_bind().dialect.name == "postgresql" else epoch
