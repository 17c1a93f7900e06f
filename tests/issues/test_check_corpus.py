"""No false alarm: real headlines in seven languages, the sample blog's issue, and our samples of mails in three."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path

import pytest

from digest.gather.sitemap import read_sitemap
from digest.issues.checks import Examined, examine
from digest.issues.draft import draft
from digest.issues.watch import ask_now, watch
from subscribers.db import Database
from tests.issues.newsroom import BASE_URL, THURSDAY, House, make_newsletter, templates
from tests.newsroom import newsroom

OF_REAL_ONES = {"subject-long", "preheader-short", "preheader-long", "summary-missing", "twice-headline"}
"""What is right to say of them: a sitemap has headlines alone, some are long, and a radio programme's are all one."""


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("site", "language", "zone"),
    [
        ("da.azadiradio.com", "fa-AF", "Asia/Kabul"),
        ("pa.azadiradio.com", "ps", "Asia/Kabul"),
        ("rus.azattyq.org", "ru", "Asia/Almaty"),
        ("www.azadliq.org", "az", "Asia/Baku"),
        ("www.azatutyun.am", "hy", "Asia/Yerevan"),
        ("www.currenttime.tv", "ru", "Europe/Prague"),
        ("www.rferl.org", "en", "Europe/Prague"),
    ],
)
def test_real_headlines_raise_no_false_alarm(
    corpus: Path, sqlite_database: Database, site: str, language: str, zone: str
) -> None:
    (path,) = (corpus / "sitemaps").glob(f"{site}.*")
    entries = read_sitemap(gzip.decompress(path.read_bytes()), f"https://{site}/sitemap_news.xml")
    source = f"https://{site}/sitemap_news.xml"
    house = House(
        sqlite_database, make_newsletter(language=language, timezone=zone, max_items=40, sources=[{"sitemap": source}])
    )
    house.source(source)
    for number, entry in enumerate(entries):
        house.post(
            entry.title,
            source=source,
            link=entry.link,
            language=entry.language,
            summary="",
            ago=dt.timedelta(hours=12 + number / 60),
        )
    said = _examined(house, house.draft().issue_id)
    assert {one.code for one in said.findings} <= OF_REAL_ONES, said.findings


def _examined(house: House, issue_id: int) -> Examined:
    with house.database.read() as session:
        return examine(session, issue_id, house.newsletter, templates(), base_url=BASE_URL)


def test_the_sample_blog_s_issue_has_nothing_against_it_with_every_link_asked(tmp_path: Path, sqlite_url: str) -> None:
    with newsroom(tmp_path, sqlite_url, THURSDAY - dt.timedelta(hours=12)) as room:
        paper = room.house.newsletter("watchdog")
        room.house.gather(paper, room.clock())
        room.clock.now = THURSDAY
        issue_id = draft(room.house.database, paper, room.clock()).issue_id
        eyes = room.house.eyes()
        assert watch(eyes, paper, room.clock()) == ()
        while ask_now(eyes):
            pass
        with room.house.database.read() as session:
            said = examine(session, issue_id, paper, room.house.renderer, base_url=room.base)
    assert said.findings == ()
    assert said.asked.links > 5
    assert (said.asked.unknown, said.asked.waiting, said.asked.unasked) == (0, 0, ())
