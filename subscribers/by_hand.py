"""What an operator does for a reader who wrote or telephoned instead of pressing a link.

Each does what the reader's own link does, through the same door; it is made here from the address. What cannot be found
out from outside is said here: an operator may know whether somebody reads.
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from subscribers.erasing import Mark, erase
from subscribers.forms import Address
from subscribers.letters import FRESH_FOR
from subscribers.models import FreshLink, Subscriber, Subscription
from subscribers.service import Service
from subscribers.tokens import Purpose, hash_token, never_token, new_token, subscription_token


def is_known(service: Service, address: Address) -> bool:
    """Whether anything is kept of a person with this address."""
    with service.rooms.database.read() as session:
        return session.scalar(sa.select(sa.exists().where(_is(service, address)))) is True


def leave(service: Service, address: Address, now: dt.datetime, newsletter: str | None = None) -> int:
    """End somebody's subscriptions, or the one to a newsletter; returns how many there were, ended before or now."""
    query = sa.select(Subscription.public_id).join(Subscriber).where(_is(service, address))
    if newsletter:
        query = query.where(Subscription.newsletter == newsletter)
    with service.rooms.database.read() as session:
        theirs = session.scalars(query.order_by(Subscription.id)).all()
    for public_id in theirs:
        service.leave(subscription_token(service.token_key, Purpose.LEAVE, public_id), now)
    return len(theirs)


def never(service: Service, address: Address, now: dt.datetime) -> None:
    """Never mail an address again, whether it is known or not, and end all of its subscriptions."""
    service.never(never_token(service.token_key, *_hashes(service, address)), now)


def forget(service: Service, address: Address, now: dt.datetime, *, keeps_mark: bool = True) -> Mark | None:
    """Erase somebody with all that is kept of them; none where nothing is. Raises as `erase` does."""
    token = new_token()
    with service.rooms.database.write() as session:
        person = session.scalar(sa.select(Subscriber.id).where(_is(service, address)))
        if person is None:
            return None
        # Nobody else ever knows this link, and it goes with the person.
        session.add(FreshLink(token_hash=hash_token(token), subscriber_id=person, until=now + FRESH_FOR))
    return erase(service.rooms, token, now, keeps_mark=keeps_mark)


def _is(service: Service, address: Address) -> sa.ColumnElement[bool]:
    return Subscriber.known_by(*_hashes(service, address))


def _hashes(service: Service, address: Address) -> tuple[bytes, bytes]:
    vault = service.rooms.vault
    return vault.blind_index(address.identity), vault.suppression_hash(address.identity)
