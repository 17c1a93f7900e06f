"""What the issue page's own script is given: what is new of the page, and a few bytes about what others do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from digest.issues.edit import edit_issue
from digest.issues.outcomes import Finding
from digest.models import Issue
from digest.web.app import Parts
from digest.web.desk.checked import GOOD_FOR, Checked
from digest.web.desk.show import find_issue
from digest.web.desk.watch import with_places
from digest.web.sessions import IDLE
from tests.subscribers.house import Clock
from tests.web.house import ISSUE, STORIES, Browser, add_editor, make_client, the_issue

AS_SCRIPT = {"accept": "application/json"}


def ask(desk: Browser, path: str = ISSUE) -> dict[str, Any]:
    answer = desk.client.get(path, headers=AS_SCRIPT)
    assert answer.headers["content-type"].startswith("application/json")
    found: dict[str, Any] = answer.json()
    return found


def test_a_change_is_answered_with_what_is_new_of_the_page(desk: Browser, parts: Parts):
    form = desk.form()
    sent = {name: form[name] for name in ("csrf", "revision", "was-subject")} | {"subject": "Freed"}
    answer = desk.post(f"{ISSUE}/save", sent, **AS_SCRIPT)
    assert answer.headers["location"] == f"{ISSUE}?done=saved"
    page = ask(desk, answer.headers["location"])
    assert (page["said"], page["refused"], page["revision"]) == ("Saved.", "", 2)
    assert 'value="Freed"' in page["page"]
    assert "<html" not in page["page"]
    assert the_issue(parts).subject == "Freed"


def test_a_refusal_is_answered_with_the_reason_and_with_what_stands(desk: Browser, parts: Parts):
    form = desk.form()
    sent = {name: form[name] for name in ("csrf", "revision", "was-subject")} | {"subject": "x" * 151}
    answer = desk.post(f"{ISSUE}/save", sent, **AS_SCRIPT)
    assert answer.status_code == 422
    assert "at most 150" in answer.json()["refused"]
    assert answer.json()["kept"] is False
    assert 'id="stands-subject"' in answer.json()["page"]
    assert the_issue(parts).revision == 1


def test_a_change_does_not_wait_for_the_checks_and_a_look_does(desk: Browser):
    desk.press("save", subject="")
    quick = ask(desk, f"{ISSUE}?done=saved")
    assert "Looking at it again" in quick["page"]
    assert "There is none." in ask(desk)["page"]
    assert "There is none." in ask(desk, f"{ISSUE}?done=saved")["page"]


def test_a_page_without_scripts_waits_for_the_checks(desk: Browser):
    desk.press("save", subject="")
    assert "There is none." in desk.get(f"{ISSUE}?done=saved").text


def test_what_the_checks_said_holds_for_a_minute_and_for_what_stood(desk: Browser, parts: Parts, clock: Clock):
    made: list[int] = []

    def check() -> tuple[Finding, ...]:
        made.append(1)
        return (Finding("warns", "subject", "It is long.", "Shorten it."),)

    checked, issue = Checked(), loaded(parts)
    assert checked.known(issue, clock()) is None
    assert checked.of(issue, clock(), check) == checked.of(issue, clock(), check) == checked.known(issue, clock())
    assert len(made) == 1
    issue.items[0].post.edited_at = clock()
    assert checked.known(issue, clock()) is None
    issue.items[0].post.edited_at = None
    issue.revision += 1
    assert checked.known(issue, clock()) is None
    issue.revision -= 1
    assert checked.known(issue, clock() + GOOD_FOR) is None
    checked.of(issue, clock() + GOOD_FOR, check)
    assert len(made) == 2


def loaded(parts: Parts) -> Issue:
    with parts.database.read() as session:
        issue = find_issue(session, "watchdog", "2026-W46")
        session.expunge_all()
    assert issue
    return issue


def test_what_is_new_is_told_in_a_few_bytes(desk: Browser, parts: Parts, clock: Clock):
    assert desk.get(f"{ISSUE}/revision").json()["revision"] == 1
    with parts.database.write() as session:
        edit_issue(session, the_issue(parts).id, subject="Boris's", who="boris", now=clock())
    answer = desk.get(f"{ISSUE}/revision")
    told = answer.json()
    assert (told["revision"], told["who"], told["did"], told["me"]) == (2, "boris", "wrote the subject", "anna")
    assert told["csrf"] == desk.form()["csrf"]
    assert len(answer.content) < 300
    assert answer.headers["cache-control"] == "no-store"


def test_a_page_that_asks_by_itself_keeps_no_session_open(desk: Browser, clock: Clock):
    for _ in range(4):
        clock.turn(minutes=IDLE / dt.timedelta(minutes=1) / 4)
        answer = desk.get(f"{ISSUE}/revision")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/desk/login")


def test_a_hand_on_the_page_does_keep_it_open(desk: Browser, clock: Clock):
    for _ in range(4):
        clock.turn(minutes=IDLE / dt.timedelta(minutes=1) / 4)
        assert desk.get(ISSUE).status_code == 200


def test_the_mail_beside_the_stories_has_a_place_for_each(desk: Browser, parts: Parts):
    item = the_issue(parts).items[0].id
    answer = desk.get(f"{ISSUE}/beside?look=dark")
    assert f'<span id="story-{item}"></span><a href="https://blog.example.org/a/0.html"' in answer.text
    assert answer.text.count("<span id=") == len(STORIES)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]


def test_places_are_found_by_the_whole_link_and_once():
    document = '<a href="https://a.example/?b=1&amp;c=2">A</a><a href="https://a.example/?b=1&amp;c=2">again</a>'
    marked = with_places(document + '<a href="https://b.example/">B</a>', {"https://a.example/?b=1&c=2": "story-1"})
    assert marked == f'<span id="story-1"></span>{document}<a href="https://b.example/">B</a>'


@pytest.fixture
def vera(parts: Parts) -> Iterator[Browser]:
    """Somebody who may only look."""
    add_editor(parts, "vera", "viewer", None)
    with make_client(parts) as client:
        browser = Browser(client)
        browser.log_in("vera")
        yield browser


def test_whoever_may_only_look_is_shown_no_field_and_no_button(vera: Browser):
    text = vera.get(ISSUE).text
    assert "<textarea" not in text
    assert "formaction" not in text
    assert STORIES[0][1] in text


def test_every_heading_is_a_place_even_without_a_story(desk: Browser, parts: Parts):
    trouble = [item.id for item in the_issue(parts).items if item.section]
    desk.press("save", **{f"section-{item}": "" for item in trouble})
    text = desk.get(ISSUE).text
    assert 'data-section="Journalists in Trouble"' in text
    assert "No stories here." in text


def test_what_is_left_out_is_passed_over_by_up_and_down(desk: Browser, parts: Parts):
    first, second, third = (item.id for item in the_issue(parts).items[:3])
    desk.press(f"items/{second}/out")
    desk.press(f"items/{third}/up")
    inside = [item.id for item in the_issue(parts).items if item.included]
    assert inside[:2] == [third, first]
