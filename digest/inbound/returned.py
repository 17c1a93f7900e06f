"""Mail that came back, counted by class: how many copies and letters in each week, and how many of one reader.

It is known for as long as `inbox.KEEP_BOUNCES`, and no longer (O-55).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.inbound.inbox import KEEP_BOUNCES
from digest.inbound.notice import Sign
from digest.models import Bounce
from subscribers.headcount import Span

_ON_A_READER = (Sign.HARD, Sign.SOFT, Sign.POLICY, Sign.COMPLAINT)


@dataclass(frozen=True)
class Returned:
    """How much came back in a span."""

    hard: int = 0
    """Of issues: the mailbox is gone."""
    soft: int = 0
    """Of issues: the mailbox could not take it this time."""
    policy: int = 0
    """Of issues: we were refused, or our text; nothing is wrong with the mailbox."""
    complaint: int = 0
    """Somebody called it spam, an issue or a letter."""
    letters: int = 0
    """Letters that came back for whatever reason, like confirmations to an address that somebody mistyped."""


def returned(session: Session, newsletter: str, spans: Sequence[Span]) -> list[Returned]:
    """How much of a newsletter's mail came back in each of some half-open spans of time."""
    return [_counted(session, newsletter, start, end) for start, end in spans]


def is_known(start: dt.datetime, now: dt.datetime) -> bool:
    """Whether all that came back since an instant is still known. Pure."""
    return start > now - KEEP_BOUNCES


def returned_from(session: Session, subscriber_id: int) -> tuple[tuple[Sign, int], ...]:
    """How often mail to one reader came back lately, by class; classes that there is nothing of are left out."""
    query = sa.select(Bounce.sign, sa.func.count()).where(Bounce.subscriber_id == subscriber_id)
    counts = dict(row for row in session.execute(query.group_by(Bounce.sign)))
    return tuple((sign, counts[sign.value]) for sign in _ON_A_READER if sign.value in counts)


def _counted(session: Session, newsletter: str, start: dt.datetime, end: dt.datetime) -> Returned:
    within = (Bounce.at >= start, Bounce.at < end, Bounce.newsletter == newsletter)
    is_letter = Bounce.issue_id.is_(None)
    query = sa.select(Bounce.sign, is_letter, sa.func.count()).where(*within).group_by(Bounce.sign, is_letter)
    found = Counter[str]()
    for sign, letter, number in session.execute(query):
        found["letters" if letter and sign != Sign.COMPLAINT.value else sign] += number
    return Returned(*(found[name] for name in ("hard", "soft", "policy", "complaint", "letters")))
