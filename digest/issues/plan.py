"""What is to be done now? `plan` decides from the state alone and is pure; `tick` looks, asks it, and acts.

A tick that comes twice, late or not at all is harmless: each one asks the state again, and every act is guarded by the
database (the unique key of an issue, a conditional update, a locked row). Nothing here remembers anything.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.calendar import calendar_of
from digest.issues import alarm, log
from digest.issues import overdue as dead_man
from digest.issues.checks import IssueRenderer
from digest.issues.control import hold, locked
from digest.issues.draft import absorb_new_posts, draft, redraft
from digest.issues.edit import OPEN
from digest.issues.outcomes import Refused
from digest.issues.publish import Published, publish
from digest.issues.telling import Reminders, tell_all
from digest.mail.slices import Enqueue
from digest.models import Issue, IssueState, SourceState
from digest.settings import Newsletter
from digest.weeks import Calendar, Week
from subscribers.db import Database

WHO = "planner"
INTERVAL = dt.timedelta(hours=1)
REMIND_BEFORE = dt.timedelta(hours=2)
"""Editors are reminded so long before the hour, and again at the hour."""


@dataclass(frozen=True)
class Alarm:
    """The sender has stopped an issue, and nobody was told yet."""

    issue_id: int


@dataclass(frozen=True)
class Overdue:
    """The week's issue should have left by now, nothing of it has, and nobody was told yet."""

    late: dead_man.Overdue


@dataclass(frozen=True)
class HoldTooLate:
    """The hour is too long past for the issue to be worth sending by itself."""

    issue_id: int
    reason: str


@dataclass(frozen=True)
class Publish:
    """The issue is due."""

    issue_id: int


@dataclass(frozen=True)
class Remind:
    """Nobody has approved the issue yet; `mark` is the instant from which this reminder is due."""

    issue_id: int
    mark: dt.datetime


@dataclass(frozen=True)
class GatherNow:
    """The sources are due to be read."""


@dataclass(frozen=True)
class Draft:
    """The week's window has ended, and no issue stands."""

    week: Week


Intent = Alarm | Overdue | HoldTooLate | Publish | Remind | GatherNow | Draft


@dataclass(frozen=True)
class IssueFacts:
    """What the plan needs to know of an issue that has not gone out."""

    issue_id: int
    state: IssueState
    send_at: dt.datetime
    approved_at: dt.datetime | None = None
    reminded_at: dt.datetime | None = None


@dataclass(frozen=True)
class PlanState:
    """A newsletter at one moment."""

    calendar: Calendar
    open: tuple[IssueFacts, ...] = ()
    """The issues that can still be edited."""
    weeks: frozenset[str] = frozenset()
    """Every week that has an issue, whatever became of it."""
    gathered_at: dt.datetime | None = None
    """When every source had been tried last; none where one never was."""
    stopped: tuple[int, ...] = ()
    """The issues that the sender has paused and about which nobody was told."""
    overdue: dead_man.Overdue | None = None
    """The issue that should have left and about which nobody was told."""


def plan(
    newsletter: Newsletter, now: dt.datetime, state: PlanState, interval: dt.timedelta = INTERVAL
) -> tuple[Intent, ...]:
    """What is to be done now, most urgent first: at the hour nothing waits for a slow source. Pure.

    `interval` is how often the sources are read.
    """
    week = _week_to_draft(newsletter, now, state)
    since = state.gathered_at
    cutoff = state.calendar.cutoff_at(week) if week else None
    # A draft is made from what was read after the cut-off, else the window's last hour would be missing.
    gather = since is None or now - since >= interval or (cutoff is not None and since < cutoff)
    return (
        *(Alarm(issue_id) for issue_id in state.stopped),
        *(intent for facts in state.open for intent in _of_issue(newsletter, now, facts)),
        # After what would send it: if this very tick does, the next one finds that it has left.
        *([Overdue(state.overdue)] if state.overdue else []),
        *([GatherNow()] if gather else []),
        *([Draft(week)] if week else []),
    )


