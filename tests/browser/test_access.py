"""Getting in, in a real browser: passkeys by Chromium's virtual authenticator, the account, the people; axe content.

Browsers make passkeys for `localhost` as they do over TLS, so these pages are served under that name.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect

from digest.models import Passkey, User
from digest.run import listen
from digest.web.access import people
from digest.web.app import create_app
from subscribers.db import Database
from subscribers.keys import make_keys
from tests.browser.album import Album
from tests.browser.test_desk import Room, Scheme, faults
from tests.subscribers.house import Clock, serving
from tests.web.house import PASSWORD, add_editor, make_parts, with_login
from tests.web.test_account import elsewhere
from tests.web.test_second_factor import add_app, code_at

pytestmark = pytest.mark.browser


def make_room(database: Database, browser: Browser, album: Album, **login: object) -> Iterator[Room]:
    clock = Clock(dt.datetime(2026, 11, 12, 5, 30, tzinfo=dt.UTC))
    door = listen("127.0.0.1", 0)
    url = f"http://localhost:{door.getsockname()[1]}"
    parts = with_login(make_parts(database, make_keys(), clock, url), **login)
    with serving(create_app(parts), door):
        room = Room(parts, clock, url, browser, album)
        yield room
        for context in room.contexts:
            context.close()
    assert room.complaints == []


@pytest.fixture
def room(sqlite_database: Database, browser: Browser, album: Album) -> Iterator[Room]:
    yield from make_room(sqlite_database, browser, album)


def authenticator(page: Page) -> None:
    """Give the page's browser a device that makes passkeys and knows its owner."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def log_in(room: Room, page: Page, name: str = "anna") -> None:
    room.log_in(page, "/desk/account", name)


def test_a_passkey_is_made_logs_in_and_is_removed(room: Room):
    add_editor(room.parts)
    page = room.window()
    authenticator(page)
    log_in(room, page)
    page.get_by_label("A new passkey, called").fill("My laptop")
    page.get_by_role("button", name="Make a passkey").click()
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    assert page.locator(".codes li").count() == 10
    room.picture(page, "recovery-codes")
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("Passkey “My laptop”")).to_be_visible()
    page.get_by_role("button", name="Log out", exact=True).click()
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page).to_have_url(f"{room.url}/desk")
    page.goto(f"{room.url}/desk/account")
    # The same device makes no second one, and says why.
    page.get_by_role("button", name="Make a passkey").click()
    expect(page.get_by_role("alert")).to_have_text("This device has a passkey for the desk already.")
    page.get_by_role("button", name="Remove the passkey").click()
    expect(page.get_by_role("status")).to_contain_text("The passkey is removed")
    page.get_by_role("button", name="Log out", exact=True).click()
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("This passkey does not open the desk")


def test_after_the_password_a_passkey_is_the_second_step(room: Room):
    add_editor(room.parts)
    page = room.window("phone")
    authenticator(page)
    log_in(room, page)
    page.get_by_role("button", name="Make a passkey").click()
    page.get_by_role("link", name="I have kept them").click()
    page.get_by_role("button", name="Log out", exact=True).click()
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_role("heading", name="One more thing")).to_be_visible()
    room.picture(page, "second-passkey")
    assert faults(page) == []
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page).to_have_url(f"{room.url}/desk")


def test_a_copied_device_is_noticed_and_told(room: Room):
    add_editor(room.parts)
    page = room.window()
    authenticator(page)
    log_in(room, page)
    page.get_by_role("button", name="Make a passkey").click()
    page.get_by_role("link", name="I have kept them").click()
    page.get_by_role("button", name="Log out", exact=True).click()
    with room.parts.database.write() as session:
        # The other one has been used more often since.
        session.execute(sa.update(Passkey).values(sign_count=1_000_000))
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("does not open the desk")


def test_somebody_invited_comes_in_with_a_passkey_alone(room: Room):
    with room.parts.database.write() as session:
        by = people.Actor("operator")
        made = people.invite(
            session, room.parts.vault, "edith", "editor", None, by=by, now=room.clock(), base_url=room.url
        )
    page = room.window()
    authenticator(page)
    page.goto(made.link)
    room.picture(page, "invited")
    assert faults(page) == []
    page.get_by_role("button", name="Come in with a passkey").click()
    expect(page).to_have_url(f"{room.url}/desk")
    page.get_by_role("button", name="Log out", exact=True).click()
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_role("link", name="edith")).to_be_visible()
    with room.parts.database.read() as session:
        assert session.scalar(sa.select(User.password_hash)) is None


