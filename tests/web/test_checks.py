"""The panel of checks on the issue page: groups at a glance, reasons against what blocks, buttons that help."""

from __future__ import annotations

import datetime as dt
import hashlib
import re

import pytest
import sqlalchemy as sa

from digest.models import Issue, IssueState, Item, KeptOverride, Link, Post, PostVersion
from digest.web.app import Parts
from tests.subscribers.house import Clock
from tests.web.house import ISSUE, Browser, add_editor, fields_of, the_issue

LINK = "https://blog.example.org/a/1.html"


def write(parts: Parts, *statements: sa.Update) -> None:
    with parts.database.write() as session:
        for statement in statements:
            session.execute(statement)


def item(parts: Parts, place: int = 1) -> Item:
    return sorted(the_issue(parts).items, key=lambda one: one.position)[place]


def placeholder(parts: Parts, place: int = 1) -> None:
    """A story that waits to be filled in: it blocks, and can be overridden."""
    write(parts, sa.update(Item).where(Item.id == item(parts, place).id).values(summary="A quote is TK here."))


def panel(page: str) -> str:
    found = re.search(r'<section class="panel checks".*?</section>', page, re.DOTALL)
    assert found is not None
    return found[0]


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def link(parts: Parts, outcome: str, clock: Clock, **more: object) -> None:
    row = {
        "digest": hashlib.sha256(LINK.encode()).digest(),
        "address": LINK,
        "wanted_at": clock(),
        "checked_at": clock(),
    }
    with parts.database.write() as session:
        session.add(Link(**row, outcome=outcome, **({"final": "", "reason": "It answered so."} | more)))


def reasons(page: str) -> list[str]:
    return re.findall(r'name="(because-[^"]*)"', page)


def test_an_ordinary_issue_is_fine_at_a_glance(desk: Browser) -> None:
    said = words(panel(desk.get(ISSUE).text))
    assert "Nothing blocks it" in said
    assert "17 of 18 fine" in said
    assert "No story is there twice" in said
    assert "No link is dead" not in said
    assert "6 of 6 links were not asked yet." in said
    assert "Blocks" not in said


def test_findings_stand_in_groups_with_place_reason_and_fix(desk: Browser, parts: Parts) -> None:
    placeholder(parts)
    write(parts, sa.update(Issue).values(subject="x" * 80))
    html = panel(desk.get(ISSUE).text)
    said = words(html)
    assert "1 blocks it 1 to look at 15 of 18 fine" in said
    assert said.index("Blocks Story 2: ") < said.index("Look at Subject")
    assert f'<a href="#summary-{item(parts).id}">Story 2: ' in html
    assert "looks like a place to be filled in. Fill it in or take it out." in said
    assert "What is sent cannot be called back" in said


def test_a_publisher_can_approve_all_the_same_with_a_reason(desk: Browser, parts: Parts) -> None:
    placeholder(parts)
    (field,) = reasons(desk.get(ISSUE).text)
    refused = desk.press("approve")
    assert refused.status_code == 422
    assert "This has to be put right first" in refused.text
    answer = desk.press("approve", **{field: "TK is a party’s name"})
    assert answer.status_code == 303
    assert the_issue(parts).state is IssueState.APPROVED
    page = desk.get(answer.headers["location"]).text
    assert reasons(page) == []
    said = words(panel(page))
    assert "Approved all the same Story 2: " in said
    assert "anna , Thu 12 Nov 2026, 06:30 CET: TK is a party’s name" in said
    assert "approved in spite of a check: " in words(page)
    with parts.database.read() as session:
        assert [one.who for one in session.scalars(sa.select(KeptOverride))] == ["anna"]


def test_a_reason_that_was_typed_is_not_lost_where_another_is_missing(desk: Browser, parts: Parts) -> None:
    placeholder(parts, 1)
    placeholder(parts, 2)
    first, second = reasons(desk.get(ISSUE).text)
    refused = desk.press("approve", **{first: "One reason"})
    assert refused.status_code == 422
    assert fields_of(refused.text)[first] == "One reason"
    assert fields_of(refused.text)[second] == ""
    assert the_issue(parts).state is not IssueState.APPROVED


def test_what_nobody_may_override_has_no_field(desk: Browser, parts: Parts) -> None:
    write(parts, sa.update(Issue).values(subject=""))
    page = desk.get(ISSUE).text
    assert reasons(page) == []
    assert "No reason helps against this" in words(panel(page))
    key = "subject-missing-" + "0" * 12
    answer = desk.post(f"{ISSUE}/approve", {**desk.form(), f"because-{key}": "I know better"})
    assert answer.status_code == 422
    assert the_issue(parts).state is not IssueState.APPROVED


