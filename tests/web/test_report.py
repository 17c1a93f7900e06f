"""The account of an issue on the desk: its numbers, its drawing, and the two decisions about what is unknown."""

import datetime as dt
import re
import secrets
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from lxml.html import document_fromstring
from sqlalchemy.orm import undefer

from digest.mail.issue_work import editions_of, wire_digest
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT
from digest.mail.report import Event, from_json, rate_of
from digest.mail.report_purge import KEEP, purge
from digest.models import Delivery, DeliveryState, Issue, IssueState, LogEntry
from digest.web.app import Parts
from digest.web.desk.plot import FEWEST, HEIGHT, plot_of, shares, spoken
from subscribers.tokens import Links
from tests.subscribers.house import Clock
from tests.web.house import ISSUE, NAME, Browser, add_editor, dump, fields_of, make_client, the_issue

REPORT = f"{ISSUE}/report"
START = dt.datetime(2026, 11, 12, 9, 0, tzinfo=dt.UTC)
PRAGUE = ZoneInfo("Europe/Prague")
SECOND = dt.timedelta(seconds=1)


def go_out(parts: Parts, *, unknown: int = 2, accepted: int = 12, state: IssueState = IssueState.SENT) -> list[int]:
    """Let the issue have gone out; returns the numbers of the deliveries whose outcome is unknown."""
    issue_id = the_issue(parts).id
    rows: list[dict[str, object]] = [
        {"state": DeliveryState.ACCEPTED, "settled_at": START + number * SECOND, "provider": "google"}
        for number in range(accepted)
    ]
    rows += [
        {"state": DeliveryState.UNKNOWN, "settled_at": START, "reply": "no answer to the <final> dot"}
        for _ in range(unknown)
    ]
    refused = {"state": DeliveryState.REJECTED, "settled_at": START, "reply": "550 5.1.1 gone", "scope": "recipient"}
    rows += [refused | {"provider": "yahoo"}]
    with parts.database.write() as session:
        options = [undefer(Issue.rendered_subject), undefer(Issue.rendered_text), undefer(Issue.rendered_html)]
        issue = session.get_one(Issue, issue_id, options=options)
        issue.state, issue.frozen_at, issue.audience = state, START, len(rows)
        issue.finished_at = START + dt.timedelta(minutes=5) if state is not IssueState.SENDING else None
        issue.rendered_subject, issue.rendered_text = "The week", f"{UNSUBSCRIBE_SLOT} {MANAGE_SLOT}\n"
        issue.rendered_html = f'<p>The week</p><a href="{UNSUBSCRIBE_SLOT}">x</a><a href="{MANAGE_SLOT}">y</a>'
        links = Links(parts.base_url, parts.keys.token)
        issue.wire_digest = wire_digest(editions_of(issue, parts.settings.newsletters["watchdog"], links, None))
        made = []
        for number, row in enumerate(rows):
            delivery = Delivery(
                letter="issue",
                newsletter="watchdog",
                issue_id=issue_id,
                subscriber_id=900 + number,
                subscription_id=900 + number,
                public_id=secrets.token_bytes(16),
                attempts=1,
                due_at=START,
                created_at=START,
                give_up_at=START,
                **row,
            )
            session.add(delivery)
            made.append(delivery)
        session.flush()
        return [one.id for one in made if one.state is DeliveryState.UNKNOWN]


def states(parts: Parts) -> dict[str, int]:
    with parts.database.read() as session:
        rows = session.execute(sa.select(Delivery.state, sa.func.count()).group_by(Delivery.state)).all()
        return {state.value: count for state, count in rows}


def decide(desk: Browser, way: str, **ticked: str) -> tuple[int, str]:
    fields = {name: value for name, value in fields_of(desk.get(REPORT).text).items() if name == "csrf"}
    answer = desk.post(f"{REPORT}/{way}", {**fields, **ticked})
    return answer.status_code, answer.headers.get("location", "") or answer.text


def test_the_page_says_what_became_of_everybody(parts: Parts, desk: Browser) -> None:
    go_out(parts)
    answer = desk.get(REPORT)
    assert answer.status_code == 200
    page = document_fromstring(answer.text)
    said = " ".join(page.text_content().split())
    assert "The account closes: every reader has one outcome" in said
    names = [" ".join(one.text_content().split()) for one in page.cssselect(".classes dt")]
    counts = [str(one.text).strip() for one in page.cssselect(".classes dd")]
    classes = dict(zip(names, counts, strict=True))
    assert classes == {"Audience": "15", "Accepted": "12", "Rejected": "1", "Excluded": "0", "Unknown": "2"}
    assert "550 5.1.1" in said
    assert "the reader’s mailbox" in said
    assert "11 s later" in said.replace("\u00a0", " ")
    columns = page.cssselect(".plot rect.column")
    assert len(columns) == 12
    rows = page.cssselect("section[aria-labelledby=rate] table tbody tr")
    assert sum(int(row[1].text_content()) for row in rows) == 12


