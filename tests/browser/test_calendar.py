"""The calendar and the search in a real browser: without scripts, by the keyboard alone, on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.test_desk import Room, faults, room  # noqa: F401 -- a fixture.

pytestmark = pytest.mark.browser


def test_a_week_is_skipped_and_put_back_by_the_keyboard_alone(room: Room):  # noqa: F811
    page = room.window(scripts=False)
    room.log_in(page, "/desk/calendar")
    week = page.locator("#watchdog-2026-W47")
    week.locator("summary", has_text="Skip this week").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("The newsroom moves house.")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("There is no issue that week. The next one reaches back over it.")
    expect(week).to_contain_text("The newsroom moves house.")
    expect(page.locator(".chip.skipped")).to_have_count(1)
    week.get_by_role("button", name="Do not skip it").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("The week is as usual again.")


def test_a_sending_is_moved_on_a_phone(room: Room):  # noqa: F811
    page = room.window("phone")
    room.log_in(page, "/desk/calendar")
    expect(page.get_by_role("table")).to_have_count(0)
    week = page.locator("#watchdog-2026-W47")
    week.get_by_text("Move this week’s sending…").click()
    week.get_by_label("To").select_option(label="Tuesday, 17 November")
    week.get_by_label("At", exact=True).fill("17:30")
    week.get_by_role("button", name="Move it").click()
    expect(week.get_by_role("heading")).to_have_text("Tuesday, 17 November")
    expect(week).to_contain_text("Moved from Thu 19 Nov, 10:00")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert faults(page) == []


def test_a_month_is_turned_and_a_day_of_the_grid_leads_to_its_week(room: Room):  # noqa: F811
    page = room.window()
    room.log_in(page, "/desk/calendar")
    page.get_by_role("link", name="Dec 2026").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("December 2026")
    page.get_by_role("table").get_by_role("link").first.click()
    expect(page).to_have_url(f"{room.url}/desk/calendar?month=2026-12#watchdog-2026-W49")
    page.get_by_role("link", name="This month").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("November 2026")


def test_words_are_looked_for_and_lead_to_the_story(room: Room):  # noqa: F811
    page = room.window(scripts=False)
    room.log_in(page, "/desk/search")
    page.get_by_label("Words").fill("ambulance volunt")
    page.keyboard.press("Enter")
    expect(page.locator("mark").first).to_have_text("ambulance")
    page.get_by_role("link", name="A night with the ambulance").first.click()
    expect(page.locator(":target")).to_contain_text("A night with the ambulance volunteers of Lesny")
