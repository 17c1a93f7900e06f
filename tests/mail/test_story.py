"""Any sequence of what can happen to readers, issues, senders, clocks and the relay: the promises hold (Q-04, S-16).

`STORIES=1000 pytest tests/mail/test_story.py` tells a thousand other ones.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from digest.issues import control
from digest.models import Delivery, DeliveryState, IssueState
from digest.queue.worker import Worker
from subscribers.models import Subscriber, Subscription
from subscribers.service import Outcome
from subscribers.vault import DELIVERY_CONTEXT
from tests.house import House
from tests.mail.story_parts import MOODS, End, Gone, Hasty, Mortal, Relay, Sent, empty_database

STORIES = int(os.environ.get("STORIES", "0"))
READERS = [f"reader-{number}@readers.example" for number in range(1, 7)]
AT_FIRST = 4
"""So many of them are readers when a story begins."""
WEEKS = ("2026-W47", "2026-W48", "2026-W49")
DOUBTFUL = (DeliveryState.UNKNOWN, DeliveryState.COMMITTING)
who = st.sampled_from(READERS)
which = st.integers(0, len(WEEKS) - 1)
spans = st.sampled_from([dt.timedelta(minutes=minutes) for minutes in (0, 2, 7, 20, 240, 1440, -1, -30, -180)])
moods = st.sampled_from(sorted(MOODS))
ends = st.builds(End, st.sampled_from(["dot", "commit"]), st.integers(1, 5), st.booleans())


class Story(RuleBasedStateMachine):
    """Readers come and go, issues are sent and interrupted; the invariants are the promises of DESIGN section 6."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="digest-story-"))
        (self.folder / "digest.db").write_bytes(empty_database())
        self.database = Hasty(f"sqlite:///{self.folder / 'digest.db'}")
        self.house = House(self.database)
        self.relay = Relay()
        self.relay.server.__enter__()
        self.wants: set[str] = set()
        """Who confirmed, and has not left since."""
        self.never_again: set[str] = set()
        self.letters: dict[str, list[dict[str, str]]] = {}
        """What the confirmation letters to a reader said."""
        self.issues: list[Sent] = []
        self.senders = 0

    @initialize(some=st.lists(moods, max_size=AT_FIRST))
    def some_readers_and_an_issue(self, some: list[str]) -> None:
        self.wants = {*self.house.readers(AT_FIRST)}
        self.relay.moods.update(zip(READERS, some, strict=False))
        self.another_issue()

    # Readers

    @rule(reader=who)
    def subscribe(self, reader: str) -> None:
        self.house.service.join("watchdog", reader, self.house.now)
        query = sa.select(Delivery.context_sealed, Delivery.public_id).join(
            Subscriber, Subscriber.id == Delivery.subscriber_id
        )
        mine = Subscriber.blind_index == self.house.vault.blind_index(reader)
        with self.database.read() as session:
            rows = session.execute(query.where(mine, Delivery.letter == "confirm")).all()
        said = [self.house.vault.open(sealed, DELIVERY_CONTEXT, public) for sealed, public in rows if sealed]
        known = self.letters.setdefault(reader, [])
        known += [context for one in said if (context := json.loads(one)) not in known]

    @rule(reader=who, number=st.integers(0, 3))
    def confirm(self, reader: str, number: int) -> None:
        if letters := self.letters.get(reader):
            token = letters[number % len(letters)]["confirm_url"].rpartition("/")[2]
            if self.house.service.confirm(token, self.house.now) is Outcome.DONE:
                assert reader not in self.never_again
                self.wants.add(reader)

    @rule(reader=who)
    def leave(self, reader: str) -> None:
        self._leave(reader)

    def _leave(self, reader: str) -> None:
        query = sa.select(Subscription.public_id).join(Subscriber)
        mine = Subscriber.blind_index == self.house.vault.blind_index(reader)
        with self.database.read() as session:
            public_ids = session.scalars(query.where(mine)).all()
        for public_id in public_ids:
            self.house.service.leave(self.house.links.leave(public_id).rpartition("/")[2], self.house.now)
        self.wants.discard(reader)

    @rule(reader=who)
    def never(self, reader: str) -> None:
        for letter in self.letters.get(reader, [])[:1]:
            self.house.service.never(letter["never_url"].rpartition("/")[2], self.house.now)
            self.wants.discard(reader)
            self.never_again.add(reader)

    # The world

    @rule(reader=who, mood=moods)
    def the_relay_changes_its_mind(self, reader: str, mood: str) -> None:
        self.relay.moods[reader] = mood

    @rule(span=spans)
    def time_passes(self, span: dt.timedelta) -> None:
        self.house.now += span

    # Issues

    @precondition(lambda self: len(self.issues) < len(WEEKS))
    @rule()
    def another_issue(self) -> None:
        issue_id = self.house.issue(WEEKS[len(self.issues)])
        query = sa.select(Delivery.id, Subscriber.blind_index).join(Subscriber, Subscriber.id == Delivery.subscriber_id)
        named = {self.house.vault.blind_index(reader): reader for reader in READERS}
        with self.database.read() as session:
            rows = session.execute(query.where(Delivery.issue_id == issue_id, Delivery.letter == "issue")).all()
        whose = {delivery: named[index] for delivery, index in rows}
        assert sorted(whose.values()) == sorted(self.wants)
        self.issues.append(Sent(issue_id, frozenset(self.wants), whose))

    @rule(number=which, later=spans, some=st.none() | st.integers(1, 5))
    def send(self, number: int, later: dt.timedelta, some: int | None) -> None:
        """All that is due by then, or until the n-th dot."""
        self.house.now += later
        with self._sending(number) as issue:
            asyncio.run(self._run(self._worker(self.house), issue.issue_id, some))

    @rule(number=which, reader=who)
    def send_while_somebody_leaves(self, number: int, reader: str) -> None:
        after = self._send_while(number, lambda: self._leave(reader))
        assert reader not in after

    @rule(number=which, step=st.sampled_from([control.pause, control.cancel]))
    def send_while_somebody_says_stop(self, number: int, step: Callable[..., object]) -> None:
        after = self._send_while(number, lambda: self._decide(number, step))
        assert after == []

    def _send_while(self, number: int, happens: Callable[[], None]) -> list[str]:
        """Something happens at the first DATA. Returns whose dots came after it.

        One connection, so that no other dot was on its way when it happened.
        """
        happened: list[int] = []

        def now() -> None:
            happens()
            happened.append(len(self.relay.server.caught))

        with self._sending(number) as issue:
            self.relay.at_data = now
            asyncio.run(self._run(self._worker(self.house, connections=1), issue.issue_id))
            after = self.relay.server.caught[happened[0] :] if happened else []
        return [reader for caught in after for reader in caught.recipients]

    @rule(number=which, later=spans, end=ends)
    def crash(self, number: int, later: dt.timedelta, end: End) -> None:
        """The sender dies; whoever comes next has another name, and waits until its lease has run out."""
        self.house.now += later
        mortal = Mortal(self.database.url, end)
        with self._sending(number) as issue:
            if end.what == "dot":
                self.relay.at_dot = (end.turn, end.after, mortal.die)
            try:
                house = House(mortal, self.house.now)
                asyncio.run(self._run(self._worker(house), issue.issue_id))
            except* Gone:
                assert mortal.dead
        mortal.close()

    @rule(number=which, ahead=st.sampled_from([dt.timedelta(), dt.timedelta(minutes=5)]))
    def two_send_at_once(self, number: int, ahead: dt.timedelta) -> None:
        """To the second one, if its clock is ahead, the first one's lease has run out while it is sending."""
        with self._sending(number) as issue:
            houses = self.house, House(self.database, self.house.now + ahead)
            asyncio.run(self._together([self._run(self._worker(house), issue.issue_id) for house in houses]))

    async def _together(self, runs: list[Coroutine[None, None, None]]) -> None:
        await asyncio.gather(*runs)

    @rule(number=which, step=st.sampled_from([control.pause, control.resume, control.cancel]))
    def somebody_decides(self, number: int, step: Callable[..., object]) -> None:
        self._decide(number, step)

    def _decide(self, number: int, step: Callable[..., object]) -> None:
        with self.database.write() as session:
            step(session, self._issue(number).issue_id, who="Ada", now=self.house.now)

    @rule()
    def letters_are_sent(self) -> None:
        before = self.relay.begin()
        asyncio.run(self._worker(self.house).send_letters(asyncio.Event()))
        got = {reader for caught in self.relay.server.caught[before:] for reader in caught.recipients}
        assert not got & self.never_again

    def _issue(self, number: int) -> Sent:
        return self.issues[number % len(self.issues)]

    def _worker(self, house: House, connections: int = 3) -> Worker:
        worker = house.worker(self.relay.server.port, dot=30)
        smtp = worker.engine.smtp.model_copy(update={"connections": connections})
        self.senders += 1
        return replace(worker, engine=replace(worker.engine, smtp=smtp, owner=f"sender {self.senders}"))

    async def _run(self, worker: Worker, issue_id: int, some: int | None = None) -> None:
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        # Whom a dead process has left waiting for its database nobody asks any more.
        loop.set_exception_handler(lambda _loop, _context: None)

        def stop() -> None:
            loop.call_soon_threadsafe(stopping.set)

        if some is not None:
            self.relay.at_dot = (some, False, stop)
        await worker.send_issue(issue_id, stopping)

    @contextmanager
    def _sending(self, number: int) -> Iterator[Sent]:
        """A run of an issue, after which it is known who got what; only who wanted it before may have."""
        issue, wanted, before = self._issue(number), {*self.wants}, self.relay.begin()
        yield issue
        for caught in self.relay.server.caught[before:]:
            (reader,) = caught.recipients
            assert reader in wanted & issue.audience
            assert issue.closed is None, "a closed issue goes on"
            issue.taken[reader] += not caught.refused
            issue.answered[reader] += caught.answered and caught.reply[:4] == b"250 "

    # What always holds

    @invariant()
    def nobody_got_two(self) -> None:
        for issue in self.issues:
            assert all(count <= 1 for count in issue.taken.values())

    @invariant()
    def the_books_add_up_and_say_what_the_relay_says(self) -> None:
        for issue in self.issues:
            books = asdict(self.house.books(issue.issue_id))
            assert books.pop("audience") == len(issue.audience) == sum(books.values())
            for reader, state in self._states(issue).items():
                if state is DeliveryState.ACCEPTED:
                    assert issue.answered[reader] == 1
                elif state not in DOUBTFUL:
                    assert issue.taken[reader] == 0

    @invariant()
    def a_closed_issue_stays_closed(self) -> None:
        for issue in self.issues:
            books, state = self.house.books(issue.issue_id), self.house.issue_state(issue.issue_id)
            assert books.closes or state is not IssueState.SENT
            assert issue.closed in (None, books)
            if state is IssueState.SENT or (state is IssueState.CANCELLED and books.closes):
                issue.closed = books

    def _states(self, issue: Sent) -> dict[str, DeliveryState]:
        query = sa.select(Delivery.id, Delivery.state).where(Delivery.id.in_(issue.whose))
        with self.database.read() as session:
            return {issue.whose[delivery]: state for delivery, state in session.execute(query)}

    def teardown(self) -> None:
        """Whatever has happened, it ends well once the relay takes everything and somebody says go on."""
        try:
            self.relay.moods.clear()
            for number, issue in enumerate(self.issues):
                self._ends_well(number, issue)
            self.nobody_got_two()
            self.the_books_add_up_and_say_what_the_relay_says()
        finally:
            self.relay.server.__exit__(None, None, None)
            self.database.close()
            shutil.rmtree(self.folder)

    def _ends_well(self, number: int, issue: Sent) -> None:
        for _ in range(100):
            self.a_closed_issue_stays_closed()
            if issue.closed:
                return
            if self.house.issue_state(issue.issue_id) is IssueState.PAUSED:
                self._decide(number, control.resume)
            self.send(number, dt.timedelta(hours=1), None)
        raise AssertionError("the books do not close")


Story.TestCase.settings = settings(
    max_examples=STORIES or 25,
    stateful_step_count=50 if STORIES else 30,
    derandomize=not STORIES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestStory = Story.TestCase
