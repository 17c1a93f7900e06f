"""A fresh link, sent to a person's own address on request: whoever opens it has just read that mailbox.

The link in an issue travels with each copy that is forwarded, so it may end a subscription and ask for a fresh link,
and no more. The fresh one opens the person's page for an hour; it is random, and only its hash is stored (O-01).
"""

from __future__ import annotations

import datetime as dt
import secrets

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.db import insert_new
from subscribers.evenness import make_up
from subscribers.letters import BUDGETS, FRESH_FOR, LONGEST_MEMORY, MANAGE, MANAGE_GONE, Letter, is_within
from subscribers.lifecycle import State
from subscribers.models import FreshLink, LetterMemory, Subscriber, Subscription
from subscribers.service import Service
from subscribers.suppression import hold, lock_person, reason_for
from subscribers.tokens import Purpose, hash_token, new_token, read_subscription_token
from subscribers.wake import wake

GOOD_FOR = FRESH_FOR
_WRITTEN = 3
"""The rows of a request that posts a letter: the budget's, the link's, the letter's."""


def ask(service: Service, manage_token: str, now: dt.datetime) -> bool:
    """Send a fresh link to the address of the subscription that a `/manage/` link names.

    False for a forged link. Otherwise true, after the same work, whether a letter goes or not: that nobody is there any
    more, must never be mailed or has had letters enough is nobody's business who has a forwarded issue (O-20).
    """
    public_id = read_subscription_token(service.token_key, Purpose.MANAGE, manage_token)
    if public_id is None:
        return False
    rooms = service.rooms
    rooms.vault.prepare()
    with rooms.database.write() as session:
        written = _answer(session, service, public_id, now)
        make_up(session, rooms.vault, _WRITTEN - written, now)
        wake(session)
    return True


def person_of(session: Session, fresh_token: str, now: dt.datetime, *, locked: bool = False) -> Subscriber | None:
    """Whose page a fresh link opens; none for one that is unknown or has worn off."""
    link = FreshLink.token_hash == hash_token(fresh_token), FreshLink.until > now
    is_theirs = sa.exists().where(FreshLink.subscriber_id == Subscriber.id, *link)
    return hold(session, is_theirs) if locked else session.scalar(sa.select(Subscriber).where(is_theirs))


def _answer(session: Session, service: Service, public_id: bytes, now: dt.datetime) -> int:
    """Post the letter if it may go. Everything is asked before anything is decided; returns how many rows it wrote."""
    person = lock_person(session, Subscription.public_id == public_id)
    subscription = session.scalar(sa.select(Subscription).where(Subscription.public_id == public_id))
    # Asked for nobody too: whether there is somebody must not show in the time it takes.
    suppressed = reason_for(session, (person and person.suppression_hash) or secrets.token_bytes(32))
    is_within_budget = _is_within_budget(session, subscription, person, now)
    if subscription is None or person is None or suppressed or not is_within_budget:
        return 0
    if subscription.newsletter not in service.newsletters:
        return 0
    insert_new(session, [LetterMemory(rate_key=person.blind_index, letter=MANAGE, at=now)])
    token = new_token()
    insert_new(session, [FreshLink(token_hash=hash_token(token), subscriber_id=person.id, until=now + GOOD_FOR)])
    # It names the person and no subscription: one that has ended would keep the letter back.
    letter = Letter(MANAGE, subscription.newsletter, person.id, None, _context(service, person, token), GOOD_FOR)
    service.rooms.outbox.post(session, letter, now)
    return _WRITTEN


def _context(service: Service, person: Subscriber, token: str) -> dict[str, str]:
    never = service.links.never(person.blind_index, person.suppression_hash) if person.suppression_hash else ""
    return {"mine_url": service.links.mine(token), "never_url": never}


def _is_within_budget(
    session: Session, subscription: Subscription | None, person: Subscriber | None, now: dt.datetime
) -> bool:
    """Whether the person may get one more such letter.

    Counted by the person's own blind index, since the address that other budgets fold cannot be opened here.
    """
    key = person.blind_index if person else secrets.token_bytes(32)
    query = sa.select(LetterMemory.at).where(
        LetterMemory.rate_key == key, LetterMemory.letter == MANAGE, LetterMemory.at > now - LONGEST_MEMORY
    )
    reads = subscription is not None and subscription.state is State.CONFIRMED
    return is_within(BUDGETS[MANAGE if reads else MANAGE_GONE], session.scalars(query), now)
