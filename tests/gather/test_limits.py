"""Hostile pages and feeds cost no more time than their size: each of these was quadratic once."""

from __future__ import annotations

import contextlib
import gzip
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from digest.gather import robots
from digest.gather.article import read_article
from digest.gather.entry import Unreadable
from digest.gather.feed import read_feed
from digest.gather.inflate import gunzip
from digest.gather.network import FetchError
from digest.gather.page import read_page
from digest.gather.story import clean
from digest.gather.text import from_html, headline

URL = "https://www.example.org/Watchdog"
SIZE = 1_000_000
SECONDS = 15
"""Generous for a slow machine; what is quadratic takes minutes."""
MOMENT = 4
"""The same for a small page, which takes well under a second."""


def repeated(piece: str) -> str:
    return piece * (SIZE // len(piece))


@pytest.mark.parametrize(
    "text",
    ["<!--", "<script", "<style>", "<p", "a. ", "A. ", "&amp;", "\u2066", "<![CDATA[", "x" * 1000 + " "],
)  # fmt: skip
def test_text_of_a_megabyte_is_read_quickly(text: str) -> None:
    start = time.monotonic()
    from_html(repeated(text))
    headline(repeated(text))
    assert time.monotonic() - start < SECONDS


@pytest.mark.parametrize(
    "piece",
    ["a<span>b</span>", "<br>x", "<b>b</b> ", "<h2><a href='/a/1{n}.html'>T</a></h2>", "<p>With reporting by AP</p>",
     "<div class='wsw'><p>x</p></div>", "<ul><li><a href=/x>y</a></li></ul>", "<p>WATCH: x</p>", "<time>x</time>"],
)  # fmt: skip
def test_a_page_of_a_megabyte_is_read_quickly(piece: str) -> None:
    count = SIZE // 4 // len(piece)
    body = "".join(piece.replace("{n}", f"{n:07d}") for n in range(count))
    start = time.monotonic()
    with contextlib.suppress(Unreadable):
        read_page(f"<html><body>{body}</body></html>", URL)
    read_article(f"<html><body><div id='article-content'><div class='wsw'>{body}</div></div></body></html>", URL)
    assert time.monotonic() - start < SECONDS


def test_a_feed_of_many_entries_is_read_quickly() -> None:
    items = "".join(f"<item><title>{n}</title><link>https://x.org/a/{n:07d}.html</link></item>" for n in range(5000))
    start = time.monotonic()
    assert len(read_feed(f"<rss version='2.0'><channel><title>x</title>{items}</channel></rss>".encode(), URL)) == 5000
    assert time.monotonic() - start < SECONDS


@given(st.text(alphabet="<>/abpiu=\"'& \n\u00a0!-xlrefhs:", max_size=200))
def test_whatever_is_cleaned_is_well_formed_and_stays_clean(text: str) -> None:
    once = clean(text)
    etree.fromstring(f"<body>{once}</body>")
    assert clean(once) == once


FRAGMENTS = (
    *("<p>", "</p>", "<b>", "</b>", "<div>", "</div>", "<svg><style>", "<math><mtext>", "<br>", "<ul><li>", "</ul>"),
    *("<a href='javascript:x'>", "<a href='https://x.org'>", "<img src=x onerror=y>", "<script>x</script>", "text"),
    *("&lt;", "<table><tr><td>", "<h1>", "<h4>", "<blockquote>", "<pre>", "<!--", "-->", "<noscript>", "\u0085"),
)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30))
def test_no_mixture_of_tags_gets_anything_dangerous_into_a_body(pieces: list[str]) -> None:
    body = "".join(pieces)
    entry = read_article(
        f"<html><body><div id='article-content'><div class='wsw'>{body}</div></div></body></html>", URL
    )
    root = etree.fromstring(f"<body>{entry.body}</body>")
    for element in root.iter():
        assert element.tag in {"body", "p", "b", "br", "ul", "li", "a", "h2", "h3", "blockquote", "pre"}
        assert set(element.attrib) <= {"href"}
        assert element.get("href", "https://").startswith("https://")


HEADLINE = "<h2><a href='/a/10000001.html'>T</a></h2>"
STORY = "<p>Something that happened, told in a paragraph that is long enough to be one of a story, and in another.</p>"


@pytest.mark.parametrize(
    "body",
    ["<div>" + HEADLINE * 5000 + "</div>", STORY * 2000 + HEADLINE * 3000,
     HEADLINE * 5000 + HEADLINE.replace("0001", "0002"),
     "<div class='" + "a " * 20_000 + "'>" + HEADLINE * 2500 + "</div>", "<h3>a</h3>" * 20_000,
     "<p>a</p>" + "<img src=x>" * 40_000, "<nav>" + "<div class=wsw>b</div>" * 8000 + "</nav>" + "<p>x</p>" * 5000,
     "<div class=wsw>b</div>" + "<nav><div class=wsw>b</div></nav>" * 8000 + "<p>x</p>" * 5000],
    ids=["one article", "one long story", "bare headlines", "many classes", "subheads", "pictures", "hidden stories",
         "hidden doubles"],
)  # fmt: skip
def test_a_page_that_repeats_one_thing_is_read_in_a_moment(body: str) -> None:
    start = time.monotonic()
    with contextlib.suppress(Unreadable):
        read_page(f"<html><body>{body}</body></html>", URL)
    assert time.monotonic() - start < MOMENT


def test_an_article_in_ten_thousand_pieces_is_read_in_a_moment() -> None:
    start = time.monotonic()
    pieces = "<div class=wsw>x</div>" * 10_000
    read_article(f"<html><body><div id='article-content'>{pieces}</div></body></html>", URL)
    assert time.monotonic() - start < MOMENT


def test_a_robots_txt_of_many_names_and_rules_takes_no_more_memory_than_its_size() -> None:
    text = "User-agent: a\n" * 3000 + "User-agent: *\n" * 300 + "Disallow: /x\n" * 3000
    tracemalloc.start()
    try:
        rules = robots.parse(text, "WatchdogDigest/0.1")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(rules.lines) == 3000
    assert peak < 5_000_000


def test_a_robots_txt_is_read_up_to_its_limit() -> None:
    text = "User-agent: *\nDisallow: /early\n" + "#" * robots.LIMIT + "\nDisallow: /late\n"
    rules = robots.parse(text, "x")
    assert not rules.allow("https://example.org/early")
    assert rules.allow("https://example.org/late")


def test_a_gzip_stream_of_many_empty_members_is_refused_at_once() -> None:
    start = time.monotonic()
    with pytest.raises(FetchError, match="pieces"):
        gunzip(gzip.compress(b"") * 50_000, 5_000_000)
    assert time.monotonic() - start < MOMENT
