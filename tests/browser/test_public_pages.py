"""The readers' pages in a real browser: they work without scripts, at 320 px, by keyboard, and for everybody."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect

from subscribers.db import Database
from subscribers.lifecycle import State
from subscribers.models import Subscription
from subscribers.service import Service
from subscribers.vault import Vault, make_keys
from tests.browser.album import Album
from tests.subscribers.house import NEGAH, WATCH, Clock, Recorder, make_app, make_service, serving

pytestmark = pytest.mark.browser

ADDRESS = "reader@example.org"
WAYS: dict[str, dict[str, Any]] = {
    "phone": {"viewport": {"width": 320, "height": 640}, "java_script_enabled": False},
    "desktop": {"viewport": {"width": 1024, "height": 800}},
    "dark": {"viewport": {"width": 600, "height": 800}, "color_scheme": "dark"},
    # Tor Browser in a new window, with its letterboxed size and the one language that it admits to.
    "tor": {"viewport": {"width": 1000, "height": 600}, "java_script_enabled": False, "locale": "en-US"},
}
# What its safest level does not show at all, besides scripts: pictures and formulas in XML, fonts, films and frames.
NEVER_AT_ITS_SAFEST = "script, svg, math, video, audio, iframe, object, embed, canvas, link[as=font]"


@dataclass
class Place:
    """A site that is served, and what is behind it."""

    base: str
    service: Service
    database: Database
    outbox: Recorder
    clock: Clock

    def address(self, name: str) -> str:
        """The page that the newest letter with a link of this name leads to."""
        urls = [letter.context[name] for letter in self.outbox.letters if name in letter.context]
        return self.base + urlsplit(urls[-1]).path

    def links(self) -> dict[str, str]:
        with self.database.read() as session:
            public_id = session.scalars(sa.select(Subscription.public_id)).one()
        made = {"leave": self.service.links.leave(public_id), "manage": self.service.links.manage(public_id)}
        return {name: self.base + urlsplit(url).path for name, url in made.items()}

    def state(self) -> State:
        with self.database.read() as session:
            return session.scalars(sa.select(Subscription.state)).one()

    def every_page(self) -> dict[str, str]:
        """All kinds of pages, with somebody confirmed."""
        self.service.join("watch", ADDRESS, self.clock())
        self.service.confirm(self.address("confirm_url").rpartition("/")[2], self.clock())
        return {
            "form": self.base + "/",
            "confirm": self.address("confirm_url"),
            "never": self.address("never_url"),
            "old-link": self.base + "/confirm/old",
            **self.links(),
        }


@pytest.fixture
def place(sqlite_database: Database, now: dt.datetime) -> Iterator[Place]:
    keys, outbox, clock = make_keys(), Recorder(), Clock(now)
    service = make_service(sqlite_database, Vault(sqlite_database, keys), keys, outbox)
    with serving(make_app(service, clock)) as base:
        yield Place(base, service, sqlite_database, outbox, clock)


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that looks at the site in one of the ways, and notes whatever the browser complains of."""
    context = browser.new_context(**WAYS[getattr(request, "param", "desktop")])
    page = context.new_page()
    complaints: list[str] = []
    foreign: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda one: foreign.append(one.url) if urlsplit(one.url).hostname != "127.0.0.1" else None)
    yield page
    context.close()
    # A page that answers 4xx is noted on the console by the browser itself; that is no fault of the page.
    assert [one for one in complaints if "the server responded with a status of 4" not in one] == []
    assert foreign == []


def fill(page: Page, place: Place, address: str) -> None:
    page.goto(place.base)
    page.get_by_label("Your e-mail address").fill(address)
    place.clock.turn(seconds=20)
    page.get_by_role("button", name="Subscribe").click()


@pytest.mark.parametrize("page", WAYS, indirect=True)
def test_from_the_form_to_confirmed_to_left_takes_a_press_each(page: Page, place: Place) -> None:
    fill(page, place, ADDRESS)
    expect(page.get_by_role("heading", level=1)).to_have_text("Please look into your in-box")
    page.goto(place.address("confirm_url"))
    assert place.state() is State.PENDING
    page.get_by_role("button").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are subscribed")
    assert place.state() is State.CONFIRMED
    page.goto(place.links()["manage"])
    page.get_by_role("button", name="Leave this newsletter").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Goodbye")
    assert place.state() is State.LEFT


@pytest.mark.parametrize("page", ["tor"], indirect=True)
def test_tor_browser_at_its_safest_level_loses_nothing(page: Page, place: Place) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.resource_type))
    for name, address in place.every_page().items():
        page.goto(address)
        assert page.locator(NEVER_AT_ITS_SAFEST).count() == 0, name
        assert "@font-face" not in page.content(), name
    assert set(asked) <= {"document", "stylesheet", "other"}
    for name in ("tokens", "site"):
        sheet = page.request.get(f"{place.base}/static/{name}.css").text()
        assert not re.search(r"@font-face|@import|url\(", sheet)


