"""The freeze: an approved issue gets its audience, its rendered text and one delivery row per reader, at once or not.

After it the issue is SENDING, and what goes out is fixed: later edits, sign-ups and template changes do not touch it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.calendar import calendar_of
from digest.issues import log
from digest.issues.checks import Examined, IssueRenderer, examine
from digest.issues.control import STANDING, STEPS, Step
from digest.issues.outcomes import Refused
from digest.mail.kept import keep
from digest.mail.kinds import Kind
from digest.mail.ledger import SLICE
from digest.mail.render import Rendered
from digest.mail.slices import Enqueue, slices_of
from digest.models import Delivery, DeliveryState, Issue, IssueState
from digest.settings import Newsletter
from digest.weeks import Calendar, Week
from subscribers.db import Database
from subscribers.roll import audience

GIVE_UP_AFTER = dt.timedelta(hours=72)
AT_LEAST = dt.timedelta(hours=1)
"""How long a copy is tried in any case, where the next issue is just about to follow."""
LETTER = "issue"
_GONE_OUT = frozenset({IssueState.SENDING, IssueState.PAUSED, IssueState.SENT})


@dataclass(frozen=True)
class Published:
    """An issue whose audience is frozen; `already` where that had happened before this call."""

    issue_id: int
    name: str
    audience: int
    already: bool = False


def publish(
    database: Database,
    issue_id: int,
    newsletter: Newsletter,
    renderer: IssueRenderer,
    base_url: str,
    now: dt.datetime,
    *,
    who: str = "planner",
    at_once: bool = False,
    unapproved: bool = False,
    enqueue: Enqueue | None = None,
) -> Published | Refused:
    """Freeze the issue and leave it to the sender.

    `at_once`: do not wait for its hour. `unapproved`: the planner's call for a newsletter that says
    `unapproved = "send"`; a held issue still needs a person. `enqueue` makes the jobs of its slices, in the same
    transaction; without it the sender finds them by itself. Called again, or by two at once, it freezes once and the
    others get the same answer with `already`.
    """
    allowed = _allowed(newsletter, unapproved=unapproved)
    with database.read() as session:
        issue = session.get(Issue, issue_id)
        if answer := _settled(issue, allowed, newsletter, None if at_once else now):
            return answer
        examined = examine(session, issue_id, newsletter, renderer, base_url=base_url)
    if not examined.renderings or examined.blocking:
        return blocked(examined)
    with database.write() as session:
        frozen = _freeze(session, issue_id, examined, allowed, now)
        if frozen is not None:
            published = _fill(session, frozen, newsletter, examined.renderings, now=now, who=who)
            if enqueue:
                enqueue(session, slices_of(issue_id, published.audience))
            return published
        return _lost(session, issue_id, allowed, newsletter)


def give_up_at(calendar: Calendar, week: Week, now: dt.datetime) -> dt.datetime:
    """When a copy is no longer worth sending: after 72 hours, or when the next issue goes out. Pure."""
    following = next(one for one in calendar.upcoming(now) if one > week)
    return max(now + AT_LEAST, min(now + GIVE_UP_AFTER, calendar.send_at(following)))


def _allowed(newsletter: Newsletter, *, unapproved: bool) -> frozenset[IssueState]:
    """The states from which this call may freeze."""
    legal = {state for state, step in STEPS if step is Step.FREEZE}
    if not (unapproved and newsletter.unapproved == "send"):
        legal.discard(IssueState.DRAFT)
    return frozenset(legal)


def _settled(
    issue: Issue | None, allowed: frozenset[IssueState], newsletter: Newsletter, hour: dt.datetime | None
) -> Published | Refused | None:
    """The answer where there is nothing to freeze; none where there is. `hour` is the time, where it counts."""
    if issue is None or issue.newsletter != newsletter.slug:
        return Refused("There is no such issue.")
    if issue.state in _GONE_OUT:
        return Published(issue.id, issue.name, issue.audience, already=True)
    if issue.state not in allowed:
        return Refused(f"{issue.name} {STANDING[issue.state]}; only an approved issue is sent.{_why_held(issue)}")
    if hour is not None and hour < issue.send_at:
        local = issue.send_at.astimezone(newsletter.timezone)
        return Refused(f"{issue.name} goes out on {local:%Y-%m-%d at %H:%M} ({newsletter.timezone.key}), not before.")
    return None


def _why_held(issue: Issue) -> str:
    return f" It is held because: {' '.join(issue.hold_reason.splitlines())}" if issue.hold_reason else ""


def blocked(examined: Examined) -> Refused:
    """The refusal where the checks do not let an issue out. Pure."""
    reasons = "; ".join(f"{finding.where}: {finding.why}" for finding in examined.blocking)
    return Refused(f"The checks do not let it go out. {reasons}", examined.blocking)


def _freeze(
    session: Session, issue_id: int, examined: Examined, allowed: frozenset[IssueState], now: dt.datetime
) -> Issue | None:
    """Take the step in one conditional update: of several callers one wins, and only the revision that was examined."""
    step = (
        sa.update(Issue)
        .where(Issue.id == issue_id, Issue.state.in_(allowed), Issue.revision == examined.revision)
        .values(state=IssueState.SENDING, frozen_at=now)
        .returning(Issue.id)
        .execution_options(synchronize_session=False)
    )
    won = session.scalar(step)
    return session.get_one(Issue, won) if won is not None else None


def _fill(
    session: Session,
    issue: Issue,
    newsletter: Newsletter,
    renderings: Mapping[Kind, Rendered],
    *,
    now: dt.datetime,
    who: str,
) -> Published:
    keep(issue, renderings)
    issue.audience = _deliveries(session, issue, newsletter, now)
    said = f"revision {issue.revision} to {issue.audience} readers"
    log.append(session, at=now, who=who, action="publish", about=issue.name, detail=said)
    session.flush()
    return Published(issue.id, issue.name, issue.audience)


def _deliveries(session: Session, issue: Issue, newsletter: Newsletter, now: dt.datetime) -> int:
    """One row per reader in one statement; the unique key on (issue, subscriber) stands behind it."""
    chosen = audience(newsletter.slug, now).subquery()
    subscription_id, subscriber_id, wanted_format, is_neutral = chosen.c
    table = Delivery.__table__
    row: dict[str, sa.ColumnElement[object]] = {
        "letter": sa.literal(LETTER),
        "newsletter": sa.literal(newsletter.slug),
        "issue_id": sa.literal(issue.id),
        "subscriber_id": subscriber_id,
        "subscription_id": subscription_id,
        "format": wanted_format,
        "is_neutral": is_neutral,
        "slice": (sa.func.row_number().over(order_by=subscription_id) - 1) // SLICE,
        "public_id": _random_id(session),
        "state": sa.literal(DeliveryState.QUEUED, table.c.state.type),
        "attempts": sa.literal(0),
        "due_at": sa.literal(now, table.c.due_at.type),
        "created_at": sa.literal(now, table.c.created_at.type),
        "give_up_at": sa.literal(
            give_up_at(calendar_of(session, newsletter), Week.parse(issue.week), now), table.c.give_up_at.type
        ),
    }
    rows = sa.insert(Delivery).from_select(list(row), sa.select(*row.values()).select_from(chosen))
    session.execute(rows)
    # Counted from the ledger itself: for such a statement not every driver says how many rows it has made.
    made = sa.select(sa.func.count()).where(Delivery.issue_id == issue.id, Delivery.letter == LETTER)
    return session.scalar(made) or 0


def _random_id(session: Session) -> sa.ColumnElement[object]:
    """16 random octets a row, made by the database: a value from here would be the same in every row."""
    if session.get_bind().dialect.name == "sqlite":
        return sa.func.randomblob(16)
    return sa.func.uuid_send(sa.func.gen_random_uuid())


def _lost(
    session: Session, issue_id: int, allowed: frozenset[IssueState], newsletter: Newsletter
) -> Published | Refused:
    """The answer for whoever came second."""
    answer = _settled(session.get(Issue, issue_id), allowed, newsletter, None)
    return answer or Refused("Somebody changed the issue in this moment; look at it and send it again.")
