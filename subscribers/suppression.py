"""Nobody is mailed who asked never to be, whose mailbox is gone, or who complained (N-12, N-20, N-23)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.forms import Address, parse_address
from subscribers.letters import BY_MAIL
from subscribers.lifecycle import Event, State, step
from subscribers.models import Subscriber, Subscription, Suppression
from subscribers.vault import SUBSCRIBER_ADDRESS, CannotOpen, Vault

ASKED = "asked"
COMPLAINT = "complaint"
BOUNCE = "bounce"
HAND = "hand"
LEFT_ELSEWHERE = "left"
"""They had left the list that was imported, or unsubscribed from it."""
ERASED = "erased"
"""They had all deleted that we held, and no list may bring them back."""
LIGHT = frozenset({BOUNCE, LEFT_ELSEWHERE, ERASED})
"""Reasons that a person's own form and confirmation may take away; nobody asked there never to be written to."""


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
    elif there.reason in LIGHT and reason not in LIGHT:
        there.reason, there.month = reason, f"{now:%Y-%m}"


def lock_person(session: Session, which: sa.ColumnElement[bool]) -> None:
    """Lock the person of a subscription before it, as `suppress` does: two that lock in turn would wait for ever."""
    owner = sa.exists().where(Subscription.subscriber_id == Subscriber.id, which)
    session.scalar(sa.select(Subscriber.id).where(owner).with_for_update())


def can_come_back(reason: str, method: str) -> bool:
    """Whether somebody on the list may be sent the letter whose button takes them off it (N-23).

    A mailbox that was gone may be there again, and a reader may change their mind. Whoever complained, or asked never
    to be mailed, gets no letter because a stranger typed their address (O-21): they have to ask from it themselves.
    """
    return reason in LIGHT or method == BY_MAIL


def lift(session: Session, subscription: Subscription) -> None:
    """Take a person off the list who has just confirmed, where they may come back in the way that they asked by."""
    _remove(session, subscription, lambda reason: can_come_back(reason, subscription.method))


def _remove(session: Session, subscription: Subscription, may: Callable[[str], bool]) -> None:
    person = session.get_one(Subscriber, subscription.subscriber_id)
    found = session.get(Suppression, person.suppression_hash) if person.suppression_hash else None
    if found is not None and may(found.reason):
        session.delete(found)


def take_back(session: Session, subscriber_id: int, at: dt.datetime) -> None:
    """Undo a suppression for a bounce that was made at that instant: it was the domain's mistake (N-20).

    Only what that very step has ended is confirmed again; what its owner has done before or since stays.
    """
    theirs = Subscription.subscriber_id == subscriber_id
    lock_person(session, theirs)
    ended = (theirs, Subscription.left_reason == BOUNCE, Subscription.left_at == at)
    for subscription in session.scalars(sa.select(Subscription).where(*ended).with_for_update()):
        state = step(subscription.state, Event.TAKEN_BACK)
        if state and subscription.confirmed_at and subscription.confirmed_at >= subscription.requested_at:
            subscription.state = state
            subscription.left_at = subscription.left_reason = None
            _remove(session, subscription, lambda reason: reason == BOUNCE)


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
