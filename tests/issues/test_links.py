"""How links are asked and kept: whose pages, how many at once, what each answer becomes. On both databases."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import sqlalchemy as sa

from digest.configuration import parse
from digest.gather.answers import Failed, There
from digest.gather.fetch import Fetcher
from digest.issues import links
from digest.issues.links import Answered
from digest.models import Link
from digest.settings import Fetch, Settings
from subscribers.db import Database
from tests.gather.conftest import Faults
from tests.issues.newsroom import THURSDAY

INSIDE = Fetch(allow_private=("127.0.0.1",), delay=0, timeout=2.0)
EVERY = dt.timedelta(hours=6)


@pytest.fixture
def faults() -> Iterator[Faults]:
    server = Faults()
    yield server
    server.close()


def fetcher() -> Fetcher:
    return Fetcher(INSIDE)


def anywhere(_: str) -> bool:
    return True


def want(database: Database, *addresses: str, now: dt.datetime = THURSDAY) -> None:
    with database.write() as session:
        links.want(session, addresses, now)


def knock(database: Database, now: dt.datetime = THURSDAY, may: Callable[[str], bool] = anywhere) -> int:
    return links.knock(database, may, fetcher, lambda: now)


def answers(database: Database, *addresses: str) -> dict[str, Answered]:
    with database.read() as session:
        return dict(links.answers(session, addresses))


def lacking(database: Database, address: str, now: dt.datetime) -> bool:
    with database.read() as session:
        return bool(links.lacking(session, [address], now, EVERY))


def settings(**more: object) -> Settings:
    newsletter = {"title": "W", "sender": "W <w@example.org>", "sources": [{"feed": "https://www.rferl.org/api/"}]}
    data = {"newsletters": {"watchdog": newsletter}, **more}
    return parse(data, {}, Path("/nowhere/digest.toml"))


def test_what_is_wanted_is_asked_once_and_kept(database: Database, faults: Faults) -> None:
    fine, dead, moved = faults.says("/a", b"x"), faults.url + "/gone", faults.says("/b", status=301, Location="/a")
    want(database, fine, dead, moved)
    assert answers(database, fine, dead, moved) == {}
    assert knock(database) == 3
    found = answers(database, fine, dead, moved)
    assert {one.outcome for one in found.values()} == {"fine", "dead", "moved"}
    assert found[fine].checked_at == THURSDAY
    assert "answered 404" in found[dead].reason
    assert found[moved].final == fine
    assert knock(database) == 0


def test_slow_and_broken_answers_are_no_deaths(database: Database, faults: Faults) -> None:
    loop = faults.says("/loop", status=302, Location="/loop")
    busy = faults.says("/busy", b"no", status=503)
    want(database, loop, busy)
    knock(database)
    assert {one.outcome for one in answers(database, loop, busy).values()} == {"unreachable"}


def test_what_may_not_be_asked_is_not(database: Database, faults: Faults) -> None:
    url = faults.says("/a", b"x")
    want(database, url, "http://10.0.0.1/inside")
    knock(database, may=lambda one: "10.0.0.1" in one)
    assert faults.methods == []
    found = answers(database, url, "http://10.0.0.1/inside")
    assert {one.outcome for one in found.values()} == {"unasked"}
    assert "private network" in found["http://10.0.0.1/inside"].reason


def test_one_host_is_asked_one_page_after_another(database: Database, faults: Faults) -> None:
    at_once, most = [0], [0]
    lock = threading.Lock()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        handler.send_response(200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        with lock:
            at_once[0] -= 1

    urls = [f"{faults.url}/{number}" for number in range(12)]
    faults.answers |= {f"/{number}": answer for number in range(12)}
    want(database, *urls)
    assert knock(database) == 12
    assert most == [1]
    assert {one.outcome for one in answers(database, *urls).values()} == {"fine"}


def test_a_host_that_owes_answers_is_left_alone(database: Database, faults: Faults) -> None:
    def hang_up(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True

    urls = [f"{faults.url}/{number}" for number in range(8)]
    faults.answers |= {f"/{number}": hang_up for number in range(8)}
    want(database, *urls)
    knock(database)
    assert {one.outcome for one in answers(database, *urls).values()} == {"unreachable"}
    asked = {path for _, path in faults.methods} - {"/robots.txt"}
    assert len(asked) == links.GIVE_UP


def test_two_at_once_ask_different_ones(database: Database) -> None:
    want(database, *(f"https://news.example/{number}" for number in range(links.ROUND + 5)))
    first, second = links._take(database, THURSDAY), links._take(database, THURSDAY)
    assert (len(first), len(second)) == (links.ROUND, 5)
    assert not set(first) & set(second)
    # Whoever took them may have died; some time later they are anybody's again.
    assert len(links._take(database, THURSDAY + links.CLAIM)) == links.ROUND


def test_a_link_is_asked_again_when_its_answer_is_old_or_there_was_none(database: Database, faults: Faults) -> None:
    fine, silent = faults.says("/a", b"x"), faults.says("/b", b"", status=503)
    assert lacking(database, fine, THURSDAY)
    want(database, fine, silent)
    assert not lacking(database, fine, THURSDAY)
    knock(database)
    soon, later = THURSDAY + links.AGAIN, THURSDAY + EVERY
    assert [lacking(database, fine, at) for at in (THURSDAY, soon, later)] == [False, False, True]
    assert [lacking(database, silent, at) for at in (THURSDAY, soon)] == [False, True]


def test_what_is_asked_again_shows_its_old_answer_meanwhile(database: Database, faults: Faults) -> None:
    url = faults.says("/a", b"x")
    want(database, url)
    knock(database)
    want(database, url, now=THURSDAY + EVERY)
    found = answers(database, url)[url]
    assert (found.outcome, found.is_due) == ("fine", True)


def test_an_address_may_be_longer_than_an_index_takes(database: Database) -> None:
    long = "https://news.example/" + "x" * 9000
    want(database, long)
    assert knock(database, may=lambda _: False) == 1
    assert answers(database, long)[long].outcome == "unasked"


def test_what_nobody_has_wanted_for_long_is_forgotten(database: Database) -> None:
    want(database, "https://news.example/old")
    want(database, "https://news.example/new", now=THURSDAY + EVERY)
    with database.write() as session:
        links.forget(session, THURSDAY + EVERY)
    with database.read() as session:
        assert list(session.scalars(sa.select(Link.address))) == ["https://news.example/new"]


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("https://www.rferl.org/a/1.html", True),
        ("https://gdb.rferl.org/a.jpg", True),
        ("https://cpj.org/2026/1", True),
        ("https://data.cpj.org/2026/1", True),
        ("https://notcpj.org/", False),
        ("https://rferl.org.evil.example/", False),
        ("https://elsewhere.example/", False),
        ("http://10.0.0.7/", False),
        ("https://intranet.rferl.org/", False),
        ("https://[::1/", False),
    ],
)
def test_only_the_sources_own_sites_and_those_the_settings_name_are_asked(address: str, may: bool) -> None:
    found = settings(checks={"link_hosts": ["cpj.org"]}, fetch={"allow_private": ["intranet.rferl.org"]})
    assert links.rule_of(found)(address) is may


def test_a_source_inside_the_network_has_its_own_pages_asked() -> None:
    newsletter = {"title": "W", "sender": "W <w@example.org>", "sources": [{"feed": "http://127.0.0.1:81/feed"}]}
    data = {"newsletters": {"w": newsletter}, "fetch": {"allow_private": ["127.0.0.1"]}}
    may = links.rule_of(parse(data, {}, Path("/nowhere/digest.toml")))
    assert may("http://127.0.0.1:81/a")
    assert not may("http://127.0.0.1:82/a")


def test_addresses_that_lead_away_are_taken_from_the_mail_itself() -> None:
    mail = (
        '<a href="https://digest.example/issues">x</a><a class="x" href="https://a.example/?b=1&amp;c=2">y</a>'
        '<a href="mailto:a@b.example">z</a><a href="@@LEAVE@@">q</a><a href="https://a.example/?b=1&amp;c=2">y</a>'
    )
    assert links.outward([mail, mail], "https://digest.example") == ("https://a.example/?b=1&c=2",)


def test_each_answer_has_its_outcome() -> None:
    url = "https://a.example/"
    assert links._judged(url, There(url)).outcome == "fine"
    assert links._judged(url, There("https://b.example/", is_seen=False)) == Answered(
        url, "moved", final="https://b.example/"
    )
    assert links._judged(url, Failed("no", refused=True)).outcome == "unasked"
    assert links._judged(url, Failed("no", gone=True, status=404)).outcome == "dead"
    assert links._judged(url, Failed("no", status=500)).outcome == "unreachable"
