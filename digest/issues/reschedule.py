"""Changing a newsletter's calendar: a week is skipped, its sending moved, or either taken back. Three doors call this.

What becomes of an issue that stands already:

- *skip* puts a draft aside (it is cancelled, so its stories are free for the next issue), *restore* brings it back, on
  hold, with all that was done to it;
- *move* gives it the new hour and the window that goes with it. What it was made of stays in it, and the mail names
  another date, so that is a new revision, and an approval, which was of the old hour, is taken back;
- once it is going out, or was cancelled by a person, nothing is changed any more.

Nothing moves into the past, and nothing changes once a later issue stands: that one has drawn its window.

Each function works in the caller's transaction, answers `Done` or `Refused`, and logs who did it. `seen` is the mark of
what the person had before their eyes (`Change.mark`, or `UNCHANGED`); none means that they take whatever stands.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.calendar import UNCHANGED, Change, changes_of, lock, united
from digest.issues import control, log
from digest.issues.control import STANDING
from digest.issues.draft import window_for
from digest.issues.edit import OPEN
from digest.issues.outcomes import Refused
from digest.issues.text import one_line
from digest.models import CalendarChange, ChangeKind, Issue, IssueState
from digest.settings import Newsletter
from digest.weeks import REACH, Calendar, Moment, Week

REASON_LIMIT = 300


EFFECTS = {
    "same": "It stood so already.",
    "shelved": "Its draft is put aside and comes back with the week; its stories are free for the next issue.",
    "back": "Its draft is back, on hold until somebody has looked at it.",
    "disapproved": "Its approval, which was for the old hour, is taken back: please approve it once more.",
    "window": "What is still published until the new cut-off is offered among its stories.",
}


@dataclass(frozen=True)
class Rescheduled:
    """The week stands as asked."""

    week: Week
    send_at: dt.datetime
    """When it goes out now; of a skipped week, when it would have."""
    effects: tuple[str, ...] = ()
    """What that did besides; `EFFECTS` has the sentences."""

    @property
    def note(self) -> str:
        """The effects in sentences."""
        return " ".join(EFFECTS[effect] for effect in self.effects)


@dataclass(frozen=True)
class _Standing:
    """A week as it stands, with the calendar locked."""

    session: Session
    newsletter: Newsletter
    week: Week
    who: str
    now: dt.datetime
    changes: dict[Week, Change]
    issue: Issue | None

    @property
    def change(self) -> Change | None:
        return self.changes.get(self.week)

    @property
    def calendar(self) -> Calendar:
        return united(self.newsletter, self.changes.values())

    def with_(self, moment: Moment | None) -> Calendar:
        """The calendar with the week moved there, or as the settings have it."""
        others = [change for week, change in self.changes.items() if week != self.week]
        mine = [] if moment is None else [Change(self.week, moment, "", self.who, self.now, shelved=False)]
        return united(self.newsletter, [*others, *mine])

    @property
    def name(self) -> str:
        return f"{self.newsletter.slug}/{self.week}"


def skip(
    session: Session,
    newsletter: Newsletter,
    week: Week,
    *,
    reason: str,
    seen: str | None = None,
    who: str,
    now: dt.datetime,
) -> Rescheduled | Refused:
    """Leave a week without an issue. The next one reaches back over it."""
    standing = _look(session, newsletter, week, seen, who, now)
    if isinstance(standing, Refused):
        return standing
    send_at = standing.calendar.send_at(week)
    if standing.calendar.is_skipped(week):
        return Rescheduled(week, send_at, ("same",))
    reason = one_line(reason)
    if refused := _unskippable(standing, reason) or _too_long(reason):
        return refused
    if standing.issue is not None:
        cancelled = control.cancel(session, standing.issue.id, who=who, now=now)
        if isinstance(cancelled, Refused):
            return cancelled
    _store(standing, None, reason, shelved=standing.issue is not None)
    log.append(session, at=now, who=who, action="skip-week", about=standing.name, detail=reason)
    return Rescheduled(week, send_at, ("shelved",) if standing.issue else ())


def move(
    session: Session,
    newsletter: Newsletter,
    week: Week,
    to: Moment,
    *,
    reason: str = "",
    seen: str | None = None,
    who: str,
    now: dt.datetime,
) -> Rescheduled | Refused:
    """Send a week's issue at another moment on the newsletter's clock; the cut-off goes with it."""
    standing = _look(session, newsletter, week, seen, who, now)
    if isinstance(standing, Refused):
        return standing
    before, after = standing.calendar, standing.with_(to)
    reason = one_line(reason)
    if to == before.sending(week) and not before.is_skipped(week):
        return Rescheduled(week, before.send_at(week), ("same",))
    if refused := _unmovable(standing, to, after) or _too_long(reason):
        return refused
    if to == after.usual(week):
        return _take_back(standing)
    effects = _set_hour(standing, after)
    _store(standing, to, reason, shelved=False)
    said = f"{before.sending(week)} → {to}{f'; {reason}' if reason else ''}"
    log.append(session, at=now, who=who, action="move-week", about=standing.name, detail=said)
    return Rescheduled(week, after.send_at(week), effects)


def restore(
    session: Session, newsletter: Newsletter, week: Week, *, seen: str | None = None, who: str, now: dt.datetime
) -> Rescheduled | Refused:
    """Take back what the desk has changed about a week: it is as the settings have it."""
    standing = _look(session, newsletter, week, seen, who, now)
    if isinstance(standing, Refused):
        return standing
    after = standing.with_(None)
    if standing.change is None:
        if after.is_skipped(week):
            return Refused(f"{_by_the_settings(after, week)} Move its sending to another day, or have that changed.")
        return Rescheduled(week, after.send_at(week), ("same",))
    if after.send_at(week) <= now:
        return Refused(f"The usual hour of {standing.name} has passed; it cannot be put back there.")
    return _take_back(standing)


def _look(
    session: Session, newsletter: Newsletter, week: Week, seen: str | None, who: str, now: dt.datetime
) -> _Standing | Refused:
    """The week with the calendar locked; the refusal where nobody may change it, or somebody else just has."""
    lock(session, newsletter)
    changes = changes_of(session, newsletter)
    stands = changes[week].mark if week in changes else UNCHANGED
    name = f"{newsletter.slug}/{week}"
    if seen is not None and seen != stands:
        return Refused(_meanwhile(name, changes.get(week)))
    mine = Issue.newsletter == newsletter.slug
    later = sa.select(Issue.week).where(mine, Issue.week > str(week), Issue.state != IssueState.CANCELLED)
    if following := session.scalar(later.order_by(Issue.week).limit(1)):
        return Refused(f"{name} is past changing: {following} stands already, with the stories from there on.")
    issue_id = session.scalar(sa.select(Issue.id).where(mine, Issue.week == str(week)))
    issue = None if issue_id is None else control.locked(session, issue_id)
    if isinstance(issue, Refused):
        return issue
    shelved = week in changes and changes[week].shelved
    if issue is not None and issue.state not in OPEN and not (shelved and issue.state is IssueState.CANCELLED):
        return Refused(f"{name} {STANDING[issue.state]}: its week can no longer be changed.")
    return _Standing(session, newsletter, week, who, now, changes, issue)


def _meanwhile(name: str, change: Change | None) -> str:
    if change is None:
        return f"Somebody has taken back what was changed about {name}. Look at it as it stands now."
    did = "skipped it" if change.is_skip else f"moved it to {change.moment}"
    return f"{change.who} has changed {name} in the meantime and {did}. Look at it as it stands now."


def _unskippable(standing: _Standing, reason: str) -> Refused | None:
    if not reason:
        return Refused("Say why there is no issue: whoever comes next will want to know.")
    if standing.calendar.send_at(standing.week) <= standing.now:
        return Refused(f"The hour of {standing.name} has passed. An issue that still waits can be cancelled instead.")
    return None


def _unmovable(standing: _Standing, to: Moment, after: Calendar) -> Refused | None:
    week, usual = standing.week, after.usual(standing.week)
    if standing.change is not None and standing.change.is_skip:
        return Refused(f"{standing.name} is skipped. Take that back first, and then move it.")
    if abs(to.since(usual)) > REACH:
        first, last = usual.shift(-REACH), usual.shift(REACH)
        return Refused(f"{to} is too far from its week: {standing.name} can go out from {first} to {last}.")
    if after.is_skipped(week):
        return Refused(f"{_by_the_settings(after, week)} Choose another day.")
    if after.send_at(week) <= standing.now:
        return Refused(f"{to} has passed; choose a moment that is still to come.")
    return None


def _by_the_settings(calendar: Calendar, week: Week) -> str:
    return f"Nothing is sent on {calendar.send_date(week)}, says digest.toml."


def _take_back(standing: _Standing) -> Rescheduled | Refused:
    """The week as the settings have it, whatever was changed, and its draft with it."""
    week, after, change = standing.week, standing.with_(None), standing.change
    if standing.issue is not None and after.is_skipped(week):
        return Refused(f"{_by_the_settings(after, week)} Its draft would be left over: skip the week instead.")
    effects: tuple[str, ...] = ()
    if standing.issue is not None and change is not None and change.shelved:
        back = control.bring_back(standing.session, standing.issue.id, who=standing.who, now=standing.now)
        if isinstance(back, Refused):
            return back
        effects = ("back",)
    effects += _set_hour(standing, after)
    row = standing.session.get(CalendarChange, (standing.newsletter.slug, str(week)))
    if row is not None:
        standing.session.delete(row)
    said = f"as by the settings, {after.sending(week)}"
    log.append(
        standing.session, at=standing.now, who=standing.who, action="restore-week", about=standing.name, detail=said
    )
    standing.session.flush()
    return Rescheduled(week, after.send_at(week), effects)


def _set_hour(standing: _Standing, after: Calendar) -> tuple[str, ...]:
    """Give the issue its week's hour and the end of its window; says what that did to it."""
    issue = standing.issue
    if issue is None:
        return ()
    send_at = after.send_at(standing.week)
    # What it was made of stays in it, though the new cut-off be earlier. The next window begins where this one ends.
    end = max(after.cutoff_at(standing.week), min(issue.window_end, standing.now))
    start = min(window_for(standing.session, standing.newsletter, after, standing.week).start, issue.window_start)
    if (issue.send_at, issue.window_start, issue.window_end) == (send_at, start, end):
        return ()
    effects = ("window",) if end > standing.now else ()
    if issue.state is IssueState.APPROVED:
        effects = ("disapproved", *effects)
        control.withdraw(standing.session, issue.id, who=standing.who, now=standing.now)
    issue.send_at, issue.window_start, issue.window_end = send_at, start, end
    # The mail names its date: what is frozen meanwhile from the revision before must not go out.
    issue.revision += 1
    return effects


def _store(standing: _Standing, moment: Moment | None, reason: str, *, shelved: bool) -> None:
    key = (standing.newsletter.slug, str(standing.week))
    row = standing.session.get(CalendarChange, key) or CalendarChange(newsletter=key[0], week=key[1])
    row.kind = ChangeKind.SKIP if moment is None else ChangeKind.MOVE
    row.day, row.time = (moment.day, moment.time) if moment else (None, None)
    row.reason, row.who, row.at, row.shelved = reason, one_line(standing.who), standing.now, shelved
    standing.session.add(row)
    standing.session.flush()


def _too_long(reason: str) -> Refused | None:
    if len(reason) <= REASON_LIMIT:
        return None
    return Refused(f"The reason has {len(reason)} characters; at most {REASON_LIMIT} are possible.")
