"""How many people stand where with a newsletter, and how many came and went: counts, and nobody (O-53).

Everything is counted from the rows that are there. So whoever was erased is in no number, not even in those of weeks
before; and of somebody who left and came back the rows know the last time alone.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.lifecycle import OWN_METHODS, Format, State
from subscribers.models import Subscriber, Subscription, Suppression
from subscribers.suppression import BOUNCE, COMPLAINT

FEWEST = 10
"""A choice that fewer people share is not shown by itself: a small number can point at a person."""

Span = tuple[dt.datetime, dt.datetime]
"""A half-open piece of time, `[start, end)`; both are aware."""


@dataclass(frozen=True)
class Standing:
    """How many people stand where with a newsletter; each is counted once."""

    reading: int = 0
    """They get what goes out now: exactly `roll.audience`."""
    paused: int = 0
    """They have asked to be passed by for some weeks."""
    barred: int = 0
    """They have confirmed, and their address must never be mailed: nothing goes to them."""
    pending: int = 0
    """They have asked, and have not confirmed."""
    left: int = 0
    """By themselves, or let go by an operator."""
    bounced: int = 0
    """Their mailbox is gone, or has turned issue after issue away."""
    complained: int = 0
    """They have called a mail spam."""

    @property
    def confirmed(self) -> int:
        """Everybody who is on the list, whether or not this week's issue goes to them."""
        return self.reading + self.paused + self.barred


@dataclass(frozen=True)
class Choices:
    """What those who are on the list have chosen."""

    formats: Mapping[Format, int]
    languages: Mapping[str, int]
    neutral: int
    """How many want a subject that gives nothing away."""


@dataclass(frozen=True)
class Moves:
    """How many came and went in a span."""

    confirmed: int = 0
    """By their own button."""
    entered: int = 0
    """By an imported list, or by hand. With an imported list this is when they confirmed to the other system."""
    left: int = 0
    bounced: int = 0
    complained: int = 0

    @property
    def came(self) -> int:
        """Everybody who is on the list since."""
        return self.confirmed + self.entered

    @property
    def went(self) -> int:
        """Everybody who is on it no more."""
        return self.left + self.bounced + self.complained


@dataclass(frozen=True)
class Headcount:
    """A newsletter's people as they stand."""

    standing: Standing
    choices: Choices


def headcount(session: Session, newsletter: str, now: dt.datetime) -> Headcount:
    """Count a newsletter's people as they stand now. Two queries, whatever the number of people."""
    states, reasons, paused = Counter[State](), Counter[str | None](), 0
    formats, languages, subjects = Counter[Format](), Counter[str](), Counter[bool]()
    for state, reason, form, is_neutral, language, number, resting in session.execute(_by_choice(newsletter, now)):
        states[state] += number
        if state is State.LEFT:
            reasons[reason] += number
        if state is State.CONFIRMED:
            paused += resting
            formats[form] += number
            languages[language] += number
            subjects[is_neutral] += number
    barred, barred_resting = session.execute(_barred(newsletter, now)).one()
    standing = Standing(
        reading=states[State.CONFIRMED] - paused - (barred - barred_resting),
        paused=paused - barred_resting,
        barred=barred,
        pending=states[State.PENDING],
        left=states[State.LEFT] - reasons[BOUNCE] - reasons[COMPLAINT],
        bounced=reasons[BOUNCE],
        complained=reasons[COMPLAINT],
    )
    return Headcount(standing, Choices(formats, languages, subjects[True]))


def moves(session: Session, newsletter: str, spans: Sequence[Span]) -> tuple[Moves, ...]:
    """How many came and went in each of some spans, the oldest first, without gaps. Two queries, on indexes alone."""
    if not spans:
        return ()
    own = sa.case((Subscription.method.in_(OWN_METHODS), 1), else_=0)
    came = dict[int, tuple[int, int]]()
    for place, count, by_themselves in session.execute(_came(newsletter, spans, own)):
        came[place] = (by_themselves or 0, count - (by_themselves or 0))
    went = Counter[tuple[int, str | None]]()
    for place, reason, count in session.execute(_went(newsletter, spans)):
        went[place, reason if reason in (BOUNCE, COMPLAINT) else None] += count
    return tuple(
        Moves(*came.get(place, (0, 0)), went[place, None], went[place, BOUNCE], went[place, COMPLAINT])
        for place in range(len(spans))
    )


