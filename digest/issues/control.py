"""An issue's states and every legal step between them, each taken by somebody and logged.

The functions work in the caller's transaction and lock the issue's row, so of two people at once the second sees what
the first has done.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.issues import log
from digest.issues.outcomes import Done, Finding, Override, Refused
from digest.issues.overrides import override
from digest.issues.text import one_line
from digest.mail import ledger
from digest.models import Approval, Issue, IssueState, Item
from subscribers.wake import wake


class Step(enum.StrEnum):
    """What can be done with a whole issue."""

    APPROVE = "approve"
    WITHDRAW = "withdraw"
    HOLD = "hold"
    FREEZE = "freeze"
    """Its audience is frozen and it starts to go out: `publish`."""
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    FINISH = "finish"
    """The last delivery is settled: the sending room's step."""
    REOPEN = "reopen"
    """Copies whose outcome is unknown are sent again: `resolve`."""
    BRING_BACK = "bring back"
    """The skip that had put the draft aside is taken back: `reschedule`."""


STEPS: dict[tuple[IssueState, Step], IssueState] = {
    (IssueState.DRAFT, Step.APPROVE): IssueState.APPROVED,
    (IssueState.HELD, Step.APPROVE): IssueState.APPROVED,
    (IssueState.APPROVED, Step.WITHDRAW): IssueState.DRAFT,
    (IssueState.DRAFT, Step.HOLD): IssueState.HELD,
    (IssueState.HELD, Step.HOLD): IssueState.HELD,
    (IssueState.APPROVED, Step.HOLD): IssueState.HELD,
    (IssueState.APPROVED, Step.FREEZE): IssueState.SENDING,
    # Only where the newsletter says `unapproved = "send"`; `publish` asks.
    (IssueState.DRAFT, Step.FREEZE): IssueState.SENDING,
    (IssueState.SENDING, Step.PAUSE): IssueState.PAUSED,
    (IssueState.PAUSED, Step.RESUME): IssueState.SENDING,
    (IssueState.DRAFT, Step.CANCEL): IssueState.CANCELLED,
    (IssueState.HELD, Step.CANCEL): IssueState.CANCELLED,
    (IssueState.APPROVED, Step.CANCEL): IssueState.CANCELLED,
    (IssueState.SENDING, Step.CANCEL): IssueState.CANCELLED,
    (IssueState.PAUSED, Step.CANCEL): IssueState.CANCELLED,
    (IssueState.SENDING, Step.FINISH): IssueState.SENT,
    (IssueState.SENT, Step.REOPEN): IssueState.SENDING,
    (IssueState.PAUSED, Step.REOPEN): IssueState.SENDING,
    (IssueState.SENDING, Step.REOPEN): IssueState.SENDING,
    # Only with its week, and only if no copy was ever made: to an editor who cancels, cancelled is final.
    (IssueState.CANCELLED, Step.BRING_BACK): IssueState.HELD,
}
NOT_ASKED_FOR = frozenset({Step.FREEZE, Step.FINISH, Step.REOPEN, Step.BRING_BACK})
"""Steps that come of something else and have no button of their own."""

STANDING = {
    IssueState.DRAFT: "is a draft",
    IssueState.HELD: "is held",
    IssueState.APPROVED: "is approved",
    IssueState.SENDING: "is being sent",
    IssueState.PAUSED: "is paused in the middle of being sent",
    IssueState.SENT: "has been sent",
    IssueState.CANCELLED: "was cancelled",
}
WAITING = frozenset({IssueState.DRAFT, IssueState.HELD})
"""The states in which an issue waits for approval."""
AFTER_A_PAUSE = dt.timedelta(days=1)
_CANCELLED = "the issue was cancelled before this copy left"
_BROUGHT_BACK = "Its week was skipped and is back: look the issue over before it goes out."