def test_an_editor_sees_what_blocks_and_cannot_override(browser: Browser, parts: Parts) -> None:
    placeholder(parts)
    add_editor(parts, "ed", "editor")
    assert browser.log_in("ed").status_code == 303
    page = browser.get(ISSUE).text
    assert reasons(page) == []
    assert "A publisher can approve it all the same" in words(panel(page))
    fields = browser.form()
    with parts.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(KeptOverride)) == 0
    assert browser.post(f"{ISSUE}/approve", {**fields, "because-x": "Because"}).status_code == 403


def test_words_typed_with_a_reason_are_saved_and_the_reason_is_of_what_stands(desk: Browser, parts: Parts) -> None:
    placeholder(parts)
    (field,) = reasons(desk.get(ISSUE).text)
    answer = desk.press("approve", **{field: "Because", f"summary-{item(parts).id}": "Another quote is TK here."})
    assert answer.status_code == 422
    assert item(parts).summary == "Another quote is TK here."
    assert the_issue(parts).state is not IssueState.APPROVED


def test_links_are_asked_for_by_a_button_and_not_in_the_request(desk: Browser, parts: Parts) -> None:
    answer = desk.press("links")
    assert answer.status_code == 303
    page = desk.get(answer.headers["location"]).text
    assert "The links are being looked at" in page
    with parts.database.read() as session:
        rows = list(session.scalars(sa.select(Link)))
    assert {row.due_at for row in rows} == {parts.clock()}
    assert {row.outcome for row in rows} == {""}
    assert LINK in {row.address for row in rows}
    assert the_issue(parts).revision == 1


def test_looking_at_the_page_wants_no_link(desk: Browser, parts: Parts) -> None:
    desk.get(ISSUE)
    with parts.database.read() as session:
        assert list(session.scalars(sa.select(Link))) == []


@pytest.mark.parametrize("outcome", ["dead", "unreachable", "moved", "unasked"])
def test_a_link_is_shown_as_it_answered(desk: Browser, parts: Parts, clock: Clock, outcome: str) -> None:
    link(parts, outcome, clock, final="https://blog.example.org/b/1.html" if outcome == "moved" else "")
    said = words(panel(desk.get(ISSUE).text))
    expected = {
        "dead": "The link to blog.example.org/a/1.html is dead: It answered so. We looked on Thu 12 Nov at 06:30.",
        "unreachable": "could not be tried: It answered so.",
        "moved": "leads on to another address, https://blog.example.org/b/1.html.",
        "unasked": "Never asked, since they are on sites of others: blog.example.org.",
    }
    assert expected[outcome] in said


def test_a_link_that_has_moved_is_followed_by_a_button(desk: Browser, parts: Parts, clock: Clock) -> None:
    link(parts, "moved", clock, final="https://blog.example.org/b/1.html")
    (step,) = re.findall(rf'formaction="{ISSUE}/(items/\d+/link)"', desk.get(ISSUE).text)
    assert desk.press(step).status_code == 303
    with parts.database.read() as session:
        assert (
            session.scalar(sa.select(Post.link).where(Post.identity == "post-1")) == "https://blog.example.org/b/1.html"
        )
    assert the_issue(parts).revision == 2
    assert desk.press(step).status_code == 422


def edited(parts: Parts, clock: Clock) -> int:
    """The second story's post has changed at its source, after the draft; returns the story's id."""
    story = item(parts)
    clock.now += dt.timedelta(minutes=10)
    with parts.database.write() as session:
        post = session.get_one(Post, story.post_id)
        session.add(PostVersion(post_id=post.id, title=post.title, summary=post.summary, body="", until=clock()))
        post.title, post.edited_at = post.title.replace("charities", "<b>charities & churches"), clock()
    return story.id


def test_an_edit_at_the_source_is_shown_word_by_word_as_text(desk: Browser, parts: Parts, clock: Clock) -> None:
    edited(parts, clock)
    html = panel(desk.get(ISSUE).text)
    assert "<ins>" in html
    assert "&lt;b&gt;charities &amp; churches" in html
    assert "<b>charities" not in html
    assert "taken out: charities put in: &lt;b&gt;charities &amp; churches to name every donor" in words(html)


def test_the_new_text_is_taken_or_one_s_own_kept(desk: Browser, parts: Parts, clock: Clock) -> None:
    story = edited(parts, clock)
    answer = desk.press(f"items/{story}/keep")
    assert answer.status_code == 303
    assert "post-edited" not in desk.get(ISSUE).text
    assert "What has changed" not in desk.get(ISSUE).text
    assert the_issue(parts).revision == 1
    edited(parts, clock)
    assert desk.press(f"items/{story}/take").status_code == 303
    assert "churches" in item(parts).headline
    assert the_issue(parts).revision == 2
    assert "What has changed" not in desk.get(ISSUE).text
