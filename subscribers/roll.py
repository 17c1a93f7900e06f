"""Who gets an issue. What the mail side asks when an audience is frozen, and again just before each final dot."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.lifecycle import State
from subscribers.models import Subscriber, Subscription
from subscribers.vault import SUBSCRIBER_ADDRESS, Vault


def audience(newsletter: str) -> sa.Select[int, int]:
    """Select `(subscription_id, subscriber_id)` of everybody who confirmed and has not left (DESIGN 6.1)."""
    return sa.select(Subscription.id.label("subscription_id"), Subscription.subscriber_id).where(
        Subscription.newsletter == newsletter, Subscription.state == State.CONFIRMED
    )


def still_wanted(session: Session, subscription_ids: Collection[int]) -> set[int]:
    """Those of the subscriptions that are confirmed at this moment.

    Ask with few at a time (hundreds): both databases bound how many parameters a statement may have.
    """
    query = sa.select(Subscription.id).where(
        Subscription.id.in_(subscription_ids), Subscription.state == State.CONFIRMED
    )
    return set(session.scalars(query))


def address_of(session: Session, vault: Vault, subscriber_id: int) -> str | None:
    """A subscriber's address, opened; none for somebody who was erased. Raises `vault.CannotOpen`."""
    query = sa.select(Subscriber.address_sealed, Subscriber.public_id).where(Subscriber.id == subscriber_id)
    row = session.execute(query).one_or_none()
    return vault.open(row.address_sealed, SUBSCRIBER_ADDRESS, row.public_id) if row else None
