"""What an administrator is told of the person whose exact address they typed: where that person stands, and no more.

Found by the keyed hashes of the address; nothing that is sealed is opened, so that a process without the private key
can answer (E-07).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.forms import Address
from subscribers.lifecycle import Format, State
from subscribers.models import Subscription, Suppression
from subscribers.roll import number_of
from subscribers.vault import Vault


@dataclass(frozen=True)
class Tie:
    """How somebody stands with one newsletter. Instants are in UTC."""

    newsletter: str
    state: State
    requested_at: dt.datetime
    confirmed_at: dt.datetime | None
    left_at: dt.datetime | None
    left_reason: str | None
    """Why, where it was not by themselves: `bounce` or `complaint`."""
    method: str
    format: Format
    is_neutral: bool
    language: str
    paused_until: dt.datetime | None


@dataclass(frozen=True)
class LookedUp:
    """What is known of an address."""

    subscriber_id: int | None
    """None where nothing is kept of anybody with this address."""
    ties: tuple[Tie, ...]
    never: tuple[str, str] | None
    """Why it must never be mailed, and since which month; this may be known of an address that nobody here has."""

    @property
    def reads(self) -> bool:
        """Whether they are on a list, and may be mailed."""
        return self.never is None and any(tie.state is State.CONFIRMED for tie in self.ties)


def look_up(session: Session, vault: Vault, address: Address) -> LookedUp:
    """What is known of an address. Changes nothing."""
    person = number_of(session, vault, address)
    query = sa.select(Subscription).where(Subscription.subscriber_id == person).order_by(Subscription.newsletter)
    ties = tuple(_tie(one) for one in session.scalars(query)) if person is not None else ()
    never = session.get(Suppression, vault.suppression_hash(address.identity))
    return LookedUp(person, ties, (never.reason, never.month) if never else None)


def _tie(one: Subscription) -> Tie:
    return Tie(
        newsletter=one.newsletter,
        state=one.state,
        requested_at=one.requested_at,
        confirmed_at=one.confirmed_at,
        left_at=one.left_at,
        left_reason=one.left_reason,
        method=one.method,
        format=one.format,
        is_neutral=one.is_neutral,
        language=one.language,
        paused_until=one.paused_until,
    )
