"""The calendar on the desk: what it shows of weeks past and coming, and weeks changed by a click."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from html import unescape
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from digest.calendar import changes_of
from digest.models import CalendarChange, Delivery, DeliveryState, Issue, IssueState, LogEntry
from digest.web.app import Parts
from digest.web.desk.month import Month
from digest.weeks import Slot, Week
from tests.subscribers.house import Clock
from tests.web.house import Browser, add_editor, add_past_issue, dump, make_client

PATH = "/desk/calendar/watchdog"


def text_of(html: str) -> str:
    """What a page says, without its marks."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html.partition("<main")[2])).split())


def entry(html: str, week: str) -> str:
    """What it says of a week."""
    found = re.search(rf'<li class="sending [^"]*" id="watchdog-{week}">.*?</li>', html, re.S)
    assert found, f"nothing is said of {week}"
    return text_of(f"<main{found[0]}")


def fields(html: str, week: str, step: str) -> dict[str, str]:
    """The hidden fields of one of a week's forms."""
    form = re.search(rf'<form[^>]*action="{PATH}/{week}/{step}">.*?</form>', html, re.S)
    assert form, f"{week} has no form to {step}"
    return {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[0])}


def press(desk: Browser, week: str, step: str, month: str = "2026-11", **typed: str):
    page = desk.get(f"/desk/calendar?month={month}").text
    return desk.post(f"{PATH}/{week}/{step}", {**fields(page, week, step), **typed})


def standing(parts: Parts) -> dict[Week, str]:
    with parts.database.read() as session:
        changes = changes_of(session, parts.settings.newsletters["watchdog"])
        return {week: str(change.moment or "skip") for week, change in changes.items()}


# ---- what it shows


def test_a_month_has_what_went_out_and_what_is_coming(desk: Browser, parts: Parts):
    add_past_issue(parts)
    with parts.database.write() as session:
        past = session.scalars(sa.select(Issue).where(Issue.week == "2026-W45")).one()
        past.audience = 2
        times = {"due_at": past.send_at, "created_at": past.send_at, "give_up_at": past.send_at}
        for number, state in enumerate((DeliveryState.ACCEPTED, DeliveryState.REJECTED)):
            copy = Delivery(issue_id=past.id, letter="issue", newsletter="watchdog", state=state, **times)
            copy.public_id, copy.subscriber_id = bytes([number]) * 16, number
            session.add(copy)
    page = desk.get("/desk/calendar").text
    assert "<h1>November 2026</h1>" in page
    past_entry = entry(page, "2026-W45")
    assert "Thursday, 5 November Sent 10:00 CET (09:00 UTC)" in past_entry
    assert "Reached 1 of 2 readers. The whole account" in past_entry
    draft = entry(page, "2026-W46")
    assert "10:00 CET (09:00 UTC), in 3\u00a0h\u00a030\u00a0min" in draft.replace(
        "in 3 h 30 min", "in 3\u00a0h\u00a030\u00a0min"
    )
    assert "Court in Tarnovo frees editor" in draft
    assert "Planned 10:00 CET (09:00 UTC), in 7 days" in entry(page, "2026-W47")
    assert "at the cut-off, Thu 19 Nov, 06:00" in entry(page, "2026-W47")
    # There was no newsletter before its first issue.
    assert "2026-W44" not in page


def test_the_grid_is_a_table_with_headers_and_today(desk: Browser):
    page = desk.get("/desk/calendar").text
    (grid,) = re.findall(r'<table class="grid">.*?</table>', page, re.S)
    assert grid.count('<th scope="col">') == 8
    assert grid.count('<th scope="row">') == 6
    assert len(re.findall(r"<td ", grid)) == 42
    assert re.findall(r'<time datetime="([^"]+)" aria-current=date>', grid) == ["2026-11-12"]
    assert '<caption class="visually-hidden">November 2026' in grid
    # What is beside the month leads to its own page.
    assert 'href="/desk/calendar?month=2026-12#watchdog-2026-W49"' in grid


