"""An issue's past in a real browser: axe is content in both palettes and directions, and going back works."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from digest.issues import edit, revisions
from digest.issues.outcomes import Done
from tests.browser.test_desk import Room, Scheme, faults, room
from tests.web.house import ISSUE, the_issue

__all__ = ["room"]  # The fixture.
pytestmark = pytest.mark.browser


def busy_morning(room: Room) -> None:
    """What two editors do to an issue before ten."""
    issue = the_issue(room.parts)
    first, second, third = issue.items[:3]

    def do(change: Any, *args: Any, who: str, minutes: int = 0, **values: Any) -> None:
        room.clock.turn(minutes=minutes)
        with room.parts.database.write() as session:
            assert isinstance(change(session, issue.id, *args, who=who, now=room.clock(), **values), Done)

    do(edit.edit_issue, introduction="Good morning. Three verdicts this week, and one of them is good.", who="anna")
    do(
        edit.edit_issue,
        introduction="Good morning. Four verdicts this week, and *one* of them is good.",
        who="anna",
        minutes=2,
    )
    do(edit.edit_item, first.id, headline="Court in Tarnovo frees an editor after 215 days", who="anna", minutes=1)
    do(edit.move, third.id, "up", who="boris", minutes=12)
    do(edit.leave_out, second.id, who="boris", minutes=1)
    do(edit.edit_item, third.id, summary="After four years a ministry has to open its files.", who="boris")
    do(edit.place, third.id, "Journalists in Trouble", None, who="anna", minutes=2)
    do(revisions.undo, who="boris", minutes=1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_the_past_is_for_everybody(room: Room, size: str, scheme: Scheme) -> None:
    busy_morning(room)
    page = room.window(size, scheme)
    room.log_in(page, f"{ISSUE}/history")
    for name, path in {"history": f"{ISSUE}/history", "revision": f"{ISSUE}/history/2"}.items():
        page.goto(f"{room.url}{path}")
        room.picture(page, f"{name}-{size}-{scheme}")
        assert faults(page) == [], name
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


def test_going_back_without_scripts(room: Room) -> None:
    busy_morning(room)
    page = room.window(scripts=False)
    room.log_in(page, f"{ISSUE}/history")
    page.locator("#revision-4").get_by_role("button").click()
    expect(page.get_by_role("status")).to_contain_text("The issue says again what it said then.")
    assert the_issue(room.parts).items[1].included
    page.goto(f"{room.url}{ISSUE}/history")
    expect(page.locator("li.entry").first).to_contain_text("Went back to revision 4")