def test_nothing_on_the_page_needs_what_our_policy_forbids(parts: Parts, desk: Browser) -> None:
    go_out(parts)
    text = desk.get(REPORT).text
    assert not re.search(r"\sstyle\s*=|<style|\son\w+\s*=|<script(?![^>]*src=)", text)
    assert "&lt;final&gt;" in text


def test_the_issue_page_leads_to_its_account_once_it_is_out(parts: Parts, desk: Browser) -> None:
    assert f'href="{REPORT}"' not in desk.get(ISSUE).text
    assert "It has not gone out" in desk.get(REPORT).text
    assert "account closes" not in desk.get(REPORT).text
    go_out(parts)
    assert f'href="{REPORT}"' in desk.get(ISSUE).text


def test_the_json_is_the_report(parts: Parts, desk: Browser) -> None:
    unknown = go_out(parts)
    answer = desk.get(f"{REPORT}.json")
    assert answer.headers["content-type"].startswith("application/json")
    found = from_json(answer.text)
    assert (found.issue, found.equation.accepted, found.closes) == (NAME, 12, True)
    assert [one.delivery for one in found.unknown] == unknown


def test_looking_changes_nothing_and_is_for_the_desk_alone(parts: Parts, browser: Browser) -> None:
    go_out(parts)
    before = dump(parts.database)
    assert browser.get(REPORT).status_code == 303
    assert browser.get(f"{REPORT}.json").status_code in (303, 401)
    assert browser.post(f"{REPORT}/leave", {"csrf": ""}).status_code == 401
    assert dump(parts.database) == before
    browser.log_in()
    logged_in = dump(parts.database)
    browser.get(REPORT)
    browser.get(f"{REPORT}.json")
    assert dump(parts.database)["deliveries"] == logged_in["deliveries"]
    assert dump(parts.database)["issues"] == logged_in["issues"]
    assert dump(parts.database)["log"] == logged_in["log"]


def test_what_is_ticked_is_left_and_the_rest_stays_open(parts: Parts, desk: Browser) -> None:
    first, second = go_out(parts)
    assert decide(desk, "leave", **{f"delivery-{first}": "yes"}) == (303, f"{REPORT}?done=left")
    text = desk.get(f"{REPORT}?done=left").text
    assert "Left as they are." in text
    assert f"Delivery {second}" in text
    assert f"Delivery {first}" not in text
    assert "1 to be decided" in text
    assert states(parts)["unknown"] == 2
    with parts.database.read() as session:
        entry = session.scalars(sa.select(LogEntry).where(LogEntry.action == "resolve")).one()
        assert (entry.who, entry.detail) == ("anna", f"left as unknown: {first}")


def test_what_is_ticked_is_sent_again(parts: Parts, desk: Browser) -> None:
    first, second = go_out(parts)
    ticked = {f"delivery-{first}": "yes", f"delivery-{second}": "yes"}
    assert decide(desk, "resend", **ticked) == (303, f"{REPORT}?done=resent")
    assert states(parts)["queued"] == 2
    assert the_issue(parts).state is IssueState.SENDING
    assert "On its way" in desk.get(REPORT).text


def test_the_second_of_two_people_is_told_that_it_is_settled(parts: Parts, desk: Browser) -> None:
    first, _ = go_out(parts)
    decide(desk, "leave", **{f"delivery-{first}": "yes"})
    status, text = decide(desk, "resend", **{f"delivery-{first}": "yes"})
    assert status == 422
    assert "It may have been settled meanwhile" in text
    assert states(parts)["unknown"] == 2


@pytest.mark.parametrize(
    "ticked",
    [
        {},
        {"delivery-": "yes"},
        {"delivery-x": "yes"},
        {"delivery-٣": "yes"},
        {"delivery-99999999": "yes"},
        {f"delivery-{'9' * 5000}": "yes"},
    ],
)
def test_nothing_ticked_or_nonsense_does_nothing(parts: Parts, desk: Browser, ticked: dict[str, str]) -> None:
    go_out(parts)
    for way in ("leave", "resend"):
        status, text = decide(desk, way, **ticked)
        assert status == 422
        assert "Nothing was done." in text
    assert states(parts)["unknown"] == 2


def test_deciding_is_for_publishers_and_needs_the_token(parts: Parts, desk: Browser) -> None:
    first, _ = go_out(parts)
    assert desk.post(f"{REPORT}/leave", {f"delivery-{first}": "yes"}).status_code == 403
    add_editor(parts, "ed", "editor", None)
    with make_client(parts) as client:
        editor = Browser(client)
        editor.log_in("ed")
        assert "Deciding is for publishers." in editor.get(REPORT).text
        assert decide(editor, "resend", **{f"delivery-{first}": "yes"})[0] == 403
    assert states(parts)["unknown"] == 2