def test_a_text_browser_shows_the_form_in_the_order_in_which_it_is_filled_in(page: Page, place: Place) -> None:
    """Without the style sheet the source's order is all there is: each label before its field, one button, and last."""
    for language, subscribe in (("en", "Subscribe"), ("fa", "اشتراک")):
        page.goto(f"{place.base}/?lang={language}")
        parts = page.locator("form").evaluate(
            """form => [...form.querySelectorAll('legend, label, input:not([type=hidden]), button')]
                .filter(one => !one.closest('.trap'))
                .map(one => one.querySelector('input') ? 'option' : one.type || one.localName)"""
        )
        assert parts == ["legend", *["option", "radio"] * 2, "label", "email", "submit"]
        assert page.locator("form button").all_inner_texts() == [subscribe]
        # Whatever is hidden by the style sheet alone says in words what to do with it.
        assert page.locator(".trap label").inner_text() == (
            "Leave this field empty" if language == "en" else "این خانه را خالی بگذارید"
        )
        assert page.locator("form [hidden], form [style]").count() == 0


def test_a_bad_address_is_said_beside_the_field_that_still_holds_it(page: Page, place: Place) -> None:
    page.goto(place.base)
    page.locator("form").evaluate("form => form.noValidate = true")
    page.get_by_label("Your e-mail address").fill("nobody@")
    place.clock.turn(seconds=20)
    page.get_by_role("button", name="Subscribe").click()
    field = page.get_by_label("Your e-mail address")
    expect(field).to_have_value("nobody@")
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(re.compile(r"after the @-sign\."))
    expect(page.get_by_role("alert")).to_be_visible()


@pytest.mark.parametrize("page", WAYS, indirect=True)
def test_no_page_is_wider_than_its_window(page: Page, place: Place, album: Album) -> None:
    for name, address in place.every_page().items():
        page.goto(address)
        window = page.viewport_size
        assert window
        album.keep(page, f"page-{name}-{window['width']}")
        assert page.evaluate("document.documentElement.scrollWidth") <= window["width"], name


def test_the_form_is_reached_and_sent_by_keyboard_alone(page: Page, place: Place) -> None:
    page.goto(place.base)
    focused = page.locator(":focus")
    page.keyboard.press("Tab")
    expect(focused).to_have_text("Skip to the content")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(focused).to_have_attribute("type", "radio")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.type(ADDRESS)
    place.clock.turn(seconds=20)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Please look into your in-box")
    assert place.outbox.letters[0].newsletter == NEGAH.slug


def test_a_program_alone_sees_the_trap(page: Page, place: Place) -> None:
    page.goto(place.base)
    box = page.locator("#website").locator("..").bounding_box()
    assert box
    assert max(box["width"], box["height"]) <= 1
    assert page.get_by_role("textbox").count() == 1


def test_a_page_from_right_to_left_is_turned_round(
    browser: Browser, sqlite_database: Database, now: dt.datetime
) -> None:
    keys = make_keys()
    service = make_service(sqlite_database, Vault(sqlite_database, keys), keys, Recorder(), NEGAH)
    context = browser.new_context(viewport={"width": 600, "height": 800})
    with serving(make_app(service, Clock(now))) as base:
        page = context.new_page()
        page.goto(base)
        field = page.get_by_role("textbox").bounding_box()
        button = page.get_by_role("button").bounding_box()
        title = page.get_by_role("heading", level=1).evaluate("one => getComputedStyle(one).direction")
    context.close()
    assert field
    assert button
    assert button["x"] + button["width"] <= field["x"]
    assert title == "rtl"


def test_pages_hold_no_cookie_and_tell_no_referrer(page: Page, place: Place) -> None:
    fill(page, place, ADDRESS)
    page.goto(place.address("confirm_url"))
    sent: list[str | None] = []
    page.on("request", lambda one: sent.append(one.headers.get("referer")))
    page.get_by_role("button").click()
    page.get_by_role("link", name="past issues", exact=True).first.click()
    assert len(sent) >= 2
    assert set(sent) <= {None, ""}
    assert page.context.cookies() == []


def test_both_newsletters_can_be_told_apart(page: Page, place: Place) -> None:
    page.goto(place.base)
    expect(page.get_by_role("radio", name=WATCH.title)).to_be_checked()
    page.get_by_text(NEGAH.title).click()
    expect(page.get_by_role("radio", name=NEGAH.title)).to_be_checked()
