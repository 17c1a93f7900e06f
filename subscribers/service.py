"""What can happen to a subscription: asked for, confirmed, entered by hand, left, never again (DESIGN 3).

Every door (form, link, command line) calls these functions. Each is one transaction; the letter that goes with a change
is a row of the same one.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.budgets import FormRules
from subscribers.db import Database, lock_names
from subscribers.forms import Address, BadAddress, mentions_address, parse_address
from subscribers.guard import Guard
from subscribers.joining import Joining, Request
from subscribers.letters import Outbox
from subscribers.lifecycle import FORM, HAND, Event, State, entered, step
from subscribers.models import Subscriber, Subscription
from subscribers.newsletters import NewsletterInfo, UnknownNewsletter
from subscribers.people import People, new_subscription
from subscribers.purging import purge
from subscribers.records import NoRecords, Records
from subscribers.suppression import ASKED, add_suppression, end, lift, lock_person, reason_for
from subscribers.tokens import (
    Links,
    Purpose,
    hash_token,
    read_never_token,
    read_subscription_token,
)
from subscribers.vault import Keys, Vault
from subscribers.wordings import Wordings


@dataclass(frozen=True)
class Joined:
    """Somebody asked for a newsletter. That is all that is said, whatever the address's state was (O-20)."""

    newsletter: str


@dataclass(frozen=True)
class Entered:
    """An operator entered somebody, who now is confirmed."""

    subscription_id: int
    already: bool
    """They were confirmed before; nothing changed."""


@dataclass(frozen=True)
class Refused:
    """It was not done, and why: a sentence for the operator, without the address."""

    reason: str


class Outcome(enum.StrEnum):
    """What following a link came to."""

    DONE = "done"
    """It is so now; it may have been so before."""
    OLD_LINK = "old-link"
    """The link is forged, used up, or too old."""


@dataclass(frozen=True)
class Rooms:
    """What the rooms beside the service work with: fresh links, choices, erasure, export."""

    database: Database
    vault: Vault
    outbox: Outbox
    records: Records


