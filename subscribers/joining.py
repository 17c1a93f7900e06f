"""People ask for newsletters, and what comes of it: a letter, or nothing that anybody could tell (O-20, O-21)."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.db import Database, insert_new, lock_names, update_known
from subscribers.evenness import MOST_WRITTEN, make_up
from subscribers.forms import Address, budget_form
from subscribers.letters import (
    ALREADY_SUBSCRIBED,
    CONFIRM,
    FRESH_FOR,
    LONGEST_MEMORY,
    Letter,
    Outbox,
    context_for,
    may_post,
)
from subscribers.lifecycle import Event, State, step
from subscribers.models import FreshLink, LetterMemory, Subscriber, Subscription, Suppression
from subscribers.newsletters import NewsletterInfo
from subscribers.people import People, new_subscription
from subscribers.purging import CONFIRM_WITHIN
from subscribers.suppression import can_come_back, mailbox_hash_of
from subscribers.together import Together
from subscribers.tokens import Links, hash_token, new_token
from subscribers.vault import Vault
from subscribers.wake import wake

LETTER_WITHIN = dt.timedelta(hours=24)
"""How long we try to deliver a letter that somebody is waiting for."""
GATHER = 0.004
"""Seconds that a request waits for others to share its transaction: its answer waits for its beat anyway."""
_SUPPRESSIONS = sa.select(Suppression.address_hash, Suppression.mailbox_hash, Suppression.reason).where(
    sa.or_(
        Suppression.address_hash.in_(sa.bindparam("hashes", expanding=True)),
        Suppression.mailbox_hash.in_(sa.bindparam("mailboxes", expanding=True)),
    )
)
_LETTERS = sa.select(LetterMemory.rate_key, LetterMemory.letter, LetterMemory.at).where(
    LetterMemory.rate_key.in_(sa.bindparam("rate_keys", expanding=True)), LetterMemory.at > sa.bindparam("since")
)
Suppressed = sa.Row[bytes, bytes | None, str]


@dataclass(frozen=True)
class Request:
    """Somebody's request, read and checked."""

    info: NewsletterInfo
    address: Address
    method: str
    """How they asked: by the form, where anybody may type any address, or by mail (`lifecycle.BY_MAIL`)."""
    is_meant: bool
    """Whether a person has sent it; of a program's request nothing comes (O-24)."""
    now: dt.datetime


@dataclass(frozen=True)
class Case:
    """A request with the keyed hashes that stand for its address."""

    request: Request
    blind_index: bytes
    suppression_hash: bytes
    rate_key: bytes
    mailbox_hash: bytes
    """Of the mailbox in whatever spelling (`suppression.mailbox_hash_of`)."""

    @property
    def now(self) -> dt.datetime:
        """When it came."""
        return self.request.now

    def is_meant_by(self, one: Suppressed, *, in_any_spelling: bool) -> bool:
        """Whether a suppression is about the address, or about its mailbox."""
        is_its_mailbox = in_any_spelling and one.mailbox_hash == self.mailbox_hash
        return one.address_hash == self.suppression_hash or is_its_mailbox

    @property
    def names(self) -> set[bytes]:
        """What two requests share that must not be answered at once."""
        return {self.suppression_hash, self.rate_key}


@dataclass(frozen=True)
class Known:
    """What the database holds on some people, looked up before anything is decided about any of them."""

    suppressed: Sequence[Suppressed]
    people: dict[bytes, Subscriber]
    subscriptions: dict[tuple[int, str], Subscription]
    letters: Sequence[sa.Row[bytes, str, dt.datetime]]

    def person(self, case: Case) -> Subscriber | None:
        """Whom it is about, where we know them; either hash is enough (`Subscriber.known_by`)."""
        return self.people.get(case.blind_index) or self.people.get(case.suppression_hash)

    def subscription(self, case: Case) -> Subscription | None:
        """What they have with the newsletter."""
        person = self.person(case)
        return self.subscriptions.get((person.id, case.request.info.slug)) if person else None

    def letter(self, case: Case) -> str | None:
        """The one kind of letter that this state and the budgets allow, if any."""
        subscription = self.subscription(case)
        state = step(subscription.state if subscription else None, Event.ASKED)
        kind = ALREADY_SUBSCRIBED if state is State.CONFIRMED else CONFIRM
        # Whoever reads in another spelling of a mailbox whose owner said never is a reader all the same.
        reasons = (one.reason for one in self.suppressed if case.is_meant_by(one, in_any_spelling=kind == CONFIRM))
        is_final = any(not can_come_back(reason, case.request.method) for reason in reasons)
        told = (one.at for one in self.letters if (one.rate_key, one.letter) == (case.rate_key, kind))
        return kind if may_post(kind, told, case.now) and case.request.is_meant and not is_final else None


def apart(cases: Sequence[Case]) -> Iterator[list[Case]]:
    """The cases in groups, in their order, of which none has two that share a name."""
    group: list[Case] = []
    for case in cases:
        if any(case.names & other.names for other in group):
            yield group
            group = []
        group.append(case)
    yield group


