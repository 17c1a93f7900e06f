"""Sources to stored posts, over real HTTP, on both databases."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from digest.gather.refresh import ARTICLES, SourceReport, refresh
from digest.models import Post, SourceState
from digest.sample import SampleBlog
from digest.settings import Fetch, Newsletter
from subscribers.db import Database

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def blog(now: dt.datetime) -> Iterator[SampleBlog]:
    with SampleBlog(now=now) as one:
        yield one


def newsletter(*sources: dict[str, object]) -> Newsletter:
    return Newsletter.model_validate(
        {"slug": "watchdog", "title": "Watchdog", "sender": "Watchdog <digest@example.org>", "sources": sources}
    )


def posts(database: Database) -> list[Post]:
    with database.read() as session:
        found = list(session.scalars(sa.select(Post).order_by(Post.published_at.desc())))
        session.expunge_all()
    return found


def state(database: Database, url: str) -> SourceState:
    with database.read() as session:
        found = session.scalars(sa.select(SourceState).where(SourceState.url == url)).one()
        session.expunge_all()
    return found


def rss(faults: Any, *items: str) -> str:
    body = f"<rss version='2.0'><channel><title>T</title><link>{faults.url}</link>{''.join(items)}</channel></rss>"
    return str(faults.says("/feed", body.encode(), "application/rss+xml"))


def item(faults, number: int, title: str = "", date: str = "Tue, 17 Nov 2026 10:00:00 +0000", more: str = "") -> str:
    return (
        f"<item><title>{title or f'Post {number}'}</title><link>{faults.url}/a/{number}.html</link>"
        f"<pubDate>{date}</pubDate>{more}</item>"
    )


def article(faults, number: int, text: str = "The story is told here, in a paragraph.") -> None:
    page = (
        f"<h1 class='pg-title'>Page {number}</h1><div id='article-content'><div class='wsw'><p>{text}</p></div></div>"
    )
    faults.says(f"/a/{number}.html", page.encode())


def test_the_sample_blog_is_gathered_with_bodies_pictures_and_sections(
    database: Database, blog: SampleBlog, inside: Fetch, now: dt.datetime
) -> None:
    sources = newsletter({"feed": blog.feed}, {"feed": blog.trouble_feed, "section": "Journalists In Trouble"})
    heard: list[SourceReport] = []
    reports = refresh(database, sources, inside, now, on_source=heard.append)
    assert [(one.new, one.entries, one.section, one.reason) for one in reports] == [
        (7, 7, "", None),
        (2, 2, "Journalists In Trouble", None),
    ]
    assert heard == reports
    stored = posts(database)
    assert [post.identity.rpartition(":")[2] for post in stored] == list(blog.numbers)
    assert all(post.body and post.summary and post.published_at <= now for post in stored)
    lead = stored[0]
    assert (lead.byline, lead.language) == ("Ilka Brandt", "en")
    assert lead.image_url.endswith("_w1023_r1_s.png")
    assert lead.image_alt == "Drawing: a pale sun low over ranges of blue hills."
    assert lead.body.startswith("<p>SARNEL, Veldria — A judge")
    for words in ("Subscribe", "please wait", "No media source", "WATCH", "0:00", "another story", "Breaking"):
        assert all(words not in post.body for post in stored)


def test_a_second_reading_changes_nothing_and_asks_for_little(
    database: Database, blog: SampleBlog, inside: Fetch, now: dt.datetime
) -> None:
    sources = newsletter({"feed": blog.feed})
    refresh(database, sources, inside, now)
    before = [(post.fingerprint, post.edited_at) for post in posts(database)]
    (report,) = refresh(database, sources, inside, now + HOUR)
    assert (report.new, report.edited, report.withdrawn, report.unchanged) == (0, 0, 0, 7)
    assert [(post.fingerprint, post.edited_at) for post in posts(database)] == before
    assert state(database, blog.feed).etag is not None


def test_four_ways_to_read_one_blog_make_each_post_once(
    database: Database, blog: SampleBlog, inside: Fetch, now: dt.datetime
) -> None:
    sources = newsletter({"feed": blog.feed}, {"sitemap": blog.sitemap}, {"page": blog.page})
    reports = refresh(database, sources, inside, now)
    assert [(one.kind, one.new, one.unchanged, one.reason) for one in reports] == [
        ("feed", 7, 0, None), ("sitemap", 0, 7, None), ("page", 0, 7, None),
    ]  # fmt: skip
    assert len(posts(database)) == 7


@pytest.mark.parametrize("kind", ["sitemap", "page"])
def test_the_blog_can_be_read_without_its_feed(
    database: Database, blog: SampleBlog, inside: Fetch, now: dt.datetime, kind: str
) -> None:
    (report,) = refresh(database, newsletter({kind: getattr(blog, kind)}), inside, now)
    assert (report.new, report.reason) == (7, None)
    first = posts(database)[0]
    assert first.title == "Court In Sarnel Frees Editor Held For 14 Months Over Water Report"
    assert first.body.startswith("<p>SARNEL, Veldria — A judge")
    assert first.image_caption == "The hills above Sarnel, the capital of Veldria (illustration)"


def test_edits_and_withdrawals_are_seen_and_marked(
    database: Database, blog: SampleBlog, inside: Fetch, now: dt.datetime
) -> None:
    sources = newsletter({"feed": blog.feed})
    refresh(database, sources, inside, now)
    blog.edit("41000101", title="Court In Sarnel Frees Mirela Tosk")
    blog.edit("41000102", paragraph="Since this report the ministry has answered.")
    blog.withdraw("41000103")
    (report,) = refresh(database, sources, inside, now + HOUR)
    assert (report.edited, report.withdrawn, report.unchanged) == (2, 1, 4)
    by_number = {post.identity.rpartition(":")[2]: post for post in posts(database)}
    assert by_number["41000101"].title == "Court In Sarnel Frees Mirela Tosk"
    assert by_number["41000101"].edited_at == now + HOUR
    assert "the ministry has answered" in by_number["41000102"].body
    assert by_number["41000103"].withdrawn_at == now + HOUR
    assert by_number["41000104"].edited_at is None


def test_a_withdrawn_post_that_comes_back_is_no_longer_withdrawn(
    database: Database, faults, inside: Fetch, now: dt.datetime
) -> None:
    url = rss(faults, item(faults, 10001))
    article(faults, 10001)
    refresh(database, newsletter({"feed": url}), inside, now)
    faults.says("/a/10001.html", b"gone", status=410)
    refresh(database, newsletter({"feed": url}), inside, now + HOUR)
    assert posts(database)[0].withdrawn_at == now + HOUR
    article(faults, 10001)
    refresh(database, newsletter({"feed": url}), inside, now + 2 * HOUR)
    assert posts(database)[0].withdrawn_at is None


def test_one_broken_source_never_stops_the_others_and_says_why(
    database: Database, blog: SampleBlog, faults, inside: Fetch, now: dt.datetime
) -> None:
    broken = {
        faults.says("/no-feed", b"<html><body>Welcome</body></html>"): "web page",
        faults.says("/empty", b""): "empty",
        faults.says("/shell", b"<rss></rss>", "text/xml"): "empty shell",
        faults.says("/bomb", b'<!DOCTYPE x [<!ENTITY a "b">]><rss>&a;</rss>', "text/xml"): "document type",
        faults.says("/picture", b"GIF89a", "image/gif"): "image/gif",
        faults.says("/closed", b"no", status=403): "403",
        faults.says("/inside", status=302, Location="http://169.254.169.254/"): "private",
        faults.says("/json", b'{"a": [', "application/json"): "JSON",
        faults.says("/deep", b"<a>" * 20_000, "text/xml"): "not a feed",
    }
    deep = faults.says("/deep-page", b"<div>" * 5000 + b"Text")
    sources = newsletter(*({"feed": url} for url in broken), {"page": deep}, {"feed": blog.feed})
    *failed, deeper, good = refresh(database, sources, inside, now)
    for report, word in zip(failed, broken.values(), strict=True):
        assert report.reason is not None
        assert word in report.reason, report
        assert state(database, report.url).reason == report.reason
        assert state(database, report.url).failures == 1
        assert state(database, report.url).succeeded_at is None
    assert deeper.reason is not None
    assert (good.new, good.reason) == (7, None)
    refresh(database, sources, inside, now + HOUR)
    assert state(database, failed[0].url).failures == 2


def test_a_source_that_recovers_has_no_reason_any_more(database: Database, faults, inside: Fetch, now) -> None:
    url = faults.says("/feed", b"no", status=500)
    refresh(database, newsletter({"feed": url}), inside, now)
    article(faults, 10001)
    rss(faults, item(faults, 10001))
    refresh(database, newsletter({"feed": url}), inside, now + HOUR)
    found = state(database, url)
    assert (found.reason, found.failures, found.succeeded_at, found.entries) == (None, 0, now + HOUR, 1)


def test_a_feed_that_shrank_is_doubted_until_it_recovers_and_measured_by_its_last_good_reading(
    database: Database, faults, inside: Fetch, now
) -> None:
    old = "Tue, 03 Nov 2026 10:00:00 +0000"
    many = [item(faults, 10000 + n, date=old) for n in range(20)]
    url = rss(faults, *many)
    source = newsletter({"feed": url, "stale_after": "30 d"})
    assert refresh(database, source, inside, now)[0].reason is None
    rss(faults, *many[:2])
    for hours in (1, 2):
        (report,) = refresh(database, source, inside, now + hours * HOUR)
        assert report.reason is not None
        assert "from 20 entries to 2" in report.reason
        assert state(database, url).failures == hours
    rss(faults, *many)
    assert refresh(database, source, inside, now + 3 * HOUR)[0].reason is None


def test_a_feed_that_stays_small_is_believed_after_its_time(database: Database, faults, inside: Fetch, now) -> None:
    many = [item(faults, 10000 + n) for n in range(20)]
    url = rss(faults, *many)
    source = newsletter({"feed": url, "stale_after": "14 d"})
    refresh(database, source, inside, now)
    rss(faults, *many[:1], item(faults, 10100, date="Thu, 03 Dec 2026 10:00:00 +0000"))
    article(faults, 10100)
    (report,) = refresh(database, source, inside, now + dt.timedelta(days=15))
    assert report.reason is None
    assert state(database, url).entries == 2


def test_a_feed_without_entries_is_not_no_news(database: Database, faults, inside: Fetch, now) -> None:
    (report,) = refresh(database, newsletter({"feed": rss(faults)}), inside, now)
    assert report.reason == "It has no entries."


def test_a_source_without_news_for_long_is_stale_though_it_answers(
    database: Database, faults, inside: Fetch, now
) -> None:
    url = rss(faults, item(faults, 10001, date="Sun, 01 Nov 2026 10:00:00 +0000"))
    (report,) = refresh(database, newsletter({"feed": url}), inside, now)
    assert report.reason == "Its newest post is of 01 November 2026, more than 14 days ago."
    assert state(database, url).reason == report.reason
    assert state(database, url).failures == 0


def test_impossible_dates_put_a_post_at_now(database: Database, faults, inside: Fetch, now) -> None:
    dates = ("Tue, 17 Nov 2099 10:00:00 +0000", "Mon, 01 Jan 0001 00:00:00 +0000", "soon")
    for number in (10001, 10002, 10003):
        article(faults, number)
    url = rss(faults, *(item(faults, 10001 + n, date=date) for n, date in enumerate(dates)))
    refresh(database, newsletter({"feed": url}), inside, now)
    assert [post.published_at for post in posts(database)] == [now] * 3
    refresh(database, newsletter({"feed": url}), inside, now + HOUR)
    assert [post.published_at for post in posts(database)] == [now] * 3


def test_pages_are_fetched_newest_first_only_of_the_window_and_so_many_at_most(
    database: Database, faults, inside: Fetch, now
) -> None:
    recent = [item(faults, 20000 + n, date=f"Tue, 17 Nov 2026 10:{n % 60:02d}:00 +0000") for n in range(50)]
    old = item(faults, 10001, date="Tue, 01 Sep 2026 10:00:00 +0000")
    for number in (10001, *range(20000, 20050)):
        article(faults, number)
    url = rss(faults, old, *recent)
    (report,) = refresh(database, newsletter({"feed": url}), inside, now)
    assert report.new == 51
    asked = [path for path, _ in faults.requests if path.startswith("/a/")]
    assert asked == [f"/a/{number}.html" for number in range(20049, 20049 - ARTICLES, -1)]
    assert sum(post.body != "" for post in posts(database)) == ARTICLES
    (report,) = refresh(database, newsletter({"feed": url}), inside, now + HOUR)
    stored = posts(database)
    assert sum(post.body != "" for post in stored) == 50
    assert (report.edited, [post for post in stored if post.edited_at]) == (0, [])
    assert "/a/10001.html" not in [path for path, _ in faults.requests]


def test_an_article_that_cannot_be_read_leaves_what_the_feed_says_and_a_line(
    database: Database, faults, inside: Fetch, now
) -> None:
    url = rss(faults, item(faults, 10001, more="<description>In short.</description>"))
    faults.says("/a/10001.html", b"no", status=403)
    (report,) = refresh(database, newsletter({"feed": url}), inside, now)
    assert report.reason == "An article could not be read: 127.0.0.1 answered 403 (Forbidden)."
    assert state(database, url).reason is None
    (post,) = posts(database)
    assert (post.title, post.summary, post.body) == ("Post 10001", "In short.", "")


def test_an_article_that_is_not_there_is_withdrawn_when_it_still_is_not_later(
    database: Database, faults, inside: Fetch, now
) -> None:
    url = rss(faults, item(faults, 10001))
    (report,) = refresh(database, newsletter({"feed": url}), inside, now)
    assert (report.new, report.withdrawn) == (1, 0)
    assert "404" in (report.reason or "")
    (report,) = refresh(database, newsletter({"feed": url}), inside, now + HOUR)
    assert (report.new, report.withdrawn) == (0, 1)


def test_whole_texts_in_a_feed_need_no_page_and_an_edit_of_them_is_seen(
    database: Database, faults, inside: Fetch, now
) -> None:
    def whole(word: str) -> str:
        text = "".join(f"&lt;p&gt;{f'{word} paragraph {n} is long enough. ' * 12}&lt;/p&gt;" for n in (1, 2))
        return item(faults, 10001, date=f"Tue, 17 Nov 2026 10:00:0{len(word) % 10} +0000").replace(
            "</item>",
            f"<encoded xmlns='http://purl.org/rss/1.0/modules/content/'>{text}</encoded></item>",
        )

    url = rss(faults, whole("First"))
    article(faults, 10001, "Something else stands on the page.")
    refresh(database, newsletter({"feed": url}), inside, now)
    assert [path for path, _ in faults.requests] == ["/feed"]
    assert posts(database)[0].body.startswith("<p>First paragraph 1")
    assert refresh(database, newsletter({"feed": url}), inside, now + HOUR)[0].edited == 0
    rss(faults, whole("Second"))
    assert refresh(database, newsletter({"feed": url}), inside, now + 2 * HOUR)[0].edited == 1
    assert posts(database)[0].body.startswith("<p>Second paragraph 1")


def test_only_links_that_match_count(database: Database, blog: SampleBlog, inside: Fetch, now) -> None:
    source = newsletter({"sitemap": blog.sitemap, "match": "/a/tarkhiz-"})
    assert refresh(database, source, inside, now)[0].entries == 2


def test_two_refreshes_at_once_make_no_doubles(database: Database, blog: SampleBlog, inside: Fetch, now) -> None:
    sources = newsletter({"feed": blog.feed}, {"feed": blog.trouble_feed, "section": "Journalists In Trouble"})
    failures: list[BaseException] = []
    new: list[int] = []
    together = threading.Barrier(3)

    def run() -> None:
        together.wait()
        try:
            new.append(sum(report.new for report in refresh(database, sources, inside, now)))
        except BaseException as error:  # noqa: BLE001 -- it is told on the main thread.
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(new) == 9
    assert len(posts(database)) == 9


def test_two_newsletters_may_read_the_same_blog(database: Database, blog: SampleBlog, inside: Fetch, now) -> None:
    one = newsletter({"feed": blog.feed})
    refresh(database, one, inside, now)
    assert refresh(database, one.model_copy(update={"slug": "other"}), inside, now)[0].new == 7


def test_monsters_and_hostile_text_are_stored_as_harmless_text(database: Database, faults, inside: Fetch, now) -> None:
    titles = ("Line\r\nBcc: x@example.org", "=?utf-8?q?x=0D=0ABcc=3A_e=40x?=", "\u202eevil\u2066",
              "👩\u200d👧 " * 400, "a" * 10_000,
              "&lt;script&gt;alert(1)&lt;/script&gt;Safe")  # fmt: skip
    url = rss(faults, *(item(faults, 10001 + n, title=title) for n, title in enumerate(titles)))
    assert refresh(database, newsletter({"feed": url}), inside, now)[0].new == len(titles)
    for post in posts(database):
        assert post.title.isprintable() or "\u200d" in post.title
        assert "<" not in post.title
        assert "\u202e" not in post.title


def test_a_log_in_page_in_place_of_an_article_changes_nothing_and_is_told(
    database: Database, faults, inside: Fetch, now
) -> None:
    text = "".join(
        f"<p>The story is told here at length, in paragraph {n}, and it goes on and on.</p>" for n in range(9)
    )
    page = f"<html><head><title>Post One</title></head><body><article><h1>Post One</h1>{text}</article></body></html>"
    link = faults.says("/2026/post-one", page.encode())
    entry = f"<item><title>Post One</title><link>{link}</link><pubDate>Tue, 17 Nov 2026 10:00:00 +0000</pubDate></item>"
    url = rss(faults, entry)
    refresh(database, newsletter({"feed": url}), inside, now)
    body = posts(database)[0].body
    assert "The story is told here" in body
    login = page.replace("Post One", "Log In").replace("The story is told here", "Please log in to read this")
    faults.says("/2026/post-one", login.encode())
    (report,) = refresh(database, newsletter({"feed": url}), inside, now + HOUR)
    assert (report.edited, report.withdrawn) == (0, 0)
    assert report.reason == f"The page of an article is about something else now, and was not believed: {link}"
    assert posts(database)[0].body == body
    rss(faults, entry.replace("</item>", "<description>In short.</description></item>"))
    refresh(database, newsletter({"feed": url}), inside, now + 2 * HOUR)
    (post,) = posts(database)
    assert (post.summary, post.body) == ("In short.", body)


def test_posts_that_share_an_address_are_all_kept_and_have_no_page_to_themselves(
    database: Database, faults, inside: Fetch, now
) -> None:
    live = faults.says("/live", b"<title>Live</title><p>All of it</p>")
    items = [f"<item><title>Post {n}</title><link>{live}#p{n}</link><guid>tag:{n}</guid></item>" for n in range(3)]
    url = rss(faults, *items)
    (report,) = refresh(database, newsletter({"feed": url}), inside, now)
    assert (report.new, report.reason) == (3, None)
    (report,) = refresh(database, newsletter({"feed": url}), inside, now + HOUR)
    assert (report.new, report.unchanged) == (0, 3)
    assert "/live" not in [path for path, _ in faults.requests]


@pytest.mark.parametrize("title", ["", "Another Title"])
def test_an_impossible_date_that_is_put_right_is_taken(
    database: Database, faults, inside: Fetch, now, title: str
) -> None:
    article(faults, 10001)
    url = rss(faults, item(faults, 10001, date="Tue, 17 Nov 2099 10:00:00 +0000"))
    refresh(database, newsletter({"feed": url}), inside, now)
    rss(faults, item(faults, 10001, title, date="Tue, 17 Nov 2026 10:00:00 +0000"))
    refresh(database, newsletter({"feed": url}), inside, now + HOUR)
    assert posts(database)[0].published_at == dt.datetime(2026, 11, 17, 10, tzinfo=dt.UTC)
    rss(faults, item(faults, 10001, title, date="Mon, 16 Nov 2026 10:00:00 +0000"))
    refresh(database, newsletter({"feed": url}), inside, now + 2 * HOUR)
    assert posts(database)[0].published_at == dt.datetime(2026, 11, 17, 10, tzinfo=dt.UTC)
