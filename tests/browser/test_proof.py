"""The proof of work in a real browser: solved by our own script, said calmly, and not needed where scripts are off."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from subscribers import proof as proofs
from subscribers.budgets import FormRules
from subscribers.db import Database
from subscribers.guard import Guard
from subscribers.vault import Vault, make_keys
from tests.browser.album import Album
from tests.subscribers.house import WATCH, Clock, Recorder, make_app, make_service, serving

pytestmark = pytest.mark.browser

RULES = FormRules(prefix_per_hour=1, unproven_prefix_per_hour=1)
LOOK = "Please look into your in-box"
WAYS: dict[str, dict[str, Any]] = {
    "phone": {"viewport": {"width": 320, "height": 640}},
    "dark": {"viewport": {"width": 600, "height": 800}, "color_scheme": "dark"},
}


@dataclass
class Place:
    """A site whose form is pressed by everybody who comes from this machine."""

    base: str
    outbox: Recorder
    clock: Clock


@pytest.fixture
def place(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    keys, outbox = make_keys(), Recorder()
    # The proofs' library looks at the machine's clock; and forms that were just handed out are a program's.
    clock = Clock(dt.datetime.now(dt.UTC))
    monkeypatch.setattr("subscribers.web.form.QUICKEST", dt.timedelta(0))
    guard = Guard(sqlite_database, keys.token, RULES)
    service = make_service(sqlite_database, Vault(sqlite_database, keys), keys, outbox, WATCH)
    with serving(make_app(service, clock, guard)) as base:
        yield Place(base, outbox, clock)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def ask(page: Page, place: Place, address: str) -> None:
    page.goto(place.base)
    send(page, address)


def send(page: Page, address: str) -> None:
    page.get_by_label("Your e-mail address").fill(address)
    page.get_by_role("button", name="Subscribe").click()


def test_a_reader_with_scripts_notices_little_and_gets_the_letter(page: Page, place: Place) -> None:
    asked: list[Request] = []
    problems: list[str] = []

    def note(request: Request) -> None:
        asked.append(request)

    def complain(message: ConsoleMessage) -> None:
        # Browsers look for an icon of their own accord.
        if not message.location["url"].endswith("/favicon.ico"):
            problems.append(message.text)

    page.on("request", note)
    page.on("console", complain)
    page.on("pageerror", lambda error: problems.append(str(error)))
    for number in range(3):
        ask(page, place, f"reader-{number}@example.org")
        expect(page.get_by_role("heading", level=1)).to_have_text(LOOK, timeout=60_000)
    assert len(place.outbox.letters) == 3
    assert problems == []
    assert {urlsplit(one.url).netloc for one in asked} == {urlsplit(place.base).netloc}
    # The page, and the same file again as the worker that calculates.
    assert sum(one.url.endswith("/static/proof.js") for one in asked) >= 4


def test_while_it_calculates_the_page_says_so(
    page: Page, place: Place, monkeypatch: pytest.MonkeyPatch, album: Album
) -> None:
    ask(page, place, "first@example.org")
    monkeypatch.setattr(proofs, "COST", 200_000)
    page.goto(place.base)
    line = page.locator(".proof [role=status]")
    expect(line).to_be_hidden()
    send(page, "second@example.org")
    expect(line).to_have_text(re.compile("short calculation"))
    assert page.locator("form").get_attribute("aria-busy") == "true"
    expect(page.locator("progress")).to_be_visible()
    album.keep(page, "proof-of-work")
    assert Axe().run(page).response["violations"] == []


def test_without_scripts_a_reader_gets_the_letter_and_the_next_a_sentence(browser: Browser, place: Place) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for number in range(2):
        ask(page, place, f"reader-{number}@example.org")
        expect(page.get_by_role("heading", level=1)).to_have_text(LOOK)
    ask(page, place, "third@example.org")
    expect(page.get_by_role("alert")).to_contain_text("try again in an hour")
    expect(page.get_by_label("Your e-mail address")).to_have_value("third@example.org")
    assert len(place.outbox.letters) == 2
    context.close()


def test_where_the_challenge_came_too_late_pressing_once_more_is_enough(page: Page, place: Place) -> None:
    page.goto(place.base)
    for number in range(2):
        fields = {"newsletter": "watch", "email": f"other-{number}@example.org"}
        filled = page.locator("[name=filled]").get_attribute("value") or ""
        assert page.request.post(f"{place.base}/subscribe", form={**fields, "filled": filled}).ok
    send(page, "reader@example.org")
    expect(page.get_by_role("alert")).to_contain_text("press the button once more")
    page.get_by_role("button", name="Subscribe").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(LOOK, timeout=60_000)
    assert len(place.outbox.letters) == 3


@pytest.mark.parametrize("way", WAYS)
def test_the_pressed_form_looks_right_and_axe_finds_nothing(
    browser: Browser, place: Place, album: Album, way: str
) -> None:
    context = browser.new_context(**WAYS[way])
    page = context.new_page()
    for number in range(2):
        ask(page, place, f"reader-{number}@example.org")
        expect(page.get_by_role("heading", level=1)).to_have_text(LOOK, timeout=60_000)
    page.goto(place.base)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    album.keep(page, f"pressed-form-{way}")
    assert Axe().run(page).response["violations"] == []
    context.close()
