"""What can happen to a subscription: asked for, confirmed, entered by hand, left, never again (DESIGN 3).

Every door (form, link, command line) calls these functions. Each is one transaction; the letter that goes with a change
is a row of the same one.
"""

from __future__ import annotations

import datetime as dt
import enum
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.budgets import FormRules
from subscribers.db import Database
from subscribers.evenness import MOST_WRITTEN, make_up
from subscribers.forms import Address, BadAddress, budget_form, mentions_address, parse_address
from subscribers.guard import Guard
from subscribers.letters import ALREADY_SUBSCRIBED, CONFIRM, LONGEST_MEMORY, Letter, Outbox, may_post
from subscribers.lifecycle import Event, State, step
from subscribers.models import LetterMemory, Subscriber, Subscription, Suppression
from subscribers.purging import CONFIRM_WITHIN, purge
from subscribers.suppression import ASKED, add_suppression, end
from subscribers.together import Together
from subscribers.tokens import (
    Links,
    Purpose,
    hash_token,
    new_token,
    read_never_token,
    read_subscription_token,
    subscription_token,
)
from subscribers.vault import SUBSCRIBER_ADDRESS, Keys, Vault
from subscribers.wake import wake

LETTER_WITHIN = dt.timedelta(hours=24)
"""How long we try to deliver a letter that somebody is waiting for."""


class UnknownNewsletter(LookupError):
    """There is no newsletter of that name."""


@dataclass(frozen=True)
class NewsletterInfo:
    """What the people's side knows of a newsletter."""

    slug: str
    title: str
    description: str
    language: str
    direction: str
    """`ltr` or `rtl`"""
    publisher: str
    wording: str
    """The sentence that people agree to; its hash is kept as evidence (O-50)."""

    @property
    def wording_hash(self) -> str:
        """Names the version of the wording."""
        return hashlib.sha256(self.wording.encode()).hexdigest()


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


@dataclass(frozen=True)
class _Request:
    """Somebody's request, read and checked."""

    info: NewsletterInfo
    address: Address
    is_meant: bool
    now: dt.datetime


class Outcome(enum.StrEnum):
    """What following a link came to."""

    DONE = "done"
    """It is so now; it may have been so before."""
    OLD_LINK = "old-link"
    """The link is forged, used up, or too old."""


