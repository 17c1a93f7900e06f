"""What nobody knows the outcome of is settled by a person: left as it is, or sent once more, byte by byte the same."""

import asyncio
import datetime as dt
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import undefer_group

from digest.issues import control
from digest.issues.outcomes import Done, Refused
from digest.issues.resolve import GIVE_UP_AFTER, OpenOne, leave, open_ones, resend
from digest.mail import steps
from digest.mail.issue_work import editions_of, wire_digest
from digest.mail.replies import Outcome
from digest.mail.report_purge import KEEP, purge
from digest.models import RENDERINGS, Delivery, DeliveryState, Issue, IssueState, LogEntry
from digest.settings import Mailbox
from subscribers.db import Database
from subscribers.tokens import Links
from tests.house import NOW, House
from tests.smtp_server import HangUp, Moment, ScriptedServer

READERS = 6
SILENT = (2, 5)
"""The readers after whose final dot the relay hangs up."""


@dataclass
class Relay:
    """Takes every message; at first it hangs up after the dot of the silent ones."""

    answers: bool = False
    reader: dict[int, str] = field(default_factory=dict)

    def __call__(self, moment: Moment) -> HangUp | None:
        if moment.command == "RCPT":
            self.reader[moment.connection] = moment.argument
        silent = any(f"reader-{number}@" in self.reader.get(moment.connection, "") for number in SILENT)
        return HangUp() if moment.command == "DOT" and silent and not self.answers else None


class Room(House):
    """A house whose issue has gone out to all but two, of whom nobody knows."""

    plan: Relay
    relay: ScriptedServer
    issue_id: int

    def go_out(self) -> None:
        self.readers(READERS)
        self.issue_id = self.issue()
        with self.database.write() as session:
            issue = session.get_one(Issue, self.issue_id)
            issue.wire_digest = wire_digest(editions_of(issue, self.newsletter, self.links, None))
        self.send()
        assert self.open == [self.delivery(number) for number in SILENT]

    def send(self) -> None:
        asyncio.run(self.worker(self.relay.port).send_issue(self.issue_id, asyncio.Event()))

    def delivery(self, reader: int) -> int:
        with self.database.read() as session:
            return session.scalars(sa.select(Delivery.id).order_by(Delivery.id)).all()[reader - 1]

    @property
    def listed(self) -> tuple[OpenOne, ...]:
        with self.database.read() as session:
            return open_ones(session, self.issue_id, self.newsletter, self.links)

    @property
    def open(self) -> list[int]:
        return [one.delivery for one in self.listed]

    def leave(self, *deliveries: int, who: str = "Ada") -> Done | Refused:  # type: ignore[override]
        with self.database.write() as session:
            return leave(session, self.issue_id, deliveries or None, who=who, now=self.now)

    def resend(self, *deliveries: int, who: str = "Ada", **changed: Any) -> Done | Refused:
        by: dict[str, Any] = {"newsletter": self.newsletter, "links": self.links, "now": self.now, "who": who} | changed
        with self.database.write() as session:
            return resend(session, self.issue_id, deliveries or None, **by)

    def logged(self, action: str) -> list[tuple[str, str]]:
        with self.database.read() as session:
            query = sa.select(LogEntry).where(LogEntry.action == action).order_by(LogEntry.id)
            return [(entry.who, entry.detail) for entry in session.scalars(query)]

    def set(self, **values: object) -> None:
        with self.database.write() as session:
            session.execute(sa.update(Issue).where(Issue.id == self.issue_id).values(**values))

    def row(self, delivery: int) -> Delivery:
        with self.database.read() as session:
            found = session.get_one(Delivery, delivery)
            session.expunge_all()
            return found

    def dots(self, reader: int) -> list[bytes]:
        """Every message to that reader whose final dot the relay has seen."""
        return [caught.body for caught in self.relay.caught if f"reader-{reader}@readers.example" in caught.recipients]


@pytest.fixture
def room(database: Database) -> Iterator[Room]:
    made = Room(database)
    made.plan = Relay()
    with ScriptedServer(made.plan) as relay:
        made.relay = relay
        made.go_out()
        yield made


def test_the_unknown_ones_are_listed_with_what_the_relay_knows_them_by(room: Room) -> None:
    for number, one in zip(SILENT, room.listed, strict=True):
        assert one.delivery == room.delivery(number)
        assert one.subscriber == room.row(one.delivery).subscriber_id
        assert one.at == NOW
        assert "no answer to the final dot" in one.known
        (body,) = room.dots(number)
        assert message_from_bytes(body)["Message-ID"] == one.message_id
    assert "readers.example" not in repr(room.listed)


