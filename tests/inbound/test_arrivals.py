"""What comes in is kept once, sealed, and opens where the private key is."""

from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import undefer

from digest.inbound import arrivals
from digest.models import Arrival, ArrivalState
from subscribers.db import Database
from subscribers.vault import CannotOpen, Vault
from tests.house import NOW, keys


def stored(database: Database) -> list[Arrival]:
    with database.read() as session:
        return list(session.scalars(sa.select(Arrival).options(undefer(Arrival.sealed))))


def test_a_door_without_the_private_key_takes_in_and_cannot_read_it(database: Database) -> None:
    raw = bytes(range(256)) + b"reader@example.org"
    facing_the_network = Vault(database, dataclasses.replace(keys(), private=None))

    assert arrivals.take_in(database, facing_the_network, "ses", b"event 1", raw, NOW)

    (arrival,) = stored(database)
    assert arrival.state is ArrivalState.WAITING
    assert b"reader" not in (arrival.sealed or b"")
    assert arrivals.opened(Vault(database, keys()), arrival) == raw
    with pytest.raises(CannotOpen):
        arrivals.opened(Vault(database, dataclasses.replace(keys(), private=None)), arrival)


def test_what_comes_twice_is_kept_once_whoever_takes_it(database: Database) -> None:
    vault = Vault(database, keys())
    other = Vault(database, keys())

    told = [arrivals.take_in(database, one, "ses", b"event 1", b"x", NOW) for one in (vault, other, vault)]

    assert told == [True, False, False]
    assert arrivals.take_in(database, vault, "mailgun", b"event 1", b"x", NOW)
    assert len(stored(database)) == 2


def test_too_much_is_not_taken(database: Database) -> None:
    with pytest.raises(ValueError, match="octets"):
        arrivals.take_in(database, Vault(database, keys()), "ses", b"1", b"x" * (arrivals.LARGEST + 1), NOW)
    assert stored(database) == []
