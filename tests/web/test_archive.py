"""The archive and the feed: what was sent, for everybody, and nothing of any reader's (W-13)."""

from __future__ import annotations

import datetime as dt
from email.utils import parsedate_to_datetime
from xml.etree import ElementTree as ET

import feedparser
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from lxml.html import document_fromstring

from digest.issues.archive import Published
from digest.models import Delivery, DeliveryState, Issue, IssueState
from digest.web.app import Parts
from digest.web.feed import ATOM, atom
from subscribers.models import Subscription
from tests.subscribers.house import Clock
from tests.web.house import BASE_URL, ISSUE, NAME, Browser, add_readers, make_settings, the_issue

PUBLIC = f"/issues/{NAME}"


@pytest.fixture
def sent(desk: Browser, parts: Parts) -> Browser:
    add_readers(parts, "first@example.org", "second@example.net")
    desk.press("save", subject="Freed <b>& glad</b>")
    desk.press("approve")
    assert desk.press("send").status_code == 303
    desk.client.cookies.clear()
    return desk


def test_nothing_is_public_before_it_is_sent(desk: Browser):
    desk.press("approve")
    desk.client.cookies.clear()
    assert desk.get(PUBLIC).status_code == 404
    assert "Nothing has gone out yet" in desk.get("/issues").text
    assert feedparser.parse(desk.get("/feed.xml").content).entries == []


def test_an_issue_that_was_sent_is_there_for_everybody(sent: Browser):
    listed = sent.get("/issues/").text
    assert f'href="{PUBLIC}"' in listed
    assert "Freed &lt;b&gt;&amp; glad&lt;/b&gt;" in listed
    answer = sent.get(PUBLIC)
    assert "Court in Tarnovo" in answer.text
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "script-src" not in answer.headers["content-security-policy"]
    assert not answer.headers.get_list("set-cookie")


def test_no_reader_is_in_the_archive(sent: Browser, parts: Parts):
    with parts.database.read() as session:
        assert session.scalar(sa.select(sa.func.count(Delivery.id))) == 2
        names = [key.hex() for key in session.scalars(sa.select(Subscription.public_id))]
        names += [key.hex() for key in session.scalars(sa.select(Delivery.public_id))]
    for path in (PUBLIC, "/issues", "/feed.xml"):
        text = sent.get(path).text
        for secret in ("@@", "/u/", "/manage/", "example.net", *names):
            assert secret not in text, (path, secret)


def test_the_account_is_on_the_desk(sent: Browser):
    sent.log_in()
    text = sent.get(ISSUE).text
    assert "On its way: 0 of 2." in text
    assert "0 of 2 readers reached" in sent.get("/desk").text


def test_the_feed_is_a_feed(sent: Browser, clock: Clock):
    answer = sent.get("/feed.xml")
    assert answer.headers["content-type"] == "application/atom+xml; charset=utf-8"
    feed = feedparser.parse(answer.content)
    assert not feed.bozo
    assert feed.version == "atom10"
    assert (feed.feed.id, feed.feed.title) == (f"{BASE_URL}/feed.xml", "Watchdog")
    (entry,) = feed.entries
    assert entry.id == f"tag:digest.example.org,2026-11-12:issues/{NAME}"
    assert entry.link == f"{BASE_URL}{PUBLIC}"
    assert entry.title_detail.type == "text/plain"
    assert entry.title == "Freed <b>& glad</b>"
    assert entry.author == "Watchdog"
    assert entry.published == "2026-11-12T05:30:00Z"


def test_atom_s_required_elements_are_there(sent: Browser):
    root = ET.fromstring(sent.get("/feed.xml").text)
    for parent in (root, root.find(f"{{{ATOM}}}entry")):
        assert parent is not None
        for name in ("id", "title", "updated"):
            assert len(parent.findall(f"{{{ATOM}}}{name}")) == 1
    # RFC 4287 §4.1.1: an author for each entry, where the feed has none.
    assert root.find(f"{{{ATOM}}}entry/{{{ATOM}}}author/{{{ATOM}}}name") is not None


@given(st.text(), st.text())
def test_every_text_makes_a_well_formed_feed(subject: str, preheader: str):
    at = dt.datetime(2026, 11, 12, tzinfo=dt.UTC)
    issue = Published("watchdog", "2026-W46", subject, preheader, at, at)
    root = ET.fromstring(atom([issue], make_settings().newsletters, BASE_URL))
    assert root.findtext(f"{{{ATOM}}}entry/{{{ATOM}}}id") == f"tag:digest.example.org,2026-11-12:issues/{NAME}"


def test_an_issue_of_a_newsletter_that_is_no_more_is_left_out_of_the_feed():
    at = dt.datetime(2026, 11, 12, tzinfo=dt.UTC)
    assert b"<entry>" not in atom(
        [Published("gone", "2026-W46", "s", "", at, at)], make_settings().newsletters, BASE_URL
    )


