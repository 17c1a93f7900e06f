"""Keys are rotated while everything runs: all is sealed anew, and what leaked opens nothing."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from subscribers.db import Base
from subscribers.models import Subscriber, Subscription
from subscribers.rotation import (
    DRAIN,
    begin,
    close,
    finish,
    forget,
    reseal,
    retire_all,
    standing,
)
from subscribers.vault import (
    ARRIVAL,
    DELIVERY_CONTEXT,
    PLACES,
    SUBSCRIBER_ADDRESS,
    USER_ADDRESS,
    CannotOpen,
    Place,
    Vault,
    WrongKeys,
)
from tests.subscribers.installation import FIRST, NOW, Installation, people


def test_every_column_of_sealed_values_is_known() -> None:
    """A new one must be rotated and searched too."""
    found = {
        Place(table.name, column.name)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        # What an authenticator app shares with us is sealed by another key, which stands still (web.access.codes).
        if "sealed" in column.name and table.name not in ("data_keys", "totp_secrets")
    }
    assert found == set(PLACES)
    for place in PLACES:
        assert {"id", "public_id"} <= set(Base.metadata.tables[place.table].columns.keys())


def test_after_a_rotation_the_new_keys_open_all_and_the_old_ones_nothing(house: Installation) -> None:
    old = house.process()
    for address in people(5):
        old.enter(address)
    before = house.data_keys()
    house.rotate()
    assert house.keys.previous is None
    assert (house.keys.pair, house.keys.index) != (FIRST.pair, FIRST.index)
    assert house.keys.is_next_of(FIRST)
    assert house.addresses() == people(5)
    assert house.findings() == []
    assert not {one.id for one in before} & {one.id for one in house.data_keys()}
    for kept in house.data_keys():
        with pytest.raises(WrongKeys):
            Vault(house.database, FIRST).check_data_key(kept.id)
    # A data key that leaked, from the memory of a web process, opens nothing any more either.
    with house.database.read() as session:
        for sealed, row in session.execute(sa.select(Subscriber.address_sealed, Subscriber.public_id)):
            with pytest.raises(CannotOpen):
                old.vault.open(sealed, SUBSCRIBER_ADDRESS, row)


def test_values_of_every_place_are_sealed_anew(house: Installation) -> None:
    vault = Vault(house.database, FIRST)
    texts = {USER_ADDRESS: "anna@newsroom.example", DELIVERY_CONTEXT: '{"a": "b"}', ARRIVAL: "To: x@example.org\n" * 90}
    fill = {
        "users": {"name": "anna", "password_hash": "x", "role": "editor", "created_at": NOW},
        "deliveries": {
            "letter": "confirm", "newsletter": "watch", "attempts": 0, "state": "QUEUED",
            "due_at": NOW, "created_at": NOW, "give_up_at": NOW,
        },
        "arrivals": {"source": "mail", "key": b"k" * 32, "arrived_at": NOW, "state": "WAITING", "outcome": ""},
    }  # fmt: skip
    for number, (place, text) in enumerate(texts.items()):
        row = bytes([number]) * 16
        table = Base.metadata.tables[place.table]
        values = {**fill[place.table], "public_id": row, place.column: vault.seal(text, place, row)}
        if "state" in values:
            values["state"] = table.c.state.type.python_type[values["state"]]
        with house.database.write() as session:
            session.execute(sa.insert(table).values(values))
    house.rotate()
    after = Vault(house.database, house.keys)
    for number, (place, text) in enumerate(texts.items()):
        table = Base.metadata.tables[place.table]
        with house.database.read() as session:
            sealed = session.scalars(sa.select(table.c[place.column])).one()
        assert after.open(sealed, place, bytes([number]) * 16) == text
        with pytest.raises(CannotOpen):
            vault.open(sealed, place, bytes([number]) * 16)


def test_only_the_data_keys_can_be_made_anew(house: Installation) -> None:
    taken = house.process()
    for address in people(3):
        taken.enter(address)
    retire_all(house.database, NOW)
    house.reseal()
    assert forget(house.database, NOW + DRAIN - dt.timedelta(seconds=1)) == 0
    assert forget(house.database, NOW + DRAIN) == 1
    assert house.keys == FIRST
    assert house.addresses() == people(3)
    assert standing(house.database, FIRST).is_done


def test_a_data_key_lasts_until_nobody_can_be_reading_what_it_sealed(small: Installation) -> None:
    """A sender may have read a row a moment before it was sealed anew: the key is counted from then."""
    small.process().enter("mina@example.org")
    retire_all(small.database, small.clocks.now)
    small.clocks.turn(3600)
    small.reseal()
    assert forget(small.database, small.clocks.now) == 0
    small.clocks.turn(DRAIN.total_seconds())
    assert forget(small.database, small.clocks.now) == 1


def test_the_number_of_a_data_key_is_never_given_again(small: Installation) -> None:
    """A sender that runs on remembers data keys by their numbers."""
    seen = set[int]()
    for turn in range(4):
        if turn % 2:
            small.process().enter(f"reader-{turn}@example.org")
        retire_all(small.database, small.clocks.now)
        small.reseal()
        small.clocks.turn(DRAIN.total_seconds())
        forget(small.database, small.clocks.now)
        (now,) = {one.id for one in small.data_keys()}
        assert now not in seen
        seen.add(now)


def test_a_value_that_does_not_open_is_named_and_holds_up_nothing_else(house: Installation) -> None:
    for address in people(3):
        house.process().enter(address)
    with house.database.write() as session:
        broken = session.get_one(Subscriber, 2)
        broken.address_sealed = broken.address_sealed[:-1] + bytes([broken.address_sealed[-1] ^ 1])
    begin(house.database, house.path, house.clocks.now)
    close(house.database, house.keys, house.clocks.now)
    left = reseal(house.database, house.keys, house.clocks.wall)
    assert [(one.table, one.row) for one in left] == [("subscribers", 2)]
    assert "damaged" in str(left[0])
    house.clocks.turn(DRAIN.total_seconds())
    # Its key stays, and so does the pair before: from a backup the row could still be put right.
    assert forget(house.database, house.clocks.now) == 2
    assert not finish(house.database, house.path, house.clocks.now)
    with house.database.write() as session:
        session.execute(sa.delete(Subscription).where(Subscription.subscriber_id == 2))
        session.execute(sa.delete(Subscriber).where(Subscriber.id == 2))
    house.clocks.turn(DRAIN.total_seconds())
    house.finish()
