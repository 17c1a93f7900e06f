"""The people of the desk: invited, given roles, kept out; never without an administrator, never by oneself."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import sqlalchemy as sa

from digest.issues.outcomes import Refused
from digest.models import Delivery, DeskLink, DeskSession, LogEntry, Passkey, RecoveryCode, TotpSecret, User
from digest.web.access import people
from digest.web.access.people import Actor, Invited
from digest.web.accounts import Role
from digest.web.app import Parts
from subscribers.db import Database
from subscribers.keys import Keys
from subscribers.vault import Vault
from tests.subscribers.house import Clock
from tests.web.house import PASSWORD, Browser, add_editor, dump, make_client, make_parts, with_login
from tests.web.test_account import linked
from tests.web.test_second_factor import add_app, code_at

HOME = "/desk/people"
NEW = "a different sentence now"


@pytest.fixture
def chief(parts: Parts) -> Iterator[Browser]:
    """Carla, an administrator, is logged in."""
    add_editor(parts, "carla", "admin", None)
    with make_client(parts) as client:
        browser = Browser(client)
        assert browser.log_in("carla").status_code == 303
        yield browser


def press(browser: Browser, path: str = "", **fields: str) -> httpx.Response:
    found = re.search(r'name="csrf" value="([^"]+)"', browser.get("/desk/account").text)
    assert found
    return browser.post(f"{HOME}{path}", {"csrf": found[1], **fields})


def user_of(parts: Parts, name: str) -> User:
    with parts.database.read() as session:
        return session.scalars(sa.select(User).where(User.name == name)).one()


def shown(answer: httpx.Response, base_url: str = "http://digest.example.org") -> str:
    """The path of the link that a page shows."""
    found = re.search(r'id="link">([^<]+)<', answer.text)
    assert found, answer.text
    assert found[1].startswith(base_url)
    return found[1].removeprefix(base_url)


def accept(browser: Browser, link: str, password: str = NEW, **more: str) -> httpx.Response:
    return browser.post(link, {"new": password, "again": password, **more})


class TestAnInvitation:
    def test_is_shown_once_to_be_handed_over_and_lets_somebody_in_once(self, chief: Browser, parts: Parts):
        link = shown(press(chief, name="Edith", role="editor", address=""))
        assert link.rpartition("/")[2] not in repr(dump(parts.database))
        assert link not in chief.get(HOME).text
        assert "invited" in chief.get(HOME).text
        with make_client(parts) as client:
            edith = Browser(client)
            before = dump(parts.database)
            page = edith.get(link)
            assert "Welcome, edith" in page.text
            assert "as editor" in page.text
            assert dump(parts.database) == before
            assert accept(edith, link).headers["location"] == "/desk"
            assert "edith" in edith.get("/desk").text
            assert accept(edith, link).status_code == 404
            edith.client.cookies.clear()
            assert edith.log_in("edith", NEW).status_code == 303

    def test_goes_by_mail_and_is_shown_to_nobody(self, chief: Browser, parts: Parts):
        answer = press(chief, name="edith", role="editor", address="edith@newsroom.example")
        assert answer.headers["location"] == f"{HOME}?done=mailed"
        assert user_of(parts, "edith").address_verified_at is None
        link = linked(parts, "invited")
        with make_client(parts) as client:
            assert accept(Browser(client), link).status_code == 303
        # Whoever had the link reads mail there.
        assert user_of(parts, "edith").address_verified_at is not None

    def test_is_over_after_three_days_and_can_be_made_anew(self, chief: Browser, parts: Parts, clock: Clock):
        first = shown(press(chief, name="edith", role="editor"))
        clock.turn(hours=72)
        with make_client(parts) as client:
            edith = Browser(client)
            assert edith.get(first).status_code == 404
            assert accept(edith, first).status_code == 404
            chief.log_in("carla")
            second = shown(press(chief, f"/{user_of(parts, 'edith').id}/link"))
            third = shown(press(chief, f"/{user_of(parts, 'edith').id}/link"))
            assert accept(edith, second).status_code == 404
            assert accept(edith, third).status_code == 303

    def test_until_it_is_taken_nobody_logs_in_by_that_name(self, chief: Browser, parts: Parts):
        press(chief, name="edith", role="admin")
        with make_client(parts) as client:
            edith = Browser(client)
            for password in ("", PASSWORD, NEW):
                assert edith.log_in("edith", password).status_code == 403

    def test_can_be_taken_back_before_it_is_used_and_not_after(self, chief: Browser, parts: Parts):
        link = shown(press(chief, name="edith", role="editor"))
        number = user_of(parts, "edith").id
        assert press(chief, f"/{number}/remove").headers["location"] == f"{HOME}?done=remove"
        with make_client(parts) as client:
            assert accept(Browser(client), link).status_code == 404
        with parts.database.read() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(DeskLink)) == 0
        answer = press(chief, f"/{user_of(parts, 'anna').id}/remove")
        assert (answer.status_code, "Keep them out instead" in answer.text) == (422, True)

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"name": "anna"}, "already somebody"),
            ({"name": "edith@newsroom.example"}, "not an e-mail address"),
            ({"role": "owner"}, "is not a role"),
            ({"address": "no address"}, "@"),
        ],
    )
    def test_what_is_wrong_with_it_is_said_and_what_was_typed_stays(
        self, chief: Browser, parts: Parts, fields: dict[str, str], sentence: str
    ):
        typed = {"name": "edith", "role": "viewer", "address": "edith@newsroom.example", **fields}
        before = dump(parts.database)["users"]
        answer = press(chief, **typed)
        assert answer.status_code == 422
        assert sentence in answer.text
        assert f'value="{typed["address"]}"' in answer.text
        assert dump(parts.database)["users"] == before

    def test_leads_to_a_second_factor_where_the_role_needs_one(self, chief: Browser, parts: Parts):
        link = shown(press(chief, name="paul", role="publisher"))
        with make_client(with_login(parts, second_factor=["publisher"])) as client:
            paul = Browser(client)
            assert accept(paul, link).headers["location"] == "/desk/login/enrol"
            assert paul.get("/desk").status_code == 303

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [({"again": "something else"}, "not the same"), ({"new": "short", "again": "short"}, "12 to 128")],
    )
    def test_a_bad_password_does_not_use_it_up(self, chief: Browser, parts: Parts, fields, sentence):
        link = shown(press(chief, name="edith", role="editor"))
        with make_client(parts) as client:
            edith = Browser(client)
            answer = accept(edith, link, **fields)
            assert (answer.status_code, sentence in answer.text) == (422, True)
            assert accept(edith, link).status_code == 303


class TestANewWayIn:
    def test_ends_the_old_password_and_all_sessions(self, chief: Browser, desk: Browser, parts: Parts):
        link = shown(press(chief, f"/{user_of(parts, 'anna').id}/link"))
        assert desk.get("/desk").status_code == 200
        with make_client(parts) as client:
            assert "Welcome back, anna" in Browser(client).get(link).text
            assert accept(Browser(client), link).status_code == 303
        assert desk.get("/desk").status_code == 303
        assert desk.log_in().status_code == 403

    def test_does_not_step_over_the_second_factor(self, chief: Browser, parts: Parts, clock: Clock):
        add_app(parts)
        link = shown(press(chief, f"/{user_of(parts, 'anna').id}/link"))
        with make_client(parts) as client:
            thief = Browser(client)
            assert "passkey" not in thief.get(link).text
            assert thief.post(f"{link}/passkey", {"x": ""}).status_code == 404
            assert accept(thief, link, answer="{}").status_code == 200
            assert accept(thief, link).headers["location"] == "/desk/login/second"
            assert thief.get("/desk").status_code == 303
            assert thief.post("/desk/login/second", {"code": code_at(clock())}).status_code == 303

    def test_is_not_made_for_who_is_kept_out_and_ends_with_it(self, chief: Browser, parts: Parts):
        number = user_of(parts, "anna").id
        link = shown(press(chief, f"/{number}/link"))
        press(chief, f"/{number}/disable")
        assert press(chief, f"/{number}/link").status_code == 422
        with make_client(parts) as client:
            assert accept(Browser(client), link).status_code == 404


class TestWhoMayComeIn:
    def test_another_role_ends_their_sessions(self, chief: Browser, desk: Browser, parts: Parts):
        number = user_of(parts, "anna").id
        assert press(chief, f"/{number}/role", role="viewer").headers["location"] == f"{HOME}?done=role"
        assert desk.get("/desk").status_code == 303
        desk.log_in()
        assert desk.press("approve").status_code == 403

    def test_who_is_kept_out_is_out_at_once_and_in_again_as_before(self, chief: Browser, desk: Browser, parts: Parts):
        number = user_of(parts, "anna").id
        press(chief, f"/{number}/disable")
        assert desk.get("/desk").status_code == 303
        assert desk.log_in().status_code == 403
        assert "kept out" in chief.get(HOME).text
        press(chief, f"/{number}/enable")
        assert desk.log_in().status_code == 303

    def test_who_is_kept_out_approves_nothing_and_gets_no_letter(self, chief: Browser, parts: Parts):
        from digest.issues.telling import tell_all
        from digest.web.accounts import publishers

        press(chief, f"/{user_of(parts, 'anna').id}/disable")
        with parts.database.write() as session:
            paper = parts.settings.newsletters["watchdog"]
            assert publishers(session) == ("carla",)
            assert tell_all(session, parts.outbox, paper, "reminder", {}, parts.clock()) == 0

    def test_factors_are_forgotten_and_sessions_end(self, chief: Browser, parts: Parts):
        add_app(parts)
        press(chief, f"/{user_of(parts, 'anna').id}/reset")
        with parts.database.read() as session:
            for table in (TotpSecret, Passkey, RecoveryCode):
                assert session.scalar(sa.select(sa.func.count()).select_from(table)) == 0
        with make_client(parts) as client:
            assert Browser(client).log_in().headers["location"] == "/desk"

    @pytest.mark.parametrize("deed", ["role", "disable"])
    def test_nobody_changes_their_own(self, chief: Browser, parts: Parts, deed: str):
        add_editor(parts, "dora", "admin", None)
        before = dump(parts.database)["users"]
        assert press(chief, f"/{user_of(parts, 'carla').id}/{deed}", role="viewer").status_code == 422
        assert dump(parts.database)["users"] == before

    def test_every_change_is_in_the_log_with_who_did_it(self, chief: Browser, parts: Parts):
        number = user_of(parts, "anna").id
        press(chief, name="edith", role="editor")
        for deed in ("role", "sessions", "reset", "link", "disable", "enable"):
            press(chief, f"/{number}/{deed}", role="editor")
        with parts.database.read() as session:
            entries = session.scalars(sa.select(LogEntry).where(LogEntry.who == "carla").order_by(LogEntry.id)).all()
        assert [(entry.action, entry.object) for entry in entries[1:]] == [
            ("invited", "edith"),
            ("role-changed", "anna"),
            ("sessions-ended", "anna"),
            ("factors-reset", "anna"),
            ("made-way-in", "anna"),
            ("disabled", "anna"),
            ("enabled", "anna"),
        ]
        assert entries[2].detail == "from publisher to editor"

    def test_a_screen_left_open_changes_nobody(self, chief: Browser, parts: Parts, clock: Clock):
        clock.turn(minutes=16)
        before = dump(parts.database)["users"]
        assert press(chief, f"/{user_of(parts, 'anna').id}/role", role="admin").status_code == 403
        assert press(chief, name="edith", role="admin").status_code == 403
        after = dump(parts.database)["users"]
        assert [row[:6] for row in after] == [row[:6] for row in before]

    def test_what_is_not_there_is_not_found(self, chief: Browser, parts: Parts):
        assert press(chief, "/999/role", role="viewer").status_code == 404
        assert press(chief, f"/{user_of(parts, 'anna').id}/erase").status_code == 404


@pytest.mark.parametrize("role", ["viewer", "editor", "publisher"])
def test_only_administrators_see_the_page(parts: Parts, role: str):
    add_editor(parts, "paul", role, None)
    with make_client(parts) as client:
        paul = Browser(client)
        paul.log_in("paul")
        answer = paul.get(HOME)
        assert answer.status_code == 403
        assert "takes the role of admin" in answer.text
        assert HOME not in paul.get("/desk").text
        before = dump(parts.database)["users"]
        for path in ("", "/1/role", "/1/disable", "/1/link"):
            assert press(paul, path, name="evil", role="admin").status_code == 403
        assert dump(parts.database)["users"] == before


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x>', "{{ 7*7 }}", "a\nb"])
def test_a_name_that_would_be_markup_is_no_name(chief: Browser, parts: Parts, name: str):
    """XSS in names: refused, and shown as text where it is shown again."""
    answer = press(chief, name=name, role="editor")
    if name == "a\nb":
        name = "a b"
    assert answer.status_code == 422
    assert name not in answer.text or "<" not in name


def test_a_markup_name_that_is_in_the_database_is_shown_as_text(chief: Browser, parts: Parts):
    with parts.database.write() as session:
        session.execute(sa.update(User).where(User.name == "anna").values(name="<img src=x onerror=alert(1)>"))
    page = chief.get(HOME).text
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


class TestTheLastAdministrator:
    @pytest.fixture
    def two(self, database: Database, now: dt.datetime) -> Database:
        with database.write() as session:
            for number, name in enumerate(("carla", "dora")):
                session.add(
                    User(public_id=bytes([number]) * 16, name=name, role="admin", created_at=now, joined_at=now)
                )
        return database

    def test_stays_one(self, two: Database, now: dt.datetime):
        with two.write() as session:
            assert people.set_role(session, 1, "viewer", by=Actor("operator"), now=now) is None
            for refused in (
                people.set_role(session, 2, "publisher", by=Actor("operator"), now=now),
                people.disable(session, 2, by=Actor("operator"), now=now),
            ):
                assert isinstance(refused, Refused)
                assert "last administrator" in refused.reason
            assert session.get_one(User, 2).role == Role.ADMIN

    def test_does_not_count_who_is_invited_or_kept_out(self, two: Database, keys: Keys, now: dt.datetime):
        with two.write() as session:
            by = Actor("operator")
            assert people.disable(session, 1, by=by, now=now) is None
            made = people.invite(
                session, Vault(two, keys), "edith", "admin", None, by=by, now=now, base_url="https://x"
            )
            assert isinstance(made, Invited)
            assert isinstance(people.disable(session, 2, by=by, now=now), Refused)

    def test_two_who_demote_each_other_at_once_leave_one(self, two: Database, now: dt.datetime):
        def demote(number: int) -> object:
            with two.write() as session:
                return people.set_role(session, number, "viewer", by=Actor("x", 3 - number), now=now)

        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(demote, (1, 2)))
        assert sorted(map(type, results), key=repr) == sorted((type(None), Refused), key=repr)
        with two.read() as session:
            assert session.scalar(sa.select(sa.func.count()).where(User.role == Role.ADMIN)) == 1


class TestTheFirstAccount:
    @pytest.fixture
    def empty(self, sqlite_database: Database, keys: Keys, clock: Clock) -> Parts:
        return make_parts(sqlite_database, keys, clock)

    def link(self, parts: Parts) -> str:
        made = people.first_link(parts.database, parts.clock(), parts.base_url)
        assert made
        return made.removeprefix(parts.base_url)

    def test_is_made_by_the_link_from_the_console_and_the_route_is_gone_afterwards(self, empty: Parts):
        link = self.link(empty)
        with make_client(empty) as client:
            browser = Browser(client)
            assert "Nobody is at this desk yet" in browser.get(link).text
            assert accept(browser, link, name="Carla").headers["location"] == "/desk"
            assert "carla" in browser.get(HOME).text
            assert user_of(empty, "carla").role == "admin"
            for path in (link, "/desk/first/other"):
                gone = browser.get(path)
                assert gone.status_code == 404
                assert gone.text == browser.get("/desk/nowhere/at-all").text
                assert accept(browser, path, name="evil").status_code == 404
        assert people.first_link(empty.database, empty.clock(), empty.base_url) is None

    def test_only_the_hash_of_the_link_is_kept(self, empty: Parts):
        assert self.link(empty).rpartition("/")[2] not in repr(dump(empty.database))

    def test_no_other_token_makes_it_and_none_after_a_day(self, empty: Parts, clock: Clock):
        link = self.link(empty)
        with make_client(empty) as client:
            browser = Browser(client)
            for token in ("x" * 43, link[:-1], ""):
                assert accept(browser, f"/desk/first/{token}", name="evil").status_code in (404, 405)
            clock.turn(hours=24)
            assert accept(browser, link, name="evil").status_code == 404
        with empty.database.read() as session:
            assert people.is_empty(session)

    def test_several_processes_may_each_print_one_and_the_first_that_is_used_counts(self, empty: Parts):
        one, two = self.link(empty), self.link(empty)
        with make_client(empty) as client:
            browser = Browser(client)
            assert accept(browser, two, name="carla").status_code == 303
            assert accept(browser, one, name="evil").status_code == 404
            assert browser.get(one).status_code == 404

    def test_an_invitation_s_link_is_no_first_link_and_the_other_way_round(self, empty: Parts):
        first = self.link(empty)
        with make_client(empty) as client:
            assert accept(Browser(client), first.replace("/first/", "/invited/")).status_code == 404
            assert accept(Browser(client), first.replace("/first/", "/address/")).status_code == 404

    def test_two_at_once_make_one_account(self, postgres_database: Database, keys: Keys, clock: Clock):
        parts = make_parts(postgres_database, keys, clock)
        links = [self.link(parts), self.link(parts)]

        def make(number: int) -> int:
            with make_client(parts) as client:
                return accept(Browser(client), links[number], name=f"carla{number}").status_code

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(make, (0, 1))) == [303, 404]
        with parts.database.read() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(User)) == 1

    def test_what_is_wrong_is_said_and_uses_nothing_up(self, empty: Parts):
        link = self.link(empty)
        with make_client(empty) as client:
            browser = Browser(client)
            assert accept(browser, link, name="a b").status_code == 422
            assert accept(browser, link, "short", name="carla").status_code == 422
            assert accept(browser, link, name="carla").status_code == 303

    def test_with_a_rule_for_administrators_the_second_factor_comes_at_once(self, empty: Parts):
        link = self.link(empty)
        with make_client(with_login(empty, second_factor=["admin"])) as client:
            assert accept(Browser(client), link, name="carla").headers["location"] == "/desk/login/enrol"


def test_an_account_from_before_comes_in_as_it_always_did(parts: Parts):
    """What the migration leaves: a password, an address that the operator gave, no second factor."""
    with parts.database.write() as session:
        session.execute(sa.update(User).values(seen_at=None))
    with make_client(parts) as client:
        assert Browser(client).log_in().headers["location"] == "/desk"
    with parts.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(DeskSession)) == 1
        assert session.scalar(sa.select(sa.func.count()).select_from(Delivery)) == 0