def test_what_is_left_stays_unknown_and_is_not_asked_about_again(room: Room) -> None:
    first, second = room.open
    assert room.leave(first) == Done(room.issue_id, 1, IssueState.SENT, "1 delivery stays unknown.")
    assert room.open == [second]
    room.leave()
    assert room.open == []
    books = room.books(room.issue_id)
    assert (books.unknown, books.closes) == (2, True)
    assert room.row(first).resolved_at == NOW
    assert room.logged("resolve") == [
        ("Ada", f"left as unknown: {first}"),
        ("Ada", f"left as unknown: {second}"),
    ]
    assert room.issue_state(room.issue_id) is IssueState.SENT


def test_a_resend_goes_to_exactly_those_and_is_the_same_byte_by_byte(room: Room) -> None:
    room.plan.answers = True
    first, second = room.open
    done = room.resend(second)
    assert done == Done(room.issue_id, 1, IssueState.SENDING, "1 delivery is sent again.")
    row = room.row(second)
    assert (row.state, row.due_at, row.give_up_at) == (DeliveryState.QUEUED, NOW, NOW + GIVE_UP_AFTER)
    assert (row.settled_at, row.attempts) == (None, 1)
    room.send()
    assert len(room.relay.caught) == READERS + 1
    once, again = room.dots(SILENT[1])
    assert hashlib.sha256(again).digest() == hashlib.sha256(once).digest()
    assert again == once
    books = room.books(room.issue_id)
    assert (books.accepted, books.unknown, books.closes) == (READERS - 1, 1, True)
    assert room.open == [first]
    assert room.issue_state(room.issue_id) is IssueState.SENT
    assert room.row(second).attempts == 2
    assert room.logged("reopen") == [("Ada", f"sent again: {second}")]


def test_all_that_are_open_are_sent_again_where_no_numbers_are_given(room: Room) -> None:
    room.plan.answers = True
    room.leave(room.open[0])
    room.resend()
    room.send()
    assert len(room.dots(SILENT[0])) == 1
    assert len(room.dots(SILENT[1])) == 2


def test_nothing_is_ever_sent_again_by_itself(room: Room) -> None:
    room.plan.answers = True
    for _ in range(3):
        room.send()
        room.now += dt.timedelta(days=1)
    assert len(room.relay.caught) == READERS


def test_a_resend_without_an_answer_is_unknown_and_open_again(room: Room) -> None:
    both = room.open
    room.resend()
    room.send()
    assert room.open == both
    books = room.books(room.issue_id)
    assert (books.unknown, books.closes) == (2, True)
    assert [room.row(one).attempts for one in both] == [2, 2]


def test_who_has_left_meanwhile_gets_nothing(room: Room) -> None:
    room.plan.answers = True
    House.leave(room, SILENT[0])
    room.resend()
    room.send()
    assert len(room.dots(SILENT[0])) == 1
    assert len(room.dots(SILENT[1])) == 2
    books = room.books(room.issue_id)
    assert (books.accepted, books.excluded, books.unknown, books.closes) == (READERS - 1, 1, 0, True)


def test_of_two_people_at_once_one_decides(room: Room) -> None:
    together = Barrier(2)

    def act(way: str) -> Done | Refused:
        together.wait()
        return room.leave(who="Ada") if way == "leave" else room.resend(who="Ben")

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(act, ("leave", "resend")))
    assert sorted(type(result).__name__ for result in results) == ["Done", "Refused"]
    assert len(room.logged("resolve")) + len(room.logged("reopen")) == 1
    refused = next(result for result in results if isinstance(result, Refused))
    assert "Nothing of watchdog/2026-W47 is open" in refused.reason
    queued = room.books(room.issue_id).queued
    assert queued == (2 if room.logged("reopen") else 0)


def test_wrong_numbers_are_named_and_nothing_is_done(room: Room) -> None:
    first, second = room.open
    accepted = room.delivery(1)
    for act in (room.leave, room.resend):
        result = act(first, accepted, 10_000)
        assert isinstance(result, Refused)
        assert f"Not open in watchdog/2026-W47: {accepted}, 10000." in result.reason
    assert room.open == [first, second]
    room.leave(first)
    again = room.resend(first)
    assert isinstance(again, Refused)
    assert "settled meanwhile" in again.reason
    assert room.logged("reopen") == []


def test_no_number_at_all_is_not_all_of_them(room: Room) -> None:
    with room.database.write() as session:
        assert isinstance(leave(session, room.issue_id, [], who="Ada", now=NOW), Refused)
    assert len(room.open) == 2


def test_a_delivery_of_another_issue_is_not_touched(room: Room) -> None:
    mine = room.open
    first_issue = room.issue_id
    room.issue_id = room.issue("2026-W48")
    result = room.leave(*mine)
    assert isinstance(result, Refused)
    assert "is open: no delivery is unknown" in result.reason
    room.issue_id = first_issue
    assert room.open == mine


def test_a_cancelled_issue_is_not_reopened_and_its_unknown_ones_can_be_left(room: Room) -> None:
    room.set(state=IssueState.CANCELLED)
    result = room.resend()
    assert isinstance(result, Refused)
    assert "it was cancelled" in result.reason
    assert "only be left" in result.reason
    assert len(room.open) == 2
    assert isinstance(room.leave(), Done)
    assert room.issue_state(room.issue_id) is IssueState.CANCELLED


