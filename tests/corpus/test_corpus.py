"""Real pages and feeds of the publishing system and of others, from outside the project, with their truths."""

from __future__ import annotations

import datetime as dt
import gzip
import html
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from digest.gather.article import read_article
from digest.gather.decode import html_text, xml_text
from digest.gather.entry import Entry, Unreadable
from digest.gather.feed import read_feed
from digest.gather.links import tidy
from digest.gather.page import read_page
from digest.gather.sitemap import read_sitemap
from digest.gather.text import from_html

pytestmark = pytest.mark.corpus


def overlap(one: str, other: str) -> float:
    """F1 of the words of two texts, their numbers counted."""
    a, b = (Counter(re.findall(r"\w+", text.lower())) for text in (one, other))
    return 2 * sum((a & b).values()) / (sum(a.values()) + sum(b.values()))


def page(path: Path, url: str) -> Entry:
    return read_article(html_text(gzip.decompress(path.read_bytes()), None), url)


def told(truth: dict[str, Any]) -> str:
    body = truth["body"]
    sections = [line for part in body["sections"] for line in (*part["headline"], *part["paragraphs"])]
    return "\n".join([*body["summary"], *sections])


def test_an_article_of_2024_is_read_as_its_truth_says(corpus: Path) -> None:
    entry = page(corpus / "pages/voanews.com_2024-04-28.html.gz", "https://www.voanews.com/a/7585813.html")
    truth = json.loads((corpus / "pages/voanews.com_2024-04-28.truth.json").read_text())["V1"]
    assert overlap(from_html(entry.body), told(truth)) >= 0.99
    assert entry.title == truth["title"].strip()
    assert entry.published == dt.datetime.fromisoformat(truth["publishing_date"])
    assert entry.byline == " and ".join(truth["authors"])
    cover = next(image for image in truth["images"] if image["is_cover"])
    assert entry.image_caption == cover["caption"]
    assert entry.image_alt == cover["description"]
    assert entry.image_url == cover["versions"][0]["url"].replace("_w250_", "_w1023_")
    for other in truth["images"]:
        assert other["is_cover"] or other["caption"] not in entry.body
    assert entry.language == "en"


def test_an_article_of_2019_is_read_as_its_truth_says(corpus: Path) -> None:
    truth = json.loads((corpus / "pages/polygraph.info_2019-11-18_30279001.truth.json").read_text())
    entry = page(corpus / "pages/polygraph.info_2019-11-18_30279001.html.gz", truth["url"])
    assert overlap(from_html(entry.body), truth["articleBody"]) >= 0.99
    assert entry.link == truth["url"]
    assert entry.title == "Russia and Syria: U.S.-backed Syrian Forces Blocking Refugee Return"
    assert entry.published == dt.datetime(2019, 11, 18, 20, 28, 55, tzinfo=dt.UTC)
    assert entry.byline == ""
    assert "_w1023_" in entry.image_url


def test_the_home_page_s_listing_is_read_without_its_doubles(corpus: Path) -> None:
    text = (corpus / "pages/rferl.org-home-2018-03-17.excerpt.html").read_text()
    entries = read_page(text, "https://www.rferl.org/")
    assert [entry.link.rpartition("/")[2] for entry in entries] == [
        "29103998.html", "29105649.html", "29103896.html", "29098970.html", "29105243.html",
    ]  # fmt: skip
    assert all(entry.title and entry.title == entry.title.strip() for entry in entries)
    assert entries[3].image_alt.startswith('Members of the "Yamb To" (Long Lake)')
    assert all("_w1023_" in entry.image_url for entry in entries[:4])


@pytest.mark.parametrize(
    ("site", "count", "language"),
    [("da.azadiradio.com", 127, "fa-AF"), ("pa.azadiradio.com", 124, "ps"), ("rus.azattyq.org", 15, "ru"),
     ("www.azadliq.org", 4, "az"), ("www.azatutyun.am", 57, "hy"), ("www.currenttime.tv", 23, "ru"),
     ("www.rferl.org", 11, "en"), ("en.radiofarda.com", 0, ""), ("showcase.pangea-cms.com", 0, "")],
)  # fmt: skip
def test_a_site_s_news_sitemap_is_read_whole(corpus: Path, site: str, count: int, language: str) -> None:
    (path,) = (corpus / "sitemaps").glob(f"{site}.*")
    entries = read_sitemap(gzip.decompress(path.read_bytes()), f"https://{site}/sitemap_news.xml")
    assert len(entries) == count
    assert {entry.language for entry in entries} == ({language} if count else set())
    assert all(entry.title and entry.published and entry.link.startswith(f"https://{site}/a/") for entry in entries)


