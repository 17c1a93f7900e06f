"""An administrator looks somebody up on a phone, in the dark, with the keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.test_desk import Room, faults, room  # noqa: F401 -- a fixture.
from tests.web.house import add_editor, add_readers

pytestmark = pytest.mark.browser


def test_somebody_is_looked_up_and_the_address_is_not_written_back(room: Room):  # noqa: F811
    add_editor(room.parts, "ada", "admin", None)
    add_readers(room.parts, "one@example.org")
    page = room.window("phone", "dark")
    room.log_in(page, "/desk/readers", "ada")
    page.get_by_label("The whole address").focus()
    page.keyboard.type("one@example.org")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("On the list")
    expect(page).to_have_url(f"{room.url}/desk/readers")
    expect(page.get_by_label("The whole address")).to_have_value("")
    assert "one@example.org" not in page.content()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert faults(page) == []
    room.picture(page, "reader-phone-dark")
