"""What is known of a number that was given to somebody is never said of somebody else."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from digest.mail.personal import LAPSED
from digest.mail.verp import verp_token
from digest.models import Bounce, Delivery, DeliveryState
from subscribers.db import Database
from subscribers.lifecycle import State
from subscribers.models import Subscriber, Subscription
from subscribers.transfer.bringing import Bringing, Request
from tests.house import NOW, keys
from tests.inbound.letters import BOUNCES
from tests.inbound.test_inbox import GONE, Room

STRANGER, READER = "stranger@elsewhere.example", "reader@readers.example"
LATER = NOW + dt.timedelta(days=4, hours=1)


@pytest.fixture
def room(database: Database) -> Room:
    return Room(database)


def letter_to(room: Room, address: str, now: dt.datetime) -> str:
    """Somebody asks and gets the letter; returns its return path, which they can read in it."""
    room.house.service.join("watchdog", address, now)
    out = {"state": DeliveryState.ACCEPTED, "settled_at": now, "context_sealed": None}
    with room.database.write() as session:
        newest = session.scalars(sa.select(Delivery).order_by(Delivery.id.desc())).first()
        assert newest
        session.execute(sa.update(Delivery).where(Delivery.id == newest.id).values(out))
        return f"b.{verp_token(keys().token, newest.public_id)}@{BOUNCES}"


def test_an_old_return_path_ends_nobody_who_came_since(room: Room) -> None:
    path = letter_to(room, STRANGER, NOW)
    assert room.house.service.purge(LATER) == 1
    room.house.service.join("watchdog", READER, LATER)
    room.house.service.confirm(room.token(), LATER)
    room.house.now = LATER
    room.comes(GONE, path)
    assert room.states() == [State.CONFIRMED]
    assert room.reasons() == []


def test_a_row_that_was_made_before_somebody_came_is_not_about_them(room: Room) -> None:
    """Also where a database has kept such a row from before."""
    path = letter_to(room, STRANGER, NOW)
    room.house.now = LATER
    room.house.readers(1)
    with room.database.write() as session:
        session.execute(sa.delete(Subscriber).where(Subscriber.id == 1))
        session.execute(sa.update(Delivery).values(subscriber_id=2, subscription_id=2))
    room.comes(GONE, path)
    assert room.states() == [State.CONFIRMED]


def test_who_is_deleted_is_not_pointed_at_and_no_letter_to_them_waits(room: Room) -> None:
    letter_to(room, STRANGER, NOW)
    room.house.service.join("watchdog", READER, NOW)
    with room.database.write() as session:
        session.add(Bounce(subscriber_id=1, at=NOW, sign="soft", domain_key=b"k" * 32))
    assert room.house.service.purge(LATER) == 2
    with room.database.read() as session:
        rows = session.scalars(sa.select(Delivery).order_by(Delivery.id)).all()
        assert {(row.subscriber_id, row.subscription_id, row.context_sealed) for row in rows} == {(None, None, None)}
        assert [(row.state, row.reply) for row in rows] == [
            (DeliveryState.ACCEPTED, None),
            (DeliveryState.EXCLUDED, LAPSED),
        ]
        bounce = session.scalars(sa.select(Bounce)).one()
    assert (bounce.subscriber_id, bounce.domain_key) == (None, None)


def test_a_request_that_lapses_takes_only_its_own_letters(room: Room) -> None:
    """The person stays, as the reader of another newsletter."""
    letter_to(room, READER, NOW)
    with room.database.write() as session:
        session.execute(sa.update(Subscription).values(newsletter="other"))
    room.house.service.enter("watchdog", READER, "Signed a list.", NOW)
    room.house.issue()
    assert room.house.service.purge(LATER) == 1
    with room.database.read() as session:
        rows = session.execute(
            sa.select(Delivery.letter, Delivery.subscriber_id, Delivery.subscription_id).order_by(Delivery.id)
        ).all()
    assert [tuple(row) for row in rows] == [("confirm", 1, None), ("issue", 1, 2)]


@pytest.mark.parametrize("how", ["by hand", "by a list"])
def test_no_number_is_given_again(room: Room, tmp_path, how: str) -> None:
    path = tmp_path / "list.csv"
    seen = set[tuple[int, int]]()
    for turn in range(3):
        address = f"reader-{turn}@readers.example"
        if how == "by hand":
            room.house.service.enter("watchdog", address, "Signed a list.", NOW)
        else:
            path.write_text(f"email\n{address}\n")
            wanted = Request(path, "watchdog", "en", "e", {"email": "email"})
            Bringing(room.database, room.house.vault, wanted, NOW).bring(tmp_path / "rejected.csv")
        with room.database.write() as session:
            (numbers,) = session.execute(sa.select(Subscription.subscriber_id, Subscription.id)).all()
            session.execute(sa.delete(Subscriber))
        assert not {number for number, _ in seen} & {numbers[0]}
        assert not {number for _, number in seen} & {numbers[1]}
        seen.add((numbers[0], numbers[1]))
