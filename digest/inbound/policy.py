"""What follows from bounces and complaints: the rules of N-12 and N-20 to N-22. Pure."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Sequence
from dataclasses import dataclass

from digest.inbound.notice import Sign
from digest.inbound.status import DISABLED

SOFT_ISSUES = 3
SOFT_SPAN = dt.timedelta(days=14)
"""So many issues in a row, and at least so long, until a soft bounce counts like a hard one (N-21)."""
DISABLED_ISSUES = 2
"""A mailbox that is said to be disabled may only get too much: it has to be said of two issues in a row (S-22)."""
SPIKE = 10
"""Hard bounces of issues at one domain in `SPIKE_SPAN` that may be the domain's mistake and not the mailboxes'."""
SPIKE_SPAN = dt.timedelta(hours=24)
SPIKE_SHARE = 20
"""With a provider whose copies can be counted it is a spike only where one in so many came back (S-24: 5 %)."""
QUARANTINE = dt.timedelta(days=16)
"""How long a quarantined bounce is remembered: until two more weekly issues have gone out."""


class Verdict(enum.StrEnum):
    """What becomes of a bounce."""

    COUNTED = "counted"
    SUPPRESSED = "suppressed"
    QUARANTINED = "quarantined"
    """It came with a crowd of others: the mailbox is tried once more with the next issue (N-20)."""
    CLEARED = "cleared"
    """It was quarantined, and nothing has come back since."""


@dataclass(frozen=True)
class Tried:
    """One issue that went to a reader, and what came back."""

    at: dt.datetime
    came_back: bool
    reason: str = ""


@dataclass(frozen=True)
class Known:
    """What else is known when a bounce comes in."""

    tried: Sequence[Tried] = ()
    """The issues of that newsletter that went to this reader, newest first, this one included."""
    is_spike: bool = False
    """Whether many readers' mailboxes of the same domain bounced in the same hours."""
    was_quarantined: bool = False
    """Whether an earlier issue's hard bounce of this reader was quarantined."""


def judge(sign: Sign, known: Known) -> Verdict:
    """What becomes of a bounce or complaint. A refusal of us or of our text never counts against a reader (N-22)."""
    match sign:
        case Sign.COMPLAINT:
            return Verdict.SUPPRESSED
        case Sign.HARD:
            is_doubtful = known.is_spike and not known.was_quarantined
            return Verdict.QUARANTINED if is_doubtful else Verdict.SUPPRESSED
        case Sign.SOFT if _has_lasted(known.tried):
            return Verdict.SUPPRESSED
        case _:
            return Verdict.COUNTED


def is_spike(bounced: int, copies: int | None) -> bool:
    """Whether so many hard bounces of one domain are more than dead mailboxes explain.

    `copies`: how many copies the domain's provider got in the same hours; none where that cannot be counted.
    """
    return bounced >= SPIKE and (copies is None or bounced * SPIKE_SHARE >= copies)


def _has_lasted(tried: Sequence[Tried]) -> bool:
    """Whether the newest issues all came back, for long enough: one that did not resets the count (N-21)."""
    run: list[Tried] = []
    for one in tried:
        if not one.came_back:
            break
        run.append(one)
    disabled = [one for one in run[:DISABLED_ISSUES] if one.reason == DISABLED]
    if len(disabled) == DISABLED_ISSUES:
        return True
    return len(run) >= SOFT_ISSUES and run[0].at - run[-1].at >= SOFT_SPAN
