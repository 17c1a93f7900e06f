"""A story by a pasted address: whose site it may be on, what is stored, and a sentence for whatever goes wrong."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from digest.gather.answers import Failed
from digest.gather.links import identity
from digest.gather.single import Found, gather_link, pasted_link, source_of
from digest.models import Post
from digest.settings import Fetch, Newsletter
from subscribers.db import Database
from tests.gather.conftest import Faults

NOW = dt.datetime(2026, 11, 19, 6, tzinfo=dt.UTC)
STORY = """<html lang="en"><head><title>Freed</title><meta property="og:title" content="Freed after 214 days">
<meta name="description" content="The editor of a weekly walked out of the courthouse.">
<link rel="canonical" href="{own}">
<meta property="article:published_time" content="2026-11-18T09:00:00Z"></head>
<body><article><h1>Freed after 214 days</h1>
<p>The editor of a weekly walked out of the courthouse to applause, his lawyer said on Wednesday.</p>
<p>The charges had rested on one letter, and nobody had ever seen the original of it, she said.</p>
</article></body></html>"""


def newsletter(*sources: dict[str, str]) -> Newsletter:
    return Newsletter.model_validate(
        {"slug": "watchdog", "title": "Watchdog", "sender": "W <w@example.org>", "sources": list(sources)}
    )


@pytest.fixture
def watchdog(faults: Faults) -> Newsletter:
    return newsletter({"feed": f"{faults.url}/feed", "section": "Journalists in Trouble"})


def gather(database: Database, one: Newsletter, fetch: Fetch, link: str) -> Found | Failed:
    return gather_link(database, one, fetch, link, NOW)


def reason(found: Found | Failed) -> str:
    assert isinstance(found, Failed)
    return found.reason


def posts(database: Database) -> list[Post]:
    with database.read() as session:
        return list(session.scalars(sa.select(Post)))


@pytest.mark.parametrize(
    ("pasted", "link"),
    [
        (" https://www.example.org/a/1.html?utm_source=x&utm_medium=y\n", "https://www.example.org/a/1.html"),
        ("www.example.org/a?id=3&fbclid=z#part", "https://www.example.org/a?id=3"),
        ("HTTPS://WWW.Example.org/A", "https://www.example.org/A"),
        ("javascript:alert(1)", ""),
        ("two words", ""),
        ("", ""),
        ("https://user:pass@www.example.org/", ""),
    ],
)
def test_what_is_pasted_is_made_whole_and_loses_what_only_tracks(pasted: str, link: str) -> None:
    assert pasted_link(pasted) == link


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("https://www.news.example/a/1.html", "https://www.news.example/feed"),
        ("https://m.news.example/a/1.html", "https://www.news.example/feed"),
        ("https://www.news.example/trouble/1.html", "https://www.news.example/all"),
        ("https://other.example/a", "other.example is none of the newsletter’s sources"),
        ("https://news.example.org/a", "news.example.org is none of the newsletter’s sources"),
        ("http://www.news.example/a", "www.news.example is read by https only."),
        ("https://www.news.example/", "That is the front page of www.news.example."),
        ("", "That is no web address."),
    ],
)
def test_only_the_sources_own_sites_are_read(link: str, expected: str) -> None:
    one = newsletter(
        {"feed": "https://www.news.example/feed"}, {"page": "https://www.news.example/all", "match": "/trouble/"}
    )
    found = source_of(one, link)
    assert (found.reason if isinstance(found, Failed) else found.url).startswith(expected)


def test_a_story_is_read_and_stored_like_a_source_s_own(
    database: Database, faults: Faults, watchdog: Newsletter, inside: Fetch
) -> None:
    own = f"{faults.url}/a/freed"
    faults.says("/a/freed", STORY.format(own=own).encode())
    found = gather(database, watchdog, inside, f"{own}?utm_source=mail")
    (post,) = posts(database)
    assert found == Found(post.id, "Journalists in Trouble")
    assert (post.title, post.link, post.source_url) == ("Freed after 214 days", own, watchdog.sources[0].url)
    assert post.identity == identity(own, "")
    assert (post.published_at, post.gathered_at) == (dt.datetime(2026, 11, 18, 9, tzinfo=dt.UTC), NOW)
    assert "his lawyer said" in post.body
    # Now that it is known nobody is asked again.
    asked = len(faults.requests)
    assert gather(database, watchdog, inside, own) == found
    assert len(faults.requests) == asked
    assert len(posts(database)) == 1


def test_another_address_of_a_known_story_finds_it(
    database: Database, faults: Faults, watchdog: Newsletter, inside: Fetch
) -> None:
    own = f"{faults.url}/a/freed"
    faults.says("/a/freed", STORY.format(own=own).encode())
    faults.says("/short", STORY.format(own=own).encode())
    first = gather(database, watchdog, inside, own)
    assert gather(database, watchdog, inside, f"{faults.url}/short") == first
    assert [post.edited_at for post in posts(database)] == [None]


def withdraw(database: Database) -> None:
    with database.write() as session:
        session.execute(sa.update(Post).values(withdrawn_at=NOW))


def test_a_story_that_was_withdrawn_is_asked_for_again(
    database: Database, faults: Faults, watchdog: Newsletter, inside: Fetch
) -> None:
    own = faults.says("/a/freed", STORY.format(own=f"{faults.url}/a/freed").encode())
    first = gather(database, watchdog, inside, own)
    withdraw(database)
    assert gather(database, watchdog, inside, own) == first
    assert posts(database)[0].withdrawn_at is None
    withdraw(database)
    faults.says("/a/freed", STORY.format(own="").replace("Freed", "Notice").encode())
    assert "something else is at its address now" in reason(gather(database, watchdog, inside, own))
    del faults.answers["/a/freed"]
    assert "404" in reason(gather(database, watchdog, inside, own))
    assert posts(database)[0].withdrawn_at == NOW


@pytest.mark.parametrize(
    ("body", "more", "expected"),
    [
        (b"<html><body></body></html>", {}, "There is no story to be found on that page."),
        (b"%PDF", {"kind": "application/pdf"}, "The answer is application/pdf"),
        (b"x", {"status": 500}, "answered 500"),
        (b"x" * 300_000, {}, "larger than"),
        (b"", {"status": 302, "Location": "http://127.0.0.2:9/else"}, "The story could not be read"),
    ],
)
def test_whatever_goes_wrong_is_a_sentence_and_stores_nothing(
    sqlite_database: Database,
    faults: Faults,
    watchdog: Newsletter,
    inside: Fetch,
    body: bytes,
    more: Any,
    expected: str,
) -> None:
    link = faults.says("/a/b", body, **more)
    assert expected in reason(gather(sqlite_database, watchdog, inside, link))
    assert posts(sqlite_database) == []


def test_where_an_address_leads_on_to_has_to_be_a_source_s_site_too(
    sqlite_database: Database, faults: Faults, watchdog: Newsletter
) -> None:
    there = faults.says("/there", STORY.format(own="").encode()).replace("127.0.0.1", "localhost")
    faults.says("/a/b", status=302, Location=there)
    fetch = Fetch(allow_private=("127.0.0.1", "localhost"), delay=0, timeout=2.0)
    found = gather(sqlite_database, watchdog, fetch, f"{faults.url}/a/b")
    assert reason(found).startswith("The address leads on to localhost")
    assert posts(sqlite_database) == []


def test_a_site_that_asks_robots_to_stay_away_is_left_alone(
    sqlite_database: Database, faults: Faults, watchdog: Newsletter, inside: Fetch
) -> None:
    faults.says("/robots.txt", b"User-agent: *\nDisallow: /a/", "text/plain")
    link = faults.says("/a/freed", STORY.format(own="").encode())
    assert "asks robots not to read this page" in reason(gather(sqlite_database, watchdog, inside, link))