@pytest.mark.parametrize("path", ["/feed.xml", "/issues", PUBLIC])
def test_who_has_it_already_is_told_so(sent: Browser, parts: Parts, path: str):
    first = sent.get(path)
    etag = first.headers["etag"]
    for value in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = sent.client.get(path, headers={"if-none-match": value})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert sent.client.get(path, headers={"if-none-match": '"other"'}).status_code == 200
    assert parsedate_to_datetime(first.headers["last-modified"]) == dt.datetime(2026, 11, 12, 5, 30, tzinfo=dt.UTC)
    with parts.database.write() as session:
        session.execute(sa.update(Issue).values(rendered_subject="Other", rendered_html="<p>Other</p>"))
    assert sent.client.get(path, headers={"if-none-match": etag}).status_code == 200


@pytest.mark.parametrize("path", ["/feed.xml", "/issues", PUBLIC, "/healthz", "/robots.txt", "/static/desk.css"])
def test_head_has_the_headers_alone(sent: Browser, path: str):
    answer = sent.client.head(path)
    assert answer.status_code == 200
    assert answer.content == b""


@pytest.mark.parametrize(
    "path", ["/issues/watchdog", "/issues/watchdog/2026-W45", "/issues/x/2026-W46", "/issues/../desk"]
)
def test_what_was_never_sent_is_not_there(sent: Browser, path: str):
    assert sent.get(path).status_code in (303, 404)
    assert "Tarnovo" not in sent.get(path).text


def settle(parts: Parts, *states: DeliveryState) -> None:
    """Let the copies to readers come to these outcomes, one each."""
    with parts.database.write() as session:
        copies = session.scalars(sa.select(Delivery).where(Delivery.letter == "issue").order_by(Delivery.id)).all()
        for copy, state in zip(copies, states, strict=True):
            copy.state = state


@pytest.mark.parametrize("state", [DeliveryState.ACCEPTED, DeliveryState.UNKNOWN])
def test_an_issue_that_was_stopped_stays_public_where_a_copy_is_out(sent: Browser, parts: Parts, state: DeliveryState):
    settle(parts, state, DeliveryState.QUEUED)
    sent.log_in()
    assert sent.press("cancel").status_code == 303
    assert the_issue(parts).state is IssueState.CANCELLED
    assert f'href="{PUBLIC}"' in sent.get(ISSUE).text
    sent.client.cookies.clear()
    assert "Court in Tarnovo" in sent.get(PUBLIC).text
    assert f'href="{PUBLIC}"' in sent.get("/issues").text
    assert len(feedparser.parse(sent.get("/feed.xml").content).entries) == 1


def test_an_issue_that_was_stopped_before_any_copy_left_is_gone(sent: Browser, parts: Parts):
    settle(parts, DeliveryState.REJECTED, DeliveryState.QUEUED)
    sent.log_in()
    # A test copy is of the issue as well, and has reached an editor.
    sent.press("test")
    with parts.database.write() as session:
        done = sa.update(Delivery).where(Delivery.letter == "test").values(state=DeliveryState.ACCEPTED)
        assert session.connection().execute(done).rowcount == 1
    sent.press("cancel")
    assert f'href="{PUBLIC}"' not in sent.get(ISSUE).text
    assert sent.get(PUBLIC).status_code == 404
    assert PUBLIC not in sent.get("/issues").text


@pytest.mark.parametrize("path", ["/u/a/b", "/confirm/a/b", "/manage/a/b", "/never/a/b", "/nowhere", "/issues/x/y"])
def test_a_page_about_a_problem_is_neither_kept_nor_found(sent: Browser, path: str):
    for answer in (sent.get(path), sent.client.request("PATCH", path), sent.client.get(path, headers={"host": "x.y"})):
        assert answer.status_code in (400, 404, 405)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-robots-tag"] == "noindex"


@pytest.mark.parametrize("path", ["/u/a", "/confirm/a", "/never/a", "/manage/a"])
def test_so_is_a_method_or_a_size_that_a_reader_s_link_does_not_take(sent: Browser, path: str):
    for answer in (sent.client.put(path), sent.client.post(path, content=b"x" * 70_000)):
        assert answer.status_code in (405, 413)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-robots-tag"] == "noindex"


def test_the_archive_shows_what_was_sent_without_what_is_for_readers_of_the_mail_alone(sent: Browser, parts: Parts):
    mail = document_fromstring(the_issue(parts).rendered_html or "")
    for part in mail.find_class("mail-only"):
        part.drop_tree()
    page = document_fromstring(sent.get(PUBLIC).text)
    assert page.text_content() == mail.text_content()
    assert [link for _, _, link, _ in page.iterlinks()] == [link for _, _, link, _ in mail.iterlinks()]
    assert "Unsubscribe" not in page.text_content()
