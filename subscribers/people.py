"""The rows of a person: found by an address that only its keyed hashes stand for, and made."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.forms import Address
from subscribers.models import Subscriber, Subscription
from subscribers.newsletters import NewsletterInfo
from subscribers.vault import SUBSCRIBER_ADDRESS, Vault


class People:
    """Whom we know, by their address."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def find(self, session: Session, address: Address) -> Subscriber | None:
        """The person of an address; their row is held until the transaction ends."""
        hashes = self._vault.blind_index(address.identity), self._vault.suppression_hash(address.identity)
        return next(iter(self.known(session, hashes[:1], hashes[1:])), None)

    def known(self, session: Session, blind_indexes: Iterable[bytes], hashes: Iterable[bytes]) -> Sequence[Subscriber]:
        """The people of some addresses; their rows are held until the transaction ends.

        Either hash is enough: while the index key is rotated, a row may have its blind index by the other key than this
        process has (E-06).
        """
        is_one = sa.or_(Subscriber.blind_index.in_(blind_indexes), Subscriber.suppression_hash.in_(hashes))
        return session.scalars(sa.select(Subscriber).where(is_one).order_by(Subscriber.id).with_for_update()).all()

    def subscriptions(self, session: Session, people: Sequence[Subscriber]) -> dict[tuple[int, str], Subscription]:
        """What they have, by person and newsletter; asked for nobody too, so that it does not show in the time."""
        theirs = Subscription.subscriber_id.in_([person.id for person in people])
        found = session.scalars(sa.select(Subscription).where(theirs).order_by(Subscription.id).with_for_update())
        return {(one.subscriber_id, one.newsletter): one for one in found}

    def add(self, session: Session, address: Address, now: dt.datetime) -> Subscriber:
        """A new person, who has a number once the session is flushed."""
        public_id = secrets.token_bytes(16)
        subscriber = Subscriber(
            public_id=public_id,
            address_sealed=self._vault.seal(address.delivery, SUBSCRIBER_ADDRESS, public_id),
            blind_index=self._vault.blind_index(address.identity),
            suppression_hash=self._vault.suppression_hash(address.identity),
            created_at=now,
        )
        session.add(subscriber)
        return subscriber


def new_subscription(session: Session, subscriber: Subscriber, info: NewsletterInfo) -> Subscription:
    """A person's subscription to a newsletter, in no state yet."""
    subscription = Subscription(
        public_id=secrets.token_bytes(16), subscriber_id=subscriber.id, newsletter=info.slug, language=info.language
    )
    session.add(subscription)
    return subscription
