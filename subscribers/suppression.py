"""Nobody is mailed who asked never to be, whose mailbox is gone, or who complained (N-12, N-20, N-23)."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.forms import Address, parse_address
from subscribers.lifecycle import Event, State, step
from subscribers.models import Subscriber, Subscription, Suppression
from subscribers.vault import SUBSCRIBER_ADDRESS, CannotOpen, Vault

ASKED = "asked"
COMPLAINT = "complaint"
BOUNCE = "bounce"
HAND = "hand"
"""Why an address is on the list."""


def suppress(session: Session, vault: Vault, subscriber_id: int, reason: str, now: dt.datetime) -> bool:
    """Put a person on the list of those who are never mailed, and end all of their subscriptions.

    False where there is nobody of that number any more. Raises `vault.CannotOpen` for a row so old that its hash has to
    be made from the address, in a process that cannot open it.
    """
    person = session.get(Subscriber, subscriber_id, with_for_update=True)
    if person is None:
        return False
    add_suppression(session, _hash_of(vault, person), reason, now)
    theirs = sa.select(Subscription).where(Subscription.subscriber_id == person.id).order_by(Subscription.id)
    for subscription in session.scalars(theirs.with_for_update()):
        end(subscription, Event.SUPPRESSED, now, reason)
    return True


def add_suppression(session: Session, address_hash: bytes, reason: str, now: dt.datetime) -> None:
    """Keep the hash of an address that must not be mailed; a graver reason takes the place of a lighter one."""
    there = session.get(Suppression, address_hash)
    if there is None:
        session.add(Suppression(address_hash=address_hash, reason=reason, month=f"{now:%Y-%m}"))
    elif there.reason == BOUNCE and reason != BOUNCE:
        there.reason, there.month = reason, f"{now:%Y-%m}"


def end(subscription: Subscription, event: Event, now: dt.datetime, reason: str | None = None) -> None:
    """End a subscription; one that has ended already stays as it is."""
    state = step(subscription.state, event)
    if state is State.LEFT and subscription.state is not state:
        subscription.state = state
        subscription.left_at = now
        subscription.left_reason = reason
        # A pause ends with it: who comes back wants to read.
        subscription.confirm_hash = subscription.confirm_until = subscription.paused_until = None


def _hash_of(vault: Vault, person: Subscriber) -> bytes:
    if person.suppression_hash is None:
        address = parse_address(vault.open(person.address_sealed, SUBSCRIBER_ADDRESS, person.public_id))
        if not isinstance(address, Address):
            raise CannotOpen("what was sealed is no address")
        person.suppression_hash = vault.suppression_hash(address.identity)
    return person.suppression_hash