def late(newsletter: Newsletter, now: dt.datetime, issue: IssueFacts) -> str | None:
    """Why an issue that would go out by itself is too late for that, in a sentence; none where it is not. Pure.

    Somebody who approves after the hour knows that it is late: then the time counts from the approval.
    """
    by_itself = (IssueState.DRAFT, IssueState.APPROVED)
    due = max(issue.send_at, issue.approved_at or issue.send_at)
    if issue.state not in by_itself or now <= due + newsletter.too_late:
        return None
    hour = f"{issue.send_at.astimezone(newsletter.timezone):%Y-%m-%d at %H:%M}"
    hours = newsletter.too_late / dt.timedelta(hours=1)
    unsent = "it was approved and not sent" if issue.state is IssueState.APPROVED else "nobody approved it"
    return f"It was due on {hour}, and within {hours:g} hours {unsent}. Approve it to send it all the same."


def _of_issue(newsletter: Newsletter, now: dt.datetime, issue: IssueFacts) -> Iterator[Intent]:
    if reason := late(newsletter, now, issue):
        yield HoldTooLate(issue.issue_id, reason)
        return
    goes_out = issue.state is IssueState.APPROVED
    if issue.state is IssueState.DRAFT and newsletter.unapproved == "send":
        goes_out = True
    if goes_out:
        if now >= issue.send_at:
            yield Publish(issue.issue_id)
    elif mark := _mark(newsletter, now, issue):
        yield Remind(issue.issue_id, mark)


def _mark(newsletter: Newsletter, now: dt.datetime, issue: IssueFacts) -> dt.datetime | None:
    """The latest instant of a reminder that has passed and is not yet answered; none after it is too late."""
    passed = [mark for mark in (issue.send_at - REMIND_BEFORE, issue.send_at) if mark <= now]
    if not passed or now > issue.send_at + newsletter.too_late:
        return None
    return passed[-1] if issue.reminded_at is None or issue.reminded_at < passed[-1] else None


def _week_to_draft(newsletter: Newsletter, now: dt.datetime, state: PlanState) -> Week | None:
    week = state.calendar.drafting(now)
    worth_it = now <= state.calendar.send_at(week) + newsletter.too_late
    return week if worth_it and str(week) not in state.weeks else None


@dataclass(frozen=True)
class NextSend:
    """A send that is ahead, and the weeks before it that are skipped."""

    week: Week
    local: dt.datetime
    """In the newsletter's zone."""
    utc: dt.datetime
    skipped: tuple[Week, ...]
    usual: dt.datetime | None
    """When it would go out, in the newsletter's zone, had it not been moved; none where it was not."""


def next_sends(calendar: Calendar, now: dt.datetime, count: int) -> tuple[NextSend, ...]:
    """The next sends, soonest first, for `digest schedule`. Pure."""
    found = []
    for week in islice(calendar.upcoming(now), count):
        skipped = []
        before = week.shift(-1)
        while calendar.is_skipped(before) and calendar.send_at(before) > now:
            skipped.append(before)
            before = before.shift(-1)
        utc = calendar.send_at(week)
        usual = calendar.usual_at(week).astimezone(calendar.zone) if calendar.is_moved(week) else None
        found.append(NextSend(week, utc.astimezone(calendar.zone), utc, tuple(reversed(skipped)), usual))
    return tuple(found)


@dataclass(frozen=True)
class Hands:
    """What a tick acts with."""

    database: Database
    renderer: IssueRenderer
    base_url: str
    reminders: Reminders
    gather: Callable[[Newsletter, dt.datetime], object]
    """Reads every source; what is wrong with one it keeps on that source."""
    prepare: Callable[[], None] = lambda: None
    """`Vault.prepare`: called before each transaction that leaves a letter."""
    interval: dt.timedelta = INTERVAL
    enqueue: Enqueue | None = None
    """Hands a frozen issue's slices to the queue."""


@dataclass(frozen=True)
class Act:
    """What a tick did about an intent; an empty `said` where somebody else had already done it."""

    intent: Intent
    said: str
    published: Published | None = None
    failure: Exception | None = None
    """What went wrong that nobody had foreseen, for the log."""


def snapshot(session: Session, newsletter: Newsletter, now: dt.datetime) -> PlanState:
    """The newsletter as it stands now."""
    mine = Issue.newsletter == newsletter.slug
    standing = session.scalars(sa.select(Issue).where(mine, Issue.state.in_(OPEN)).order_by(Issue.week))
    weeks = frozenset(session.scalars(sa.select(Issue.week).where(mine)))
    urls = [source.url for source in newsletter.sources]
    query = sa.select(SourceState.checked_at).where(
        SourceState.newsletter == newsletter.slug, SourceState.url.in_(urls)
    )
    checked = [at for at in session.scalars(query) if at is not None]
    all_checked = len(checked) == len(set(urls))
    gathered_at = min(checked) if all_checked else None
    late = dead_man.overdue(session, newsletter, now)
    return PlanState(
        calendar_of(session, newsletter),
        tuple(map(_facts, standing)),
        weeks,
        gathered_at,
        alarm.stopped(session, newsletter.slug),
        late if late and not dead_man.is_told(session, late.name) else None,
    )