@dataclass(frozen=True)
class Held:
    """What a subscription's own link may show: no address, and nothing of the person's other newsletters (F-24)."""

    newsletter: NewsletterInfo
    state: State
    leave_token: str


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
    ) -> None:
        self.newsletters = newsletters
        self.base_url = base_url
        self.token_key = keys.token
        self.links = Links(base_url, keys.token)
        self._database = database
        self._vault = vault
        self._outbox = outbox
        # PostgreSQL lets writers go on side by side, and a transaction of many people's rows would be in their way.
        self._answer = Together(self._answer_all).fulfil if database.is_sqlite else self._answer_one

    def join(
        self, newsletter: str, address_text: str, now: dt.datetime, *, is_meant: bool = True
    ) -> Joined | BadAddress:
        """Somebody asks for a newsletter by the form. Whoever confirms later is mailed, nobody else.

        The answer is the same, and takes about as long, whether the address is new, waiting, confirmed or suppressed;
        what differs is whether a letter goes to it, and that its owner alone can see. So it is too for a request that
        is not meant, which a program has sent (O-24): nothing comes of it. Raises `UnknownNewsletter`.
        """
        info = self._info(newsletter)
        address = parse_address(address_text)
        if isinstance(address, BadAddress):
            return address
        self._answer(_Request(info, address, is_meant, now))
        return Joined(newsletter)

    def guard(self, rules: FormRules) -> Guard:
        """What keeps the doors to `join`, with this installation's database and keys."""
        return Guard(self._database, self.token_key, rules)

    def _answer_one(self, request: _Request) -> None:
        self._answer_all([request])

    def _answer_all(self, requests: Sequence[_Request]) -> None:
        """Answer requests that came at the same time, in one transaction."""
        self._vault.prepare()
        with self._database.write() as session:
            self._one_at_a_time(session, *(request.address for request in requests))
            for request in requests:
                answer = self._answer_request if request.is_meant else self._only_look
                written = answer(session, request.info, request.address, request.now)
                make_up(session, self._vault, MOST_WRITTEN - written, request.now)
            # Whether there is a letter or not: whoever could see the difference would know something.
            wake(session)

    def confirm(self, token: str, now: dt.datetime) -> Outcome:
        """Somebody pressed the button of their confirmation page. Pressing twice is no mistake."""
        with self._database.write() as session:
            subscription = session.scalar(_waiting_for(token, now).with_for_update())
            if subscription is None or not (state := step(subscription.state, Event.CONFIRMED)):
                return Outcome.OLD_LINK
            if subscription.state is not state:
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

        Works also when the person's row was deleted and made anew, and in a process that cannot open addresses.
        """
        named = read_never_token(self.token_key, token)
        if named is None:
            return Outcome.OLD_LINK
        with self._database.write() as session:
            self._lock(session, named.suppression_hash)
            add_suppression(session, named.suppression_hash, ASKED, now)
            person = sa.select(Subscriber.id).where(Subscriber.blind_index == named.blind_index)
            theirs = sa.select(Subscription).where(Subscription.subscriber_id.in_(person)).order_by(Subscription.id)
            for subscription in session.scalars(theirs.with_for_update()):
                end(subscription, Event.LEFT, now)
        return Outcome.DONE

    def held(self, token: str) -> Held | None:
        """What the manage page of a subscription shows; none for a link that is forged or of somebody deleted."""
        public_id = read_subscription_token(self.token_key, Purpose.MANAGE, token)
        return self._held(public_id) if public_id else None

    def leaving(self, token: str) -> Held | None:
        """What a one-click link is about; none as for `held`. Changes nothing (F-26)."""
        public_id = read_subscription_token(self.token_key, Purpose.LEAVE, token)
        return self._held(public_id) if public_id else None

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
            self._one_at_a_time(session, address)
            if self._is_suppressed(session, address):
                return Refused("This address asked never to be mailed, or complained; it cannot be entered.")
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
        return purge(self._database, now)

    def _info(self, newsletter: str) -> NewsletterInfo:
        if newsletter not in self.newsletters:
            raise UnknownNewsletter(newsletter)
        return self.newsletters[newsletter]

    def _answer_request(self, session: Session, info: NewsletterInfo, address: Address, now: dt.datetime) -> int:
        """Post the one letter that this state and the budgets allow; without a letter nothing is stored at all.

        Everything is looked up before anything is decided, so that each request looks up the same. Returns how many
        rows were written, at most `MOST_WRITTEN`.
        """
        is_suppressed = self._is_suppressed(session, address)
        subscriber = self._subscriber(session, address)
        subscription = self._subscription(session, subscriber, info.slug)
        state = step(subscription.state if subscription else None, Event.ASKED)
        kind = ALREADY_SUBSCRIBED if state is State.CONFIRMED else CONFIRM
        if not self._is_within_budget(session, address, kind, now) or is_suppressed:
            return 0
        self._take_budget(session, address, kind, now)
        if subscription and state is State.CONFIRMED:
            self._post(session, subscription, kind, {"manage_url": self.links.manage(subscription.public_id)}, now)
            return MOST_WRITTEN - 2
        written = MOST_WRITTEN if subscriber is None else MOST_WRITTEN - 1
        subscriber = subscriber or self._new_subscriber(session, address, now)
        subscription = subscription or _new_subscription(session, subscriber, info)
        self._ask_to_confirm(session, subscription, info, address, now)
        return written

    def _only_look(self, session: Session, info: NewsletterInfo, address: Address, now: dt.datetime) -> int:
        """Look up what `_answer_request` does, and nothing comes of it."""
        self._is_suppressed(session, address)
        self._subscription(session, self._subscriber(session, address), info.slug)
        self._is_within_budget(session, address, CONFIRM, now)
        return 0

    def _ask_to_confirm(
        self, session: Session, subscription: Subscription, info: NewsletterInfo, address: Address, now: dt.datetime
    ) -> None:
        token = new_token()
        subscription.state = State.PENDING
        subscription.language = info.language
        subscription.requested_at = now
        subscription.method = "form"
        subscription.confirm_hash = hash_token(token)
        subscription.confirm_until = now + CONFIRM_WITHIN
        subscription.evidence = json.dumps({"wording": info.wording_hash, "token": hash_token(token).hex()[:16]})
        hashes = self._vault.blind_index(address.identity), self._vault.suppression_hash(address.identity)
        context = {"confirm_url": self.links.confirm(token), "never_url": self.links.never(*hashes)}
        self._post(session, subscription, CONFIRM, context, now)

    def _post(
        self, session: Session, subscription: Subscription, kind: str, context: dict[str, str], now: dt.datetime
    ) -> None:
        session.flush()
        letter = Letter(
            kind, subscription.newsletter, subscription.subscriber_id, subscription.id, context, LETTER_WITHIN
        )
        self._outbox.post(session, letter, now)

    def _enter(
        self, session: Session, info: NewsletterInfo, address: Address, evidence: str, now: dt.datetime
    ) -> Entered | Refused:
        subscriber = self._subscriber(session, address)
        subscription = self._subscription(session, subscriber, info.slug)
        if subscription and subscription.state is State.CONFIRMED:
            return Entered(subscription.id, already=True)
        state = step(subscription.state if subscription else None, Event.ENTERED)
        # Anybody can type an address into the form: that somebody who left is waiting again does not show it was they.
        if state is None or (subscription and subscription.left_at):
            return Refused("This person has left. They can come back by the form; nobody can do it for them.")
        subscriber = subscriber or self._new_subscriber(session, address, now)
        subscription = subscription or _new_subscription(session, subscriber, info)
        subscription.state = state
        subscription.language = info.language
        subscription.requested_at = subscription.confirmed_at = now
        subscription.method = "hand"
        subscription.evidence = evidence
        subscription.confirm_hash = subscription.confirm_until = None
        session.flush()
        return Entered(subscription.id, already=False)

    def _subscriber(self, session: Session, address: Address) -> Subscriber | None:
        index = self._vault.blind_index(address.identity)
        return session.scalar(sa.select(Subscriber).where(Subscriber.blind_index == index).with_for_update())

    def _subscription(self, session: Session, subscriber: Subscriber | None, newsletter: str) -> Subscription | None:
        # Asked for nobody too: whether there is somebody must not show in the time it takes (O-20).
        theirs = Subscription.subscriber_id == (subscriber.id if subscriber else None)
        query = sa.select(Subscription).where(theirs, Subscription.newsletter == newsletter)
        return session.scalar(query.with_for_update())

    def _new_subscriber(self, session: Session, address: Address, now: dt.datetime) -> Subscriber:
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

    def _held(self, public_id: bytes) -> Held | None:
        query = sa.select(Subscription.newsletter, Subscription.state).where(Subscription.public_id == public_id)
        with self._database.read() as session:
            found = session.execute(query).one_or_none()
        if found is None or found.newsletter not in self.newsletters:
            return None
        leave = subscription_token(self.token_key, Purpose.LEAVE, public_id)
        return Held(self.newsletters[found.newsletter], found.state, leave)

    def _is_suppressed(self, session: Session, address: Address) -> bool:
        return session.get(Suppression, self._vault.suppression_hash(address.identity)) is not None

    def _is_within_budget(self, session: Session, address: Address, kind: str, now: dt.datetime) -> bool:
        key = self._vault.rate_key(budget_form(address.identity))
        query = sa.select(LetterMemory.at).where(
            LetterMemory.rate_key == key, LetterMemory.letter == kind, LetterMemory.at > now - LONGEST_MEMORY
        )
        return may_post(kind, session.scalars(query), now)

    def _take_budget(self, session: Session, address: Address, kind: str, now: dt.datetime) -> None:
        key = self._vault.rate_key(budget_form(address.identity))
        session.add(LetterMemory(rate_key=key, letter=kind, at=now))

    def _one_at_a_time(self, session: Session, *addresses: Address) -> None:
        """Let two requests for one address wait for each other, so that one row is made and one letter goes."""
        locks = {self._vault.rate_key(budget_form(address.identity)) for address in addresses}
        locks |= {self._vault.suppression_hash(address.identity) for address in addresses}
        # In one order, so that two transactions never wait for each other.
        for keyed_hash in sorted(locks):
            self._lock(session, keyed_hash)

    def _lock(self, session: Session, keyed_hash: bytes) -> None:
        # On SQLite a write transaction is alone from its beginning.
        if not self._database.is_sqlite:
            number = int.from_bytes(keyed_hash[:8], "big", signed=True)
            session.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def _new_subscription(session: Session, subscriber: Subscriber, info: NewsletterInfo) -> Subscription:
    subscription = Subscription(
        public_id=secrets.token_bytes(16), subscriber_id=subscriber.id, newsletter=info.slug, language=info.language
    )
    session.add(subscription)
    return subscription


def _waiting_for(token: str, now: dt.datetime) -> sa.Select[Subscription]:
    """The subscription that a confirmation token is good for, until it expires also one it has confirmed already."""
    return sa.select(Subscription).where(
        Subscription.confirm_hash == hash_token(token), Subscription.confirm_until > now
    )
