"""The ledger: every delivery's state, every legal step, and nothing lost or doubled by a crash (DESIGN 4.2).

A step is a conditional update, so that of two who try the same one, one wins. `committing` is durable before the final
dot leaves, the outcome after the relay's answer. `commits` writes both in group commits.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.mail.changes import changed
from digest.mail.leases import is_taken
from digest.mail.providers import Provider
from digest.models import Delivery, DeliveryState, Issue, IssueState, Lease, LogEntry, SlowLane
from subscribers.db import insert_into
from subscribers.lifecycle import State
from subscribers.models import Subscription
from subscribers.roll import READS

OPEN = (DeliveryState.QUEUED, DeliveryState.DEFERRED)
"""Still to be tried."""

BEFORE_DOT: dict[DeliveryState, tuple[DeliveryState, ...]] = {
    DeliveryState.COMMITTING: OPEN,
    DeliveryState.DEFERRED: OPEN,
    DeliveryState.REJECTED: OPEN,
    DeliveryState.EXCLUDED: OPEN,
}
"""From which states a step may be taken by somebody who was never told to send the dot.

Such a one may have lost the right to send long ago, and must not touch a delivery that another has committed.
"""

AFTER_DOT: dict[DeliveryState, tuple[DeliveryState, ...]] = {
    DeliveryState.ACCEPTED: (DeliveryState.COMMITTING, DeliveryState.UNKNOWN),
    DeliveryState.REJECTED: (DeliveryState.COMMITTING, DeliveryState.UNKNOWN),
    DeliveryState.DEFERRED: (DeliveryState.COMMITTING,),
    DeliveryState.UNKNOWN: (DeliveryState.COMMITTING,),
}
"""From which states a step may be taken by the one who was told to. An answer that comes late still settles what was
called unknown, but a late "try again" does not: by then the issue's books may be closed."""

BY_HAND: dict[DeliveryState, tuple[DeliveryState, ...]] = {DeliveryState.QUEUED: (DeliveryState.UNKNOWN,)}
"""From which states a person alone may take a step: `digest resolve --resend`, of what nobody resolved before."""

SLICE = 1000
"""How many deliveries of an issue are one piece of work."""

Which = tuple[sa.ColumnElement[bool], ...]
"""Conditions that say which deliveries are meant."""

IS_ISSUE = Delivery.letter == sa.literal_column("'issue'")
IS_LETTER = Delivery.letter != sa.literal_column("'issue'")
"""Written out and not as a parameter, so that the partial index of letters can be used."""

LETTERS: Which = (IS_LETTER,)
_UNSETTLED = Delivery.settled_at.is_(None)
"""What the partial index of unsettled deliveries holds: said in every query that is to use it."""


LEFT_TO_DO: Which = (IS_ISSUE, _UNSETTLED, Delivery.slice >= sa.literal_column("0"))
"""What keeps an issue's books open. Every slice is meant; that they are named lets SQLite see that the index of
unsettled deliveries is the better one: by the other it walks through all that is settled, with its write lock held."""


def of_issue(issue_id: int) -> Which:
    """The readers' deliveries of an issue; an editor's test-send is none."""
    return (Delivery.issue_id == issue_id, IS_ISSUE)


def of_slice(issue_id: int, number: int) -> Which:
    """The deliveries of one slice of an issue."""
    return (*of_issue(issue_id), Delivery.slice == number)


def due(now: dt.datetime) -> Which:
    """What is to be tried now."""
    return (_UNSETTLED, Delivery.state.in_(OPEN), Delivery.due_at <= now)


def unsettled() -> Which:
    """What has no outcome yet."""
    return (_UNSETTLED,)


@dataclass(frozen=True)
class Equation:
    """The accounts of an issue. When `closes`, every reader of the audience has one final outcome."""

    audience: int
    accepted: int
    rejected: int
    excluded: int
    unknown: int
    queued: int
    deferred: int
    committing: int

    @property
    def closes(self) -> bool:
        """Whether audience = accepted + rejected + excluded + unknown."""
        return self.audience == self.accepted + self.rejected + self.excluded + self.unknown


