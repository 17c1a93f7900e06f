"""A reader's own page in a real browser: the steps that each thing takes, without scripts, on a phone, in the dark."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from subscribers.db import Database
from subscribers.lifecycle import Format, State
from subscribers.models import Subscriber, Subscription
from subscribers.service import Service
from subscribers.vault import Vault, make_keys
from tests.browser.album import Album
from tests.subscribers.house import Clock, Recorder, make_app, make_service, serving

pytestmark = pytest.mark.browser

ADDRESS = "reader@example.org"
WAYS: dict[str, dict[str, Any]] = {
    "phone": {"viewport": {"width": 320, "height": 640}, "java_script_enabled": False},
    "desktop": {"viewport": {"width": 1024, "height": 800}, "java_script_enabled": False},
    "dark": {"viewport": {"width": 600, "height": 800}, "color_scheme": "dark"},
}


@dataclass
class Place:
    """A site that is served, and what is behind it."""

    base: str
    service: Service
    database: Database
    outbox: Recorder
    clock: Clock

    def from_letter(self, name: str) -> str:
        """The page that the newest letter with a link of this name leads to."""
        urls = [letter.context[name] for letter in self.outbox.letters if name in letter.context]
        return self.base + urlsplit(urls[-1]).path

    def from_issue(self, name: str) -> str:
        """The page that a link of an issue leads to: `leave` or `manage`."""
        url: str = getattr(self.service.links, name)(self.subscription().public_id)
        return self.base + urlsplit(url).path

    def subscription(self, newsletter: str = "watch") -> Subscription:
        with self.database.read() as session:
            return session.scalars(sa.select(Subscription).where(Subscription.newsletter == newsletter)).one()


@dataclass
class Steps:
    """A person who follows links of letters and presses buttons, and counts both."""

    page: Page
    taken: list[str] = field(default_factory=list)

    def follow(self, url: str) -> None:
        self.page.goto(url)
        self.taken.append("link")

    def press(self, name: str) -> None:
        """Press the button of that name, or the only one: the page may be in any language."""
        self.page.get_by_role("button", name=name).click()
        self.taken.append("press")

    def title(self) -> str:
        return self.page.get_by_role("heading", level=1).inner_text()


@pytest.fixture
def place(sqlite_database: Database, now: dt.datetime) -> Iterator[Place]:
    keys, outbox, clock = make_keys(), Recorder(), Clock(now)
    service = make_service(sqlite_database, Vault(sqlite_database, keys), keys, outbox)
    service.enter("watch", ADDRESS, "Signed the list.", clock())
    with serving(make_app(service, clock)) as base:
        yield Place(base, service, sqlite_database, outbox, clock)


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(**WAYS[getattr(request, "param", "desktop")])
    page = context.new_page()
    page.set_default_timeout(15_000)
    foreign: list[str] = []
    page.on("request", lambda one: foreign.append(one.url) if urlsplit(one.url).hostname != "127.0.0.1" else None)
    yield page
    context.close()
    assert foreign == []


@pytest.fixture
def steps(page: Page) -> Steps:
    return Steps(page)


def open_mine(steps: Steps, place: Place) -> None:
    steps.follow(place.from_issue("manage"))
    steps.press("Send me a link")
    steps.follow(place.from_letter("mine_url"))


class TestHowManySteps:
    def test_confirming_takes_two(self, steps: Steps, place: Place) -> None:
        place.service.join("negah", ADDRESS, place.clock())
        steps.follow(place.from_letter("confirm_url"))
        steps.press("")
        expect(steps.page.get_by_role("button")).to_have_count(0)
        assert place.subscription("negah").state is State.CONFIRMED
        assert steps.taken == ["link", "press"]

    @pytest.mark.parametrize(("link", "button"), [("leave", "Leave"), ("manage", "Leave this newsletter")])
    def test_leaving_takes_two_by_either_link(self, steps: Steps, place: Place, link: str, button: str) -> None:
        steps.follow(place.from_issue(link))
        steps.press(button)
        assert place.subscription().state is State.LEFT
        assert steps.taken == ["link", "press"]

    def test_changing_anything_takes_three_and_the_press_itself(self, steps: Steps, place: Place) -> None:
        open_mine(steps, place)
        assert steps.taken == ["link", "press", "link"]
        steps.press("Pause")
        assert place.subscription().paused_until == place.clock() + dt.timedelta(weeks=1)

    def test_being_erased_takes_two_more_presses_than_that(self, steps: Steps, place: Place) -> None:
        open_mine(steps, place)
        steps.page.get_by_role("link", name="Have everything erased").click()
        steps.press("Erase everything")
        assert steps.title() == "Everything is erased"
        with place.database.read() as session:
            assert session.scalars(sa.select(Subscriber)).all() == []


@pytest.mark.parametrize("page", ["phone", "dark"], indirect=True)
def test_everything_on_the_page_works(steps: Steps, place: Place) -> None:
    open_mine(steps, place)
    page = steps.page
    page.get_by_label("Full text").check()
    page.get_by_label("Nothing of the stories").check()
    steps.press("Save")
    assert (place.subscription().format, place.subscription().is_neutral) == (Format.FULL, True)
    expect(page.get_by_label("Full text")).to_be_checked()
    expect(page.get_by_role("status")).to_contain_text("saved")
    page.get_by_label("No issues for").select_option("four weeks")
    steps.press("Pause")
    expect(page.get_by_text("Paused until")).to_contain_text("16 December 2026")
    steps.press("End the pause")
    assert place.subscription().paused_until is None
    steps.press("Leave this newsletter")
    expect(page.get_by_role("status")).to_contain_text("you have left")
    assert place.subscription().state is State.LEFT
    page.locator("#j-negah").click()
    expect(page.locator("#n-negah")).to_be_visible()
    assert place.subscription("negah").state is State.CONFIRMED


def test_the_file_is_downloaded_by_a_press(steps: Steps, place: Place, tmp_path: Path) -> None:
    open_mine(steps, place)
    with steps.page.expect_download() as waiting:
        steps.press("Download the file")
    waiting.value.save_as(tmp_path / "file.json")
    data = json.loads((tmp_path / "file.json").read_text())
    assert [one["newsletter"] for one in data["subscriptions"]] == ["watch"]


@pytest.mark.parametrize("page", WAYS, indirect=True)
def test_the_pages_fit_and_can_be_used_by_everybody(
    page: Page, place: Place, album: Album, request: pytest.FixtureRequest
) -> None:
    way = request.node.callspec.params["page"]
    steps = Steps(page)
    steps.follow(place.from_issue("manage"))
    _look(page, album, f"manage-{way}")
    steps.press("Send me a link")
    _look(page, album, f"fresh-sent-{way}")
    steps.follow(place.from_letter("mine_url"))
    page.get_by_label("Nothing of the stories").check()
    steps.press("Save")
    _look(page, album, f"mine-{way}")
    steps.press("Pause")
    _look(page, album, f"mine-paused-{way}")
    page.get_by_role("link", name="Have everything erased").click()
    _look(page, album, f"erase-{way}")
    steps.press("Erase everything")
    _look(page, album, f"erased-{way}")
    page.goto(place.from_letter("mine_url"))
    _look(page, album, f"fresh-old-{way}")


def _look(page: Page, album: Album, name: str) -> None:
    """Take a picture, and see that nothing hangs over the edge and, where scripts run, that axe finds nothing."""
    album.keep(page, f"{name}")
    box = page.locator("main").bounding_box()
    size = page.viewport_size
    assert box
    assert size
    assert box["width"] <= size["width"]
    for button in page.get_by_role("button").all():
        at = button.bounding_box()
        assert at, name
        assert 0 <= at["x"] <= size["width"] - at["width"], name
    if "dark" in name:
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