def approve(
    session: Session,
    issue_id: int,
    *,
    who: str,
    now: dt.datetime,
    findings: Sequence[Finding] = (),
    overrides: Sequence[Override] = (),
    expected_revision: int | None = None,
    needed: int = 1,
) -> Done | Refused:
    """Let the issue go out at its hour. A held one may be approved by a person: that overrides the hold, and is logged.

    `findings` are what `checks.check` says about this revision: one that blocks refuses the approval, unless
    `overrides` have a reason for it and it is none that nobody may override. The reasons are kept with the issue.
    `needed` is how many different people have to approve the same revision (W-41); until the last of them the issue
    stays what it is.
    """
    issue = locked(session, issue_id)
    if isinstance(issue, Refused):
        return issue
    if issue.state is IssueState.APPROVED:
        return _done(issue, f"It was already approved by {issue.approved_by}.")
    held = issue.hold_reason if issue.state is IssueState.HELD else ""
    before = approvals(session, issue)
    refused = (
        _refused(issue, Step.APPROVE)
        or stale(issue, expected_revision)
        or _empty(session, issue)
        or _twice(issue, before, one_line(who))
        # Last, since it keeps the reasons.
        or override(session, issue, findings, overrides, who=who, now=now)
    )
    if refused:
        return refused
    session.add(Approval(issue_id=issue.id, revision=issue.revision, who=one_line(who), at=now))
    detail = f"revision {issue.revision}" + (f"; overrides the hold: {held}" if held else "")
    if (still := needed - len(before) - 1) > 0:
        detail = f"{detail}; {still} more needed"
        log.append(session, at=now, who=who, action=Step.APPROVE.value, about=issue.name, detail=detail)
        session.flush()
        return _done(
            issue, f"Approved by {_and([*before, one_line(who)])}. It goes out once somebody else approves it too."
        )
    issue.approved_at, issue.approved_by, issue.hold_reason = now, _and([*before, one_line(who)]), ""
    return _take(session, issue, Step.APPROVE, who=who, now=now, detail=detail)


def withdraw(session: Session, issue_id: int, *, who: str, now: dt.datetime) -> Done | Refused:
    """Take the approval back, or the first of two: the issue is a draft again, or stays what it is."""
    issue = locked(session, issue_id)
    if isinstance(issue, Refused):
        return issue
    if issue.state is not IssueState.APPROVED and issue.state in WAITING and approvals(session, issue):
        _forget_approvals(session, issue)
        log.append(session, at=now, who=who, action=Step.WITHDRAW.value, about=issue.name, detail="the first of two")
        session.flush()
        return _done(issue)
    if refused := _refused(issue, Step.WITHDRAW):
        return refused
    _forget_approvals(session, issue)
    return _take(session, issue, Step.WITHDRAW, who=who, now=now)


def approvals(session: Session, issue: Issue) -> list[str]:
    """Who has approved the issue as it stands, in the order in which they did."""
    mine = sa.select(Approval.who).where(Approval.issue_id == issue.id, Approval.revision == issue.revision)
    return list(session.scalars(mine.order_by(Approval.id)))


def hold(session: Session, issue_id: int, *, reason: str, who: str, now: dt.datetime) -> Done | Refused:
    """Stop the issue from going out until a person approves it; an approval it had is gone."""
    issue = _ready(session, issue_id, Step.HOLD)
    if isinstance(issue, Refused):
        return issue
    if not one_line(reason):
        return Refused("Say why it is held: whoever comes next will want to know.")
    issue.hold_reason, issue.is_doubtful = one_line(reason), False
    _forget_approvals(session, issue)
    return _take(session, issue, Step.HOLD, who=who, now=now, detail=issue.hold_reason)


def pause(session: Session, issue_id: int, *, who: str, now: dt.datetime) -> Done | Refused:
    """Stop sending for now; what has not left yet waits."""
    issue = _ready(session, issue_id, Step.PAUSE)
    return issue if isinstance(issue, Refused) else _take(session, issue, Step.PAUSE, who=who, now=now)


def resume(session: Session, issue_id: int, *, who: str, now: dt.datetime) -> Done | Refused:
    """Go on sending a paused issue, where it stopped. Whoever waited gets at least a day more to be tried."""
    issue = _ready(session, issue_id, Step.RESUME)
    if isinstance(issue, Refused):
        return issue
    issue.hold_reason = ""
    ledger.prolong(session, issue_id, now + AFTER_A_PAUSE)
    wake(session)
    return _take(session, issue, Step.RESUME, who=who, now=now)


def cancel(session: Session, issue_id: int, *, who: str, now: dt.datetime, reason: str = "") -> Done | Refused:
    """End the issue for good; of one that is going out this is the recall: no copy leaves that has not left.

    Those copies are excluded, so that the closing equation still closes. `reason` is kept with the issue and the log.
    """
    issue = _ready(session, issue_id, Step.CANCEL)
    if isinstance(issue, Refused):
        return issue
    stopped = ledger.exclude_all(session, ledger.of_issue(issue.id), _CANCELLED, now)
    issue.finished_at = now
    # Without a reason of its own, why it was held or paused stays: a week that is put back is held for it again.
    issue.hold_reason = one_line(reason) or issue.hold_reason
    said = [f"{stopped} copies stopped"] if issue.frozen_at else []
    detail = ": ".join([*said, *([one_line(reason)] if reason else [])])
    return _take(session, issue, Step.CANCEL, who=who, now=now, detail=detail)


