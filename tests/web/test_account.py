"""One's own account: the password, the app, the sessions, the address, and that each change ends what was before."""

from __future__ import annotations

import base64
import json
import re

import httpx
import pytest
import sqlalchemy as sa

from digest.models import Delivery, DeskSession, LogEntry, RecoveryCode, TotpSecret, User
from digest.web.access.browsers import browser_name
from digest.web.app import Parts
from digest.web.sessions import open_session
from subscribers.vault import DELIVERY_CONTEXT, USER_ADDRESS
from tests.subscribers.house import Clock
from tests.web.house import ADDRESS, ISSUE, PASSWORD, Browser, add_editor, dump, make_client, with_login
from tests.web.test_second_factor import SECRET, add_app, code_at

HOME = "/desk/account"
NEW = "a different sentence now"


def token(browser: Browser) -> dict[str, str]:
    found = re.search(r'name="csrf" value="([^"]+)"', browser.get(HOME).text)
    assert found
    return {"csrf": found[1]}


def send(browser: Browser, path: str, **fields: str) -> httpx.Response:
    return browser.post(f"{HOME}/{path}" if path else HOME, {**token(browser), **fields})


def sessions(parts: Parts) -> int:
    with parts.database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(DeskSession)) or 0


def elsewhere(parts: Parts, count: int = 2) -> None:
    """Anna is logged in on other machines too."""
    with parts.database.write() as session:
        for number in range(count):
            open_session(session, 1, parts.clock(), browser=f"Firefox on machine {number}")


def linked(parts: Parts, letter: str) -> str:
    """The path of the link in the newest letter of a kind."""
    with parts.database.read() as session:
        row = session.scalars(sa.select(Delivery).where(Delivery.letter == letter).order_by(Delivery.id.desc())).first()
        assert row
        assert row.context_sealed
        said = json.loads(parts.vault.open(row.context_sealed, DELIVERY_CONTEXT, row.public_id))
    return str(said["link_url"]).removeprefix(parts.base_url)


class TestThePassword:
    def test_all_sessions_die_with_it_and_this_browser_goes_on_under_a_new_id(self, desk: Browser, parts: Parts):
        """listmonk's CVE-2026-34828: sessions survived a new password."""
        elsewhere(parts)
        before = desk.client.cookies["digest"]
        answer = send(desk, "password", old=PASSWORD, new=NEW, again=NEW)
        assert answer.headers["location"] == f"{HOME}?done=password"
        assert desk.client.cookies["digest"] != before
        assert "Your password is changed" in desk.get(answer.headers["location"]).text
        assert sessions(parts) == 1
        desk.client.cookies.clear()
        assert desk.log_in().status_code == 403
        assert desk.log_in(password=NEW).status_code == 303

    @pytest.mark.parametrize(
        ("fields", "status", "sentence"),
        [
            ({"old": "not the right one"}, 403, "That is not your password"),
            ({"old": ""}, 403, "That is not your password"),
            ({"again": "something else entirely"}, 422, "not the same"),
            ({"new": "short", "again": "short"}, 422, "12 to 128"),
        ],
    )
    def test_what_is_wrong_changes_nothing(self, desk: Browser, parts: Parts, fields, status, sentence):
        before = dump(parts.database)["users"]
        answer = send(desk, "password", **{"old": PASSWORD, "new": NEW, "again": NEW, **fields})
        assert answer.status_code == status
        assert sentence in answer.text
        assert dump(parts.database)["users"] == before

    def test_guessing_it_from_a_session_left_open_waits_like_at_the_door(self, desk: Browser):
        statuses = [send(desk, "password", old=f"guess number {n}", new=NEW, again=NEW).status_code for n in range(7)]
        assert statuses == [403, 403, 403, 403, 403, 429, 429]


class TestShowingWhoOneIs:
    PATHS = ("app", "app/confirm", "app/remove", "codes", "passkeys", "passkeys/1/remove", "address")

    def test_after_a_while_nothing_that_opens_the_desk_can_be_changed(self, desk: Browser, parts: Parts, clock: Clock):
        add_app(parts)
        clock.turn(minutes=15)
        before = {name: rows for name, rows in dump(parts.database).items() if name not in ("desk_sessions", "users")}
        for path in self.PATHS:
            answer = send(desk, path, address="evil@example.org", code=code_at(clock()))
            assert (answer.status_code, "please show first that it is you" in answer.text) == (403, True), path
        assert send(desk, "passkeys/options").status_code == 403
        page = desk.get(HOME).text
        assert "First, is it you?" in page
        assert "/desk/account/app/remove" not in page
        assert {name: rows for name, rows in dump(parts.database).items() if name in before} == before

    def test_the_password_makes_it_fresh_under_a_new_id(self, desk: Browser, clock: Clock):
        clock.turn(minutes=20)
        before = desk.client.cookies["digest"]
        assert send(desk, "confirm", password="not the right one").status_code == 403
        assert send(desk, "confirm", password=PASSWORD).headers["location"] == f"{HOME}?done=confirmed"
        assert desk.client.cookies["digest"] != before
        assert send(desk, "app").headers["location"] == f"{HOME}/app"

    def test_who_has_no_password_logs_in_once_more(self, desk: Browser, parts: Parts, clock: Clock):
        with parts.database.write() as session:
            session.execute(sa.update(User).values(password_hash=None))
        clock.turn(minutes=20)
        assert "Log in once more" in desk.get(HOME).text
        answer = desk.post("/desk/logout", {**token(desk), "then": "again"})
        assert answer.headers["location"] == "/desk/login?done=again&next=/desk/account"