def test_a_real_feed_of_the_system_is_read(corpus: Path) -> None:
    data = (corpus / "feeds/voa-learning-english-podcast-2022-07-14.cut.xml").read_bytes()
    first, second = read_feed(data, "https://learningenglish.voanews.com/podcast/?zoneId=3521")
    assert first.title == "Sri Lankan President Flees, Protesters Storm PM’s Office - July 13, 2022"
    assert first.link == "https://learningenglish.voanews.com/a/6657532.html"
    assert second.published == dt.datetime(2022, 7, 13, 19, 31, 13, tzinfo=dt.UTC)
    assert second.language == "en"
    assert "6AD44B97" in second.image_url


def test_feeds_from_the_wild_are_read_as_another_reader_reads_them(corpus: Path) -> None:
    compared = 0
    for truth_path in sorted((corpus / "feeds/feed-rs").rglob("*.serde.json")):
        (path,) = (
            one for one in truth_path.parent.glob(truth_path.name.removesuffix("serde.json") + "*") if one != truth_path
        )
        truth = json.loads(truth_path.read_text())["entries"]
        entries = read_feed(path.read_bytes(), "https://example.org/feed")
        assert len(entries) == len(truth), path.name
        for entry, other in zip(entries, truth, strict=True):
            compared += 1
            title = (other["title"] or {}).get("content") or ""
            assert not title or entry.title == from_html(html.escape(title, quote=False)), path.name
            hrefs = [link["href"] for link in other["links"]]
            absolute = [tidy(href) for href in hrefs if href.isascii() and href.startswith("http")]
            assert not absolute or entry.link in absolute, path.name
            when = other["published"] or other["updated"]
            assert not when or (entry.published and entry.published.isoformat()[:19] == when[:19]), path.name
    assert compared > 90


@pytest.mark.parametrize(
    "name", ["xmlbomb", "xmlbomb2", "quadratic", "cyclic", "external", "external_file", "dtd", "simple", "simple-ns"]
)
def test_bombs_and_what_is_no_feed_are_refused(corpus: Path, name: str) -> None:
    data = (corpus / f"feeds/defusedxml/{name}.xml").read_bytes()
    for reader in (read_feed, read_sitemap):
        with pytest.raises(Unreadable):
            reader(data, "https://example.org/feed")


@pytest.mark.parametrize(
    ("name", "charset", "word"),
    [("utf8", None, "Café"), ("utf8-incorrect-prolog", None, "테스트"), ("invalid-prolog", None, "Café"),
     ("iso-8859-1", None, "Présentation"), ("koi8r", None, "Первая новость"), ("windows-1252", None, "€"),
     ("windows-1252-incorrect-prolog", "windows-1252", "€")],
)  # fmt: skip
def test_encodings_are_read_right_whatever_is_declared(corpus: Path, name: str, charset: str | None, word: str) -> None:
    data = (corpus / f"feeds/miniflux-encoding/{name}.xml").read_bytes()
    assert word in xml_text(data, charset)
    assert "\ufffd" not in xml_text(data, charset)


@pytest.mark.parametrize(
    ("name", "count", "letters"),
    [("encoding_ISO-8859-1", 40, "äöü"), ("encoding_WINDOWS-1251", 50, "аеиоу"), ("no_encoding_ISO-8859-1", 10, ""),
     ("urdu_UTF8", 26, "کیے"), ("rdf_UTF8", 60, ""), ("large_rss", 25, ""), ("large_atom", 25, ""),
     ("small_atom", 20, "")],
)  # fmt: skip
def test_large_and_foreign_feeds_are_read(corpus: Path, name: str, count: int, letters: str) -> None:
    entries = read_feed((corpus / f"feeds/miniflux/{name}.xml").read_bytes(), "https://example.org/")
    text = " ".join(entry.title + entry.summary for entry in entries)
    assert len(entries) == count
    assert all(letter in text for letter in letters)
    assert not re.search("[\x80-\x9f\ufffd]|Ã[©¨ ]", text)
    for entry in entries:
        etree.fromstring(f"<body>{entry.body}</body>")


def test_articles_of_british_papers_are_read(corpus: Path) -> None:
    folder = corpus / "articles/fundus/uk"
    urls = json.loads((folder / "meta.info").read_text())
    scores = {}
    for path in sorted(folder.glob("*.html.gz")):
        entry = page(path, urls[path.name]["url"])
        truths = json.loads((folder / f"{path.name.partition('_')[0]}.json").read_text()).values()
        # A publisher's file has a truth for each of its pages; which is which is told by the overlap.
        scores[path.name], truth = max(
            ((overlap(from_html(entry.body), told(one)), one) for one in truths), key=lambda pair: pair[0]
        )
        assert entry.title, path.name
        assert entry.published, path.name
        assert abs(
            entry.published - dt.datetime.fromisoformat(truth["publishing_date"]).astimezone(dt.UTC)
        ) < dt.timedelta(days=1), path.name
        etree.fromstring(f"<body>{entry.body}</body>")
    ordered = sorted(scores.values())
    assert len(ordered) == 25
    assert ordered[len(ordered) // 2] >= 0.96, scores
    assert sum(ordered) / len(ordered) >= 0.93, scores
    assert ordered[0] >= 0.5, scores
