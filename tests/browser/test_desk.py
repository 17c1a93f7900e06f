"""The desk in a real browser: a whole Thursday with scripts and without, no violation of any policy, axe content.

The pictures land in `screenshots/`, for people to look at.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import sqlalchemy as sa
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from digest.models import Delivery, DeliveryState, IssueState, Post
from digest.web.app import Parts, create_app
from subscribers.db import Database
from subscribers.keys import make_keys
from tests.browser.album import Album
from tests.subscribers.house import Clock, serving
from tests.web.house import (
    ISSUE,
    PASSWORD,
    add_editor,
    add_list,
    add_past_issue,
    add_posts,
    add_readers,
    make_parts,
    open_issue,
    the_issue,
)

pytestmark = pytest.mark.browser

Scheme = Literal["light", "dark"]
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}


@dataclass
class Room:
    """An application behind a real server, and windows to it that remember every complaint of the browser's."""

    parts: Parts
    clock: Clock
    url: str
    browser: Browser
    album: Album
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    """How the addresses begin that a window may ask for beside the application's own."""
    deaf_to: list[str] = field(default_factory=list)
    """What stands in complaints that are the test's own doing. They may come as late as they like."""
    contexts: list[BrowserContext] = field(default_factory=list)

    def window(
        self, size: str = "desktop", scheme: Scheme = "light", *, scripts: bool = True, touch: bool = False
    ) -> Page:
        width, height = SIZES[size]
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            java_script_enabled=scripts,
            has_touch=touch,
        )
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self._heard(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))
        return page

    def log_in(self, page: Page, path: str = "/desk", name: str = "anna") -> None:
        page.goto(f"{self.url}{path}")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in", exact=True).click()
        expect(page).to_have_url(f"{self.url}{path}")
        # With its scripts, where it has some.
        page.wait_for_load_state()

    def stop_clock(self, page: Page) -> None:
        """From here on the window's clock is the test's: a script, which Playwright brings into frames too, in vain."""
        self.deaf_to.append("Blocked script execution")
        page.clock.install()

    def picture(self, page: Page, name: str) -> None:
        self.album.keep(page, f"desk-{name}")

    def _heard(self, text: str) -> None:
        # A page with a refusal has its status in the console, and that is how it should be.
        refusal = "Failed to load resource: the server responded with a status of 4"
        if not any(one in text for one in (refusal, *self.deaf_to)):
            self.complaints.append(text)

    def _asked(self, url: str) -> None:
        if not url.startswith((self.url, "data:", *self.elsewhere)):
            self.complaints.append(f"asked for {url}")


@pytest.fixture
def room(sqlite_database: Database, browser: Browser, album: Album) -> Iterator[Room]:
    clock = Clock(dt.datetime(2026, 11, 12, 5, 30, tzinfo=dt.UTC))
    parts = make_parts(sqlite_database, make_keys(), clock, "http://127.0.0.1")
    add_editor(parts)
    add_posts(parts)
    open_issue(parts)
    with serving(create_app(parts)) as url:
        room = Room(parts, clock, url, browser, album)
        yield room
        for context in room.contexts:
            context.close()
    assert room.complaints == []


def faults(page: Page) -> list[str]:
    """What axe finds that keeps people out."""
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_the_pages_are_for_everybody(room: Room, size: str, scheme: Scheme):
    add_past_issue(room.parts)
    page = room.window(size, scheme)
    page.goto(f"{room.url}/desk/login")
    pages = {"login": "/desk/login", "list": "/desk", "issue": ISSUE, "preview": f"{ISSUE}/preview?look={scheme}"}
    pages |= {"calendar": "/desk/calendar", "no-month": "/desk/calendar?month=2020-01"}
    pages |= {"search": "/desk/search", "found": "/desk/search?q=court+verdict", "not-found": "/desk/search?q=zebra"}
    pages |= {"readers": "/desk/readers", "readers-year": "/desk/readers?weeks=52"}
    add_list(room.parts, 52, 900)
    for name, path in pages.items():
        if name == "list":
            room.log_in(page)
        page.goto(f"{room.url}{path}")
        room.picture(page, f"{name}-{size}-{scheme}")
        assert faults(page) == [], name
    page.goto(f"{room.url}/desk")
    # On one line where there is room for it.
    box = page.get_by_role("link", name="Strikes, a verdict").bounding_box()
    assert box
    assert box["width"] > 200
    page.goto(f"{room.url}{ISSUE}")
    for summary in page.locator("details > summary").all():
        summary.click()
    page.get_by_label("Subject").fill("")
    page.get_by_role("button", name="Approve all the same").click()
    expect(page.get_by_role("alert")).to_contain_text("This has to be put right first")
    room.picture(page, f"refused-{size}-{scheme}")
    assert faults(page) == []


