"""The log on the desk: read by who may, asked, paged, verified; nothing in it can be a trick."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from digest.issues import audit, log
from digest.models import LogEntry
from digest.web.app import Parts
from digest.web.desk.log import SHOWN
from tests.web.house import ISSUE, NAME, Browser, add_editor, dump, make_client
from tests.web.test_issue import NASTY, text_of


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("editor", 403), ("publisher", 200), ("admin", 200)])
def test_publishers_and_administrators_read_it(parts: Parts, role: str, status: int):
    add_editor(parts, "rita", role)
    with make_client(parts) as client:
        browser = Browser(client)
        browser.log_in("rita")
        assert browser.get("/desk/log").status_code == status
        assert ('href="/desk/log"' in browser.get("/desk").text) is (status == 200)


def hold(desk: Browser) -> None:
    desk.press("approve")
    desk.press("hold", reason="Waiting for the court.")


def test_it_says_who_did_what_to_what(desk: Browser):
    hold(desk)
    text = desk.get("/desk/log").text
    said = text_of(text)
    assert "anna put on hold Waiting for the court." in said
    assert "anna logged in" in said
    assert f'<a href="{ISSUE}">{NAME}</a>' in text


def test_it_is_asked_for_a_person_a_deed_and_an_issue(desk: Browser):
    hold(desk)
    assert "Waiting" not in desk.get("/desk/log?who=planner").text
    assert "Waiting" not in desk.get("/desk/log?action=logged-in").text
    assert "Waiting" not in desk.get("/desk/log?about=watchdog/2026-W45").text
    assert "Waiting" in desk.get(f"/desk/log?who=anna&action=hold&about={NAME}").text
    assert "No such entry" in desk.get("/desk/log?who=nobody").text
    for odd in ("before=x", "before=-1", "before=99999999999999999999", "who=%00", f"about={'x' * 5000}"):
        assert desk.get(f"/desk/log?{odd}").status_code == 200, odd


def test_older_entries_are_on_the_next_page(desk: Browser, parts: Parts):
    with parts.database.write() as session:
        for number in range(SHOWN + 5):
            log.append(session, at=parts.clock(), who="ben", action="edit", about=NAME, detail=f"number {number:03}")
    text = desk.get("/desk/log?who=ben").text
    assert "number 064" in text
    assert "number 004" not in text
    [older] = [part.split('"')[0] for part in text.split('href="') if "before=" in part.split('"')[0]]
    text = desk.get(older.replace("&amp;", "&")).text
    assert "number 004" in text
    assert "number 005" not in text
    assert "Older entries" not in text


def test_what_was_typed_is_text(desk: Browser, parts: Parts):
    with parts.database.write() as session:
        log.append(session, at=parts.clock(), who=NASTY, action="edit", about=NASTY, detail=f"{NASTY}\nben approved")
    text = desk.get("/desk/log").text
    assert "<script>alert" not in text
    assert "onerror=alert(2)&gt;" in text
    assert "ben approved" in text_of(text)


def test_it_is_verified_there_and_looking_changes_nothing(desk: Browser, parts: Parts):
    desk.press("approve")
    audit.link(parts.database, parts.keys.token)
    before = dump(parts.database)
    assert "none changed, none missing." in desk.get("/desk/log?verify").text
    assert dump(parts.database) == before
    with parts.database.write() as session:
        session.execute(sa.update(LogEntry).where(LogEntry.action == "approve").values(who="ben"))
    assert "does not hold" in desk.get("/desk/log?verify").text