def levels(now: int, moved: Sequence[Moves]) -> tuple[int, ...]:
    """How many were on the list at the end of each span, from those who are on it now. Pure.

    `moved` are the spans up to now, the oldest first, without gaps.
    """
    found, level = list[int](), now
    for one in reversed(moved):
        found.append(level)
        level -= one.came - one.went
    return tuple(reversed(found))


def kept_apart(counts: Iterable[tuple[str, int]], fewest: int = FEWEST) -> tuple[tuple[tuple[str, int], ...], int]:
    """The choices that enough people share, the most frequent first, and how many people have made any other. Pure.

    Who knows the total could take the shown ones from it: so the others are never one to `fewest` - 1 people either,
    and the smallest that could be shown is put with them.
    """
    shown = sorted(((name, count) for name, count in counts if count), key=lambda one: (-one[1], one[0]))
    others = 0
    while shown and (shown[-1][1] < fewest or 0 < others < fewest):
        others += shown.pop()[1]
    return tuple(shown), others


def _by_choice(newsletter: str, now: dt.datetime) -> sa.Select[State, str | None, Format, bool, str, int, int]:
    # Grouped as `ix_subscriptions_standing` is ordered, so that neither database has to sort.
    groups = (
        Subscription.state,
        Subscription.left_reason,
        Subscription.format,
        Subscription.is_neutral,
        Subscription.language,
    )
    counts = (sa.func.count(), _paused(now))
    return sa.select(*groups, *counts).where(Subscription.newsletter == newsletter).group_by(*groups)


def _barred(newsletter: str, now: dt.datetime) -> sa.Select[int, int]:
    """Those whom `roll.READS` leaves out though they have confirmed, found from the few who must never be mailed."""
    never = sa.select(Subscriber.id).where(Subscriber.suppression_hash.in_(sa.select(Suppression.address_hash)))
    return sa.select(sa.func.count(), sa.func.coalesce(_paused(now), 0)).where(
        Subscription.newsletter == newsletter,
        Subscription.state == State.CONFIRMED,
        Subscription.subscriber_id.in_(never),
    )


def _paused(now: dt.datetime) -> sa.ColumnElement[int]:
    return sa.func.sum(sa.case((Subscription.paused_until > now, 1), else_=0))


def _came(newsletter: str, spans: Sequence[Span], own: sa.ColumnElement[int]) -> sa.Select[int, int, int]:
    # One look at everybody: an index by instants would make each row of an imported list change another of its pages.
    at = Subscription.confirmed_at
    place = _place(at, [start for start, _ in spans]).label("place")
    return (
        sa.select(place, sa.func.count(), sa.func.sum(own))
        .where(Subscription.newsletter == newsletter, at >= spans[0][0], at < spans[-1][1])
        .group_by("place")
    )


def _place(at: sa.SQLColumnExpression[Any], starts: Sequence[dt.datetime], first: int = 0) -> sa.ColumnElement[int]:
    """Which of the spans an instant falls into, halved until one is left: a row is compared six times, not fifty."""
    if len(starts) == 1:
        return sa.literal(first)
    half = len(starts) // 2
    before, after = _place(at, starts[:half], first), _place(at, starts[half:], first + half)
    return sa.case((at < starts[half], before), else_=after)


def _went(newsletter: str, spans: Sequence[Span]) -> sa.CompoundSelect[int, str | None, int]:
    # Who left before the button of the letter was never on the list.
    at, reason = Subscription.left_at, Subscription.left_reason
    known = (Subscription.newsletter == newsletter, at.is_not(None), Subscription.confirmed_at.is_not(None))
    return sa.union_all(
        *(
            sa.select(sa.literal(place), reason, sa.func.count()).where(*known, at >= start, at < end).group_by(reason)
            for place, (start, end) in enumerate(spans)
        )
    )
