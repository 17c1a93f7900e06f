"""The way in: what a log-in gives, what it refuses, and where it leads."""

from __future__ import annotations

import datetime as dt

import httpx
import pytest
import sqlalchemy as sa

from digest.models import DeskSession, LogEntry
from digest.web.accounts import set_password
from digest.web.app import Parts
from digest.web.desk.login import safe_next
from subscribers.db import Database
from subscribers.keys import Keys
from tests.subscribers.house import Clock
from tests.web.house import ISSUE, PASSWORD, Browser, add_editor, make_client, make_parts


def cookies(answer: httpx.Response) -> dict[str, str]:
    return {line.partition("=")[0]: line for line in answer.headers.get_list("set-cookie")}


def test_a_log_in_leads_to_the_desk(browser: Browser):
    answer = browser.log_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/desk")
    assert "anna" in browser.get("/desk").text


def test_the_cookie_is_for_the_server_alone(browser: Browser):
    cookie = cookies(browser.log_in())["digest"]
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
    assert "Domain" not in cookie
    assert len(cookie.partition("=")[2].partition(";")[0]) >= 43


def test_on_https_the_cookie_is_bound_to_the_host(sqlite_database: Database, keys: Keys, clock: Clock):
    base_url = "https://digest.example.org"
    parts = make_parts(sqlite_database, keys, clock, base_url)
    add_editor(parts)
    with make_client(parts, base_url) as client:
        answer = Browser(client, base_url).log_in()
        assert {"__Host-digest", "__Host-digest-device"} == set(cookies(answer))
        assert all("Secure" in cookie for cookie in cookies(answer).values())
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert client.get("/desk").status_code == 200


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(browser: Browser):
    wrong, unknown = browser.log_in(password="not the right one"), browser.log_in(name="nadia")
    assert wrong.status_code == unknown.status_code == 403
    assert wrong.text.replace("anna", "nadia") == unknown.text
    assert not cookies(wrong)


def test_what_was_typed_into_the_name_stays_and_the_password_does_not(browser: Browser):
    text = browser.log_in(name='anna"><script>', password="secret-i-typed").text
    assert "&#34;&gt;&lt;script&gt;" in text
    assert "secret-i-typed" not in text


def test_an_id_that_was_planted_before_the_log_in_is_worth_nothing(browser: Browser):
    browser.client.cookies.set("digest", "planted-by-somebody-else", domain="digest.example.org", path="/")
    planted = browser.client.cookies["digest"]
    browser.log_in()
    assert browser.client.cookies.get("digest", domain="digest.example.org") != planted
    browser.client.cookies.clear()
    browser.client.cookies.set("digest", planted)
    assert browser.get("/desk").status_code == 303


def test_a_second_log_in_ends_the_session_that_the_browser_had(desk: Browser, parts: Parts):
    before = desk.client.cookies["digest"]
    desk.log_in()
    assert desk.client.cookies["digest"] != before
    with parts.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(DeskSession)) == 1


def test_logging_out_ends_the_session_on_the_server(desk: Browser):
    kept = desk.client.cookies["digest"]
    answer = desk.post("/desk/logout", {"csrf": desk.form("/desk")["csrf"]})
    assert answer.headers["location"] == "/desk/login?done=logged-out"
    assert "You are logged out" in desk.get("/desk/login?done=logged-out").text
    desk.client.cookies.clear()
    desk.client.cookies.set("digest", kept)
    assert desk.get("/desk").headers["location"] == "/desk/login?next=/desk"


def test_a_session_ends_by_the_clock(desk: Browser, clock: Clock):
    clock.turn(minutes=29)
    assert desk.get("/desk").status_code == 200
    clock.turn(minutes=29)
    assert desk.get("/desk").status_code == 200
    clock.turn(minutes=30)
    assert desk.get("/desk").status_code == 303


def test_all_sessions_end_with_a_new_password(desk: Browser, parts: Parts, clock: Clock):
    with parts.database.write() as session:
        set_password(session, 1, "a different sentence now", "operator", clock())
    assert desk.get("/desk").status_code == 303