@pytest.mark.parametrize("width", [320, 390, 768, 1024])
def test_no_page_is_wider_than_its_window(room: Room, width: int):
    page = room.window()
    room.log_in(page)
    page.set_viewport_size({"width": width, "height": 800})
    for path in (
        "/desk",
        ISSUE,
        f"{ISSUE}/preview",
        "/desk/calendar",
        "/desk/search?q=court",
        "/desk/readers",
        "/issues",
        "/nowhere",
    ):
        page.goto(f"{room.url}{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


@pytest.mark.parametrize("scripts", [True, False])
def test_a_thursday(room: Room, *, scripts: bool):
    add_readers(room.parts, "one@example.org", "two@example.org", "three@example.org")
    page = room.window(scripts=scripts)
    room.log_in(page, ISSUE)
    second = page.locator(".story").nth(1)
    title = second.locator(".headline").inner_text()
    second.get_by_role("button", name="Up").click()
    expect(page.locator(".story.lead .headline")).to_have_text(title)
    page.locator(".story").nth(3).get_by_role("button", name="Leave out").click()
    expect(page.locator(".story.out")).to_have_count(1)
    page.get_by_label("Introduction").fill("Good news first.\n\nThen the rest.")
    lead = page.locator(".story.lead")
    lead.get_by_label("Headline").fill("Donors have to be named")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("Saved.")
    expect(page.locator(".story.lead .headline")).to_have_text("Donors have to be named")
    page.get_by_role("button", name="Approve all the same").click()
    expect(page.locator("#state")).to_have_text("Approved")
    page.get_by_text("Send it now…").click()
    page.get_by_role("button", name="Send it now").click()
    expect(page.locator("#state")).to_have_text("Going out")
    expect(page.get_by_role("row", name="Audience")).to_contain_text("3")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state")).to_have_text("Paused")
    room.picture(page, "paused")
    page.get_by_role("link", name="Read it in the archive").click()
    expect(page.get_by_text("Good news first.")).to_be_visible()
    assert the_issue(room.parts).state is IssueState.PAUSED


def test_an_editor_is_told_who_approves(room: Room):
    add_editor(room.parts, "edith", "editor", None)
    page = room.window("phone")
    room.log_in(page, ISSUE, "edith")
    expect(page.get_by_text("Approving and sending this issue is for publishers: anna.")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    page.get_by_label("Subject").fill("Hers")
    page.get_by_role("button", name="Save", exact=True).last.click()
    expect(page.get_by_role("status")).to_have_text("Saved.")
    room.picture(page, "editor")
    assert faults(page) == []


def test_an_issue_that_is_going_out_is_followed(room: Room):
    add_readers(room.parts, "one@example.org")
    page = room.window()
    room.log_in(page, ISSUE)
    room.stop_clock(page)
    page.get_by_role("button", name="Approve all the same").click()
    page.get_by_text("Send it now…").click()
    page.get_by_role("button", name="Send it now").click()
    expect(page.get_by_text("On its way: 0 of 1.")).to_be_visible()
    with room.parts.database.write() as session:
        session.execute(sa.update(Delivery).values(state=DeliveryState.ACCEPTED))
    page.clock.fast_forward(5000)
    expect(page.get_by_text("The account closes")).to_be_visible()


def test_the_frames_show_the_issue_and_run_nothing(room: Room):
    page = room.window()
    room.log_in(page)
    page.goto(f"{room.url}{ISSUE}/preview", wait_until="networkidle")
    frames = [frame for frame in page.frames if "/desk/preview/" in frame.url]
    assert len(frames) == 2
    for frame in frames:
        expect(frame.get_by_text("Court in Tarnovo frees editor").first).to_be_visible()
        assert frame.evaluate("self.origin") == "null"


def test_dark_is_dark_in_the_frames_whatever_the_editor_s_machine_prefers(room: Room):
    page = room.window()
    room.log_in(page)
    grounds = {}
    for look in ("light", "dark"):
        page.goto(f"{room.url}{ISSUE}/preview")
        page.get_by_role("radio", name=look, exact=True).check()
        page.get_by_role("button", name="Show").click()
        page.wait_for_load_state("networkidle")
        (first, *_) = [frame for frame in page.frames if f"look={look}" in frame.url and "/desk/preview/" in frame.url]
        grounds[look] = first.evaluate("getComputedStyle(document.body).backgroundColor")
    assert grounds["light"] != grounds["dark"]


def test_words_are_counted_saved_by_the_keyboard_and_not_lost_by_leaving(room: Room):
    page = room.window()
    room.log_in(page, ISSUE)
    subject = page.get_by_label("Subject")
    subject.fill("x" * 79)
    expect(page.locator("#subject-hint .count")).to_have_text("79 characters; up to 78 are shown whole")
    expect(page.locator("#subject-hint .count")).to_have_class("count over")
    subject.press("Control+s")
    expect(page.get_by_role("status")).to_have_text("Saved.")
    assert the_issue(room.parts).subject == "x" * 79
    subject.fill("Typed in the last second")
    page.get_by_role("link", name="Issues", exact=True).click()
    expect(page).to_have_url(f"{room.url}/desk")
    page.goto(f"{room.url}{ISSUE}")
    expect(subject).to_have_value("Typed in the last second")


def test_whoever_leaves_words_that_cannot_be_saved_is_asked(room: Room):
    page = room.window()
    room.log_in(page, ISSUE)
    page.locator(".story.lead").get_by_label("Headline").fill("x" * 301)
    expect(page.get_by_role("status")).to_contain_text("Not saved")
    asked = []

    def stay(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.get_by_role("link", name="Issues", exact=True).click()
    expect(page).to_have_url(f"{room.url}{ISSUE}")
    assert asked == ["beforeunload"]


def test_enter_in_a_field_saves_and_does_nothing_else(room: Room):
    page = room.window(scripts=False)
    room.log_in(page, ISSUE)
    page.get_by_label("Subject").fill("Entered")
    page.get_by_label("Subject").press("Enter")
    expect(page.get_by_role("status")).to_have_text("Saved.")
    assert (the_issue(room.parts).subject, the_issue(room.parts).state) == ("Entered", IssueState.HELD)


def test_the_keyboard_alone_is_enough(room: Room):
    page = room.window()
    page.goto(f"{room.url}/desk/login")
    # The page takes the focus there a moment after it has loaded, and nobody types faster than that.
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("anna")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{room.url}/desk")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.get_by_role("link", name="Thursday, 12 November 2026").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{room.url}{ISSUE}")
    down = page.locator(".story").nth(0).get_by_role("button", name="Down")
    down.focus()
    outline = down.evaluate("element => getComputedStyle(element).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Moved.")


def test_two_editors_at_once_see_each_other_s_words(room: Room):
    mine, theirs = room.window(scripts=False), room.window(scripts=False)
    room.log_in(mine, ISSUE)
    room.log_in(theirs, ISSUE)
    theirs.get_by_label("Subject").fill("Theirs")
    theirs.get_by_role("button", name="Save", exact=True).last.click()
    mine.get_by_label("Subject").fill("Mine")
    mine.get_by_role("button", name="Save", exact=True).last.click()
    expect(mine.get_by_role("alert")).to_contain_text("What you wrote is still in its fields")
    expect(mine.get_by_label("Subject")).to_have_value("Mine")
    expect(mine.locator(".stands")).to_contain_text("Theirs")
    room.picture(mine, "clash")
    mine.get_by_role("button", name="Save", exact=True).last.click()
    expect(mine.get_by_role("status")).to_have_text("Saved.")
    assert the_issue(room.parts).subject == "Mine"


def test_the_kind_of_reader_is_chosen_without_a_script(room: Room):
    with room.parts.database.write() as session:
        session.execute(sa.update(Post).values(body="<h2>A subhead</h2><p>The story in its own words.</p>"))
    page = room.window(scripts=False)
    room.log_in(page)
    page.goto(f"{room.url}{ISSUE}/preview?look=dark")
    page.get_by_label("whole stories").check()
    page.get_by_label("neutral subject").check()
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_label("whole stories")).to_be_checked()
    expect(page.get_by_text("Weekly digest", exact=True)).to_be_visible()
    page.wait_for_load_state("networkidle")
    (frame, *_) = [frame for frame in page.frames if "/desk/preview/" in frame.url]
    assert "look=dark" in frame.url
    expect(frame.get_by_text("The story in its own words.").first).to_be_visible()
    room.picture(page, "preview-whole")
    page.get_by_label("text only").check()
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", name="The whole mail")).to_be_visible()
    assert page.locator("iframe").count() == 0
