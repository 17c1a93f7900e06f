"""Who gets an issue: what the issue side asks when an audience is frozen. And where a letter to somebody goes."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.forms import Address
from subscribers.lifecycle import Format, State
from subscribers.models import Subscriber, Subscription, Suppression
from subscribers.vault import SUBSCRIBER_ADDRESS, Vault

READS = (
    Subscription.state == sa.literal_column(f"'{State.CONFIRMED.name}'"),
    ~sa.exists(sa.literal_column("1")).where(
        Subscriber.id == Subscription.subscriber_id, Suppression.address_hash == Subscriber.suppression_hash
    ),
)
"""Conditions that say which subscriptions may be mailed: confirmed, not left, and not of somebody who must never be
mailed (DESIGN 6.1). That a suppression has ended its subscriptions is not relied upon here.

Written out and not as a parameter, so that the statement before the final dot can be compiled with it.
"""


def audience(newsletter: str, now: dt.datetime) -> sa.Select[int, int, Format, bool]:
    """Select `(subscription_id, subscriber_id, format, is_neutral)` of everybody who is to get what goes out now.

    They confirmed, have not left, must not be left alone for another reason, and have not asked to be passed by for
    some weeks.
    """
    chosen = (Subscription.id.label("subscription_id"), Subscription.subscriber_id)
    return sa.select(*chosen, Subscription.format, Subscription.is_neutral).where(
        Subscription.newsletter == newsletter,
        *READS,
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
