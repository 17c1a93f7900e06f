"""Opening the week's issue, once, with its items; and what was gathered since it stands."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.calendar import calendar_of, lock
from digest.issues import log, record
from digest.issues.control import locked
from digest.issues.edit import OPEN, items_of
from digest.issues.health import source_problems
from digest.issues.outcomes import Refused
from digest.issues.select import Candidate, Pick, pick, preheader, select, subject
from digest.models import Issue, IssueState, Item, Post
from digest.settings import Newsletter
from digest.weeks import Calendar, Week, Window
from subscribers.db import Database

WHO = "planner"
"""Who the log names where nobody is named."""
LOOK_BACK = dt.timedelta(weeks=6)
"""How far a window may reach back over weeks that had no issue."""
OFFERED = 60
"""At most so many stories beyond those included are offered."""


@dataclass(frozen=True)
class Drafted:
    """The week's issue as it stands; `created` where this call has opened it."""

    issue_id: int
    name: str
    created: bool
    state: IssueState
    reasons: tuple[str, ...]
    """Why it is held, a sentence each; empty when it is not."""
    items: int


@dataclass(frozen=True)
class Absorbed:
    """What was noticed about a standing draft."""

    added: int
    """Posts of its window that came later and are now offered, not included."""
    edited: tuple[str, ...]
    """Headlines of items whose post has changed at its source since the draft was opened."""
    withdrawn: tuple[str, ...]


def draft(
    database: Database, newsletter: Newsletter, now: dt.datetime, week: Week | None = None, *, who: str = WHO
) -> Drafted:
    """Open the issue of the week whose window has ended last (or of the week given), if it does not stand yet.

    An issue that stands is returned as it is: an editor's work is never touched. Only one that the draft itself holds,
    for want of news, is drafted anew. Two calls at once open one (S-15).
    """
    with database.read() as session:
        week = week or calendar_of(session, newsletter).drafting(now)
    try:
        with database.write() as session:
            lock(session, newsletter)
            standing = _find(session, newsletter, week)
            if standing is not None:
                redraft(session, standing.id, newsletter, now, who)
            return _drafted(session, standing or _open(session, newsletter, week, now, who), created=standing is None)
    except sa.exc.IntegrityError:
        # Somebody else has opened it between our look and our insert: the unique key lets one through.
        with database.read() as session:
            standing = _find(session, newsletter, week)
            if standing is None:
                raise
            return _drafted(session, standing, created=False)


def redraft(session: Session, issue_id: int, newsletter: Newsletter, now: dt.datetime, who: str = WHO) -> bool:
    """Draft an issue anew that was held for want of news and that nobody has touched. Returns whether it was."""
    issue = locked(session, issue_id)
    if isinstance(issue, Refused) or issue.state is not IssueState.HELD or issue.touched or not issue.is_doubtful:
        return False
    before = (issue.hold_reason, len(items_of(session, issue_id)))
    session.execute(sa.delete(Item).where(Item.issue_id == issue_id))
    session.expire(issue, ["items"])
    issue.state, issue.hold_reason, issue.is_doubtful = IssueState.DRAFT, "", False
    week = Week.parse(issue.week)
    picks = _fill(session, issue, newsletter, week, now)
    if (issue.hold_reason, len(picks)) == before:
        return False
    issue.revision += 1
    _say(session, issue, picks, who, now)
    return True


def absorb_new_posts(session: Session, issue_id: int, newsletter: Newsletter, now: dt.datetime) -> Absorbed | Refused:
    """Offer what came into the issue's window after it was opened: at the end, not included, for the editor to pick.

    Nothing that stands is changed, so the revision and an approval stay.
    """
    issue = locked(session, issue_id)
    if isinstance(issue, Refused):
        return issue
    if issue.state not in OPEN:
        return Refused(f"{issue.name} takes no more stories.")
    items = items_of(session, issue_id)
    fresh = _candidates(session, newsletter, _window_of(issue), issue)[: max(0, OFFERED - _left_out(items))]
    picks = [pick(one, included=False, lead=False) for one in fresh]
    _add(session, issue, picks, now, first=len(items))
    if picks:
        said = f"{len(picks)} posts came in after the draft was opened"
        log.append(session, at=now, who=WHO, action="offer", about=issue.name, detail=said)
    session.flush()
    told = [item for item in items if item.included]
    return Absorbed(
        len(picks),
        tuple(item.headline for item in told if item.is_edited),
        tuple(item.headline for item in told if item.post.withdrawn_at),
    )


def _find(session: Session, newsletter: Newsletter, week: Week) -> Issue | None:
    return session.scalars(
        sa.select(Issue).where(Issue.newsletter == newsletter.slug, Issue.week == str(week))
    ).one_or_none()


def _drafted(session: Session, issue: Issue, *, created: bool) -> Drafted:
    count = session.scalar(sa.select(sa.func.count()).where(Item.issue_id == issue.id)) or 0
    reasons = tuple(issue.hold_reason.splitlines()) if issue.state is IssueState.HELD else ()
    return Drafted(issue.id, issue.name, created, issue.state, reasons, count)


def _open(session: Session, newsletter: Newsletter, week: Week, now: dt.datetime, who: str) -> Issue:
    calendar = calendar_of(session, newsletter)
    window = window_for(session, newsletter, calendar, week)
    issue = Issue(
        newsletter=newsletter.slug,
        week=str(week),
        window_start=window.start,
        window_end=window.end,
        send_at=calendar.send_at(week),
        state=IssueState.DRAFT,
        created_at=now,
    )
    session.add(issue)
    session.flush()
    picks = _fill(session, issue, newsletter, week, now)
    _say(session, issue, picks, who, now)
    return issue


