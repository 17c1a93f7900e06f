"""A service on a real database, with an outbox that only remembers; an installation whose keys are rotated."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from subscribers.db import Database
from subscribers.service import Service
from subscribers.vault import Keys, Vault, make_keys, write_keys
from tests.subscribers.house import BASE_URL, Clock, Recorder, make_app, make_service
from tests.subscribers.installation import FIRST, Installation


@pytest.fixture
def keys() -> Keys:
    return make_keys()


@pytest.fixture
def vault(database: Database, keys: Keys) -> Vault:
    return Vault(database, keys)


@pytest.fixture
def outbox() -> Recorder:
    return Recorder()


@pytest.fixture
def service(database: Database, vault: Vault, keys: Keys, outbox: Recorder) -> Service:
    return make_service(database, vault, keys, outbox)


@pytest.fixture
def clock(now: dt.datetime) -> Clock:
    return Clock(now)


@pytest.fixture
def sqlite_service(sqlite_database: Database, keys: Keys, outbox: Recorder) -> Service:
    return make_service(sqlite_database, Vault(sqlite_database, keys), keys, outbox)


@pytest.fixture
def client(sqlite_service: Service, clock: Clock) -> Iterator[TestClient[Litestar]]:
    with TestClient(make_app(sqlite_service, clock), base_url=BASE_URL) as client:
        yield client


@pytest.fixture
def house(database: Database, tmp_path: Path) -> Installation:
    write_keys(tmp_path / "digest.keys", FIRST)
    return Installation(database, tmp_path / "digest.keys")


@pytest.fixture
def small(sqlite_database: Database, tmp_path: Path) -> Installation:
    write_keys(tmp_path / "digest.keys", FIRST)
    return Installation(sqlite_database, tmp_path / "digest.keys")