def test_a_cancelled_issue_offers_no_resend(parts: Parts, desk: Browser) -> None:
    first, _ = go_out(parts, state=IssueState.CANCELLED)
    assert "Send them again" not in desk.get(REPORT).text
    assert decide(desk, "leave", **{f"delivery-{first}": "yes"})[0] == 303


def test_after_the_purge_the_pages_say_the_same_as_before(parts: Parts, desk: Browser, clock: Clock) -> None:
    go_out(parts)
    before = from_json(desk.get(f"{REPORT}.json").text)
    assert purge(parts.database, START + KEEP + dt.timedelta(days=1)).issues == (NAME,)
    after = from_json(desk.get(f"{REPORT}.json").text)
    assert (after.equation, after.outcomes, after.providers, after.rate) == (
        before.equation,
        before.outcomes,
        before.providers,
        before.rate,
    )
    text = desk.get(REPORT).text
    assert "These are counts alone" in text
    assert "to be decided" not in text
    assert "The account closes" in desk.get(ISSUE).text
    assert "12 of 15 readers reached" in desk.get("/desk").text


@pytest.mark.parametrize(("accepted", "unknown", "status"), [(3, 0, 200), (0, 2, 200), (0, 0, 404)])
def test_a_cancelled_issue_stays_in_the_archive_if_anybody_may_have_it(
    parts: Parts, browser: Browser, accepted: int, unknown: int, status: int
) -> None:
    go_out(parts, accepted=accepted, unknown=unknown, state=IssueState.CANCELLED)
    assert browser.get(f"/issues/{NAME}").status_code == status
    assert purge(parts.database, START + KEEP + dt.timedelta(days=1)).issues == (NAME,)
    assert browser.get(f"/issues/{NAME}").status_code == status


# ---- the drawing


@given(
    st.lists(st.tuples(st.integers(0, 400_000), st.integers(1, 9000)), min_size=1, max_size=80),
    st.integers(1_700_000_000, 1_900_000_000),
)
def test_a_drawing_stays_in_its_field_and_shows_every_count(moments: list[tuple[int, int]], start: int) -> None:
    rate = rate_of([(start + second, count) for second, count in moments])
    plot = plot_of(rate, (), PRAGUE)
    assert (plot is None) == (len(rate.counts) < FEWEST)
    if plot is None:
        return
    assert sum(column.count for column in plot.columns) + rate.later == sum(count for _, count in moments)
    for column in plot.columns:
        x, width = float(column.x[:-1]), float(column.width[:-1])
        assert 0 <= x < x + width <= 100.001
        assert 0 <= column.y <= HEIGHT
        assert column.y + column.height == pytest.approx(HEIGHT, abs=0.1)
    heights = [float(level.at) for level in plot.levels]
    assert heights == sorted(heights, reverse=True)
    assert min(column.y for column in plot.columns) >= heights[-1]
    assert 0 <= plot.mean_y <= HEIGHT


def test_a_pause_within_the_time_that_is_shown_is_marked() -> None:
    start = int(START.timestamp())
    rate = rate_of([(start + second, 5) for second in range(60)])
    events = [
        Event(START - SECOND, "anna", "pause", "too early"),
        Event(START + 30 * SECOND, "sender", "pause", "ten in a row"),
        Event(START + 40 * SECOND, "anna", "resume", ""),
    ]
    plot = plot_of(rate, events, PRAGUE)
    assert plot
    assert [(mark.at, mark.words) for mark in plot.pauses] == [("50%", "10:00:30, sender: ten in a row")]
    assert [tick.words for tick in plot.ticks] == ["10:00:00", "10:00:30", "10:01:00"]
    assert [level.words for level in plot.levels] == ["0", "150", "300"]


@given(st.lists(st.integers(0, 500_000), min_size=5, max_size=5))
def test_the_pieces_of_a_bar_lie_side_by_side(counts: list[int]) -> None:
    whole = sum(counts)
    pieces = shares([(str(place), count) for place, count in enumerate(counts)], max(whole, 1))
    assert sum(piece.count for piece in pieces) == whole
    end = 0.0
    for piece in pieces:
        assert float(piece.x[:-1]) == pytest.approx(end, abs=0.01)
        end = float(piece.x[:-1]) + float(piece.width[:-1])
    assert end <= 100.01


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "less than a second"), (1, "1 s"), (185, "3 min 5 s"), (7200, "2 h"), (90_061, "1 day 1 h")],
)
def test_a_length_of_time_is_said_in_two_units(seconds: float, words: str) -> None:
    assert spoken(dt.timedelta(seconds=seconds)).replace("\u00a0", " ") == words
