"""The rows of a person: found by an address that only its keyed hashes stand for, made, and kept to one at a time."""

from __future__ import annotations

import datetime as dt
import secrets

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.db import Database
from subscribers.forms import Address, budget_form
from subscribers.models import Subscriber, Subscription
from subscribers.newsletters import NewsletterInfo
from subscribers.vault import SUBSCRIBER_ADDRESS, Vault


class People:
    """Whom we know, by their address."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def one_at_a_time(self, session: Session, *addresses: Address) -> None:
        """Let two requests for one address wait for each other, so that one row is made and one letter goes."""
        locks = {self._vault.rate_key(budget_form(address.identity)) for address in addresses}
        locks |= {self._vault.suppression_hash(address.identity) for address in addresses}
        # In one order, so that two transactions never wait for each other.
        for keyed_hash in sorted(locks):
            self.lock(session, keyed_hash)

    def lock(self, session: Session, keyed_hash: bytes) -> None:
        """Wait for whoever else does something about an address, until the transaction ends."""
        # On SQLite a write transaction is alone from its beginning.
        if not self._database.is_sqlite:
            number = int.from_bytes(keyed_hash[:8], "big", signed=True)
            session.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))

    def find(self, session: Session, address: Address) -> Subscriber | None:
        """The person of an address; their row is held until the transaction ends."""
        hashes = self._vault.blind_index(address.identity), self._vault.suppression_hash(address.identity)
        return session.scalar(sa.select(Subscriber).where(Subscriber.known_by(*hashes)).with_for_update())

    def subscription(self, session: Session, subscriber: Subscriber | None, newsletter: str) -> Subscription | None:
        """What a person has with a newsletter; asked for nobody too, so that it does not show in the time (O-20)."""
        theirs = Subscription.subscriber_id == (subscriber.id if subscriber else None)
        query = sa.select(Subscription).where(theirs, Subscription.newsletter == newsletter)
        return session.scalar(query.with_for_update())

    def add(self, session: Session, address: Address, now: dt.datetime) -> Subscriber:
        """A new person."""
        public_id = secrets.token_bytes(16)
        subscriber = Subscriber(
            public_id=public_id,
            address_sealed=self._vault.seal(address.delivery, SUBSCRIBER_ADDRESS, public_id),
            blind_index=self._vault.blind_index(address.identity),
            suppression_hash=self._vault.suppression_hash(address.identity),
            created_at=now,
        )
        session.add(subscriber)
        session.flush()
        return subscriber


def new_subscription(session: Session, subscriber: Subscriber, info: NewsletterInfo) -> Subscription:
    """A person's subscription to a newsletter, in no state yet."""
    subscription = Subscription(
        public_id=secrets.token_bytes(16), subscriber_id=subscriber.id, newsletter=info.slug, language=info.language
    )
    session.add(subscription)
    return subscription