class TestTheApp:
    def switched_on(self, desk: Browser, clock: Clock) -> bytes:
        assert send(desk, "app").headers["location"] == f"{HOME}/app"
        page = desk.get(f"{HOME}/app").text
        secret = base64.b32decode("".join(re.findall(r"<span>([A-Z2-7]{4})</span>", page)))
        answer = send(desk, "app/confirm", code=code_at(clock(), secret))
        assert answer.status_code == 200
        assert len(re.findall(r"<li>([a-z2-7]{4}(?:-[a-z2-7]{4}){3})</li>", answer.text)) == 10
        return secret

    def test_switching_it_on_ends_the_other_sessions_and_is_asked_for_from_then_on(self, desk: Browser, parts, clock):
        elsewhere(parts)
        before = desk.client.cookies["digest"]
        self.switched_on(desk, clock)
        assert desk.client.cookies["digest"] != before
        assert sessions(parts) == 1
        assert "10 left of 10" in desk.get(HOME).text
        desk.client.cookies.clear()
        assert desk.log_in().headers["location"] == "/desk/login/second"

    def test_a_wrong_code_switches_nothing_on(self, desk: Browser, parts: Parts):
        send(desk, "app")
        assert send(desk, "app/confirm", code="000000").status_code == 403
        with parts.database.read() as session:
            assert session.scalars(sa.select(TotpSecret.confirmed_at)).one() is None
        desk.client.cookies.clear()
        assert desk.log_in().headers["location"] == "/desk"

    def test_a_second_one_does_not_take_the_first_one_s_place(self, desk: Browser, parts: Parts):
        add_app(parts)
        send(desk, "app")
        assert desk.get(f"{HOME}/app").headers["location"] == HOME
        with parts.database.read() as session:
            user = session.get_one(User, 1)
            sealed = session.scalars(sa.select(TotpSecret.secret_sealed)).one()
        assert parts.secret_box.open(sealed, user.public_id) == SECRET

    def test_switching_it_off_ends_sessions_and_takes_the_recovery_codes_with_it(self, desk: Browser, parts, clock):
        self.switched_on(desk, clock)
        elsewhere(parts)
        assert send(desk, "app/remove").headers["location"] == f"{HOME}?done=app-removed"
        assert sessions(parts) == 1
        with parts.database.read() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(RecoveryCode)) == 0

    def test_a_role_that_needs_one_keeps_its_last(self, parts: Parts, clock: Clock):
        add_app(parts)
        with make_client(with_login(parts, second_factor=["publisher"])) as client:
            browser = Browser(client)
            browser.log_in()
            browser.post("/desk/login/second", {"code": code_at(clock())})
            answer = send(browser, "app/remove")
            assert answer.status_code == 422
            assert "this is your last one" in answer.text

    def test_new_recovery_codes_are_shown_once(self, desk: Browser, clock: Clock):
        self.switched_on(desk, clock)
        answer = send(desk, "codes")
        (first, *_) = re.findall(r"<li>([a-z2-7]{4}(?:-[a-z2-7]{4}){3})</li>", answer.text)
        assert first not in desk.get(HOME).text
        desk.client.cookies.clear()
        desk.log_in()
        assert desk.post("/desk/login/second", {"code": first}).status_code == 303


class TestSessions:
    def test_they_are_seen_and_ended_one_by_one(self, desk: Browser, parts: Parts):
        elsewhere(parts)
        page = desk.get(HOME).text
        assert page.count("This one") == 1
        assert "Firefox on machine 1" in page
        (first, second) = re.findall(r'name="which" value="([0-9a-f]{16})"', page)
        send(desk, "sessions", which=first)
        assert sessions(parts) == 2
        send(desk, "sessions", which="others")
        assert sessions(parts) == 1
        assert desk.get("/desk").status_code == 200
        assert second not in desk.get(HOME).text

    def test_nobody_ends_another_s(self, desk: Browser, parts: Parts):
        add_editor(parts, "boris", address=None)
        with parts.database.write() as session:
            boris = session.scalars(sa.select(User.id).where(User.name == "boris")).one()
            open_session(session, boris, parts.clock())
            theirs = session.scalars(sa.select(DeskSession.id_hash).where(DeskSession.user_id == boris)).one()
        send(desk, "sessions", which=theirs.hex()[:16])
        send(desk, "sessions", which="others")
        assert sessions(parts) == 2

    def test_no_address_of_a_machine_is_kept(self, browser: Browser, parts: Parts):
        browser.client.headers["user-agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
        browser.log_in()
        assert "Firefox on Linux" in browser.get(HOME).text
        assert "145.0" not in repr(dump(parts.database))
        assert "testclient" not in repr(dump(parts.database)["desk_sessions"])

    @pytest.mark.parametrize(
        ("header", "name"),
        [
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
                "Edge on Windows",
            ),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/604.1", "Safari on an iPhone"),
            ("Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 Chrome/140.0 Safari/537.36", "Chrome on Android"),
            ("<script>alert(1)</script>", "a browser"),
            ("", "a browser"),
        ],
    )
    def test_a_browser_has_a_coarse_name(self, header: str, name: str):
        assert browser_name(header) == name