def test_months_lead_to_their_neighbours_and_have_an_end(desk: Browser):
    page = desk.get("/desk/calendar?month=2026-12").text
    assert re.findall(r'href="/desk/calendar(?:\?month=)?([^"#]*)"', page.partition("<main")[2])[:3] == [
        "2026-11",
        "",
        "2027-01",
    ]
    assert "This month" not in desk.get("/desk/calendar?month=2026-11").text
    assert desk.get("/desk/calendar?month=2100-12").status_code == 200
    for wrong in ("2026-13", "2026", "next", "1999-12", "2101-01", "2026-1", "٢٠٢٦-١١"):
        assert desk.get(f"/desk/calendar?month={wrong}").status_code == 404, wrong


def test_a_month_before_the_first_issue_is_empty_and_says_so(desk: Browser):
    assert "No issue went out in January 2024, and none was due." in text_of(
        desk.get("/desk/calendar?month=2024-01").text
    )


def test_a_past_week_without_an_issue_is_named(desk: Browser, clock: Clock):
    clock.turn(days=10)
    desk.log_in()
    said = entry(desk.get("/desk/calendar").text, "2026-W47")
    assert "No issue" in said
    assert "The next issue reaches back over this week." in said


def test_several_newsletters_each_have_their_colour_and_word(parts: Parts):
    watchdog = parts.settings.newsletters["watchdog"]
    changes = {"slug": "negah", "title": "نگاه", "language": "fa", "timezone": ZoneInfo("Asia/Tehran")}
    negah = watchdog.model_copy(update={**changes, "send": Slot.parse("tue 23:30"), "cutoff": Slot.parse("tue 12:00")})
    settings = parts.settings.model_copy(update={"newsletters": {"watchdog": watchdog, "negah": negah}})
    two = replace(parts, settings=settings)
    with make_client(two) as client:
        browser = Browser(client)
        browser.log_in()
        page = browser.get("/desk/calendar").text
    assert 'class="chip c0' in page
    assert 'class="chip c1' in page
    assert '<bdi lang="fa" dir="rtl">نگاه</bdi>' in page
    assert "23:30 +0330 (20:00 UTC)" in page


@pytest.mark.parametrize(
    ("text", "by", "there"), [("2026-12", 1, "2027-01"), ("2026-01", -1, "2025-12"), ("2000-01", -1, None)]
)
def test_months_follow_each_other(text: str, by: int, there: str | None):
    month = Month.parse(text)
    assert month is not None
    assert there == (str(month.shift(by)) if month.shift(by) else None)


# ---- changing a week


def test_a_week_is_skipped_and_taken_back(desk: Browser, parts: Parts):
    answer = press(desk, "2026-W47", "skip", reason="The newsroom moves house.")
    assert answer.headers["location"] == "/desk/calendar?month=2026-11&done=week-skipped#watchdog-2026-W47"
    page = desk.get(answer.headers["location"]).text
    assert "There is no issue that week. The next one reaches back over it." in page
    said = entry(page, "2026-W47")
    assert "Skipped" in said
    assert "The newsroom moves house." in said
    assert "Skipped by anna, Thu 12 Nov 2026, 06:30 CET" in said
    assert "Week 48" in entry(page, "2026-W48")
    answer = press(desk, "2026-W47", "restore")
    assert "done=week-restored#" in answer.headers["location"]
    assert standing(parts) == {}


def test_a_week_is_moved_into_another_month_and_put_back(desk: Browser, parts: Parts):
    answer = press(desk, "2026-W49", "move", "2026-12", day="2026-11-30", time="18:00", reason="elections")
    assert answer.headers["location"] == "/desk/calendar?month=2026-11&done=week-moved#watchdog-2026-W49"
    assert standing(parts) == {Week(2026, 49): "2026-11-30 18:00"}
    page = desk.get("/desk/calendar?month=2026-11").text
    said = entry(page, "2026-W49")
    assert "Monday, 30 November" in said
    assert "Moved from Thu 3 Dec, 10:00" in said
    assert "elections" in said
    assert "Put it back to Thu 3 Dec, 10:00" in said
    chip = re.search(r'<a class="chip[^>]*href="#watchdog-2026-W49">.*?</a>', page, re.S)
    assert chip
    assert "18:00 , moved" in text_of(f"<main{chip[0]}")
    assert "month=2026-12&" in press(desk, "2026-W49", "restore").headers["location"]
    assert standing(parts) == {}


