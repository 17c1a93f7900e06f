"""Who gets an issue: what the issue side asks when an audience is frozen. And where a letter to somebody goes."""

from __future__ import annotations

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


def address_of(session: Session, vault: Vault, subscriber_id: int) -> str | None:
    """A subscriber's address, opened; none for somebody who was erased. Raises `vault.CannotOpen`."""
    query = sa.select(Subscriber.address_sealed, Subscriber.public_id).where(Subscriber.id == subscriber_id)
    row = session.execute(query).one_or_none()
    return vault.open(row.address_sealed, SUBSCRIBER_ADDRESS, row.public_id) if row else None
