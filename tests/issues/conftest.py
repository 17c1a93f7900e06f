"""The newsroom as fixtures."""

from __future__ import annotations

import pytest

from subscribers.db import Database
from tests.issues.newsroom import House


@pytest.fixture
def house(database: Database) -> House:
    """An empty newsroom, on both databases."""
    return House(database)


@pytest.fixture
def thursday(house: House) -> House:
    """A newsroom with an ordinary week's posts."""
    house.well()
    return house
