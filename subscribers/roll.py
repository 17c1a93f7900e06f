"""Who gets an issue: what the issue side asks when an audience is frozen. And where a letter to somebody goes."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.forms import Address
from subscribers.lifecycle import Format, State
from subscribers.models import Subscriber, Subscription
from subscribers.vault import SUBSCRIBER_ADDRESS, Vault


def audience(newsletter: str, now: dt.datetime) -> sa.Select[int, int, Format, bool]:
    """Select `(subscription_id, subscriber_id, format, is_neutral)` of everybody who is to get what goes out now.

    They confirmed, have not left (DESIGN 6.1), and have not asked to be passed by for some weeks.
    """
    chosen = (Subscription.id.label("subscription_id"), Subscription.subscriber_id)
    return sa.select(*chosen, Subscription.format, Subscription.is_neutral).where(
        Subscription.newsletter == newsletter,
        Subscription.state == State.CONFIRMED,
        sa.or_(Subscription.paused_until.is_(None), Subscription.paused_until <= now),
    )


def address_of(session: Session, vault: Vault, subscriber_id: int) -> str | None:
    """A subscriber's address, opened; none for somebody who was erased. Raises `vault.CannotOpen`."""
    query = sa.select(Subscriber.address_sealed, Subscriber.public_id).where(Subscriber.id == subscriber_id)
    row = session.execute(query).one_or_none()
    return vault.open(row.address_sealed, SUBSCRIBER_ADDRESS, row.public_id) if row else None


def number_of(session: Session, vault: Vault, address: Address) -> int | None:
    """The number of the person of an address, by either keyed hash: the index key may be rotated just now (E-06)."""
    hashes = vault.blind_index(address.identity), vault.suppression_hash(address.identity)
    return session.scalar(sa.select(Subscriber.id).where(Subscriber.known_by(*hashes)))