URGENT: tuple[type, ...] = (Alarm, HoldTooLate, Publish, Remind, Overdue)
SLOW: tuple[type, ...] = (GatherNow, Draft)
"""What may wait for slow sources: it is ticked apart, so that nothing is late because of it."""


def tick(
    hands: Hands, newsletter: Newsletter, now: dt.datetime, kinds: tuple[type, ...] = (*URGENT, *SLOW)
) -> tuple[Act, ...]:
    """Do what is to be done now for one newsletter. What fails is an act with its failure, and the next goes on."""
    with hands.database.read() as session:
        state = snapshot(session, newsletter, now)
    intents = [intent for intent in plan(newsletter, now, state, hands.interval) if isinstance(intent, kinds)]
    return tuple(_try(hands, newsletter, intent, now) for intent in intents)


def _try(hands: Hands, newsletter: Newsletter, intent: Intent, now: dt.datetime) -> Act:
    try:
        return _act(hands, newsletter, intent, now)
    except Exception as error:  # noqa: BLE001 -- it is told, and the next tick asks the state again.
        return Act(intent, f"it failed: {type(error).__name__}", failure=error)


def _act(hands: Hands, newsletter: Newsletter, intent: Intent, now: dt.datetime) -> Act:
    match intent:
        case Publish(issue_id):
            return _publish(hands, newsletter, intent, issue_id, now)
        case GatherNow():
            return _gather(hands, newsletter, intent, now)
        case _:
            return Act(intent, _said(hands, newsletter, intent, now))


def _said(
    hands: Hands, newsletter: Newsletter, intent: Alarm | Overdue | HoldTooLate | Remind | Draft, now: dt.datetime
) -> str:
    """Do what there is nothing more to say of than a sentence."""
    match intent:
        case Alarm(issue_id):
            return _alarm(hands, newsletter, issue_id, now)
        case Overdue(late):
            return _overdue(hands, newsletter, late, now)
        case HoldTooLate(issue_id):
            return _hold_late(hands, newsletter, issue_id, now)
        case Remind(issue_id, mark):
            return _remind(hands, newsletter, issue_id, mark, now)
        case Draft(week):
            drafted = draft(hands.database, newsletter, now, week)
            return f"{drafted.name} is opened with {drafted.items} stories" if drafted.created else ""


def _publish(hands: Hands, newsletter: Newsletter, intent: Intent, issue_id: int, now: dt.datetime) -> Act:
    result = publish(
        hands.database,
        issue_id,
        newsletter,
        hands.renderer,
        hands.base_url,
        now,
        who=WHO,
        unapproved=True,
        enqueue=hands.enqueue,
    )
    if isinstance(result, Published):
        said = "" if result.already else f"{result.name} goes out to {result.audience} readers"
        return Act(intent, said, result)
    if result.findings:
        # It would be refused again at every tick: it is held instead, and editors are told at once.
        return Act(intent, _hold_and_tell(hands, newsletter, issue_id, result.reason, now))
    return Act(intent, result.reason)


def _hold_late(hands: Hands, newsletter: Newsletter, issue_id: int, now: dt.datetime) -> str:
    hands.prepare()
    with hands.database.write() as session:
        issue = locked(session, issue_id)
        # Asked again with the row locked: an editor may have approved it since the tick looked.
        reason = None if isinstance(issue, Refused) else late(newsletter, now, _facts(issue))
        return held_and_told(hands, session, newsletter, issue_id, reason, now) if reason else ""


def _hold_and_tell(hands: Hands, newsletter: Newsletter, issue_id: int, reason: str, now: dt.datetime) -> str:
    hands.prepare()
    with hands.database.write() as session:
        return held_and_told(hands, session, newsletter, issue_id, reason, now)


