"""Nobody is mailed who asked never to be, whose mailbox is gone, or who complained (N-12, N-20, N-23)."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.db import insert_into, lock_names
from subscribers.forms import Address, budget_form, parse_address
from subscribers.lifecycle import BY_MAIL, Event, State, step
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
_LIGHTER = {BOUNCE: frozenset[str](), LEFT_ELSEWHERE: frozenset({BOUNCE}), ERASED: frozenset({BOUNCE})}
"""Which reasons a light one takes the place of. A bounce is the lightest: its provider may take it back."""


def suppress(session: Session, vault: Vault, subscriber_id: int, reason: str, now: dt.datetime) -> bool:
    """Put a person on the list of those who are never mailed, and end all of their subscriptions.

    False where there is nobody of that number any more. Raises `vault.CannotOpen` for a row so old that its hash has to
    be made from the address, in a process that cannot open it.
    """
    person = hold(session, Subscriber.id == subscriber_id)
    if person is None:
        return False
    hashed = _hash_of(vault, person)
    add_suppression(session, hashed, reason, now, _mailbox_hash(vault, person) if reason == COMPLAINT else None)
    theirs = sa.select(Subscription).where(Subscription.subscriber_id == person.id).order_by(Subscription.id)
    for subscription in session.scalars(theirs.with_for_update()):
        end(subscription, Event.SUPPRESSED, now, reason)
    return True


def add_suppression(
    session: Session, address_hash: bytes, reason: str, now: dt.datetime, mailbox_hash: bytes | None = None
) -> None:
    """Keep the hash of an address that must not be mailed; a graver reason takes the place of a lighter one.

    `mailbox_hash` (`mailbox_hash_of`) is of the mailbox in whatever spelling, where its owner has spoken for it.
    """
    row = {"address_hash": address_hash, "reason": reason, "month": f"{now:%Y-%m}", "mailbox_hash": mailbox_hash}
    put = insert_into(session, Suppression).values(row)
    is_graver = Suppression.reason.in_(_LIGHTER.get(reason, LIGHT))
    said: dict[str, sa.ColumnElement[object]] = {
        "reason": sa.case((is_graver, put.excluded.reason), else_=Suppression.reason),
        "month": sa.case((is_graver, put.excluded.month), else_=Suppression.month),
        "mailbox_hash": sa.func.coalesce(Suppression.mailbox_hash, put.excluded.mailbox_hash),
    }
    session.execute(put.on_conflict_do_update(index_elements=[Suppression.address_hash], set_=said))


def mailbox_hash_of(vault: Vault, address: Address) -> bytes:
    """What a mailbox is suppressed by in whatever spelling: its owner has said never, and not one spelling of it."""
    return vault.suppression_hash(budget_form(address.identity))


def reason_for(session: Session, address_hash: bytes) -> str | None:
    """Why an address must not be mailed; none where it may. Hold the person before, if something follows from it."""
    return session.scalar(sa.select(Suppression.reason).where(Suppression.address_hash == address_hash))


def hold(session: Session, which: sa.ColumnElement[bool]) -> Subscriber | None:
    """The person whom a condition on `Subscriber` means, with nobody else at them until the transaction ends.

    Everything that mails somebody or ends it goes one at a time: by their name (`db.lock_names`), then by their row.
    """
    hashed = session.scalar(sa.select(Subscriber.suppression_hash).where(which))
    # For nobody too, and for a row without its hash: how many questions are asked tells nothing.
    lock_names(session, [hashed or secrets.token_bytes(32)])
    query = sa.select(Subscriber).where(which).with_for_update().execution_options(populate_existing=True)
    return session.scalar(query)


def lock_person(session: Session, which: sa.ColumnElement[bool]) -> Subscriber | None:
    """The same for the person of a subscription, which is locked after them: in turn two would wait for ever."""
    return hold(session, sa.exists().where(Subscription.subscriber_id == Subscriber.id, which))


def can_come_back(reason: str, method: str) -> bool:
    """Whether somebody on the list may be sent the letter whose button takes them off it (N-23).

    A mailbox that was gone may be there again, and a reader may change their mind. Whoever complained, or asked never
    to be mailed, gets no letter because a stranger typed their address (O-21): they have to ask from it themselves.
    """
    return reason in LIGHT or method == BY_MAIL


def lift(session: Session, subscription: Subscription) -> bool:
    """Take a person off the list who has just confirmed, where they may come back in the way that they asked by.

    Whether they may be mailed now: false where they stay on the list.
    """
    return _remove(session, subscription.subscriber_id, lambda reason: can_come_back(reason, subscription.method))


def _remove(session: Session, subscriber_id: int, may: Callable[[str], bool]) -> bool:
    """Take a person off the list, if the reason allows; whether they are not on it now."""
    person = session.get_one(Subscriber, subscriber_id)
    reason = reason_for(session, person.suppression_hash) if person.suppression_hash else None
    if reason is None:
        return True
    if may(reason):
        session.execute(sa.delete(Suppression).where(Suppression.address_hash == person.suppression_hash))
    return may(reason)


def take_back(session: Session, subscriber_id: int, at: dt.datetime) -> None:
    """Undo a suppression for a bounce that was made at that instant: it was the domain's mistake (N-20).

    Only what that very step has ended is confirmed again; what its owner has done before or since stays. Whoever must
    not be mailed for another reason by now stays on the list, and gets nothing.
    """
    theirs = Subscription.subscriber_id == subscriber_id
    lock_person(session, theirs)
    ended = sa.select(Subscription).where(theirs, Subscription.left_reason == BOUNCE, Subscription.left_at == at)
    found = [one for one in session.scalars(ended.with_for_update()) if _was_confirmed(one)]
    if not found or not _remove(session, subscriber_id, lambda reason: reason == BOUNCE):
        return
    for subscription in found:
        if state := step(subscription.state, Event.TAKEN_BACK):
            subscription.state = state
            subscription.left_at = subscription.left_reason = None


def _was_confirmed(subscription: Subscription) -> bool:
    return subscription.confirmed_at is not None and subscription.confirmed_at >= subscription.requested_at


def end(subscription: Subscription, event: Event, now: dt.datetime, reason: str | None = None) -> None:
    """End a subscription. One that has ended already stays as it is, unless it had ended for a bounce alone.

    A bounce may be taken back, and so confirmed again; what its owner says afterwards, or a complaint, may not.
    """
    state = step(subscription.state, event)
    has_more_to_say = subscription.left_reason == BOUNCE and reason != BOUNCE
    if state is State.LEFT and (subscription.state is not state or has_more_to_say):
        subscription.state = state
        subscription.left_at = now
        subscription.left_reason = reason
        # A pause ends with it: who comes back wants to read.
        subscription.confirm_hash = subscription.confirm_until = subscription.paused_until = None


def _hash_of(vault: Vault, person: Subscriber) -> bytes:
    if person.suppression_hash is None:
        person.suppression_hash = vault.suppression_hash(_address_of(vault, person).identity)
    return person.suppression_hash


def _mailbox_hash(vault: Vault, person: Subscriber) -> bytes | None:
    try:
        return mailbox_hash_of(vault, _address_of(vault, person))
    except CannotOpen:
        # The one spelling, whose hash there is, is suppressed all the same.
        return None


def _address_of(vault: Vault, person: Subscriber) -> Address:
    address = parse_address(vault.open(person.address_sealed, SUBSCRIBER_ADDRESS, person.public_id))
    if not isinstance(address, Address):
        raise CannotOpen("what was sealed is no address")
    return address
