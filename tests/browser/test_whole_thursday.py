"""A whole Thursday of two editors, from a clash over a subject to a recall: by mouse, without scripts, by keyboard."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from playwright.sync_api import Locator, Page, expect

from digest.models import IssueState
from tests.browser.test_desk import Room, room
from tests.web.house import ISSUE, PASSWORD, add_editor, add_readers, the_issue

__all__ = ["room"]
pytestmark = pytest.mark.browser

MOST_STOPS = 400
"""How often Tab is pressed before something counts as out of the keyboard's reach."""


@dataclass
class Mouse:
    """Somebody who points and clicks."""

    page: Page

    def press(self, what: Locator) -> None:
        what.click()

    def write(self, field: Locator, text: str) -> None:
        field.fill(text)


@dataclass
class Keyboard:
    """Somebody who has no mouse: what Tab does not come to is not there."""

    page: Page

    def press(self, what: Locator) -> None:
        self._reach(what)
        self.page.keyboard.press("Enter")

    def write(self, field: Locator, text: str) -> None:
        self._reach(field)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def _reach(self, what: Locator) -> None:
        expect(what).to_be_visible()
        for _ in range(MOST_STOPS):
            if what.evaluate("one => one === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(what)


Hands = Mouse | Keyboard


def button(hands: Hands, name: str, within: str = "body") -> Locator:
    return hands.page.locator(within).get_by_role("button", name=name, exact=True)


def log_in(room: Room, hands: Hands, name: str) -> None:
    hands.page.goto(f"{room.url}{ISSUE}")
    hands.write(hands.page.get_by_label("Name"), name)
    hands.write(hands.page.get_by_label("Password"), PASSWORD)
    hands.press(button(hands, "Log in"))
    expect(hands.page).to_have_url(f"{room.url}{ISSUE}")
    hands.page.wait_for_load_state()


def write(hands: Hands, field: str, text: str) -> None:
    """Write into a field of the issue's, and save."""
    hands.write(hands.page.get_by_label(field, exact=True), text)
    hands.press(button(hands, "Save").first)


def says(hands: Hands, words: str) -> None:
    expect(hands.page.locator("#state")).to_have_text(words)


@pytest.mark.parametrize("way", ["mouse", "no scripts", "keyboard"])
def test_a_whole_thursday(room: Room, way: str) -> None:
    add_readers(room.parts, "one@example.org", "two@example.org", "three@example.org")
    add_editor(room.parts, "boris", "editor", None)
    windows = [room.window(scripts=way != "no scripts") for _ in range(2)]
    anna, boris = [Keyboard(one) if way == "keyboard" else Mouse(one) for one in windows]
    log_in(room, anna, "anna")
    log_in(room, boris, "boris")

    # Both write the subject; nobody's words are lost, and one of them decides.
    write(boris, "Subject", "Donors, named")
    expect(boris.page.get_by_role("status")).to_have_text("Saved.")
    write(anna, "Subject", "Donors have to be named")
    expect(anna.page.locator(".stands")).to_contain_text("Donors, named")
    expect(anna.page.get_by_label("Subject")).to_have_value("Donors have to be named")
    expect(anna.page.locator("#word, [role=alert]").first).not_to_contain_text("Saved.")
    assert the_issue(room.parts).subject == "Donors, named"
    anna.press(button(anna, "Save").first if way == "no scripts" else button(anna, "Keep mine"))
    expect(anna.page.locator(".stands")).to_have_count(0)
    expect(anna.page.get_by_role("status")).to_have_text("Saved.")
    assert the_issue(room.parts).subject == "Donors have to be named"

    # A check stands in the way, and is overridden by name and with a reason.
    anna.write(anna.page.locator(".story.lead").get_by_label("Summary"), "The party TK has won.")
    anna.press(button(anna, "Save").first)
    expect(anna.page.locator("#checks .tally")).to_contain_text("1 blocks it")
    anna.press(button(anna, "Approve all the same", "#checks"))
    expect(anna.page.locator("body")).to_contain_text("This has to be put right first")
    assert the_issue(room.parts).approved_by is None
    anna.write(anna.page.get_by_label("Approve all the same, because …"), "TK is a party’s name")
    anna.press(button(anna, "Approve all the same", "#checks"))
    says(anna, "Approved")
    expect(anna.page.locator("#checks .overridden")).to_contain_text("TK is a party’s name")

    # What is written after the approval takes it back.
    boris.page.goto(f"{room.url}{ISSUE}")
    write(boris, "Introduction", "Good news first.")
    says(boris, "Draft")
    assert the_issue(room.parts).approved_by is None
    anna.page.goto(f"{room.url}{ISSUE}")
    says(anna, "Draft")
    anna.press(button(anna, "Approve"))
    says(anna, "Approved")

    # It leaves, and what has not left is stopped.
    anna.press(anna.page.get_by_text("Send it now…"))
    anna.press(button(anna, "Send it now"))
    says(anna, "Going out")
    anna.press(anna.page.get_by_text("Recall it…"))
    anna.write(anna.page.locator("#stop-reason"), "The verdict was quashed at noon.")
    anna.press(button(anna, "Recall what has not left"))
    says(anna, "Recalled")
    expect(anna.page.locator("body")).to_contain_text("The verdict was quashed at noon.")
    assert the_issue(room.parts).state is IssueState.CANCELLED
