"""Whatever people, operators and clocks do in whatever order, the promises hold (DESIGN 6)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from subscribers.db import Base, Database
from subscribers.lifecycle import State
from subscribers.models import Subscriber, Subscription
from subscribers.purging import CONFIRM_WITHIN
from subscribers.roll import address_of, audience
from subscribers.service import Entered, Joined, Outcome, Refused
from subscribers.vault import Vault, make_keys
from tests.subscribers.house import NEGAH, WATCH, Recorder, make_service

ADDRESSES = ("Mina@example.org", "o.mid+x@gmail.com", "omid@gmail.com")
NEWSLETTERS = (WATCH.slug, NEGAH.slug)
KEYS = make_keys()
DAY = dt.timedelta(days=1)
Tie = tuple[str, str]


@dataclass(frozen=True)
class Asked:
    """One confirmation letter that went out."""

    tie: Tie
    at: dt.datetime
    public_id: bytes
    confirm: str
    never: str


class People(RuleBasedStateMachine):
    """A model of who wants what, kept beside the real service."""

    @initialize()
    def open(self) -> None:
        self.database = Database("sqlite://")
        Base.metadata.create_all(self.database.engine)
        self.vault = Vault(self.database, KEYS)
        self.outbox = Recorder()
        self.service = make_service(self.database, self.vault, KEYS, self.outbox)
        self.now = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
        self.wanted: set[Tie] = set()
        self.gone: set[Tie] = set()
        self.suppressed: set[str] = set()
        self.asked: list[Asked] = []
        self.good: dict[Tie, Asked] = {}
        self.told: list[tuple[str, dt.datetime]] = []

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()

    @rule(
        address=st.sampled_from(ADDRESSES), newsletter=st.sampled_from(NEWSLETTERS), hours=st.sampled_from([0, 24, 48])
    )
    def join(self, address: str, newsletter: str, hours: int) -> None:
        self.now += dt.timedelta(hours=hours)
        seen = len(self.outbox.letters)
        assert self.service.join(newsletter, address, self.now) == Joined(newsletter)
        posted = self.outbox.letters[seen:]
        assert len(posted) <= 1
        assert not posted or address not in self.suppressed
        for letter in posted:
            with self.database.read() as session:
                delivery = address_of(session, self.vault, letter.subscriber_id)
                public_id = session.scalars(
                    sa.select(Subscription.public_id).where(Subscription.id == letter.subscription_id)
                ).one()
            assert delivery == address
            assert (letter.kind == "already-subscribed") is ((address, newsletter) in self.wanted)
            if letter.kind == "confirm":
                confirm, never = (letter.context[name].rpartition("/")[2] for name in ("confirm_url", "never_url"))
                letter_sent = Asked((address, newsletter), self.now, public_id, confirm, never)
                self.asked.append(letter_sent)
                self.good[address, newsletter] = letter_sent
            else:
                self.told.append((address, self.now))

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), hours=st.sampled_from([0, 1, 72]))
    def confirm(self, data: st.DataObject, hours: int) -> None:
        self.now += dt.timedelta(hours=hours)
        asked = data.draw(st.sampled_from(self.asked[-3:]))
        good = self.good.get(asked.tie) == asked and self.now < asked.at + CONFIRM_WITHIN
        assert self.service.confirm(asked.confirm, self.now) is (Outcome.DONE if good else Outcome.OLD_LINK)
        if good:
            self.wanted.add(asked.tie)
            self.gone.discard(asked.tie)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        asked = data.draw(st.sampled_from(self.asked[-3:]))
        there = self.exists(asked.public_id)
        token = self.service.links.leave(asked.public_id).rpartition("/")[2]
        assert self.service.leave(token, self.now) is Outcome.DONE
        if there:
            self.ended(asked.tie)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def never(self, data: st.DataObject) -> None:
        asked = data.draw(st.sampled_from(self.asked))
        assert self.service.never(asked.never, self.now) is Outcome.DONE
        self.suppressed.add(asked.tie[0])
        for newsletter in NEWSLETTERS:
            self.ended((asked.tie[0], newsletter))

    @rule(address=st.sampled_from(ADDRESSES), newsletter=st.sampled_from(NEWSLETTERS))
    def enter(self, address: str, newsletter: str) -> None:
        tie = (address, newsletter)
        answer = self.service.enter(newsletter, address, "Signed the list.", self.now)
        if address in self.suppressed or tie in self.gone:
            assert isinstance(answer, Refused)
            return
        assert isinstance(answer, Entered)
        assert answer.already is (tie in self.wanted)
        if not answer.already:
            self.good.pop(tie, None)
            self.wanted.add(tie)

    @rule(days=st.sampled_from([0, 4, 30]))
    def purge(self, days: int) -> None:
        self.now += days * DAY
        self.service.purge(self.now)
        for tie, asked in list(self.good.items()):
            if tie not in self.wanted and self.now >= asked.at + CONFIRM_WITHIN + DAY:
                del self.good[tie]

    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        """A scanner opens a link; that it changes nothing is what the invariants say."""
        if self.asked:
            asked = data.draw(st.sampled_from(self.asked))
            self.service.awaiting(asked.confirm, self.now)

    @invariant()
    def only_those_who_want_it_are_mailed(self) -> None:
        mailed = set()
        with self.database.read() as session:
            for newsletter in NEWSLETTERS:
                rows = session.execute(audience(newsletter, self.now)).all()
                mailed |= {(address_of(session, self.vault, row[1]), newsletter) for row in rows}
        assert mailed == self.wanted

    @invariant()
    def nobody_who_said_never_is_mailed(self) -> None:
        assert not {address for address, _ in self.wanted} & self.suppressed

    @invariant()
    def no_mailbox_gets_more_letters_than_the_budgets_allow(self) -> None:
        for asked in self.asked:
            mailbox = _mailbox(asked.tie[0])
            after = [one.at for one in self.asked if _mailbox(one.tie[0]) == mailbox and one.at >= asked.at]
            assert sum(at < asked.at + DAY for at in after) <= 1
            assert sum(at < asked.at + 30 * DAY for at in after) <= 3
        for address, first in self.told:
            again = [at for other, at in self.told if _mailbox(other) == _mailbox(address) and at >= first]
            assert sum(at < first + 30 * DAY for at in again) == 1

    @invariant()
    def an_address_is_one_person(self) -> None:
        with self.database.read() as session:
            people = session.scalars(sa.select(Subscriber.id)).all()
            opened = {address_of(session, self.vault, person) for person in people}
        assert len(opened) == len(people)

    @invariant()
    def the_counts_add_up(self) -> None:
        for newsletter in NEWSLETTERS:
            counts = self.service.count(newsletter)
            assert counts[State.CONFIRMED] == sum(slug == newsletter for _, slug in self.wanted)

    def ended(self, tie: Tie) -> None:
        if tie in self.wanted or tie in self.good:
            self.gone.add(tie)
        self.wanted.discard(tie)
        self.good.pop(tie, None)

    def exists(self, public_id: bytes) -> bool:
        with self.database.read() as session:
            return session.scalar(sa.select(Subscription.id).where(Subscription.public_id == public_id)) is not None


def _mailbox(address: str) -> str:
    return "omid@gmail.com" if address.endswith("gmail.com") else address.lower()


TestPeople = People.TestCase
TestPeople.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
