"""A crowd of bounces is taken back; whatever else was said of a reader, before or since, is not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from digest.inbound import policy
from digest.mail import ledger, steps
from digest.mail.leases import Claim, take_lease
from digest.mail.slices import Slice
from digest.models import Delivery, DeliveryState
from subscribers.db import Database
from subscribers.lifecycle import State
from subscribers.models import Subscriber, Subscription
from subscribers.roll import audience
from subscribers.service import Outcome
from subscribers.suppression import ASKED, COMPLAINT, HAND, add_suppression, suppress
from subscribers.transfer.bringing import Bringing, Request
from tests.inbound import letters
from tests.inbound.letters import BOUNCES, note
from tests.inbound.test_inbox import GONE, WEEK, Room

FIRST = "reader-1@readers.example"


@pytest.fixture
def room(database: Database) -> Room:
    return Room(database)


def _leave(room: Room, _: Path) -> None:
    with room.database.read() as session:
        public_id = session.scalars(sa.select(Subscription.public_id).order_by(Subscription.id)).first()
    assert public_id
    assert room.house.service.leave(room.house.links.leave_token(public_id), _soon(room)) is Outcome.DONE


def _leave_by_mail(room: Room, _: Path) -> None:
    results = "mx.example.org; dkim=pass header.d=readers.example"
    room.comes(note("unsubscribe", sender=FIRST, results=results), f"leave@{BOUNCES}", sender=FIRST, days=0.02)


def _never(room: Room, _: Path) -> None:
    with room.database.read() as session:
        person = session.get_one(Subscriber, 1)
    assert person.suppression_hash
    link = room.house.links.never(person.blind_index, person.suppression_hash)
    assert room.house.service.never(link.rpartition("/")[2], _soon(room)) is Outcome.DONE


def _complain(room: Room, _: Path) -> None:
    with room.database.write() as session:
        assert suppress(session, room.house.vault, 1, COMPLAINT, _soon(room))


def _import_as(status: str) -> Callable[[Room, Path], None]:
    def bring(room: Room, folder: Path) -> None:
        path = folder / "list.csv"
        path.write_text(f"email,status\n{FIRST},{status}\n")
        columns = {"email": "email", "status": "status"}
        run = Bringing(room.database, room.house.vault, Request(path, "watchdog", "en", "e", columns), _soon(room))
        run.bring(folder / "rejected.csv")

    return bring


def _soon(room: Room) -> dt.datetime:
    return room.house.now + dt.timedelta(minutes=30)


def roll(room: Room) -> set[int]:
    """The people of the next issue."""
    with room.database.read() as session:
        return {row.subscriber_id for row in session.execute(audience("watchdog", room.house.now + WEEK))}


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (_leave, "bounce"),
        (_leave_by_mail, "bounce"),
        (_never, "asked"),
        (_complain, "complaint"),
        (_import_as("unsubscribed"), "left"),
        (_import_as("complained"), "complaint"),
    ],
    ids=["leaves", "leaves by mail", "never", "complains", "left elsewhere", "complained elsewhere"],
)
def test_what_somebody_says_after_a_bounce_outlives_the_taking_back(
    room: Room, tmp_path: Path, says: Callable[[Room, Path], None], reason: str
) -> None:
    room.house.readers(policy.SPIKE)
    paths = room.issue(1)
    room.comes(GONE, paths[0])
    says(room, tmp_path)
    room.comes(GONE, *paths[1:], days=0.1)
    # The others are taken back as before.
    assert room.states() == [State.LEFT] + [State.CONFIRMED] * (policy.SPIKE - 1)
    assert room.reasons() == [reason]
    assert 1 not in roll(room)


def test_a_feedback_report_after_a_bounce_does_too(room: Room) -> None:
    room.house.readers(policy.SPIKE)
    paths = room.issue(1)
    with room.database.read() as session:
        public_id = session.scalars(sa.select(Subscription.public_id).order_by(Subscription.id)).first()
    assert public_id
    room.comes(GONE, paths[0])
    room.comes(letters.complaint(f"<{room.house.links.leave(public_id)}>"), f"feedback@{BOUNCES}", days=0.02)
    room.comes(GONE, *paths[1:], days=0.1)
    assert room.states()[0] is State.LEFT
    assert 1 not in roll(room)


def test_a_suppression_alone_keeps_somebody_from_being_taken_back(room: Room) -> None:
    room.house.readers(policy.SPIKE)
    paths = room.issue(1)
    room.comes(GONE, paths[0])
    put_on_the_list(room, HAND)
    room.comes(GONE, *paths[1:], days=0.1)
    assert room.states()[0] is State.LEFT
    assert room.reasons() == [HAND]


def test_who_is_on_the_list_is_mailed_nothing_even_where_a_subscription_stands(room: Room) -> None:
    """Whatever should have ended it: the freeze, the sender's sweep and the last question before the dot all ask."""
    room.house.readers(2)
    house = room.house
    issue_id = house.issue()
    put_on_the_list(room, ASKED)
    assert room.states() == [State.CONFIRMED] * 2
    assert roll(room) == {2}
    with room.database.read() as session:
        first, second = session.scalars(sa.select(Delivery.id).order_by(Delivery.subscriber_id)).all()
    assert intended(room, issue_id, [first, second]) == {second}
    with room.database.write() as session:
        assert ledger.exclude_gone(session, ledger.of_issue(issue_id), house.now) == 1
    with room.database.read() as session:
        assert session.get_one(Delivery, first).state is DeliveryState.EXCLUDED


def test_a_confirmation_that_leaves_somebody_on_the_list_confirms_nothing(room: Room) -> None:
    room.house.service.join("watchdog", FIRST, room.house.now)
    token = room.token()
    put_on_the_list(room, COMPLAINT)
    assert room.house.service.confirm(token, room.house.now) is Outcome.OLD_LINK
    assert room.states() == [State.PENDING]
    assert room.reasons() == [COMPLAINT]


def put_on_the_list(room: Room, reason: str) -> None:
    """Suppress the first reader's address, and end nothing."""
    with room.database.write() as session:
        hashed = room.house.vault.suppression_hash(FIRST)
        add_suppression(session, hashed, reason, room.house.now)


def intended(room: Room, issue_id: int, delivery_ids: list[int]) -> set[int]:
    """Which of them the ledger lets go, just before the final dot."""
    claim = Claim(Slice(issue_id, 0).lease, "test")
    assert take_lease(room.database, claim, room.house.now, dt.timedelta(minutes=1))
    with room.database.write() as session:
        found = steps.intend(session.connection(), delivery_ids, claim, room.house.now)
        session.rollback()
    return found