def equation(session: Session, issue_id: int) -> Equation:
    """The accounts of an issue now."""
    query = sa.select(Delivery.state, sa.func.count()).where(*of_issue(issue_id)).group_by(Delivery.state)
    counts = {state: count for state, count in session.execute(query)}  # noqa: C416 -- typed rows, untyped dict()
    audience = session.scalar(sa.select(Issue.audience).where(Issue.id == issue_id)) or 0
    return Equation(audience=audience, **{state.value: counts.get(state, 0) for state in DeliveryState})


def waiting(session: Session, which: Which) -> int:
    """How many are still to be tried."""
    query = sa.select(sa.func.count()).where(*which, _UNSETTLED, Delivery.state.in_(OPEN))
    return session.scalar(query) or 0


def is_untried(session: Session, issue_id: int) -> bool:
    """Whether nobody of an issue has an outcome yet that the relay gave."""
    told = (DeliveryState.ACCEPTED, DeliveryState.REJECTED, DeliveryState.UNKNOWN)
    found = sa.select(Delivery.id).where(Delivery.issue_id == issue_id, Delivery.state.in_(told), IS_ISSUE).limit(1)
    return session.scalar(found) is None


class Verdict(enum.Enum):
    """What became of the wish to send the final dot."""

    GO = "go"
    """It is durable that the dot is about to leave: it must leave now."""
    STOP = "stop"
    """It must not leave: the reader has left, or it was settled by another."""
    HALT = "halt"
    """It must not leave, and nothing else of this issue: it was paused or cancelled."""
    LOST = "lost"
    """It must not leave, and nothing else must: the right to send is somebody else's now."""


def recover(session: Session, which: Which, now: dt.datetime) -> int:
    """What a dead sender left in `committing` becomes `unknown` (S-12). Only for whoever holds the lease."""
    reason = "the sender stopped between the final dot and the relay's answer"
    return changed(
        session,
        sa.update(Delivery)
        .where(*which, _UNSETTLED, Delivery.state == DeliveryState.COMMITTING)
        .values(state=DeliveryState.UNKNOWN, settled_at=now, reply=reason, attempts=Delivery.attempts + 1),
    )


def is_abandoned(session: Session, now: dt.datetime) -> bool:
    """Whether a letter stands between the dot and the answer, and nobody has the right to send letters."""
    uncertain = sa.select(Delivery.id).where(*LETTERS, Delivery.state == DeliveryState.COMMITTING).limit(1)
    taken = sa.select(Lease.name).where(Lease.name == "letters", *is_taken(now))
    return session.scalar(uncertain) is not None and session.scalar(taken) is None


UNWANTED = sa.and_(
    Delivery.subscription_id.is_not(None),
    ~sa.exists().where(
        Subscription.id == Delivery.subscription_id, Subscription.state != sa.literal_column(f"'{State.LEFT.name}'")
    ),
)
"""A letter to somebody who has left meanwhile, or said "never"."""


def is_halted(session: Session, delivery_id: int) -> bool:
    """Whether the issue of a delivery is no longer being sent."""
    query = sa.select(Issue.state).join(Delivery, Delivery.issue_id == Issue.id)
    state = session.scalar(query.where(Delivery.id == delivery_id, IS_ISSUE))
    return state is not None and state is not IssueState.SENDING


def slow_down(
    session: Session, delivery_id: int, provider: Provider, until: dt.datetime, reply: str, now: dt.datetime
) -> None:
    """Let every sender know that a provider wants to be left alone (B-09), and the issue's log too."""
    known = session.get(SlowLane, provider.value)
    if known is not None and known.until > now:
        return
    lane = {"provider": provider.value, "until": until, "reply": reply}
    # Another process may be told the same in this moment, and neither must fail: answers hang on this commit.
    put = insert_into(session, SlowLane).values(lane)
    session.execute(put.on_conflict_do_update(index_elements=[SlowLane.provider], set_=lane))
    issue_id = session.scalar(sa.select(Delivery.issue_id).where(Delivery.id == delivery_id))
    if issue_id is not None:
        note(session, issue_id, "slow", f"{provider.value} until {until:%H:%M} UTC: {reply}", now)