class Joining:
    """Answers requests; safe to use from several threads."""

    def __init__(self, database: Database, vault: Vault, outbox: Outbox, links: Links) -> None:
        self._database = database
        self._vault = vault
        self._outbox = outbox
        self._links = links
        self._people = People(vault)
        # PostgreSQL lets writers go on side by side, and a transaction of many people's rows would be in their way.
        self.answer = Together(self._answer_all, GATHER).fulfil if database.is_sqlite else self._answer_one

    def _answer_one(self, request: Request) -> None:
        self._answer_all([request])

    def _answer_all(self, requests: Sequence[Request]) -> None:
        """Answer requests that came at the same time, in one transaction."""
        self._vault.prepare()
        with self._database.write() as session:
            cases = [self._case(request) for request in requests]
            lock_names(session, set().union(*(case.names for case in cases)))
            for group in apart(cases):
                self._answer_group(session, group)
            # Whether there is a letter or not: whoever could see the difference would know something.
            wake(session)

    def _case(self, request: Request) -> Case:
        vault, identity = self._vault, request.address.identity
        return Case(
            request,
            vault.blind_index(identity),
            vault.suppression_hash(identity),
            vault.rate_key(budget_form(identity)),
            mailbox_hash_of(vault, request.address),
        )

    def _answer_group(self, session: Session, cases: Sequence[Case]) -> None:
        """Post the letters; without a letter nothing is stored, and as much is written and thrown away."""
        known = self._look(session, cases)
        letters = {case: kind for case in cases if (kind := known.letter(case))}
        remembered = [LetterMemory(rate_key=case.rate_key, letter=kind, at=case.now) for case, kind in letters.items()]
        insert_new(session, remembered)
        for case in (case for case, kind in letters.items() if kind == ALREADY_SUBSCRIBED):
            self._tell(session, case, known)
        self._ask_to_confirm(session, [case for case, kind in letters.items() if kind == CONFIRM], known)
        missing = sum(MOST_WRITTEN - (_written(case, known) if case in letters else 0) for case in cases)
        make_up(session, self._vault, missing, cases[0].now)

    def _look(self, session: Session, cases: Sequence[Case]) -> Known:
        """Look up what there is on all of them; the rows of people and subscriptions are held until the end."""
        hashes, rate_keys = [case.suppression_hash for case in cases], [case.rate_key for case in cases]
        mailboxes, since = [case.mailbox_hash for case in cases], min(case.now for case in cases) - LONGEST_MEMORY
        people = self._people.known(session, [case.blind_index for case in cases], hashes)
        return Known(
            session.execute(_SUPPRESSIONS, {"hashes": hashes, "mailboxes": mailboxes}).all(),
            {name: person for person in people for name in (person.blind_index, person.suppression_hash) if name},
            self._people.subscriptions(session, people),
            session.execute(_LETTERS, {"rate_keys": rate_keys, "since": since}).all(),
        )

    def _tell(self, session: Session, case: Case, known: Known) -> None:
        """Tell somebody that they are subscribed already, with a fresh link: they came to change something."""
        if subscription := known.subscription(case):
            token, until = new_token(), case.now + FRESH_FOR
            link = FreshLink(token_hash=hash_token(token), subscriber_id=subscription.subscriber_id, until=until)
            insert_new(session, [link])
            manage = self._links.manage(subscription.public_id, subscription.language)
            links = {"mine_url": self._links.mine(token), "manage_url": manage}
            self._post(session, case, subscription, ALREADY_SUBSCRIBED, **links)

    def _ask_to_confirm(self, session: Session, cases: Sequence[Case], known: Known) -> None:
        people = [known.person(case) or self._people.new(case.request.address, case.now) for case in cases]
        insert_new(session, [person for person in people if person.id is None])
        tokens = [new_token() for _ in cases]
        subscriptions, changes = list[Subscription](), dict[int, dict[str, object]]()
        for case, person, token in zip(cases, people, tokens, strict=True):
            if person.suppression_hash is None:
                person.suppression_hash = case.suppression_hash
            waiting, subscription = _waiting(case.request, token), known.subscription(case)
            if subscription:
                changes[subscription.id] = waiting
            subscriptions.append(subscription or new_subscription(person, case.request.info, **waiting))
        # So that it takes as long for somebody known as for somebody new.
        update_known(session, Subscription, changes)
        insert_new(session, [subscription for subscription in subscriptions if subscription.id is None])
        for case, subscription, token in zip(cases, subscriptions, tokens, strict=True):
            links = {
                "confirm_url": self._links.confirm(token),
                "never_url": self._links.never(case.blind_index, case.suppression_hash, case.mailbox_hash),
            }
            self._post(session, case, subscription, CONFIRM, **links)

    def _post(self, session: Session, case: Case, subscription: Subscription, kind: str, **links: str) -> None:
        context = context_for(case.request.method, **links)
        whose = subscription.newsletter, subscription.subscriber_id, subscription.id
        self._outbox.post(session, Letter(kind, *whose, context, LETTER_WITHIN), case.now)


def _waiting(request: Request, token: str) -> dict[str, object]:
    """What is stored of a subscription that waits for the button of the letter with that token."""
    hashed = hash_token(token)
    return {
        "state": State.PENDING,
        "language": request.info.language,
        "method": request.method,
        "requested_at": request.now,
        "confirm_hash": hashed,
        "confirm_until": request.now + CONFIRM_WITHIN,
        "evidence": json.dumps({"wording": request.info.wording_hash, "token": hashed.hex()[:16]}),
    }


def _written(case: Case, known: Known) -> int:
    """How many rows the letter for somebody has meant: its own, the budget's, and theirs."""
    subscription = known.subscription(case)
    if subscription and subscription.state is State.CONFIRMED:
        return MOST_WRITTEN - 1
    return MOST_WRITTEN if known.person(case) is None else MOST_WRITTEN - 1