def window_for(session: Session, newsletter: Newsletter, calendar: Calendar, week: Week) -> Window:
    """The window whose posts a week's issue is made of: the calendar's, from where the issue before it really ended."""
    return _reaching(calendar.window(week), _issue_before(session, newsletter, week))


def _fill(session: Session, issue: Issue, newsletter: Newsletter, week: Week, now: dt.datetime) -> tuple[Pick, ...]:
    """Give an issue without items its stories, and hold it where there is doubt."""
    picks = select(
        _candidates(session, newsletter, _window_of(issue), issue), newsletter.sections, newsletter.max_items
    )
    picks = picks + _latecomers(session, newsletter, issue, _issue_before(session, newsletter, week))
    _add(session, issue, _bounded(picks), now, first=0)
    issue.subject, issue.preheader = subject(picks), preheader(picks)
    _hold_if_doubtful(session, issue, newsletter, week, now)
    return picks


def _issue_before(session: Session, newsletter: Newsletter, week: Week) -> Issue | None:
    """The latest issue before a week; a cancelled one does not count, its posts are free again."""
    return session.scalars(
        sa.select(Issue)
        .where(Issue.newsletter == newsletter.slug, Issue.week < str(week), Issue.state != IssueState.CANCELLED)
        .order_by(Issue.week.desc())
        .limit(1)
    ).one_or_none()


def _reaching(window: Window, before: Issue | None) -> Window:
    """The window from where the issue before it ended.

    That is the calendar's own start, unless a week had no issue because nobody was there, or the cut-off was moved:
    then nothing between may be lost, and nothing may come twice.
    """
    if before and window.start - LOOK_BACK <= before.window_end < window.end:
        return Window(before.window_end, window.end)
    return window


def _candidates(session: Session, newsletter: Newsletter, window: Window, issue: Issue) -> list[Candidate]:
    """The window's posts that are in no issue of this newsletter, newest first."""
    return _unused(session, newsletter, issue, Post.published_at >= window.start, Post.published_at < window.end)


def _latecomers(session: Session, newsletter: Newsletter, issue: Issue, before: Issue | None) -> tuple[Pick, ...]:
    """What belonged to the issue before, and was seen only after it was opened: offered, not included."""
    if before is None:
        return ()
    late = _unused(
        session,
        newsletter,
        issue,
        Post.published_at >= before.window_start,
        Post.published_at < issue.window_start,
        Post.gathered_at > before.created_at,
    )
    return tuple(pick(one, included=False, lead=False) for one in late)


def _unused(session: Session, newsletter: Newsletter, issue: Issue, *where: sa.ColumnElement[bool]) -> list[Candidate]:
    used = sa.exists().where(
        Item.post_id == Post.id,
        Item.issue_id == Issue.id,
        Issue.newsletter == newsletter.slug,
        sa.or_(Issue.state != IssueState.CANCELLED, Issue.id == issue.id),
    )
    query = sa.select(Post).where(Post.newsletter == newsletter.slug, Post.withdrawn_at.is_(None), ~used, *where)
    section = {source.url: source.section or "" for source in newsletter.sources}
    found = session.scalars(query.order_by(Post.published_at.desc(), Post.id.desc()))
    return [
        Candidate(post.id, section.get(post.source_url, ""), post.title, post.published_at, post.summary, post.body)
        for post in found
    ]


def _add(session: Session, issue: Issue, picks: Iterable[Pick], now: dt.datetime, *, first: int) -> None:
    for position, one in enumerate(picks, first):
        session.add(
            Item(
                issue_id=issue.id,
                post_id=one.post_id,
                section=one.section,
                position=position,
                included=one.included,
                headline=one.headline,
                summary=one.summary,
                taken_at=now,
            )
        )


def _bounded(picks: tuple[Pick, ...]) -> list[Pick]:
    """All that is included, and as many of the others as an editor would look through."""
    spare = [one for one in picks if not one.included][:OFFERED]
    return [one for one in picks if one.included or one in spare]


def _left_out(items: list[Item]) -> int:
    return sum(not item.included for item in items)


def _window_of(issue: Issue) -> Window:
    return Window(issue.window_start, issue.window_end)


def _hold_if_doubtful(session: Session, issue: Issue, newsletter: Newsletter, week: Week, now: dt.datetime) -> None:
    """An empty issue, or one made from sources that cannot be trusted, must not go out by itself (W-56)."""
    reasons = list(source_problems(session, newsletter, now))
    included = sa.select(Item.id).where(Item.issue_id == issue.id, Item.included)
    if not session.scalar(sa.select(included.exists())):
        reasons.insert(0, "No post was published in this week's window.")
    calendar = calendar_of(session, newsletter)
    if week in calendar.skipped:
        reasons.insert(0, f"{week} is skipped, says the calendar.")
    elif calendar.is_skipped(week):
        reasons.insert(0, f"{calendar.send_date(week)} is a day on which nothing is sent.")
    if reasons:
        issue.state, issue.hold_reason, issue.is_doubtful = IssueState.HELD, "\n".join(reasons), True


def _say(session: Session, issue: Issue, picks: tuple[Pick, ...], who: str, now: dt.datetime) -> None:
    """Log that the draft was made, and record what it says: its history begins here."""
    log.append(session, at=now, who=who, action="draft", about=issue.name, detail=_summed_up(issue, picks))
    session.flush()
    record.begin(session, issue, items_of(session, issue.id), said="opened the draft", who=who, now=now)
    session.flush()


def _summed_up(issue: Issue, picks: tuple[Pick, ...]) -> str:
    window = _window_of(issue)
    included = sum(one.included for one in picks)
    said = f"{included} of {len(picks)} posts from {window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC"
    return said + (f"; held: {issue.hold_reason}" if issue.hold_reason else "")