def put_off(session: Session, delivery_ids: Sequence[int], until: dt.datetime) -> int:
    """Leave deliveries for later that were not tried: their provider wants no more for now. No attempt is counted."""
    later = sa.update(Delivery).where(Delivery.id.in_(delivery_ids), Delivery.state.in_(OPEN))
    return changed(session, later.values(due_at=until))


def exclude_gone(session: Session, which: Which, now: dt.datetime) -> int:
    """Settle as `excluded` whoever of an issue's audience no longer wants it. Returns how many."""
    still_reads = sa.exists().where(Subscription.id == Delivery.subscription_id, *READS)
    return _exclude(session, (*which, ~still_reads), "left before the final dot", now)


def exclude_all(session: Session, which: Which, reason: str, now: dt.datetime) -> int:
    """Settle as `excluded` whatever of an issue has not left: it was cancelled. Returns how many."""
    return _exclude(session, which, reason, now)


def exclude_unwanted_letters(session: Session, now: dt.datetime) -> int:
    """Settle as `excluded` the letters to people who have left meanwhile. Returns how many."""
    return _exclude(session, (*LETTERS, UNWANTED), "left before the final dot", now)


def _exclude(session: Session, which: Which, reason: str, now: dt.datetime) -> int:
    change = sa.update(Delivery).where(*which, _UNSETTLED, Delivery.state.in_(BEFORE_DOT[DeliveryState.EXCLUDED]))
    return changed(
        session,
        change.values(state=DeliveryState.EXCLUDED, settled_at=now, reply=reason, context_sealed=None),
    )


def give_up(session: Session, which: Which, now: dt.datetime) -> int:
    """Settle as `rejected` what has been tried for long enough (S-30)."""
    return changed(
        session,
        sa.update(Delivery)
        .where(*which, _UNSETTLED, Delivery.state.in_(OPEN), Delivery.give_up_at <= now)
        .values(
            state=DeliveryState.REJECTED,
            settled_at=now,
            context_sealed=None,
            reply=sa.func.coalesce(Delivery.reply, "") + " (given up: no more time to try)",
        ),
    )


def prolong(session: Session, issue_id: int, until: dt.datetime) -> None:
    """Try what has waited until then at least: it was paused meanwhile."""
    still = (*of_issue(issue_id), _UNSETTLED, Delivery.state.in_(OPEN), Delivery.give_up_at < until)
    changed(session, sa.update(Delivery).where(*still).values(give_up_at=until))


def finish(session: Session, issue_id: int, now: dt.datetime) -> bool:
    """Close the issue's books if nothing is left to be tried. Returns whether it is now sent."""
    left = sa.exists().where(Delivery.issue_id == issue_id, *LEFT_TO_DO)
    return bool(
        changed(
            session,
            sa.update(Issue)
            .where(Issue.id == issue_id, Issue.state == IssueState.SENDING, ~left)
            .values(state=IssueState.SENT, finished_at=now),
        )
    )


def pause(session: Session, issue_id: int, reason: str, now: dt.datetime) -> None:
    """Stop an issue that is being sent, and say why; a person has to look."""
    paused = changed(
        session,
        sa.update(Issue)
        .where(Issue.id == issue_id, Issue.state == IssueState.SENDING)
        .values(state=IssueState.PAUSED, hold_reason=reason),
    )
    if paused:
        note(session, issue_id, "pause", reason, now)


def note(session: Session, issue_id: int, action: str, detail: str, now: dt.datetime) -> None:
    """Write into an issue's log what the sender did by itself."""
    name = session.get_one(Issue, issue_id).name
    session.add(LogEntry(at=now, who="sender", action=action, object=name, detail=detail))
