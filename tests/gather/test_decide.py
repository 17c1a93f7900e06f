"""What a reading means, as pure rules."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.gather.decide import (
    Decided,
    Edited,
    Known,
    New,
    Redated,
    Unchanged,
    decide,
    doubt,
    fingerprint,
    merged,
    names,
    names_article,
    published_at,
    rechecked,
    staleness,
)
from digest.gather.entry import ArticlePage, Entry

FEED, PAGE = "https://www.example.org/api/", "https://www.example.org/Watchdog"
NOW = dt.datetime(2026, 11, 18, 18, 0, tzinfo=dt.UTC)
STORED = Entry(link="https://www.example.org/a/mill/10000001.html", title="The Mill", summary="It turns.",
               body="<p>It turns again.</p>", byline="Ann", image_url="https://x.org/i.jpg", image_alt="M")  # fmt: skip
KNOWN = Known(1, "article:example:10000001", FEED, STORED)
SHOWN = replace(STORED, body="", byline="", image_alt="")


def one(entry: Entry, source: str = FEED, owners: tuple[str, ...] = (FEED, PAGE)) -> Decided:
    (intent,) = decide({KNOWN.identity: KNOWN}, [entry], source, owners)
    return intent


def test_a_post_that_nobody_knows_is_new() -> None:
    (intent,) = decide({}, [SHOWN], FEED, [FEED])
    assert intent == New("article:example:10000001", SHOWN)


@pytest.mark.parametrize(
    "link",
    ["https://www.example.org/a/mill/10000001.html?utm_source=rss", "http://example.org/a/10000001.html",
     "https://m.example.mobi/amp/other-slug/10000001.html#top"],
)  # fmt: skip
def test_the_same_post_under_another_address_is_unchanged(link: str) -> None:
    assert one(replace(SHOWN, link=link)) == Unchanged(KNOWN)


@pytest.mark.parametrize("change", [{"title": "The Old Mill"}, {"summary": "It stands."}, {"body": "<p>Other.</p>"}])
def test_another_headline_summary_or_body_is_an_edit(change: dict[str, Any]) -> None:
    assert one(replace(SHOWN, **change)) == Edited(KNOWN, replace(SHOWN, **change))


def test_what_a_source_does_not_say_is_no_edit() -> None:
    assert one(Entry(link=SHOWN.link)) == Unchanged(KNOWN)


def test_only_the_source_that_brought_a_post_edits_it_while_it_is_read() -> None:
    other = replace(SHOWN, title="Another Wording")
    assert one(other, source=PAGE) == Unchanged(KNOWN)
    assert one(other, source=PAGE, owners=(PAGE,)) == Edited(KNOWN, other)


def test_the_same_article_twice_in_one_reading_counts_once() -> None:
    twice = [SHOWN, replace(SHOWN, link="https://www.example.org/a/10000001.html", title="Again")]
    assert decide({}, twice, FEED, [FEED]) == [New("article:example:10000001", SHOWN)]


def test_what_cannot_be_told_apart_is_left_out() -> None:
    assert decide({}, [Entry(title="No address")], FEED, [FEED]) == []


def test_a_fingerprint_is_of_what_a_reader_sees() -> None:
    same = replace(STORED, link="https://other.example/", guid="x", published=NOW, body="<p>It turns <b>again</b>.</p>")
    assert fingerprint(same) == fingerprint(STORED)
    for field in ("title", "byline", "summary", "body", "image_url", "image_alt", "image_caption"):
        other: dict[str, Any] = {field: "other"}
        assert fingerprint(replace(STORED, **other)) != fingerprint(STORED)
    assert fingerprint(Entry(title="a", byline="b")) != fingerprint(Entry(title="ab"))


def test_the_source_names_a_post_and_its_page_tells_it() -> None:
    page = Entry(link="https://www.example.org/a/mill/10000001.html", title="Long Title", summary="Page's.",
                 body="<p>B</p>", byline="Ann", image_url="https://x.org/cover.jpg", image_caption="C")  # fmt: skip
    entry = merged(replace(SHOWN, link="https://proxy.example/1"), page)
    assert (entry.title, entry.summary, entry.body, entry.byline) == ("The Mill", "It turns.", "<p>B</p>", "Ann")
    assert (entry.link, entry.image_url, entry.image_alt, entry.image_caption) == (page.link, page.image_url, "", "C")


def test_a_post_without_a_headline_takes_its_page_s_or_its_first_sentence() -> None:
    bare = Entry(link=SHOWN.link, body="<p>It rained. The mill turned.</p>")
    assert merged(bare, Entry(title="From The Page")).title == "From The Page"
    assert merged(bare, None).title == "It rained"
    assert merged(bare, None).summary == "It rained. The mill turned."


def test_a_page_that_reads_differently_is_an_edit_if_the_body_came_from_it() -> None:
    page = replace(STORED, body="<p>It stands still.</p>")
    assert rechecked(KNOWN, page, is_from_page=True) == Edited(KNOWN, page)
    assert rechecked(KNOWN, page, is_from_page=False) == Unchanged(KNOWN)
    assert rechecked(KNOWN, STORED, is_from_page=True) == Unchanged(KNOWN)
    assert rechecked(KNOWN, Entry(), is_from_page=True) == Unchanged(KNOWN)


def test_a_body_that_was_missing_is_filled_in_quietly() -> None:
    known = replace(KNOWN, entry=replace(STORED, body=""))
    assert rechecked(known, STORED, is_from_page=True) == Edited(known, STORED, is_quiet=True)


def test_a_withdrawn_post_whose_page_is_back_is_back() -> None:
    gone = replace(KNOWN, is_withdrawn=True)
    assert rechecked(gone, STORED, is_from_page=True) == Edited(gone, STORED)


@given(st.none() | st.datetimes(timezones=st.just(dt.UTC)))
def test_no_post_is_published_later_than_now(published: dt.datetime | None) -> None:
    at = published_at(Entry(published=published), NOW)
    assert at <= NOW
    assert at == (published if published is not None and published <= NOW else NOW)


def test_a_source_that_shrank_by_more_than_eighty_percent_is_doubted() -> None:
    entries = [SHOWN] * 20
    assert doubt(entries[:3], 20, "feed") is not None
    assert doubt(entries[:4], 20, "feed") is None
    assert doubt(entries[:1], 4, "page") is None
    assert doubt([], 0, "feed") == "It has no entries."
    assert "last good reading had 7" in (doubt([], 7, "feed") or "")
    assert doubt([], 20, "sitemap") is None


def test_a_source_without_a_post_for_long_is_stale() -> None:
    two_weeks = dt.timedelta(days=14)
    assert staleness(NOW - two_weeks, two_weeks, NOW) is None
    assert staleness(None, two_weeks, NOW) is None
    assert staleness(NOW - two_weeks - dt.timedelta(seconds=1), two_weeks, NOW) == (
        "Its newest post is of 04 November 2026, more than 14 days ago."
    )


LIVE = "https://x.org/live"


def live(*numbers: int) -> list[Entry]:
    return [Entry(link=f"{LIVE}#p{n}", guid=f"tag:{n}", title=f"Post {n}") for n in numbers]


def stored(intents: list[Decided]) -> dict[str, Known]:
    new = [one for one in intents if isinstance(one, New)]
    return {one.identity: Known(n, one.identity, FEED, one.entry) for n, one in enumerate(new)}


def test_posts_that_share_an_address_are_told_apart_by_their_guids() -> None:
    known = stored(decide({}, live(0, 1, 2), FEED, [FEED]))
    assert list(known) == [f"guid:x.org/live tag:{n}" for n in range(3)]
    assert names(live(0, 1, 2)) >= set(known)
    assert decide(known, live(0, 1, 2), FEED, [FEED]) == [Unchanged(one) for one in known.values()]
    assert decide(known, live(1), FEED, [FEED]) == [Unchanged(list(known.values())[1])]


def test_a_post_that_was_alone_with_its_address_stays_what_it_was() -> None:
    known = stored(decide({}, live(0), FEED, [FEED]))
    assert list(known) == ["link:x.org/live"]
    first, second = decide(known, live(0, 1), FEED, [FEED])
    assert first == Unchanged(known["link:x.org/live"])
    assert isinstance(second, New)


def test_one_address_with_one_guid_is_one_post() -> None:
    twice = [*live(0), replace(live(0)[0], link=LIVE)]
    assert len(decide({}, twice, FEED, [FEED])) == 1


def test_a_made_date_gives_way_to_an_earlier_one_of_the_source() -> None:
    made = replace(KNOWN, entry=replace(STORED, published=NOW), is_dated=False)
    before, after = NOW - dt.timedelta(days=1), NOW + dt.timedelta(days=1)

    def shown(known: Known, date: dt.datetime | None) -> list[Decided]:
        return decide({KNOWN.identity: known}, [replace(SHOWN, published=date)], FEED, [FEED])

    assert shown(made, before) == [Redated(made, before)]
    assert shown(made, after) == [Unchanged(made)]
    assert shown(made, None) == [Unchanged(made)]
    dated = replace(made, is_dated=True)
    assert shown(dated, before) == [Unchanged(dated)]


def test_a_page_is_an_article_s_own_by_its_marks_its_address_or_its_headline() -> None:
    assert not names_article(STORED, ArticlePage(title="Log In", body="<p>Please.</p>"))
    assert not names_article(STORED, ArticlePage(title="Log In", own_link="https://www.example.org/login"))
    assert names_article(STORED, ArticlePage(title="THE MILL"))
    assert names_article(STORED, ArticlePage(own_link="https://m.example.org/a/10000001.html"))
    assert names_article(STORED, ArticlePage(has_story_root=True))
