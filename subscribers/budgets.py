"""Budgets of the sign-up form: how much has been asked for lately, and how much may be (O-24). Pure.

A budget is a bucket that fills by one with each request and leaks steadily, a whole bucket in an hour. Where it is
full, nobody is sent away: more is asked of whoever comes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

HOUR = 3600.0


@dataclass(frozen=True)
class Bucket:
    """How full a bucket was at an instant (seconds since 1970)."""

    level: float = 0.0
    at: float = 0.0

    def left(self, size: float, now: float) -> float:
        """How full it still is; one of that size runs empty in an hour. A clock that was set back leaks nothing."""
        return max(0.0, self.level - size * max(0.0, now - self.at) / HOUR)

    def with_more(self, more: float, size: float, now: float) -> Bucket:
        """The bucket after so much was put in."""
        return Bucket(self.left(size, now) + more, max(self.at, now))


class Pressure(enum.IntEnum):
    """How hard the form is pressed, and so what is asked of whoever comes."""

    CALM = 0
    """Nothing."""
    PROOF = 1
    """A proof of work; without one a small reserve is shared."""
    HARD = 2
    """A proof that takes four times as long."""
    PAUSED = 3
    """The form rests, and whoever runs it is told."""


@dataclass(frozen=True)
class FormRules:
    """How many requests an hour are taken, and from when on more is asked.

    The first three budgets are for whoever comes, without a proof; with one there are ten times as many.
    """

    per_hour: int = 600
    """All together."""
    prefix_per_hour: int = 30
    """From one network (a /24 or /56)."""
    domain_per_hour: int = 300
    """To the addresses of one domain."""
    unproven_per_hour: int = 60
    """Besides, without a proof: for a reader without scripts where one is asked for, a form elsewhere, a program."""
    unproven_prefix_per_hour: int = 4
    """The same from one network."""
    hard_at: int = 2_000
    """So many requests of the last hour that nobody has confirmed make the proof harder."""
    pause_at: int = 10_000
    """So many make the form rest, if hardly anybody confirms."""


PROVEN_TIMES = 10
"""A proof of work buys so many times the budget: it costs whoever asks, and not a reader."""
FEW_CONFIRM = 0.1
"""A wave of readers confirms; of a bomber's addresses hardly one in ten does."""
ENOUGH_TO_JUDGE = 200
"""Below so many open requests an hour their share says nothing: the first of a wave have not confirmed yet either."""


def pressure_of(pending: int, confirmed: int, rules: FormRules) -> Pressure:
    """What the last hour's requests say: so many are waiting for their button, so many were confirmed (O-24)."""
    few_confirm = confirmed < FEW_CONFIRM * (pending + confirmed)
    if pending >= rules.pause_at and few_confirm:
        return Pressure.PAUSED
    if pending >= rules.hard_at:
        return Pressure.HARD
    return Pressure.PROOF if pending >= ENOUGH_TO_JUDGE and few_confirm else Pressure.CALM
