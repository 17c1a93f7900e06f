"""An installation whose keys are rotated: a database, a keys file, processes of all ages, clocks that are turned."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from subscribers.db import Database
from subscribers.keys import KeysFile, make_keys, read_keys
from subscribers.models import DataKey, Subscriber
from subscribers.rotation import (
    DRAIN,
    begin,
    close,
    finish,
    forget,
    reseal,
    standing,
)
from subscribers.sealed import check_keys, check_values
from subscribers.service import Entered, Service
from subscribers.vault import (
    SUBSCRIBER_ADDRESS,
    Keys,
    Vault,
)
from tests.subscribers.house import WATCH, Recorder, make_service

NOW = dt.datetime(2026, 11, 18, 18, tzinfo=dt.UTC)
ROOT = Path(__file__).resolve().parents[2]
FIRST = make_keys()


@dataclass
class Clocks:
    """The wall's clock and a process's own, turned together."""

    now: dt.datetime = NOW
    ticks: float = 0.0

    def wall(self) -> dt.datetime:
        return self.now

    def own(self) -> float:
        return self.ticks

    def turn(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)
        self.ticks += seconds


@dataclass
class Process:
    """One process of the house: its keys, perhaps the file that it looks at, its vault and its service."""

    vault: Vault
    service: Service
    outbox: Recorder

    def enter(self, address: str, now: dt.datetime = NOW) -> Entered:
        entered = self.service.enter(WATCH.slug, address, "Signed a list.", now)
        assert isinstance(entered, Entered), entered
        return entered


@dataclass
class Installation:
    """A database, a keys file, and processes."""

    database: Database
    path: Path
    clocks: Clocks = field(default_factory=Clocks)

    def process(self, keys: Keys | None = None, path: Path | None = None) -> Process:
        """A process with the file's keys, or others; it sees its file change where it has one."""
        found, outbox = keys or read_keys(path or self.path), Recorder()
        vault = Vault(self.database, found, KeysFile(path) if path else None, self.clocks.own)
        return Process(vault, make_service(self.database, vault, found, outbox), outbox)

    @property
    def keys(self) -> Keys:
        return read_keys(self.path)

    def rotate(self) -> None:
        """A whole rotation, with the waiting done by turning the clock."""
        begin(self.database, self.path, self.clocks.now)
        self.finish()

    def finish(self) -> None:
        self.reseal()
        close(self.database, self.keys, self.clocks.now)
        self.reseal()
        self.clocks.turn(DRAIN.total_seconds())
        forget(self.database, self.clocks.now)
        assert finish(self.database, self.path, self.clocks.now)
        assert standing(self.database, self.keys).is_done

    def reseal(self) -> None:
        assert reseal(self.database, self.keys, self.clocks.wall) == []

    def addresses(self, vault: Vault | None = None) -> list[str]:
        vault = vault or Vault(self.database, self.keys)
        with self.database.read() as session:
            rows = session.execute(sa.select(Subscriber.address_sealed, Subscriber.public_id)).all()
        return sorted(vault.open(sealed, SUBSCRIBER_ADDRESS, row) for sealed, row in rows)

    def findings(self) -> list[str]:
        vault = Vault(self.database, self.keys)
        return [
            str(one)
            for one in [
                *check_keys(self.database, vault, self.keys),
                *check_values(self.database, vault, self.keys, None),
            ]
        ]

    def data_keys(self) -> list[DataKey]:
        with self.database.read() as session:
            return list(session.scalars(sa.select(DataKey).order_by(DataKey.id)))


def people(count_: int) -> list[str]:
    return sorted(f"reader-{number}@example.org" for number in range(count_))
