"""The readers on the desk: counts and a drawing for everybody, one exact address for administrators, and no address."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
import structlog
from lxml.html import document_fromstring

from digest.models import Bounce, Issue, LogEntry
from digest.web.app import Parts
from digest.web.desk.growth import WeekLine, growth_of, lines_of, weeks_until
from digest.web.desk.reader import MOST
from digest.web.sessions import FRESH
from digest.weeks import Week
from subscribers.headcount import Moves
from subscribers.models import Subscriber, Subscription
from subscribers.suppression import COMPLAINT, suppress
from subscribers.vault import Vault
from tests.canary import Canary
from tests.subscribers.house import Clock
from tests.web.house import Browser, add_editor, add_list, add_past_issue, add_readers, dump, make_client
from tests.web.test_issue import text_of

READERS = "/desk/readers"
PRAGUE = ZoneInfo("Europe/Prague")


@pytest.fixture
def admin(parts: Parts) -> Iterator[Browser]:
    with as_role(parts, "admin") as browser:
        yield browser


class as_role:  # noqa: N801 -- it reads like a function.
    """Somebody of a role, logged in."""

    def __init__(self, parts: Parts, role: str) -> None:
        add_editor(parts, role, role, None)
        self.role, self.client = role, make_client(parts)

    def __enter__(self) -> Browser:
        browser = Browser(self.client.__enter__())
        assert browser.log_in(self.role).status_code == 303
        return browser

    def __exit__(self, *error: object) -> None:
        self.client.__exit__(None, None, None)


def ask(browser: Browser, address: str, **headers: str) -> tuple[int, str]:
    csrf = re.search(r'name="csrf" value="([^"]+)"', browser.get(READERS).text)
    answer = browser.post(READERS, {"csrf": csrf[1] if csrf else "", "address": address}, **headers)
    return answer.status_code, answer.text


def logged(parts: Parts) -> list[tuple[str, str, str]]:
    query = sa.select(LogEntry.who, LogEntry.object, LogEntry.detail).where(LogEntry.action == "looked-up")
    with parts.database.read() as session:
        return [(who, about, detail) for who, about, detail in session.execute(query.order_by(LogEntry.id))]


class TestThePage:
    def test_before_anybody_came_it_says_so(self, admin: Browser):
        assert "Nobody yet" in admin.get(READERS).text

    def test_a_young_list_has_its_numbers_and_no_drawing(self, admin: Browser, parts: Parts):
        add_readers(parts, "one@example.org")
        text = admin.get(READERS).text
        assert "An issue that left now would go to 1 reader" in text_of(text)
        assert "begins with the third week" in text
        assert "plot-title" not in text

    def test_who_makes_the_issue_sees_the_weeks_and_a_viewer_totals_alone(self, parts: Parts):
        add_list(parts, 20, 400)
        add_past_issue(parts)
        with parts.database.write() as session:
            session.execute(sa.update(Issue).where(Issue.week == "2026-W45").values(audience=287))
        with as_role(parts, "editor") as browser:
            page = document_fromstring(browser.get(f"{READERS}?weeks=52").text)
            # The drawing has words, and the same numbers in a table; no style attribute, no script.
            assert page.xpath("//figure//svg/title and //figure//svg/desc")
            assert len(page.xpath("//table[contains(@class, 'weeks')]/tbody/tr")) == 21
            assert len(page.xpath("//figure//*[local-name()='g']")) == 21
            assert not page.xpath("//*[@style] | //script")
            assert page.xpath("//table[contains(@class, 'back')]")
            assert page.xpath("//a[@href='/desk/issues/watchdog/2026-W45/report']/text()") == ["287"]
            assert "Whole stories" in page.text_content()
            assert len(document_fromstring(browser.get(READERS).text).xpath("//figure//*[local-name()='g']")) == 12
            assert "Look somebody up" not in page.text_content()
        with as_role(parts, "viewer") as browser:
            page = document_fromstring(browser.get(READERS).text)
            headings = page.xpath("//table[contains(@class, 'weeks')]/thead//th/text()")
            assert headings == ["Week of", "Readers", "Issue went to"]
            assert not page.xpath("//table[contains(@class, 'back') or contains(@class, 'choice')]")
            assert not page.xpath("//form[@action='/desk/readers'] | //*[@class='came']")

    def test_each_newsletter_is_counted_by_itself(self, parts: Parts):
        add_editor(parts, "admin", "admin", None)
        add_list(parts, 3, 30)
        paper = parts.settings.newsletters["watchdog"]
        second = paper.model_copy(update={"slug": "second", "title": "The Second"})
        settings = parts.settings.model_copy(update={"newsletters": {"watchdog": paper, "second": second}})
        with make_client(replace(parts, settings=settings)) as client:
            browser = Browser(client)
            browser.log_in("admin")
            assert 'aria-current=page><bdi lang="en" dir="ltr">Watchdog<' in browser.get(READERS).text
            assert "Nobody yet" in browser.get(f"{READERS}?newsletter=second").text
            assert browser.get(f"{READERS}?newsletter=third").status_code == 404
            assert browser.get(f"{READERS}?weeks=7%27").status_code == 200


class TestALookUp:
    def test_it_says_where_somebody_stands(self, admin: Browser, parts: Parts):
        add_readers(parts, "one@example.org")
        with parts.database.write() as session:
            person = session.scalars(sa.select(Subscriber.id)).one()
            session.add(Bounce(subscriber_id=person, newsletter="watchdog", issue_id=1, sign="soft", at=parts.clock()))
            session.execute(sa.update(Subscription).values(paused_until=parts.clock() + dt.timedelta(days=9)))
        status, text = ask(admin, "One@Example.org ")
        said = text_of(text)
        assert status == 200
        for words in ("On the list", "Paused", "until 21 November 2026", "an entry by hand", "summaries"):
            assert words in said, words
        assert "1: the mailbox could not take it (soft)" in said
        assert "digest subscribers leave -" in said
        with parts.database.write() as session:
            suppress(session, parts.vault, person, COMPLAINT, parts.clock())
        said = text_of(ask(admin, "one@example.org")[1])
        assert "Not on the list any more" in said
        assert "Never mailed since November 2026: its owner called a mail spam." in said

    def test_who_is_not_there_is_not_there(self, admin: Browser, parts: Parts):
        add_readers(parts, "one@example.org")
        status, text = ask(admin, "two@example.org")
        assert (status, "Not on the list" in text) == (200, True)
        assert "Watchdog</bdi>" not in text
        assert logged(parts) == [("admin", "readers", "not found")]

    def test_it_needs_no_key_that_opens_anything(self, parts: Parts):
        add_readers(parts, "one@example.org")
        closed = replace(parts.keys, private=None)
        with as_role(replace(parts, keys=closed, vault=Vault(parts.database, closed)), "admin") as browser:
            assert "On the list" in ask(browser, "one@example.org")[1]

    def test_the_address_is_nowhere_afterwards(self, admin: Browser, parts: Parts):
        canary = Canary()
        address = canary.address("reader")
        add_readers(parts, address)
        with structlog.testing.capture_logs() as lines:
            said = [ask(admin, address), ask(admin, canary.address("nobody")), ask(admin, f"no address {canary.word}")]
        assert [status for status, _ in said] == [200, 200, 422]
        assert not canary.found_in("".join(text for _, text in said).encode())
        assert not canary.found_in(repr(lines).encode())
        assert canary.found_in_tables(parts.database) == {}
        # What is no address tells nothing, and is not counted.
        assert [detail for _, _, detail in logged(parts)] == ["found", "not found"]
        assert "looked a reader up: found" in text_of(admin.get("/desk/log").text)

    @pytest.mark.parametrize("role", ["viewer", "editor", "publisher"])
    def test_nobody_else_may(self, parts: Parts, role: str):
        with as_role(parts, role) as browser:
            assert '/desk/readers" autocomplete' not in browser.get(READERS).text
            assert ask(browser, "one@example.org")[0] == 403
        assert logged(parts) == []

    def test_only_our_own_page_can_ask_and_no_address_of_a_page(self, admin: Browser, parts: Parts):
        add_readers(parts, "one@example.org")
        assert admin.post(READERS, {"address": "one@example.org"}).status_code == 403
        assert ask(admin, "one@example.org", origin="https://elsewhere.example")[0] == 403
        before = dump(parts.database)
        assert "On the list" not in text_of(admin.get(f"{READERS}?address=one@example.org").text).replace(
            "on the list", ""
        )
        assert dump(parts.database) == before
        assert logged(parts) == []

    def test_a_list_of_names_cannot_be_tried(self, admin: Browser, parts: Parts):
        for number in range(MOST):
            assert ask(admin, f"reader-{number}@example.org")[0] == 200
        assert ask(admin, "one@example.org")[0] == 429
        assert len(logged(parts)) == MOST

    def test_a_screen_that_was_left_open_tells_nothing(self, admin: Browser, parts: Parts, clock: Clock):
        add_readers(parts, "one@example.org")
        clock.now += FRESH
        status, text = ask(admin, "one@example.org")
        assert (status, "Your account’s page" in text) == (403, True)
        assert logged(parts) == []


class TestTheWeeks:
    def test_they_begin_on_monday_on_the_newsletters_clock_also_when_it_is_put_back(self):
        now = dt.datetime(2026, 10, 26, 12, tzinfo=dt.UTC)
        (before, first), (this, second) = weeks_until(now, PRAGUE, 2)
        assert (str(before), str(this)) == ("2026-W43", "2026-W44")
        assert first == (dt.datetime(2026, 10, 18, 22, tzinfo=dt.UTC), dt.datetime(2026, 10, 25, 23, tzinfo=dt.UTC))
        assert second[0] == first[1]

    def test_those_before_the_first_reader_are_left_out(self):
        weeks = [Week(2026, number) for number in range(40, 47)]
        moved = [*[Moves()] * 3, Moves(confirmed=2), *[Moves()] * 2, Moves(left=1)]
        lines = lines_of(weeks, moved, 1, {})
        assert [(str(line.week), line.readers) for line in lines][:2] == [("2026-W43", 2), ("2026-W44", 2)]
        assert (lines[-1].readers, lines[-1].is_now) == (1, True)
        assert lines_of(weeks, [Moves()] * 7, 0, {}) == ()

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 12, 52])
    def test_a_drawing_stays_inside_its_field(self, count: int):
        weeks = [Week(2026, 46).shift(-back) for back in reversed(range(count))]
        lines = [
            WeekLine(week, "x", is_now=False, readers=9 * place, moves=Moves(place, 1, 2), issue=None)
            for place, week in enumerate(weeks)
        ]
        growth = growth_of(lines, with_moves=True)
        assert (growth is None) is (count < 3)
        if growth:
            assert len(growth.columns) == count
            for one in growth.columns:
                assert 0 <= one.y <= growth.ground
                assert growth.ground < one.came_y <= growth.middle
                assert one.went_y + one.went_height <= growth.height
            assert (growth.ticks[0].anchor, growth.ticks[-1].anchor) == ("start", "end")
            assert growth.ticks[0].words == f"{weeks[0].day(0):%-d %b}"
            assert len(growth.ticks) == min(count, 3)