def held_and_told(
    hands: Hands, session: Session, newsletter: Newsletter, issue_id: int, reason: str, now: dt.datetime
) -> str:
    """Hold an issue in the caller's transaction, and leave a letter for the newsroom; says what was done.

    `hands.prepare` was called before the transaction.
    """
    result = hold(session, issue_id, reason=reason, who=WHO, now=now)
    if isinstance(result, Refused):
        return result.reason
    issue = session.get_one(Issue, issue_id)
    issue.reminded_at = now
    _tell(hands, session, newsletter, issue, now)
    return f"{issue.name} is held. {reason}"


def _alarm(hands: Hands, newsletter: Newsletter, issue_id: int, now: dt.datetime) -> str:
    hands.prepare()
    with hands.database.write() as session:
        issue = locked(session, issue_id)  # Of two ticks at once the second finds that it was told.
        if isinstance(issue, Refused) or issue_id not in alarm.stopped(session, newsletter.slug):
            return ""
        context = alarm.context(session, issue, newsletter, hands.base_url)
        told = tell_all(session, hands.reminders, newsletter, alarm.LETTER, context, now)
        log.append(session, at=now, who=WHO, action=alarm.ACTION, about=issue.name, detail=f"{told} people")
        return f"{issue.name} was stopped by the sender; {told} people are told"


def _overdue(hands: Hands, newsletter: Newsletter, late: dead_man.Overdue, now: dt.datetime) -> str:
    hands.prepare()
    with hands.database.write() as session:
        issue = session.scalar(sa.select(Issue.id).where(Issue.newsletter == newsletter.slug, Issue.week == late.week))
        if issue is not None:
            locked(session, issue)  # Of two ticks at once the second finds that it was told.
        found = dead_man.overdue(session, newsletter, now)
        if found is None or found.name != late.name or dead_man.is_told(session, late.name):
            return ""
        context = dead_man.context(found, newsletter, hands.base_url)
        told = tell_all(session, hands.reminders, newsletter, dead_man.LETTER, context, now)
        log.append(
            session, at=now, who=WHO, action=dead_man.ACTION, about=found.name, detail=f"{told} people: {found.why}"
        )
        return f"{found.name} has not left; {told} people are told"


def _remind(hands: Hands, newsletter: Newsletter, issue_id: int, mark: dt.datetime, now: dt.datetime) -> str:
    hands.prepare()
    with hands.database.write() as session:
        issue = locked(session, issue_id)
        waits = isinstance(issue, Issue) and issue.state in (IssueState.DRAFT, IssueState.HELD)
        if isinstance(issue, Refused) or not waits or (issue.reminded_at and issue.reminded_at >= mark):
            return ""
        issue.reminded_at = now
        told = _tell(hands, session, newsletter, issue, now)
        return f"{issue.name} waits for approval; {told} editors are reminded"


def _tell(hands: Hands, session: Session, newsletter: Newsletter, issue: Issue, now: dt.datetime) -> int:
    """Leave a reminder for everybody of the newsroom who has an address; returns how many."""
    local = issue.send_at.astimezone(newsletter.timezone)
    context = {
        "newsletter_title": newsletter.title,
        "language": newsletter.language,
        "direction": newsletter.direction,
        "issue_name": issue.name,
        "send_at_local": f"{local:%Y-%m-%d %H:%M} ({newsletter.timezone.key})",
        "desk_url": f"{hands.base_url}/desk/issues/{issue.name}",
        "reasons": issue.hold_reason,
    }
    told = tell_all(session, hands.reminders, newsletter, "reminder", context, now)
    log.append(session, at=now, who=WHO, action="remind", about=issue.name, detail=f"{told} editors")
    return told


def _gather(hands: Hands, newsletter: Newsletter, intent: Intent, now: dt.datetime) -> Act:
    try:
        hands.gather(newsletter, now)
    except Exception as error:  # noqa: BLE001 -- Thursday's draft must stand all the same; it is held if news is missing.
        return Act(intent, f"the sources could not be read: {type(error).__name__}", failure=error)
    offered = 0
    with hands.database.read() as session:
        standing = [issue.issue_id for issue in snapshot(session, newsletter, now).open]
    for issue_id in standing:
        with hands.database.write() as session:
            if redraft(session, issue_id, newsletter, now):
                continue
            absorbed = absorb_new_posts(session, issue_id, newsletter, now)
            offered += 0 if isinstance(absorbed, Refused) else absorbed.added
    return Act(intent, f"the sources were read; {offered} new posts are offered to drafts")


def _facts(issue: Issue) -> IssueFacts:
    return IssueFacts(issue.id, issue.state, issue.send_at, issue.approved_at, issue.reminded_at)