def test_too_many_tries_have_to_wait_and_are_told_how_long(browser: Browser, clock: Clock):
    for _ in range(3):
        assert browser.log_in(password="not the right one").status_code == 403
    answer = browser.log_in()
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "2"
    assert "wait 2 seconds" in answer.text
    clock.turn(seconds=2)
    assert browser.log_in().status_code == 303


def test_headers_do_not_get_round_the_throttle(browser: Browser):
    statuses = [
        browser.post(
            "/desk/login",
            {"name": "anna", "password": "not the right one"},
            **{"x-forwarded-for": f"192.0.2.{n}", "forwarded": f"for=192.0.2.{n}"},
        ).status_code
        for n in range(5)
    ]
    assert statuses == [403, 403, 403, 429, 429]


def test_a_known_browser_is_let_in_while_others_hammer_on_the_account(browser: Browser, parts: Parts):
    browser.log_in()
    device = browser.client.cookies["digest-device"]
    browser.client.cookies.clear()
    for _ in range(10):
        browser.log_in(password="not the right one")
    assert browser.log_in().status_code == 429
    browser.client.cookies.set("digest-device", device)
    assert browser.log_in().status_code == 303


def test_failures_are_logged_with_an_account_s_name_and_never_with_what_was_typed(browser: Browser, parts: Parts):
    browser.log_in(password="not the right one")
    browser.log_in(name="my secret password", password="anna")
    browser.log_in()
    with parts.database.read() as session:
        entries = session.execute(sa.select(LogEntry.who, LogEntry.action).where(LogEntry.object == "desk")).all()
    assert [tuple(entry) for entry in entries] == [
        ("anna", "log-in-failed"),
        ("somebody", "log-in-failed"),
        ("anna", "logged-in"),
    ]


def test_the_log_in_goes_on_to_the_page_that_was_wanted(browser: Browser):
    wanted = browser.get(ISSUE).headers["location"]
    assert wanted == f"/desk/login?next={ISSUE}"
    assert f'name="next" value="{ISSUE}"' in browser.get(wanted).text
    assert browser.log_in(next=ISSUE).headers["location"] == ISSUE
    assert browser.get(wanted).headers["location"] == ISSUE


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/desk//evil.example",
        "/desk/../u/x",
        "javascript:x",
        "/desk\r\nset-cookie: a=b",
        "/desk?x=//evil.example",
        " /desk/x",
        "/desk/\tx",
        "/deskevil",
        "/",
        "",
        None,
    ],
)
def test_only_paths_of_the_desk_are_gone_to(browser: Browser, wanted: str | None):
    assert safe_next(wanted) == "/desk"
    if wanted is not None:
        assert browser.log_in(next=wanted).headers["location"] == "/desk"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "https://digest.example.org"},
    ],
)
def test_a_log_in_from_a_page_that_is_not_ours_is_refused(browser: Browser, headers: dict[str, str]):
    answer = browser.post("/desk/login", {"name": "anna", "password": PASSWORD}, **headers)
    assert answer.status_code == 403
    assert not cookies(answer)


def test_a_log_in_that_does_not_say_where_it_comes_from_is_refused(browser: Browser):
    data = {"name": "anna", "password": PASSWORD}
    assert browser.client.post("/desk/login", data=data).status_code == 403
    for header in ({"sec-fetch-site": "same-origin"}, {"origin": "http://digest.example.org"}):
        assert browser.client.post("/desk/login", data=data, headers=header, follow_redirects=False).status_code == 303


def test_the_time_of_a_session_is_the_clock_s(desk: Browser, parts: Parts, clock: Clock):
    with parts.database.read() as session:
        assert session.scalar(sa.select(DeskSession.created_at)) == clock()
    clock.turn(minutes=5)
    desk.get("/desk")
    with parts.database.read() as session:
        assert session.scalar(sa.select(DeskSession.seen_at)) == clock()
        assert session.scalar(sa.select(DeskSession.created_at)) == clock() - dt.timedelta(minutes=5)
