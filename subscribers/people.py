"""The rows of a person: found by an address that only its keyed hashes stand for, and made."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.forms import Address
from subscribers.models import Subscriber, Subscription
from subscribers.newsletters import NewsletterInfo
from subscribers.vault import SUBSCRIBER_ADDRESS, Vault

# Put together once: hundreds of requests a second ask for them.
_KNOWN = (
    sa.select(Subscriber)
    .where(
        sa.or_(
            Subscriber.blind_index.in_(sa.bindparam("blind_indexes", expanding=True)),
            Subscriber.suppression_hash.in_(sa.bindparam("hashes", expanding=True)),
        )
    )
    .order_by(Subscriber.id)
    .with_for_update()
)
_SUBSCRIPTIONS = (
    sa.select(Subscription)
    .where(Subscription.subscriber_id.in_(sa.bindparam("people", expanding=True)))
    .order_by(Subscription.id)
    .with_for_update()
    # Who joins is written past the session.
    .execution_options(populate_existing=True)
)


class People:
    """Whom we know, by their address."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def find(self, session: Session, address: Address) -> Subscriber | None:
        """The person of an address; their row is held until the transaction ends."""
        hashes = self._vault.blind_index(address.identity), self._vault.suppression_hash(address.identity)
        return next(iter(self.known(session, hashes[:1], hashes[1:])), None)

    def known(self, session: Session, blind_indexes: Sequence[bytes], hashes: Sequence[bytes]) -> Sequence[Subscriber]:
        """The people of some addresses; their rows are held until the transaction ends.

        Either hash is enough: while the index key is rotated, a row may have its blind index by the other key than this
        process has (E-06).
        """
        return session.scalars(_KNOWN, {"blind_indexes": blind_indexes, "hashes": hashes}).all()

    def subscriptions(self, session: Session, people: Sequence[Subscriber]) -> dict[tuple[int, str], Subscription]:
        """What they have, by person and newsletter; asked for nobody too, so that it does not show in the time."""
        found = session.scalars(_SUBSCRIPTIONS, {"people": [person.id for person in people]})
        return {(one.subscriber_id, one.newsletter): one for one in found}

    def new(self, address: Address, now: dt.datetime) -> Subscriber:
        """The row of a new person, which is in no session yet."""
        public_id = secrets.token_bytes(16)
        return Subscriber(
            public_id=public_id,
            address_sealed=self._vault.seal(address.delivery, SUBSCRIBER_ADDRESS, public_id),
            blind_index=self._vault.blind_index(address.identity),
            suppression_hash=self._vault.suppression_hash(address.identity),
            created_at=now,
        )


def new_subscription(subscriber: Subscriber, info: NewsletterInfo, **state: object) -> Subscription:
    """The row of a person's subscription to a newsletter, in that state and in no session yet."""
    mine = {"public_id": secrets.token_bytes(16), "subscriber_id": subscriber.id, "newsletter": info.slug}
    return Subscription(**mine, **{"language": info.language, **state})
