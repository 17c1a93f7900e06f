"""The page for searching: what it shows, what it says when nothing is found, and that no address breaks it."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digest.issues.search_index import rebuild
from digest.models import Issue
from digest.web.app import Parts
from tests.web.house import Browser, add_editor, add_past_issue, make_client


def main(html: str) -> str:
    return html.partition("<main")[2]


def test_a_draft_and_a_sent_issue_are_found_and_told_apart(desk: Browser, parts: Parts):
    add_past_issue(parts)
    page = main(desk.get("/desk/search?q=verdict").text)
    assert '<a href="/desk/issues/watchdog/2026-W45">Strikes, a <mark>verdict</mark> and a birthday' in page
    assert '<span class="state sent">Sent</span>' in page
    assert '<a href="/issues/watchdog/2026-W45">In the archive</a>' in page
    page = main(desk.get("/desk/search?q=tarnovo").text)
    assert re.search(r'<a href="/desk/issues/watchdog/2026-W46#story-\d+">Court in <mark>Tarnovo</mark>', page)
    assert "In the archive" not in page
    assert "2 places" in page
    assert "The lead" in page


def test_what_is_found_is_on_the_page_that_it_leads_to(desk: Browser):
    page = main(desk.get("/desk/search?q=ambulance").text)
    found = re.search(r'href="(/desk/issues/[^"#]+)#(story-\d+)"', page)
    assert found
    assert f'id="{found[2]}"' in desk.get(found[1]).text


def test_before_anything_is_asked_there_is_the_form_alone(desk: Browser):
    page = main(desk.get("/desk/search").text)
    assert 'name="q"' in page
    assert "places" not in page
    assert "<h2" not in page


def test_nothing_found_says_what_to_try(desk: Browser):
    page = main(desk.get("/desk/search?q=zebra&year=2026").text)
    assert "Nothing was found" in page
    assert 'href="/desk/search?q=zebra"' in page
    assert "There is neither a letter nor a digit in that." in main(desk.get("/desk/search?q=%22%22+-").text)


def test_marks_of_html_are_text(desk: Browser, parts: Parts):
    with parts.database.write() as session:
        issue = session.scalars(sa.select(Issue)).one()
        issue.introduction = "<script>alert(1)</script> & more"
    page = main(desk.get("/desk/search?q=script+%3Cscript%3E").text)
    assert "&lt;<mark>script</mark>&gt;alert(1)" in page
    assert "<script>" not in page


def test_pages_keep_what_was_asked(desk: Browser, parts: Parts):
    with parts.database.write() as session:
        issue = session.scalars(sa.select(Issue)).one()
        for item in issue.items:
            item.headline = f"Strike & {item.headline}"
    page = main(desk.get("/desk/search?q=%22strike+%26%22&newsletter=watchdog").text)
    assert 'value="&#34;strike &amp;&#34;"' in page
    assert "6 places" in page


def test_what_an_address_says_wrongly_narrows_nothing(desk: Browser):
    for wrong in (
        "newsletter=none",
        "year=x",
        "year=%D9%A2%D9%A0%D9%A2%D9%A6",
        "page=0",
        "page=-1",
        "page=99999",
        "page=x",
    ):
        assert "2 places" in desk.get(f"/desk/search?q=tarnovo&{wrong}").text, wrong
    assert "Nothing was found" in desk.get("/desk/search?q=tarnovo&year=2020").text


def test_everybody_on_the_desk_may_look_and_nobody_else(parts: Parts):
    add_editor(parts, "vera", "viewer", None)
    with make_client(parts) as client:
        browser = Browser(client)
        assert browser.get("/desk/search?q=tarnovo").status_code == 303
        browser.log_in("vera")
        assert "2 places" in browser.get("/desk/search?q=tarnovo").text


@given(text=st.text(max_size=60) | st.text("\"'“*()^:-+|&!<>%\\ \0\n\taNOT", max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_no_words_break_the_page(desk: Browser, text: str):
    answer = desk.get(f"/desk/search?q={quote(text.encode('utf-8', 'replace'))}")
    assert answer.status_code == 200
    assert "Search" in answer.text


@pytest.mark.parametrize("raw", ["%FF%FE", "%", "q=%00&q=2", "%ED%A0%80", "a" * 5000])
def test_no_octets_break_it_either(desk: Browser, raw: str):
    assert desk.get(f"/desk/search?q={raw}").status_code in (200, 400)


def test_a_newsletter_that_is_no_longer_declared_leads_to_the_archive(desk: Browser, parts: Parts):
    add_past_issue(parts)
    with parts.database.write() as session:
        session.execute(sa.update(Issue).where(Issue.week == "2026-W45").values(newsletter="closed"))
    rebuild(parts.database)
    page = unescape(main(desk.get("/desk/search?q=verdict").text))
    assert '<a href="/issues/closed/2026-W45">Strikes' in page
    assert "/desk/issues/closed" not in page