def test_what_it_did_to_an_approved_draft_is_said(desk: Browser, parts: Parts):
    with parts.database.write() as session:
        session.execute(sa.update(Issue).values(state=IssueState.APPROVED, approved_by="anna"))
    answer = press(desk, "2026-W46", "move", day="2026-11-13", time="10:00")
    page = text_of(desk.get(answer.headers["location"]).text)
    assert "Its approval, which was for the old hour, is taken back: please approve it once more." in page
    assert "What is still published until the new cut-off is offered among its stories." in page
    issue = desk.get("/desk/issues/watchdog/2026-W46").text
    assert "Friday, 13 November 2026" in issue
    assert "moved the sending" in issue


def test_a_refusal_keeps_what_was_typed(desk: Browser, parts: Parts):
    before = dump(parts.database)
    for typed, words in (
        ({"day": "2026-11-12", "time": "06:00"}, "has passed"),
        ({"day": "2026-11-30", "time": "06:00"}, "too far from its week"),
        ({"day": "", "time": ""}, "Choose a day and an hour"),
        ({"day": "2026-11-31", "time": "10:00"}, "Choose a day and an hour"),
    ):
        answer = press(desk, "2026-W46", "move", reason="a <b>reason</b>", **typed)
        assert answer.status_code == 422
        assert words in answer.text
        assert 'value="a &lt;b&gt;reason&lt;/b&gt;"' in answer.text
        assert '<details class="more" open>' in answer.text
    answer = press(desk, "2026-W46", "skip", reason="  ")
    assert (answer.status_code, "Say why there is no issue" in answer.text) == (422, True)
    assert {**dump(parts.database), "desk_sessions": None} == {**before, "desk_sessions": None}


def test_of_two_publishers_the_second_is_told(desk: Browser, parts: Parts):
    stale = fields(desk.get("/desk/calendar").text, "2026-W47", "move")
    press(desk, "2026-W47", "skip", reason="a holiday")
    answer = desk.post(f"{PATH}/2026-W47/move", {**stale, "day": "2026-11-20", "time": "10:00"})
    assert answer.status_code == 422
    assert "anna has changed watchdog/2026-W47 in the meantime and skipped it." in unescape(answer.text)
    assert standing(parts) == {Week(2026, 47): "skip"}


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_others_look_and_change_nothing(parts: Parts, role: str):
    add_editor(parts, "edith", role, None)
    with make_client(parts) as client:
        browser = Browser(client)
        browser.log_in("edith")
        page = browser.get("/desk/calendar")
        assert page.status_code == 200
        assert "/desk/calendar/watchdog" not in page.text
        csrf = re.findall(r'name="csrf" value="([^"]+)"', page.text)[0]
        answer = browser.post(f"{PATH}/2026-W47/skip", {"csrf": csrf, "reason": "no"})
        assert answer.status_code == 403
    assert standing(parts) == {}


@pytest.mark.parametrize(
    "path", ["watchdog/2026-W54/skip", "watchdog/x/skip", "nothing/2026-W47/skip", "watchdog/2026-W47/burn"]
)
def test_what_is_not_there_cannot_be_changed(desk: Browser, path: str):
    csrf = desk.form("/desk")["csrf"]
    assert desk.post(f"/desk/calendar/{path}", {"csrf": csrf, "reason": "no"}).status_code == 404


def test_nothing_from_the_address_is_said(desk: Browser):
    page = desk.get("/desk/calendar?done=<script>.week-moved.nonsense").text
    assert "nonsense" not in page
    assert "Moved. The cut-off has moved along with it." in page


def test_who_changed_what_is_in_the_log(desk: Browser, parts: Parts, clock: Clock):
    press(desk, "2026-W47", "skip", reason="a holiday")
    with parts.database.read() as session:
        last = session.scalars(sa.select(LogEntry).order_by(LogEntry.id.desc())).first()
        assert last is not None
        assert (last.who, last.action, last.object, last.at) == ("anna", "skip-week", "watchdog/2026-W47", clock())
        row = session.scalars(sa.select(CalendarChange)).one()
        assert row.at == dt.datetime(2026, 11, 12, 5, 30, tzinfo=dt.UTC)


def test_the_list_of_issues_tells_the_week_that_is_really_next(desk: Browser):
    press(desk, "2026-W46", "skip", reason="a holiday")
    press(desk, "2026-W47", "move", day="2026-11-18", time="09:00")
    said = text_of(desk.get("/desk").text)
    assert "Thursdays at 10:00, Europe/Prague. Next: Wed 18 Nov 2026, 09:00 CET (08:00 UTC)" in said
