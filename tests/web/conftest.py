"""An application on a real database, with a clock that a test turns and a browser's manners."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from digest.web.app import Parts
from subscribers.db import Database
from subscribers.keys import Keys, make_keys
from tests.subscribers.house import Clock
from tests.web.house import Browser, add_editor, add_posts, make_client, make_parts, open_issue


@pytest.fixture(scope="session")
def keys() -> Keys:
    return make_keys()


@pytest.fixture
def clock() -> Clock:
    """Thursday, 2026-11-12, half past six in Prague: the window has just ended."""
    return Clock(dt.datetime(2026, 11, 12, 5, 30, tzinfo=dt.UTC))


@pytest.fixture
def parts(sqlite_database: Database, keys: Keys, clock: Clock) -> Parts:
    """The parts on SQLite, with an editor and the week's draft."""
    made = make_parts(sqlite_database, keys, clock)
    add_editor(made)
    add_posts(made)
    open_issue(made)
    return made


@pytest.fixture
def browser(parts: Parts) -> Iterator[Browser]:
    """Nobody is logged in yet."""
    with make_client(parts) as client:
        yield Browser(client)


@pytest.fixture
def desk(browser: Browser) -> Browser:
    """Anna is logged in."""
    assert browser.log_in().status_code == 303
    return browser
