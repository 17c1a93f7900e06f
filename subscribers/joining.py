"""Somebody asks for a newsletter, and what comes of it: a letter, or nothing that anybody could tell (O-20, O-21)."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.db import Database
from subscribers.evenness import MOST_WRITTEN, make_up
from subscribers.forms import Address, budget_form
from subscribers.letters import ALREADY_SUBSCRIBED, CONFIRM, LONGEST_MEMORY, Letter, Outbox, context_for, may_post
from subscribers.lifecycle import Event, State, step
from subscribers.models import LetterMemory, Subscription, Suppression
from subscribers.newsletters import NewsletterInfo
from subscribers.people import People, new_subscription
from subscribers.purging import CONFIRM_WITHIN
from subscribers.suppression import can_come_back
from subscribers.together import Together
from subscribers.tokens import Links, hash_token, new_token
from subscribers.vault import Vault
from subscribers.wake import wake

LETTER_WITHIN = dt.timedelta(hours=24)
"""How long we try to deliver a letter that somebody is waiting for."""


@dataclass(frozen=True)
class Request:
    """Somebody's request, read and checked."""

    info: NewsletterInfo
    address: Address
    method: str
    """How they asked: by the form, where anybody may type any address, or by mail (`letters.BY_MAIL`)."""
    is_meant: bool
    """Whether a person has sent it; of a program's request nothing comes (O-24)."""
    now: dt.datetime


class Joining:
    """Answers requests; safe to use from several threads."""

    def __init__(self, database: Database, vault: Vault, outbox: Outbox, links: Links) -> None:
        self._database = database
        self._vault = vault
        self._outbox = outbox
        self._links = links
        self._people = People(database, vault)
        # PostgreSQL lets writers go on side by side, and a transaction of many people's rows would be in their way.
        self.answer = Together(self._answer_all).fulfil if database.is_sqlite else self._answer_one

    def _answer_one(self, request: Request) -> None:
        self._answer_all([request])

    def _answer_all(self, requests: Sequence[Request]) -> None:
        """Answer requests that came at the same time, in one transaction."""
        self._vault.prepare()
        with self._database.write() as session:
            self._people.one_at_a_time(session, *(request.address for request in requests))
            for request in requests:
                written = self._answer(session, request)
                make_up(session, self._vault, MOST_WRITTEN - written, request.now)
            # Whether there is a letter or not: whoever could see the difference would know something.
            wake(session)

    def _answer(self, session: Session, request: Request) -> int:
        """Post the one letter that this state and the budgets allow; without a letter nothing is stored at all.

        Everything is looked up before anything is decided, so that each request looks up the same. Returns how many
        rows were written, at most `MOST_WRITTEN`.
        """
        address, info, now = request.address, request.info, request.now
        suppressed = session.get(Suppression, self._vault.suppression_hash(address.identity))
        is_final = suppressed is not None and not can_come_back(suppressed.reason, request.method)
        subscriber = self._people.find(session, address)
        subscription = self._people.subscription(session, subscriber, info.slug)
        state = step(subscription.state if subscription else None, Event.ASKED)
        kind = ALREADY_SUBSCRIBED if state is State.CONFIRMED else CONFIRM
        if not self._is_within_budget(session, address, kind, now) or is_final or not request.is_meant:
            return 0
        self._take_budget(session, address, kind, now)
        if subscription and state is State.CONFIRMED:
            context = context_for(request.method, manage_url=self._links.manage(subscription.public_id))
            self._post(session, subscription, kind, context, now)
            return MOST_WRITTEN - 2
        written = MOST_WRITTEN if subscriber is None else MOST_WRITTEN - 1
        subscriber = subscriber or self._people.add(session, address, now)
        subscriber.suppression_hash = self._vault.suppression_hash(address.identity)
        self._ask_to_confirm(session, subscription or new_subscription(session, subscriber, info), request)
        return written

    def _ask_to_confirm(self, session: Session, subscription: Subscription, request: Request) -> None:
        token, now = new_token(), request.now
        subscription.state = State.PENDING
        subscription.language = request.info.language
        subscription.method = request.method
        subscription.requested_at = now
        subscription.confirm_hash = hash_token(token)
        subscription.confirm_until = now + CONFIRM_WITHIN
        evidence = {"wording": request.info.wording_hash, "token": hash_token(token).hex()[:16]}
        subscription.evidence = json.dumps(evidence)
        identity = request.address.identity
        never = self._links.never(self._vault.blind_index(identity), self._vault.suppression_hash(identity))
        context = context_for(request.method, confirm_url=self._links.confirm(token), never_url=never)
        self._post(session, subscription, CONFIRM, context, now)

    def _post(
        self, session: Session, subscription: Subscription, kind: str, context: dict[str, str], now: dt.datetime
    ) -> None:
        session.flush()
        letter = Letter(
            kind, subscription.newsletter, subscription.subscriber_id, subscription.id, context, LETTER_WITHIN
        )
        self._outbox.post(session, letter, now)

    def _is_within_budget(self, session: Session, address: Address, kind: str, now: dt.datetime) -> bool:
        key = self._vault.rate_key(budget_form(address.identity))
        query = sa.select(LetterMemory.at).where(
            LetterMemory.rate_key == key, LetterMemory.letter == kind, LetterMemory.at > now - LONGEST_MEMORY
        )
        return may_post(kind, session.scalars(query), now)

    def _take_budget(self, session: Session, address: Address, kind: str, now: dt.datetime) -> None:
        key = self._vault.rate_key(budget_form(address.identity))
        session.add(LetterMemory(rate_key=key, letter=kind, at=now))
