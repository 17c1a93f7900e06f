"""What scanners do with the links of our mails: they open them all, twice, and nothing comes of it (O-10 to O-12).

The letters are real ones, sent over SMTP by a whole installation. One bot fetches, one is a browser, and one posts
blindly to whatever address it has seen.
"""

from __future__ import annotations

import datetime as dt
import html
import http.client
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser

from digest.models import Delivery
from subscribers.db import Database
from subscribers.lifecycle import State
from subscribers.models import LetterMemory, Subscriber, Subscription, Suppression
from tests.newsroom import Newsroom, get, newsroom, post
from tests.paths.test_source_to_accepted import AT_THE_HOUR, approve, drafted, go_out
from tests.web.house import dump

pytestmark = pytest.mark.browser

TUESDAY = dt.datetime(2026, 11, 17, 9, 0, tzinfo=dt.UTC)
READER, WAITING = "reader@readers.example", "waiting@readers.example"
PEOPLE = (Subscriber, Subscription, LetterMemory, Suppression, Delivery)
PREFETCHES = ({"Sec-Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"})
SCRIPTS = [True, False]
BODIES: tuple[tuple[dict[str, str], str], ...] = (
    ({}, "application/x-www-form-urlencoded"),
    ({"proof": "", "confirm": "yes", "submit": "1"}, "application/x-www-form-urlencoded"),
    ({"proof": "A" * 64, "email": READER, "newsletter": "watchdog"}, "application/x-www-form-urlencoded"),
    ({"List-Unsubscribe": "No"}, "application/x-www-form-urlencoded"),
    ({"a": "b"}, "application/json"),
)


@dataclass
class Mailed:
    """An installation whose letters are out, and every link of ours that stands in them."""

    room: Newsroom
    links: tuple[str, ...]

    @property
    def database(self) -> Database:
        return self.room.house.database

    def kinds(self) -> set[str]:
        return {urlsplit(link).path.split("/")[1] for link in self.links}

    def people(self) -> list[object]:
        """What is known of people and their letters, row by row."""
        with self.database.read() as session:
            return [[tuple(row) for row in session.execute(sa.select(table.__table__))] for table in PEOPLE]

    def states(self) -> list[State]:
        with self.database.read() as session:
            return list(session.scalars(sa.select(Subscription.state).order_by(Subscription.id)))


# The module's own, and made before the browser: while that runs, nothing else in this thread may run an event loop.
@pytest.fixture(scope="module")
def mailed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailed]:
    folder: Path = tmp_path_factory.mktemp("scanned")
    with newsroom(folder, f"sqlite:///{folder / 'digest.db'}", TUESDAY) as room:
        room.reader(READER)
        issue = drafted(room).issue_id
        approve(room, issue)
        room.clock.now = AT_THE_HOUR
        go_out(room, issue)
        room.send_issues()
        # Last, since one of these letters has the link to the reader's own page, which is good for an hour.
        room.subscribe(READER)
        room.subscribe(WAITING)
        room.send_letters()
        yield Mailed(room, links_of(room))


def links_of(room: Newsroom) -> tuple[str, ...]:
    """All links to our own pages, from both parts of every message and from what mail programs read of it."""
    found: set[str] = set()
    for caught in room.catcher.caught:
        headers = caught.message["List-Unsubscribe"] or ""
        texts = (caught.part("plain"), html.unescape(caught.part("html")), headers)
        found.update(link for text in texts for link in re.findall(rf"{room.base}[^\s\"'<>)]*", text))
    return tuple(sorted(found))


def links_on(page: str, address: str, base: str) -> set[str]:
    """Where a page of ours leads to on our own site."""
    found = {urljoin(address, html.unescape(link)) for link in re.findall(r'href="([^"#]*)"', page)}
    return {link for link in found if link.startswith(f"{base}/") and not link.endswith(".ico")}


def test_the_letters_have_every_kind_of_link(mailed: Mailed) -> None:
    kinds = {caught.message["Subject"].partition(":")[0] for caught in mailed.room.catcher.caught}
    assert len(kinds) >= 3
    assert mailed.kinds() >= {"confirm", "never", "u", "manage", "mine", "issues", "feed.xml"}
    assert mailed.states() == [State.CONFIRMED, State.PENDING]


def test_a_scanner_that_fetches_everything_twice_and_looks_ahead_changes_nothing(mailed: Mailed) -> None:
    before = dump(mailed.database)
    for _ in range(2):
        deeper: set[str] = set()
        for link in mailed.links:
            for headers in ({}, *PREFETCHES):
                status, page = get(link, **headers)
                assert status == 200, link
                deeper |= links_on(page, link, mailed.room.base)
            assert head(link) == 200
        for link in deeper - set(mailed.links):
            assert get(link)[0] == 200, link
    assert dump(mailed.database) == before


def head(link: str) -> int:
    parts = urlsplit(link)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    connection.request("HEAD", parts.path, headers={"Host": parts.netloc})
    answer = connection.getresponse()
    assert answer.read() == b""
    connection.close()
    return answer.status


@pytest.mark.parametrize("scripts", SCRIPTS, ids=["scripts", "no scripts"])
def test_a_scanner_that_is_a_browser_changes_nothing(mailed: Mailed, browser: Browser, scripts: bool) -> None:
    before = dump(mailed.database)
    context = browser.new_context(java_script_enabled=scripts)
    page = context.new_page()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    for _ in range(2):
        deeper: set[str] = set()
        for link in mailed.links:
            answer = page.goto(link)
            assert answer
            deeper |= links_on(answer.text(), link, mailed.room.base)
        for link in deeper - set(mailed.links):
            page.goto(link)
    assert context.cookies() == []
    context.close()
    assert set(sent) == {"GET"}
    assert dump(mailed.database) == before


def test_a_program_that_posts_blindly_to_what_it_has_seen_changes_nothing(mailed: Mailed) -> None:
    before = mailed.people()
    seen = {link for address in mailed.links for link in links_on(get(address)[1], address, mailed.room.base)}
    for link in sorted({*mailed.links, *seen, f"{mailed.room.base}/subscribe"}):
        for fields, kind in BODIES:
            status, _ = post(link, fields, **{"Content-Type": kind})
            assert status < 500, link
    assert mailed.people() == before


def test_only_what_a_mail_program_sends_to_the_one_click_address_ends_a_subscription(mailed: Mailed) -> None:
    one_click: dict[str, Any] = {"List-Unsubscribe": "One-Click"}
    others = [link for link in mailed.links if "/u/" not in link]
    before = mailed.people()
    for link in others:
        post(link, one_click)
    assert mailed.people() == before
    # The one in the body also says the language of its page; the header's, which programs use, does not.
    (leave,) = {link for link in mailed.links if "/u/" in link and not urlsplit(link).query}
    assert post(leave, one_click)[0] == 200
    assert mailed.states() == [State.LEFT, State.PENDING]