def test_a_paused_issue_goes_on_with_those_that_waited(room: Room) -> None:
    waiting = room.delivery(1)
    with room.database.write() as session:
        values = {"state": DeliveryState.DEFERRED, "settled_at": None, "give_up_at": NOW + dt.timedelta(minutes=1)}
        session.execute(sa.update(Delivery).where(Delivery.id == waiting).values(**values))
    room.set(state=IssueState.PAUSED, hold_reason="a fault", finished_at=None)
    assert isinstance(room.resend(), Done)
    assert room.row(waiting).give_up_at == NOW + control.AFTER_A_PAUSE
    with room.database.read() as session:
        issue = session.get_one(Issue, room.issue_id)
        assert (issue.state, issue.hold_reason, issue.finished_at) == (IssueState.SENDING, "", None)


def test_while_an_issue_goes_out_its_unknown_ones_can_be_settled(room: Room) -> None:
    room.set(state=IssueState.SENDING, finished_at=None)
    first, second = room.open
    assert isinstance(room.leave(first), Done)
    assert isinstance(room.resend(second), Done)
    assert room.issue_state(room.issue_id) is IssueState.SENDING


def test_after_the_purge_nothing_is_known_any_more(room: Room) -> None:
    purge(room.database, NOW + KEEP + dt.timedelta(days=1))
    for act in (room.leave, room.resend):
        result = act()
        assert isinstance(result, Refused)
        assert "purged to counts on 2026-12-25" in result.reason
    assert room.issue_state(room.issue_id) is IssueState.SENT


@pytest.mark.parametrize("what", ["sender", "base address", "text", "key"])
def test_a_message_that_would_be_another_one_is_not_sent_again(room: Room, what: str) -> None:
    changed: dict[str, Any] = {}
    match what:
        case "sender":
            other = Mailbox(name="Another name", address=room.newsletter.sender.address)
            changed["newsletter"] = room.newsletter.model_copy(update={"sender": other})
        case "base address":
            changed["links"] = Links("https://other.example.org", room.links.key)
        case "text":
            room.set(rendered_text="Another text @@UNSUBSCRIBE@@ @@MANAGE@@\n")
        case "key":
            changed["links"] = Links(room.links.base_url, b"k" * 32)
    result = room.resend(**changed)
    assert isinstance(result, Refused)
    assert "would not be the same byte by byte" in result.reason
    assert len(room.open) == 2
    assert room.issue_state(room.issue_id) is IssueState.SENT


def test_what_the_freeze_has_stored_may_be_set_anew_without_harm(room: Room) -> None:
    elsewhere = room.newsletter.model_copy(update={"publisher": "Another house, another street"})
    assert isinstance(room.resend(newsletter=elsewhere), Done)


def test_a_message_that_can_no_longer_be_made_is_not_sent_again(room: Room) -> None:
    room.set(rendered_text="no place for a reader's link", rendered_html="<p>nor here</p>")
    result = room.resend()
    assert isinstance(result, Refused)
    assert "would not be the same" in result.reason


def test_where_the_first_message_was_not_recorded_nothing_is_sent_again(room: Room) -> None:
    room.set(wire_digest=None)
    result = room.resend()
    assert isinstance(result, Refused)
    assert "not recorded" in result.reason
    assert isinstance(room.leave(), Done)


def test_the_digest_is_the_same_whenever_it_is_made(room: Room) -> None:
    with room.database.read() as session:
        issue = session.get_one(Issue, room.issue_id, options=[undefer_group(RENDERINGS)])
    found = {wire_digest(editions_of(issue, room.newsletter, room.links, None)) for _ in range(3)}
    assert len(found) == 1
    assert len(found.pop()) == 32
    editions = editions_of(issue, room.newsletter, room.links, None)
    for kind, mailing in editions.items():
        changed = {**editions, kind: replace(mailing, domain="other.example.org")}
        assert wire_digest(editions) != wire_digest(changed)


def test_a_late_answer_still_settles_what_was_left(room: Room) -> None:
    first, _ = room.open
    room.leave(first)
    late = steps.Result(first, Outcome(DeliveryState.ACCEPTED, "250 ok"), NOW, committed=True)
    with room.database.write() as session:
        steps.settle(session.connection(), [late], NOW)
    books = room.books(room.issue_id)
    assert (books.accepted, books.unknown, books.closes) == (READERS - 1, 1, True)


def test_numbers_are_logged_in_few_words(room: Room) -> None:
    with room.database.write() as session:
        rows = {"state": DeliveryState.UNKNOWN, "settled_at": NOW}
        session.execute(sa.update(Delivery).values(**rows))
    room.leave()
    first = room.delivery(1)
    assert room.logged("resolve") == [("Ada", f"left as unknown: {first}-{first + READERS - 1}")]
