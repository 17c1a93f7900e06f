"""The desk's first page: every newsletter with its next issue, and what came before."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from litestar import Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from sqlalchemy.orm import Session

from digest.calendar import calendar_of
from digest.issues.draft import draft
from digest.issues.overdue import away, overdue
from digest.mail.report_data import books
from digest.models import Issue, IssueState, Item, SourceState
from digest.settings import Newsletter
from digest.web.desk.page import count_of, desk_page, local_time, see, span, until, utc_time
from digest.web.desk.words import state_word
from digest.web.door import Door, rule, visitor_of
from digest.web.parts import Parts
from digest.weeks import Week

SHOWN = 26
"""Half a year of issues."""


@dataclass(frozen=True)
class IssueLine:
    """An issue in the list."""

    path: str
    week: int
    date: str
    subject: str
    state: str
    state_word: str
    facts: tuple[tuple[str, str, str], ...]
    """What there is to know: a word, the fact, and what is less important of it."""
    summary: str
    """The last fact alone, for the short lines."""
    is_ahead: bool
    """Whether somebody has still something to do about it."""


@dataclass(frozen=True)
class Shelf:
    """A newsletter with its issues."""

    slug: str
    title: str
    language: str
    direction: str
    rhythm: str
    next_send: str
    missing: str
    """The week whose issue could be opened now and is not there; empty where it is."""
    troubles: tuple[str, ...]
    late: str
    """Why the issue that should have left has not; empty where all is well."""
    ahead: tuple[IssueLine, ...]
    past: tuple[IssueLine, ...]


def list_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The list, and opening a draft ahead of the scheduler."""

    @get("/desk", opt=rule(Door.DESK), media_type="text/html", sync_to_thread=True)
    def look(request: Request[Any, Any, Any]) -> Response[Any]:
        now = parts.clock()
        with parts.database.read() as session:
            shelves = [shelf(session, newsletter, now) for newsletter in parts.settings.newsletters.values()]
            idle = away(session, now)
        return desk_page(parts, visitor_of(request), "issues", shelves=shelves, idle=idle)

    @post("/desk/newsletters/{newsletter:str}/draft", opt=rule(Door.DESK), sync_to_thread=True)
    def open_draft(request: Request[Any, Any, Any], newsletter: FromPath[str]) -> Response[Any]:
        found = parts.newsletter(newsletter)
        if found is None:
            raise NotFoundException
        made = draft(parts.database, found, parts.clock(), who=visitor_of(request).name)
        return see(f"/desk/issues/{made.name}?done=drafted")

    return [look, open_draft]


def shelf(session: Session, newsletter: Newsletter, now: dt.datetime) -> Shelf:
    """What the list says of one newsletter."""
    calendar = calendar_of(session, newsletter)
    issues = session.scalars(
        sa.select(Issue).where(Issue.newsletter == newsletter.slug).order_by(Issue.send_at.desc()).limit(SHOWN)
    ).all()
    lines = [_line(session, issue, newsletter, now) for issue in issues]
    drafting = calendar.drafting(now)
    standing = {issue.week for issue in issues}
    over = {issue.week for issue in issues if issue.frozen_at or issue.state is IssueState.CANCELLED}
    next_week = next(week for week in calendar.upcoming(now) if str(week) not in over)
    return Shelf(
        slug=newsletter.slug,
        title=newsletter.title,
        language=newsletter.language,
        direction=newsletter.direction,
        rhythm=f"{calendar.usual(next_week).day:%A}s at {calendar.send.time:%H:%M}, {newsletter.timezone.key}",
        next_send=_instant(calendar.send_at(next_week), newsletter, now),
        missing=str(drafting) if str(drafting) not in standing else "",
        troubles=_troubles(session, newsletter),
        late=late.why if (late := overdue(session, newsletter, now)) else "",
        ahead=tuple(line for line in lines if line.is_ahead),
        past=tuple(line for line in lines if not line.is_ahead),
    )


def _line(session: Session, issue: Issue, newsletter: Newsletter, now: dt.datetime) -> IssueLine:
    zone, holds = newsletter.timezone, _holds(session, issue)
    return IssueLine(
        path=f"/desk/issues/{issue.name}",
        week=Week.parse(issue.week).number,
        date=f"{issue.send_at.astimezone(zone):%A, %-d %B %Y}",
        subject=issue.subject,
        state=issue.state.value,
        state_word=state_word(issue),
        facts=(*_when(issue, newsletter, now), ("Holds" if issue.frozen_at is None else "Reached", holds, "")),
        summary=holds,
        is_ahead=issue.state not in (IssueState.SENT, IssueState.CANCELLED),
    )


def _when(issue: Issue, newsletter: Newsletter, now: dt.datetime) -> tuple[tuple[str, str, str], ...]:
    """When it leaves and what it gathers; once it is out, when it left."""
    zone = newsletter.timezone
    if issue.frozen_at:
        return (("Left", local_time(issue.frozen_at, zone), f"({utc_time(issue.frozen_at)})"),)
    leaves = ("Leaves", local_time(issue.send_at, zone), f"({utc_time(issue.send_at)}), {until(issue.send_at, now)}")
    return (leaves, ("Window", "", span(issue.window_start, issue.window_end, zone)))


def _holds(session: Session, issue: Issue) -> str:
    """The issue in a few words: its stories before it is out, its copies afterwards."""
    if issue.frozen_at is None:
        inside = _count(session, Item, Item.issue_id == issue.id, Item.included)
        offered = _count(session, Item, Item.issue_id == issue.id)
        stories = count_of(inside, "story", "stories")
        approved = f", approved by {issue.approved_by}" if issue.approved_by else ""
        return f"{stories}{f' of {offered}' if offered > inside else ''}{approved}"
    accepted = books(session, issue.id).accepted
    return f"{accepted:,} of {count_of(issue.audience, 'reader', 'readers')} reached"


def _count(session: Session, table: type[Item], *where: sa.ColumnExpressionArgument[bool]) -> int:
    return session.scalar(sa.select(sa.func.count()).select_from(table).where(*where)) or 0


def _troubles(session: Session, newsletter: Newsletter) -> tuple[str, ...]:
    """What the last readings of its sources ran into."""
    declared = [source.url for source in newsletter.sources]
    failing = session.scalars(
        sa.select(SourceState)
        .where(
            SourceState.newsletter == newsletter.slug, SourceState.url.in_(declared), SourceState.reason.is_not(None)
        )
        .order_by(SourceState.id)
    )
    return tuple(f"{source.url}: {source.reason}" for source in failing)


def _instant(instant: dt.datetime, newsletter: Newsletter, now: dt.datetime) -> str:
    return f"{local_time(instant, newsletter.timezone)} ({utc_time(instant)}), {until(instant, now)}"