def reopen(session: Session, issue_id: int, *, detail: str, who: str, now: dt.datetime) -> Done | Refused:
    """Open the books of an issue once more, for copies that are sent again; `detail` says which, for the log.

    One that was paused goes on: whoever waited gets at least a day more to be tried.
    """
    issue = _ready(session, issue_id, Step.REOPEN)
    if isinstance(issue, Refused):
        return issue
    if issue.state is IssueState.PAUSED:
        ledger.prolong(session, issue_id, now + AFTER_A_PAUSE)
    issue.hold_reason, issue.finished_at = "", None
    wake(session)
    return _take(session, issue, Step.REOPEN, who=who, now=now, detail=detail)


def bring_back(session: Session, issue_id: int, *, who: str, now: dt.datetime) -> Done | Refused:
    """A draft that was put aside with its week stands again, on hold until a person has looked at it."""
    issue = _ready(session, issue_id, Step.BRING_BACK)
    if isinstance(issue, Refused):
        return issue
    if issue.frozen_at is not None:
        return Refused(f"{issue.name} was stopped while it went out; it cannot be brought back.")
    before = issue.hold_reason.splitlines()
    issue.hold_reason = "\n".join(dict.fromkeys([_BROUGHT_BACK, *before]))
    issue.finished_at = None
    # What was approved before it was put aside is asked for anew.
    _forget_approvals(session, issue)
    return _take(session, issue, Step.BRING_BACK, who=who, now=now)


def locked(session: Session, issue_id: int) -> Issue | Refused:
    """The issue as it stands now, its row locked for this transaction."""
    # SQLite knows no row locks and needs none: `Database.write` holds its one write lock from the start.
    query = sa.select(Issue).where(Issue.id == issue_id).with_for_update()
    issue = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    return issue or Refused("There is no such issue.")


def stale(issue: Issue, expected: int | None) -> Refused | None:
    """The refusal where somebody works from another revision than the one that stands; none where they do not."""
    if expected is None or expected == issue.revision:
        return None
    return Refused(
        f"Somebody changed {issue.name} in the meantime: it stands at revision {issue.revision}, and this was made from"
        f" revision {expected}. Look at what is new first."
    )


def _twice(issue: Issue, before: Sequence[str], who: str) -> Refused | None:
    if who not in before:
        return None
    return Refused(f"You have approved {issue.name} as it stands; the other approval has to be somebody else's.")


def _forget_approvals(session: Session, issue: Issue) -> None:
    issue.approved_at = issue.approved_by = None
    session.execute(sa.delete(Approval).where(Approval.issue_id == issue.id, Approval.revision == issue.revision))


def _and(names: Sequence[str]) -> str:
    return " and ".join(names)


def _ready(session: Session, issue_id: int, step: Step) -> Issue | Refused:
    issue = locked(session, issue_id)
    return issue if isinstance(issue, Refused) else _refused(issue, step) or issue


def _refused(issue: Issue, step: Step) -> Refused | None:
    if (issue.state, step) in STEPS:
        return None
    possible = sorted(step for state, step in STEPS if state is issue.state and step not in NOT_ASKED_FOR)
    hint = f" What can be done now: {', '.join(possible)}." if possible else ""
    return Refused(f"Cannot {step} {issue.name}: it {STANDING[issue.state]}.{hint}")


def _empty(session: Session, issue: Issue) -> Refused | None:
    included = sa.select(Item.id).where(Item.issue_id == issue.id, Item.included)
    if not session.scalar(sa.select(included.exists())):
        return Refused(f"{issue.name} has no story in it; include at least one before it is approved.")
    return None


def _take(session: Session, issue: Issue, step: Step, *, who: str, now: dt.datetime, detail: str = "") -> Done:
    issue.state = STEPS[issue.state, step]
    log.append(session, at=now, who=who, action=step.value, about=issue.name, detail=detail)
    session.flush()
    return _done(issue)


def _done(issue: Issue, note: str = "") -> Done:
    return Done(issue.id, issue.revision, issue.state, note)