class Service:
    """The people's side of the house; safe to use from several threads."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        keys: Keys,
        outbox: Outbox,
        base_url: str,
        newsletters: Mapping[str, NewsletterInfo],
        records: Records | None = None,
    ) -> None:
        """`records` is what the mail side holds on people, where there is a mail side."""
        self.newsletters = newsletters
        self.base_url = base_url
        self.token_key = keys.token
        self.links = Links(base_url, keys.token)
        self._database = database
        self._vault = vault
        self._outbox = outbox
        self._records = records or NoRecords()
        self.wordings = Wordings(database)
        self._people = People(vault)
        self._joining = Joining(database, vault, outbox, self.links)

    def join(
        self, newsletter: str, typed: str | Address, now: dt.datetime, method: str = FORM, *, is_meant: bool = True
    ) -> Joined | BadAddress:
        """Somebody asks for a newsletter. Whoever confirms later is mailed, nobody else.

        The address is as it was typed, or read already. By the form anybody may ask for any; by mail
        (`lifecycle.BY_MAIL`) its owner alone can.

        The answer is the same, and takes about as long, whether the address is new, waiting, confirmed or suppressed;
        what differs is whether a letter goes to it, and that its owner alone can see. So it is too for a request that
        is not meant, which a program has sent (O-24): nothing comes of it. Raises `UnknownNewsletter`.
        """
        info = self._info(newsletter)
        address = parse_address(typed) if isinstance(typed, str) else typed
        if isinstance(address, BadAddress):
            return address
        self.wordings.keep(info, now)
        self._joining.answer(Request(info, address, method, is_meant, now))
        return Joined(newsletter)

    def guard(self, rules: FormRules) -> Guard:
        """What keeps the doors to `join`, with this installation's database and keys."""
        return Guard(self._database, self.token_key, rules)

    def confirm(self, token: str, now: dt.datetime) -> Outcome:
        """Somebody pressed the button of their confirmation page. Pressing twice is no mistake."""
        with self._database.write() as session:
            lock_person(session, Subscription.confirm_hash == hash_token(token))
            subscription = session.scalar(_waiting_for(token, now).with_for_update())
            if subscription is None or not (state := step(subscription.state, Event.CONFIRMED)):
                return Outcome.OLD_LINK
            if subscription.state is not state:
                if not lift(session, subscription):
                    return Outcome.OLD_LINK
                subscription.state = state
                subscription.confirmed_at = now
                subscription.left_at = subscription.left_reason = None
        return Outcome.DONE

    def awaiting(self, token: str, now: dt.datetime) -> NewsletterInfo | None:
        """The newsletter that a confirmation link is good for now, pressed already or not. Changes nothing (O-10)."""
        with self._database.read() as session:
            subscription = session.scalar(_waiting_for(token, now))
            return self.newsletters.get(subscription.newsletter) if subscription else None

    def is_confirmed(self, token: str, now: dt.datetime) -> bool:
        """Whether a confirmation link's button was pressed already, and the subscription stands. Changes nothing."""
        with self._database.read() as session:
            subscription = session.scalar(_waiting_for(token, now))
            return subscription is not None and subscription.state is State.CONFIRMED

    def leave(self, token: str, now: dt.datetime) -> Outcome:
        """One click ends a subscription (F-25). Doing it twice is no mistake; the link never gets old."""
        public_id = read_subscription_token(self.token_key, Purpose.LEAVE, token)
        if public_id is None:
            return Outcome.OLD_LINK
        with self._database.write() as session:
            query = sa.select(Subscription).where(Subscription.public_id == public_id).with_for_update()
            for subscription in session.scalars(query):
                end(subscription, Event.LEFT, now)
        return Outcome.DONE

    def never(self, token: str, now: dt.datetime) -> Outcome:
        """Put an address on the list of those who are never mailed, and end all of its subscriptions (O-22).

        No other spelling of the same mailbox is then sent a confirmation because somebody typed it into the form.

        Works also when the person's row was deleted and made anew, and in a process that cannot open addresses.
        """
        named = read_never_token(self.token_key, token)
        if named is None:
            return Outcome.OLD_LINK
        with self._database.write() as session:
            lock_names(session, [named.suppression_hash])
            add_suppression(session, named.suppression_hash, ASKED, now, named.mailbox_hash)
            is_them = Subscriber.known_by(named.blind_index, named.suppression_hash)
            person = sa.select(Subscriber.id).where(is_them)
            theirs = sa.select(Subscription).where(Subscription.subscriber_id.in_(person)).order_by(Subscription.id)
            for subscription in session.scalars(theirs.with_for_update()):
                end(subscription, Event.LEFT, now)
        return Outcome.DONE

    def enter(self, newsletter: str, address_text: str, evidence: str, now: dt.datetime) -> Entered | Refused:
        """An operator enters somebody by hand, with the reason why no confirmation is needed.

        Refused for whoever has left or must never be mailed: those come back by the form alone, or not at all. Raises
        `UnknownNewsletter`.
        """
        info = self._info(newsletter)
        address = parse_address(address_text)
        if isinstance(address, BadAddress):
            return Refused(address.reason)
        if not evidence.strip():
            return Refused("Say where the consent came from: an entry by hand needs its evidence.")
        if mentions_address(evidence):
            return Refused("Say where the consent comes from, not the address: this sentence is stored as it stands.")
        self._vault.prepare()
        with self._database.write() as session:
            hashed = self._vault.suppression_hash(address.identity)
            lock_names(session, [hashed])
            if reason_for(session, hashed):
                return Refused("This address asked never to be mailed, complained, or is gone; it cannot be entered.")
            return self._enter(session, info, address, evidence.strip(), now)

    def count(self, newsletter: str) -> dict[State, int]:
        """How many people stand where with a newsletter; every state has its number. Raises `UnknownNewsletter`."""
        self._info(newsletter)
        query = sa.select(Subscription.state, sa.func.count()).where(Subscription.newsletter == newsletter)
        with self._database.read() as session:
            found = dict(row for row in session.execute(query.group_by(Subscription.state)))
        return {state: found.get(state, 0) for state in State}

    def purge(self, now: dt.datetime) -> int:
        """Delete what is not needed any more; see `purging.purge`. Returns how many requests have lapsed."""
        return purge(self._database, self._records, now)

    def _info(self, newsletter: str) -> NewsletterInfo:
        if newsletter not in self.newsletters:
            raise UnknownNewsletter(newsletter)
        return self.newsletters[newsletter]

    def _enter(
        self, session: Session, info: NewsletterInfo, address: Address, evidence: str, now: dt.datetime
    ) -> Entered | Refused:
        person = self._people.find(session, address)
        subscription = self._people.subscriptions(session, [person]).get((person.id, info.slug)) if person else None
        if subscription and subscription.state is State.CONFIRMED:
            return Entered(subscription.id, already=True)
        state = entered(subscription.state, subscription.left_at) if subscription else entered(None, None)
        if state is None:
            return Refused("This person has left. They can come back by the form; nobody can do it for them.")
        person = person or self._people.new(address, now)
        session.add(person)
        session.flush()
        subscription = subscription or new_subscription(person, info)
        session.add(subscription)
        subscription.state = state
        subscription.language = info.language
        subscription.requested_at = subscription.confirmed_at = now
        subscription.method = HAND
        subscription.evidence = evidence
        subscription.confirm_hash = subscription.confirm_until = None
        session.flush()
        return Entered(subscription.id, already=False)

    @property
    def rooms(self) -> Rooms:
        """What `fresh`, `choices`, `erasing` and `personal` work with."""
        return Rooms(self._database, self._vault, self._outbox, self._records)


def _waiting_for(token: str, now: dt.datetime) -> sa.Select[Subscription]:
    """The subscription that a confirmation token is good for, until it expires also one it has confirmed already."""
    return sa.select(Subscription).where(
        Subscription.confirm_hash == hash_token(token), Subscription.confirm_until > now
    )
