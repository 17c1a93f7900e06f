"""Two editors at once: what only one of them changed is kept, and nobody's words are put over another's unseen."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from digest.issues.order import reading_order
from digest.models import IssueState
from digest.web.app import Parts
from subscribers.db import Database
from subscribers.keys import Keys
from tests.subscribers.house import Clock
from tests.web.house import (
    ISSUE,
    STORIES,
    Browser,
    add_editor,
    add_posts,
    fields_of,
    make_client,
    make_parts,
    open_issue,
    the_issue,
)

TROUBLE = "Journalists in Trouble"


@pytest.fixture
def boris(parts: Parts) -> Iterator[Browser]:
    """A second editor, in a browser of his own."""
    add_editor(parts, "boris")
    with make_client(parts) as client:
        browser = Browser(client)
        browser.log_in("boris")
        yield browser


def order(parts: Parts) -> list[int]:
    return [item.id for item in reading_order(the_issue(parts).items, ("", TROUBLE))]


def test_words_for_different_fields_are_both_kept(desk: Browser, boris: Browser, parts: Parts):
    first, second = the_issue(parts).items[:2]
    mine = desk.form()
    boris.press("save", subject="Boris's subject", **{f"headline-{first.id}": "Boris's headline"})
    typed = {"introduction": "Mine.", f"summary-{first.id}": "My summary.", f"headline-{second.id}": "My headline"}
    assert desk.post(f"{ISSUE}/save", {**mine, **typed}).headers["location"] == f"{ISSUE}?done=saved"
    issue = the_issue(parts)
    assert (issue.subject, issue.introduction) == ("Boris's subject", "Mine.")
    assert (issue.items[0].headline, issue.items[0].summary) == ("Boris's headline", "My summary.")
    assert issue.items[1].headline == "My headline"


def test_of_words_for_the_same_field_both_are_shown_and_the_rest_is_saved(desk: Browser, boris: Browser, parts: Parts):
    first = the_issue(parts).items[0].id
    mine = desk.form()
    boris.press("save", **{f"headline-{first}": "Boris's headline"})
    answer = desk.post(f"{ISSUE}/save", {**mine, f"headline-{first}": "My headline", "introduction": "Mine."})
    assert answer.status_code == 409
    assert (the_issue(parts).items[0].headline, the_issue(parts).introduction) == ("Boris's headline", "Mine.")
    assert "Somebody else wrote:" in answer.text
    again = fields_of(answer.text)
    assert again[f"headline-{first}"] == "My headline"
    # Whoever has seen both may decide.
    assert desk.post(f"{ISSUE}/save", again).status_code == 303
    assert the_issue(parts).items[0].headline == "My headline"


def test_the_same_words_by_both_are_no_clash(desk: Browser, boris: Browser, parts: Parts):
    mine = desk.form()
    boris.press("save", subject="The very same")
    answer = desk.post(f"{ISSUE}/save", {**mine, "subject": "The very same"})
    assert answer.headers["location"] == f"{ISSUE}?done=same"
    assert the_issue(parts).revision == 2


def test_a_subject_that_went_with_the_lead_is_nobody_s_words(desk: Browser, boris: Browser, parts: Parts):
    lead = the_issue(parts).items[0].id
    mine = desk.form()
    boris.press(f"items/{lead}/down")
    assert the_issue(parts).subject != mine["subject"]
    assert desk.post(f"{ISSUE}/save", {**mine, "subject": "My own words"}).status_code == 303
    assert the_issue(parts).subject == "My own words"


def test_a_button_does_nothing_where_the_words_on_its_page_clash(desk: Browser, boris: Browser, parts: Parts):
    mine, reason = desk.form(), the_issue(parts).hold_reason
    boris.press("save", subject="Boris's subject")
    for button in ("approve", f"items/{the_issue(parts).items[0].id}/out", "hold"):
        answer = desk.post(f"{ISSUE}/{button}", {**mine, "subject": "My subject"})
        assert answer.status_code == 409
        assert "Boris&#39;s subject" in answer.text
    assert (the_issue(parts).state, the_issue(parts).hold_reason) == (IssueState.HELD, reason)
    assert the_issue(parts).items[0].included


@pytest.mark.parametrize(("button", "at"), [("up", 1), ("down", 3)])
def test_a_story_moves_on_what_stands_though_others_were_moved(
    desk: Browser, boris: Browser, parts: Parts, button: str, at: int
):
    third = the_issue(parts).items[2].id
    mine = desk.form()
    boris.press("save", subject="Something newer")
    boris.press(f"items/{the_issue(parts).items[0].id}/out")
    assert desk.post(f"{ISSUE}/items/{third}/{button}", mine).status_code == 303
    assert order(parts).index(third) == at


def test_a_story_that_somebody_else_has_moved_is_not_moved_once_more(desk: Browser, boris: Browser, parts: Parts):
    second, fifth = the_issue(parts).items[1].id, the_issue(parts).items[4].id
    mine = desk.form()
    boris.press(f"items/{second}/up")
    for button, more in (("up", {}), ("place", {"section": TROUBLE, "before": str(fifth)})):
        answer = desk.post(f"{ISSUE}/items/{second}/{button}", {**mine, **more})
        assert answer.status_code == 409
        assert "Somebody else has moved this story meanwhile." in answer.text
    assert order(parts)[0] == second
    # Another story can be put where it was meant to go.
    assert desk.post(f"{ISSUE}/items/{fifth}/place", {**mine, "section": "", "before": ""}).status_code == 303
    assert order(parts)[4] == fifth


def test_leaving_out_what_was_left_out_meanwhile_is_done_already(desk: Browser, boris: Browser, parts: Parts):
    lead = the_issue(parts).items[0].id
    mine = desk.form()
    boris.press(f"items/{lead}/out", **{f"headline-{lead}": "Boris's headline"})
    assert desk.post(f"{ISSUE}/items/{lead}/out", mine).status_code == 303
    assert desk.post(f"{ISSUE}/items/{lead}/in", mine).status_code == 303
    assert (the_issue(parts).items[0].included, the_issue(parts).items[0].headline) == (True, "Boris's headline")


def test_what_is_not_known_of_an_old_page_is_refused(desk: Browser, parts: Parts):
    mine = desk.form()
    desk.press("save", subject="Something newer")
    answer = desk.post(f"{ISSUE}/items/{the_issue(parts).items[1].id}/up", {**mine, "revision": "77"})
    assert answer.status_code == 409


@pytest.mark.parametrize(("fields", "kept"), [(("subject", "preheader"), 2), (("subject", "subject"), 1)])
def test_at_the_very_same_moment_nothing_is_overwritten_either(
    database: Database, keys: Keys, clock: Clock, fields: tuple[str, str], kept: int
):
    parts = make_parts(database, keys, clock)
    add_posts(parts)
    open_issue(parts)
    names = ("anna", "boris")
    for name in names:
        add_editor(parts, name)
    together = Barrier(2)

    def work(client: Any, name: str, field: str) -> int:
        browser = Browser(client)
        browser.log_in(name)
        form = browser.form()
        together.wait()
        return browser.post(f"{ISSUE}/save", {**form, field: f"These words are {name}'s"}).status_code

    with make_client(parts) as one, make_client(parts) as two, ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(work, (one, two), names, fields))
    assert sorted(answers) == ([303, 303] if kept == 2 else [303, 409])
    issue = the_issue(parts)
    assert issue.revision == 1 + kept
    for name, field, answer in zip(names, fields, answers, strict=True):
        assert (getattr(issue, field) == f"These words are {name}'s") is (answer == 303)
    assert STORIES[0][1] not in {getattr(issue, field) for field in fields}
