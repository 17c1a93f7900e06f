"""Whatever comes in, in whatever order: who must not be mailed is not subscribed, and they alone come back."""

from __future__ import annotations

import tempfile
from pathlib import Path

import sqlalchemy as sa
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import digest.models  # noqa: F401 -- the tables register themselves
from digest.inbound.posted import Posted, post
from digest.models import Delivery
from subscribers.db import Base, Database
from subscribers.lifecycle import State
from subscribers.models import Subscriber, Subscription, Suppression
from tests.inbound import letters
from tests.inbound.letters import BOUNCES, note
from tests.inbound.test_inbox import FULL, GONE, Room

PEOPLE = st.sampled_from(["anna", "boris", "chandra"])


class Readers(RuleBasedStateMachine):
    """Three people, and all that mail can say of them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="digest-states-")
        self.database = Database(f"sqlite:///{Path(self.folder.name) / 'digest.db'}")
        Base.metadata.create_all(self.database.engine)
        self.room = Room(self.database)
        self.week = 0
        self.mails = 0
        self.paths: dict[str, str] = {}
        self.said_no: set[str] = set()
        """Who complained, and has not asked again by their own mail."""

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    def address(self, name: str) -> str:
        return f"{name}@readers.example"

    def number(self) -> str:
        """A field that makes a mail another than the last."""
        self.mails += 1
        return f"X-Number: {self.mails}\n"

    def subscription(self, name: str) -> Subscription | None:
        index = self.room.house.vault.blind_index(self.address(name))
        theirs = sa.select(Subscriber.id).where(Subscriber.blind_index == index)
        with self.database.read() as session:
            return session.scalar(sa.select(Subscription).where(Subscription.subscriber_id.in_(theirs)))

    def letter_count(self) -> int:
        with self.database.read() as session:
            return session.scalar(sa.select(sa.func.count()).where(Delivery.letter != "issue")) or 0

    @rule(name=PEOPLE)
    def ask_by_form(self, name: str) -> None:
        before = self.letter_count()
        self.room.house.service.join("watchdog", self.address(name), self.room.house.now)
        if name in self.said_no:
            assert self.letter_count() == before
        self.confirm_if_asked(before)

    @rule(name=PEOPLE)
    def ask_by_mail(self, name: str) -> None:
        before = self.letter_count()
        results = "mx.example.org; dkim=pass header.d=readers.example"
        octets = note("subscribe", sender=self.address(name), results=results, more=self.number())
        self.room.comes(octets, f"subscribe@{BOUNCES}", sender=self.address(name), days=0.01)
        if self.letter_count() > before:
            self.said_no.discard(name)
        self.confirm_if_asked(before)

    def confirm_if_asked(self, before: int) -> None:
        if self.letter_count() > before and "confirm_url" in self.room.said():
            self.room.house.service.confirm(self.room.token(), self.room.house.now)

    @rule()
    def an_issue_goes_out(self) -> None:
        self.week += 1
        paths = iter(self.room.issue(self.week))
        with self.database.read() as session:
            people = session.scalars(
                sa.select(Subscriber.blind_index)
                .join(Subscription)
                .where(Subscription.state == State.CONFIRMED)
                .order_by(Subscriber.id)
            ).all()
        vault = self.room.house.vault
        names = {vault.blind_index(self.address(name)): name for name in ("anna", "boris", "chandra")}
        self.paths = {names[index]: path for index, path in zip(people, paths, strict=True)}

    @rule(name=PEOPLE, octets=st.sampled_from([GONE, FULL, letters.AWAY, letters.QMAIL]))
    def something_comes_back(self, name: str, octets: bytes) -> None:
        if path := self.paths.pop(name, None):
            self.room.comes(octets, path, days=0.02)

    @rule(name=PEOPLE)
    def complain(self, name: str) -> None:
        if path := self.paths.pop(name, None):
            octets = letters.complaint("<https://elsewhere.example/>", path=path)
            self.room.comes(octets.replace(b"arf-1", f"arf-{self.week}-{name}".encode()), f"feedback@{BOUNCES}")
            self.said_no.add(name)

    @rule(name=PEOPLE)
    def leave_by_mail(self, name: str) -> None:
        if theirs := self.subscription(name):
            token = self.room.house.links.leave_token(theirs.public_id)
            octets = note(f"unsubscribe {token}", more=self.number())
            post(self.database, self.room.house.vault, Posted(octets, f"leave@{BOUNCES}", ""), self.room.house.now)
            self.room.inbox.step(self.room.house.now)

    @invariant()
    def nobody_is_subscribed_who_must_not_be_mailed(self) -> None:
        with self.database.read() as session:
            both = sa.select(Subscription.state).join(Subscriber)
            never = sa.exists().where(Suppression.address_hash == Subscriber.suppression_hash)
            assert State.CONFIRMED not in session.scalars(both.where(never)).all()

    @invariant()
    def who_complained_is_not_subscribed(self) -> None:
        for name in self.said_no:
            theirs = self.subscription(name)
            assert theirs is None or theirs.state is State.LEFT

    @invariant()
    def all_that_came_in_was_read(self) -> None:
        assert all(one.settled_at for one in self.room.arrivals())


Readers.TestCase.settings = settings(
    max_examples=15, stateful_step_count=30, deadline=None, phases=(Phase.generate,), derandomize=True
)
TestReaders = Readers.TestCase
