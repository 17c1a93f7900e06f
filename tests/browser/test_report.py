"""An issue's account in a real browser: for everybody, on every screen, with scripts and without.

The pictures land in `screenshots/`, for people to look at.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from digest.models import IssueState
from tests.browser.test_desk import Room, Scheme, faults, room
from tests.web.house import ISSUE, the_issue
from tests.web.test_report import go_out, states

__all__ = ["room"]

pytestmark = pytest.mark.browser

REPORT = f"{ISSUE}/report"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_the_account_is_for_everybody(room: Room, size: str, scheme: Scheme) -> None:
    go_out(room.parts, accepted=90, unknown=3)
    page = room.window(size, scheme)
    room.log_in(page, REPORT)
    for summary in page.locator("details > summary").all():
        summary.click()
    room.picture(page, f"report-{size}-{scheme}")
    assert faults(page) == []
    drawn = page.locator(".plot rect.column")
    expect(drawn).to_have_count(90)
    field, last = page.locator(".plot > svg").bounding_box(), drawn.last.bounding_box()
    assert field
    assert last
    assert last["width"] >= 1
    assert last["x"] + last["width"] <= field["x"] + field["width"] + 1
    # The words of the plot are as large on a phone as on a desk.
    assert page.locator(".plot text").first.evaluate("one => parseFloat(getComputedStyle(one).fontSize)") >= 12


@pytest.mark.parametrize("width", [320, 390, 768, 1024])
def test_the_account_is_no_wider_than_its_window(room: Room, width: int) -> None:
    go_out(room.parts, accepted=90, unknown=3)
    page = room.window()
    room.log_in(page, REPORT)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{room.url}{REPORT}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_unknown_ones_are_settled_without_scripts(room: Room) -> None:
    first, second = go_out(room.parts)
    page = room.window(scripts=False)
    room.log_in(page, REPORT)
    page.get_by_label(f"Delivery {second}").uncheck()
    page.get_by_role("button", name="Leave as they are").click()
    expect(page.get_by_role("status")).to_contain_text("Left as they are.")
    expect(page.get_by_label(f"Delivery {first}")).to_have_count(0)
    page.get_by_text("Send them again…").click()
    page.get_by_role("button", name="Send them again").click()
    expect(page.get_by_role("status")).to_contain_text("sent once more")
    assert states(room.parts) == {"accepted": 12, "rejected": 1, "unknown": 1, "queued": 1}
    assert the_issue(room.parts).state is IssueState.SENDING