class TestTheAddress:
    OTHER = "anna.new@newsroom.example"

    def test_it_counts_once_the_link_that_was_sent_there_is_followed(self, desk: Browser, parts: Parts):
        """W-43: a test copy goes only to an address that is known to be theirs."""
        assert send(desk, "address", address=self.OTHER).headers["location"] == f"{HOME}?done=address"
        page = desk.get(HOME).text
        assert "Not confirmed" in page
        assert self.OTHER not in page
        assert "no confirmed address" in desk.press("test").text
        link = linked(parts, "address")
        before = dump(parts.database)
        assert "Is this your address?" in desk.get(link).text
        assert dump(parts.database) == before
        assert desk.post(link, {"yes": ""}).headers["location"] == f"{HOME}?done=address-confirmed"
        assert "Confirmed" in desk.get(HOME).text
        assert desk.press("test").status_code == 303
        assert desk.post(link, {"yes": ""}).status_code == 404
        with parts.database.read() as session:
            user = session.get_one(User, 1)
            assert user.address_sealed
            assert parts.vault.open(user.address_sealed, USER_ADDRESS, user.public_id) == self.OTHER

    def test_a_link_for_an_address_before_confirms_nothing(self, desk: Browser, parts: Parts):
        send(desk, "address", address="first@newsroom.example")
        first = linked(parts, "address")
        send(desk, "address", address=self.OTHER)
        assert desk.post(first, {"yes": ""}).status_code == 404
        with parts.database.read() as session:
            assert session.get_one(User, 1).address_verified_at is None

    def test_a_link_is_over_after_a_day(self, desk: Browser, parts: Parts, clock: Clock):
        send(desk, "address", address=self.OTHER)
        clock.turn(hours=24)
        assert desk.post(linked(parts, "address"), {"yes": ""}).status_code == 404

    def test_nobody_is_buried_in_letters(self, desk: Browser):
        statuses = [send(desk, "address", address=f"one{n}@victim.example").status_code for n in range(7)]
        assert statuses == [303] * 5 + [429] * 2

    @pytest.mark.parametrize("wrong", ["no address", "two@a.example, three@b.example", "x@localhost\nBcc: y@z.example"])
    def test_what_is_no_address_changes_nothing(self, desk: Browser, parts: Parts, wrong: str):
        before = dump(parts.database)["users"]
        assert send(desk, "address", address=wrong).status_code == 422
        assert dump(parts.database)["users"] == before

    def test_it_can_be_removed(self, desk: Browser, parts: Parts):
        assert send(desk, "address", address="").headers["location"] == f"{HOME}?done=address-removed"
        with parts.database.read() as session:
            assert session.get_one(User, 1).address_sealed is None

    def test_none_of_it_is_in_the_database_or_the_log(self, desk: Browser, parts: Parts):
        send(desk, "address", address=self.OTHER)
        link = linked(parts, "address").rpartition("/")[2]
        for secret in (self.OTHER, ADDRESS, link):
            assert secret not in repr(dump(parts.database))


def test_every_change_of_the_account_is_in_the_log(desk: Browser, parts: Parts, clock: Clock):
    TestTheApp().switched_on(desk, clock)
    send(desk, "codes")
    send(desk, "app/remove")
    send(desk, "password", old=PASSWORD, new=NEW, again=NEW)
    send(desk, "address", address="anna.new@newsroom.example")
    with parts.database.read() as session:
        said = session.scalars(sa.select(LogEntry.action).where(LogEntry.object == "anna").order_by(LogEntry.id)).all()
    assert said[1:] == ["app-added", "recovery-codes", "app-removed", "password-changed", "address-changed"]


def test_a_viewer_has_an_account_too(parts: Parts):
    add_editor(parts, "vera", "viewer", None)
    with make_client(parts) as client:
        browser = Browser(client)
        browser.log_in("vera")
        assert "looks at everything and changes nothing" in browser.get(HOME).text
        assert send(browser, "password", old=PASSWORD, new=NEW, again=NEW).status_code == 303
        assert browser.post(f"{ISSUE}/save", token(browser)).status_code == 403