def test_without_scripts_passwords_work_and_the_page_says_so(room: Room):
    add_editor(room.parts)
    page = room.window(scripts=False)
    page.goto(f"{room.url}/desk/login")
    expect(page.get_by_text("Passkeys need JavaScript")).to_be_visible()
    expect(page.get_by_role("button", name="Log in with a passkey")).to_have_count(0)
    log_in(room, page)
    page.get_by_role("button", name="Set one up").click()
    page.get_by_text("Type it instead").click()
    secret = base64.b32decode("".join(re.findall("[A-Z2-7]{4}", page.locator(".secret").inner_text())))
    page.get_by_label("Code").fill(code_at(room.clock(), secret))
    page.get_by_role("button", name="Switch it on").click()
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()


def test_the_first_account_sets_up_its_second_factor(sqlite_database: Database, browser: Browser, album: Album):
    for room in make_room(sqlite_database, browser, album, second_factor=["admin"]):
        link = people.first_link(room.parts.database, room.clock(), room.url)
        assert link
        page = room.window()
        page.goto(link)
        room.picture(page, "first")
        assert faults(page) == []
        page.get_by_label("Name").fill("carla")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("The password again").fill(PASSWORD)
        page.get_by_role("button", name="Make the account").click()
        expect(page.get_by_role("heading", name="Set up an authenticator app")).to_be_visible()
        room.picture(page, "enrol")
        assert faults(page) == []
        page.get_by_text("Type it instead").click()
        secret = base64.b32decode("".join(re.findall("[A-Z2-7]{4}", page.locator(".secret").inner_text())))
        page.get_by_label("Code").fill(code_at(room.clock(), secret))
        page.get_by_role("button", name="Switch it on").click()
        page.get_by_role("link", name="I have kept them").click()
        expect(page).to_have_url(f"{room.url}/desk")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_the_pages_are_for_everybody(room: Room, size: str, scheme: Scheme):
    add_editor(room.parts)
    elsewhere(room.parts)
    add_editor(room.parts, "carla", "admin", None)
    for name in ("edith", "paul"):
        with room.parts.database.write() as session:
            by = people.Actor("operator")
            people.invite(session, room.parts.vault, name, "editor", None, by=by, now=room.clock(), base_url=room.url)
    with room.parts.database.write() as session:
        session.execute(sa.update(User).where(User.name == "paul").values(joined_at=room.clock()))
        session.execute(sa.update(User).where(User.name == "paul").values(disabled_at=room.clock()))
    page = room.window(size, scheme)
    log_in(room, page, "carla")
    for name, path in (("account", "/desk/account"), ("people", "/desk/people")):
        page.goto(f"{room.url}{path}")
        room.picture(page, f"{name}-{size}-{scheme}")
        assert faults(page) == [], name
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    page.get_by_text("Change…").first.click()
    room.picture(page, f"people-open-{size}-{scheme}")
    assert faults(page) == []
    page.get_by_role("button", name="Make a link to come in by").first.click()
    expect(page.get_by_role("heading", name="A way in for anna")).to_be_visible()
    room.picture(page, f"way-in-{size}-{scheme}")
    assert faults(page) == []
    add_app(room.parts)
    page.get_by_role("button", name="Log out", exact=True).click()
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    room.picture(page, f"second-{size}-{scheme}")
    assert faults(page) == []
    page.get_by_label("Code").fill(code_at(room.clock()))
    page.get_by_role("button", name="Go on").click()
    room.clock.turn(minutes=20)
    page.goto(f"{room.url}/desk/account")
    room.picture(page, f"account-stale-{size}-{scheme}")
    assert faults(page) == []
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("status")).to_contain_text("you can change how you come in")
    page.get_by_role("button", name="Log out everywhere else").click()
    expect(page.locator(".sessions li")).to_have_count(1)
