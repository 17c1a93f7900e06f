"""Whatever a reader presses on their own page, in whatever order: the page, the roll and the model say the same."""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy.orm import Session

import digest.models  # noqa: F401 -- the tables register themselves.
from subscribers import choices, fresh
from subscribers.db import Base, Database
from subscribers.erasing import Mark, erase
from subscribers.lifecycle import Format, State
from subscribers.models import Subscriber, Subscription, Suppression
from subscribers.roll import audience
from subscribers.service import Entered, Refused
from subscribers.vault import Keys, Vault, make_keys
from tests.subscribers.house import NEGAH, WATCH, Recorder, make_service

ADDRESS = "reader@example.org"
PAPERS = {"watch": WATCH, "negah": NEGAH}
papers = st.sampled_from(sorted(PAPERS))


@cache
def some_keys() -> Keys:
    return make_keys()


@dataclass
class Wish:
    """What the reader last chose for one newsletter."""

    reads: bool = False
    format: Format = Format.SUMMARIES
    is_neutral: bool = False
    until: dt.datetime | None = None

    def pauses(self, now: dt.datetime) -> bool:
        return self.until is not None and self.until > now


class Reader(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.database = Database(f"sqlite:///{Path(self.folder.name) / 'digest.db'}")
        Base.metadata.create_all(self.database.engine)
        self.outbox = Recorder()
        self.vault = Vault(self.database, some_keys())
        self.service = make_service(self.database, self.vault, some_keys(), self.outbox)
        self.now = dt.datetime(2026, 11, 18, 18, 0, tzinfo=dt.UTC)
        self.is_marked = False
        self.enter("watch")

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            self.folder.cleanup()

    def enter(self, newsletter: str) -> None:
        """An operator enters them anew; everything they had chosen is unknown."""
        answer = self.service.enter(newsletter, ADDRESS, "Signed the list.", self.now)
        assert isinstance(answer, Refused if self.is_marked else Entered)
        self.wishes = {slug: Wish(reads=slug == newsletter) for slug in PAPERS}
        self.is_known = not self.is_marked

    @property
    def token(self) -> str:
        """A link that is fresh now, asked for where the last one has worn off."""
        tokens = self.outbox.tokens("mine_url")
        with self.database.read() as session:
            if tokens and fresh.person_of(session, tokens[-1], self.now):
                return tokens[-1]
            public_id = session.scalars(sa.select(Subscription.public_id)).first()
        assert public_id
        # The budget may be used up by now: a month later it is not.
        self.now += dt.timedelta(days=31)
        assert fresh.ask(self.service, self.service.links.manage(public_id).rpartition("/")[2], self.now)
        return self.outbox.tokens("mine_url")[-1]

    @precondition(lambda self: self.is_known)
    @rule(paper=papers, wanted=st.sampled_from(Format), is_neutral=st.booleans())
    def choose(self, paper: str, wanted: Format, is_neutral: bool) -> None:
        token, wish = self.token, self.wishes[paper]
        with self.database.write() as session:
            person = self.person(session, token)
            assert choices.set_format(session, person, paper, wanted, is_neutral=is_neutral) is wish.reads
        if wish.reads:
            wish.format, wish.is_neutral = wanted, is_neutral

    @precondition(lambda self: self.is_known)
    @rule(paper=papers, weeks=st.sampled_from([0, *choices.PAUSES]))
    def pause(self, paper: str, weeks: int) -> None:
        token, wish = self.token, self.wishes[paper]
        with self.database.write() as session:
            assert choices.pause(session, self.person(session, token), paper, weeks, self.now) is wish.reads
        if wish.reads:
            wish.until = self.now + dt.timedelta(weeks=weeks) if weeks else None

    @precondition(lambda self: self.is_known)
    @rule(paper=papers)
    def leave(self, paper: str) -> None:
        token, wish = self.token, self.wishes[paper]
        with self.database.write() as session:
            assert choices.leave(session, self.person(session, token), paper, self.now) is wish.reads
        if wish.reads:
            wish.reads, wish.until = False, None

    @precondition(lambda self: self.is_known)
    @rule(paper=papers)
    def join(self, paper: str) -> None:
        token, wish = self.token, self.wishes[paper]
        with self.database.write() as session:
            assert choices.join(session, self.person(session, token), PAPERS[paper], token, self.now)
        wish.reads = True

    @precondition(lambda self: self.is_known)
    @rule(keeps_mark=st.booleans())
    def erase(self, keeps_mark: bool) -> None:
        done = erase(self.service.rooms, self.token, self.now, keeps_mark=keeps_mark)
        assert done is (Mark.KEPT if keeps_mark else Mark.GONE)
        self.is_known, self.is_marked = False, keeps_mark
        self.wishes = {slug: Wish() for slug in PAPERS}

    @precondition(lambda self: not self.is_known)
    @rule(paper=papers)
    def come_back(self, paper: str) -> None:
        self.enter(paper)
        if self.is_marked:
            self.wishes = {slug: Wish() for slug in PAPERS}

    @rule(days=st.sampled_from([1, 7, 40]))
    def wait(self, days: int) -> None:
        self.now += dt.timedelta(days=days)
        self.service.purge(self.now)

    @invariant()
    def the_roll_has_whoever_reads(self) -> None:
        if hasattr(self, "wishes"):
            with self.database.read() as session:
                reads = {slug for slug in PAPERS if session.execute(audience(slug, self.now)).first()}
            active = {slug for slug, wish in self.wishes.items() if wish.reads and not wish.pauses(self.now)}
            assert reads == active

    @invariant()
    def the_page_shows_what_was_chosen(self) -> None:
        if not hasattr(self, "wishes"):
            return
        with self.database.read() as session:
            people = session.scalars(sa.select(Subscriber)).all()
            assert len(people) == self.is_known
            shown = [choices.mine(session, person, PAPERS, self.now) for person in people]
        for page in shown:
            expected = {slug: wish for slug, wish in self.wishes.items() if wish.reads}
            assert {one.newsletter.slug for one in page.read} == set(expected)
            assert {one.slug for one in page.offered} == set(PAPERS) - set(expected)
            for one in page.read:
                wish = expected[one.newsletter.slug]
                until = wish.until if wish.until and wish.until > self.now else None
                assert (one.format, one.is_neutral, one.paused_until) == (wish.format, wish.is_neutral, until)

    @invariant()
    def nothing_is_left_of_whoever_was_erased(self) -> None:
        if hasattr(self, "wishes") and not self.is_known:
            with self.database.read() as session:
                assert session.scalars(sa.select(Subscription)).all() == []
                assert len(session.scalars(sa.select(Suppression)).all()) == self.is_marked

    @invariant()
    def who_left_has_no_pause_that_waits_for_them(self) -> None:
        if hasattr(self, "wishes"):
            with self.database.read() as session:
                left = sa.select(Subscription.paused_until).where(Subscription.state == State.LEFT)
                assert set(session.scalars(left)) <= {None}

    def person(self, session: Session, token: str) -> Subscriber:
        person = fresh.person_of(session, token, self.now, locked=True)
        assert person
        return person


TestReader = Reader.TestCase
TestReader.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
