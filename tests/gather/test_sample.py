"""The sample blog: what `digest demo` shows must be sound."""

from __future__ import annotations

import datetime as dt
import struct
import urllib.error
import urllib.request

import pytest

from digest.gather.feed import read_feed
from digest.gather.page import read_page
from digest.gather.sitemap import read_sitemap
from digest.sample import SampleBlog, picture


def get(url: str, **headers: str) -> tuple[int, bytes, str]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        return answer.status, answer.read(), answer.headers["ETag"]


def test_its_posts_fall_between_the_two_instants(now: dt.datetime) -> None:
    since = now - dt.timedelta(hours=6)
    with SampleBlog(now=now, since=since) as blog:
        entries = read_feed(get(blog.feed)[1], blog.feed) + read_feed(get(blog.trouble_feed)[1], blog.trouble_feed)
    assert len(entries) == len(blog.numbers) == 9
    assert all(entry.published and since < entry.published < now for entry in entries)
    assert not any(entry.body for entry in entries)


def test_its_feed_its_sitemap_and_its_page_agree(now: dt.datetime) -> None:
    with SampleBlog(now=now) as blog:
        feed = read_feed(get(blog.feed)[1], blog.feed)
        sitemap = read_sitemap(get(blog.sitemap)[1], blog.sitemap)
        page = read_page(get(blog.page)[1].decode(), blog.page)
    for other in (sitemap, page):
        assert [(one.link, one.title, one.published) for one in other] == [
            (one.link, one.title, one.published) for one in feed
        ]
    assert all(one.body for one in page)


def test_it_knows_what_a_client_has_already(now: dt.datetime) -> None:
    with SampleBlog(now=now) as blog:
        tag = get(blog.feed)[2]
        with pytest.raises(urllib.error.HTTPError) as told:
            get(blog.feed, **{"If-None-Match": tag})
        told.value.close()
        assert told.value.code == 304
        blog.edit(blog.numbers[0], title="Another")
        assert get(blog.feed, **{"If-None-Match": tag})[0] == 200


def test_what_is_withdrawn_is_gone_everywhere(now: dt.datetime) -> None:
    with SampleBlog(now=now) as blog:
        blog.withdraw("41000101")
        with pytest.raises(urllib.error.HTTPError) as told:
            get(f"{blog.url}/a/41000101.html")
        told.value.close()
        assert told.value.code == 410
        assert b"41000101" not in get(blog.feed)[1] + get(blog.page)[1] + get(blog.sitemap)[1]


def test_its_pictures_are_png_of_a_decent_size(now: dt.datetime) -> None:
    with SampleBlog(now=now) as blog:
        entry = read_feed(get(blog.feed)[1], blog.feed)[0]
        data = get(entry.image_url)[1]
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">II", data[16:24]) == (picture.WIDTH, picture.HEIGHT)
    assert len(data) < 40_000
