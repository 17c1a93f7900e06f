"""Probes, headers, files, errors and the log: what holds for every answer."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace

import pytest
import sqlalchemy as sa
import structlog
from litestar import get
from structlog.testing import capture_logs

from digest.issues.overdue import SCHEDULER, beat
from digest.models import Issue, IssueState
from digest.web.app import Parts, create_app
from digest.web.door import Door, rule
from digest.web.headers import OUR_PAGES
from subscribers.db import Database
from tests.subscribers.house import Clock
from tests.web.house import BASE_URL, ISSUE, PASSWORD, Browser, make_client


def test_the_process_says_that_it_lives_whatever_the_database_does(parts: Parts):
    with make_client(replace(parts, database=Database("sqlite:////nowhere/at/all.db"))) as client:
        assert client.get("/healthz").text == "alive\n"
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.text == "The database does not answer (OperationalError).\n"


def test_it_is_ready_when_the_database_answers_and_its_schema_is_ours(parts: Parts):
    with make_client(parts) as client:
        assert (client.get("/readyz").status_code, client.get("/readyz").text) == (200, "ready\n")
    old = replace(parts, unready=lambda: "The database is older than the program; run `digest init`.")
    with make_client(old) as client:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.text) == (
            503,
            "The database is older than the program; run `digest init`.\n",
        )
        assert answer.headers["cache-control"] == "no-store"


def test_robots_are_asked_to_leave_the_desk_and_readers_links_alone(browser: Browser):
    lines = browser.get("/robots.txt").text.splitlines()
    assert {"User-agent: *", "Disallow: /desk", "Disallow: /u/", "Disallow: /confirm/", "Disallow: /manage/"} <= set(
        lines
    )


@pytest.mark.parametrize(
    "path", ["/", "/issues", "/desk/login", "/nowhere", "/desk", "/healthz", "/static/desk.css", "/feed.xml"]
)
def test_every_answer_has_the_headers(browser: Browser, path: str):
    headers = browser.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    for directive in ("base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"):
        assert directive in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert headers["referrer-policy"] in ("no-referrer", "same-origin")
    assert "strict-transport-security" not in headers


def test_the_desk_is_never_kept_by_anybody(desk: Browser):
    for path in ("/desk", ISSUE, f"{ISSUE}/preview", "/desk/nowhere", "/desk/login"):
        assert desk.get(path).headers["cache-control"] == "no-store", path
        assert desk.get(path).headers["content-security-policy"] == OUR_PAGES


def test_pages_have_no_styles_scripts_or_handlers_within(desk: Browser):
    for path in ("/desk", ISSUE, f"{ISSUE}/preview", "/desk/login", "/issues", "/nowhere"):
        text = desk.get(path).text
        assert "<style" not in text, path
        assert " style=" not in text, path
        assert not re.search(r"<[a-z]+\b[^>]*\son[a-z]+=", text), path
        assert text.count("<script") == text.count('<script src="/static/'), path


def test_files_are_kept_for_a_while_and_nothing_outside_is_served(browser: Browser):
    assert browser.get("/static/desk-issue.js").headers["cache-control"] == "max-age=300, public"
    assert browser.get("/static/desk.css").headers["content-type"].startswith("text/css")
    for path in (
        "/static/../base.html",
        "/static/%2e%2e/base.html",
        "/static/..%2fbase.html",
        "/static/nothing.css",
        "/static/",
    ):
        assert browser.get(path).status_code == 404, path


def test_what_breaks_is_a_number_for_people_and_a_place_for_the_log(parts: Parts):
    @get("/breaks", opt=rule(Door.OPEN), sync_to_thread=False)
    def breaks() -> str:
        raise RuntimeError("reader@example.org has the token abc")

    with make_client(replace(parts, public_routes=[breaks])) as client, capture_logs() as logs:
        answer = client.get("/breaks")
    assert answer.status_code == 500
    (entry,) = [line for line in logs if line["event"] == "broken"]
    assert entry["number"] in answer.text
    assert "RuntimeError" not in answer.text
    assert "reader@" not in answer.text + repr(logs)
    assert any("test_ops.py" in frame for frame in entry["frames"])


def test_a_page_for_each_thing_that_goes_wrong(browser: Browser):
    assert "There is nothing here" in browser.get("/nowhere").text
    answer = browser.client.delete("/issues")
    assert answer.status_code == 405
    assert "Not this way" in answer.text
    assert "GET" in answer.headers["allow"]


def test_the_log_has_no_path_no_address_and_no_machine(browser: Browser):
    with capture_logs() as logs:
        browser.get("/u/" + "s" * 43)
        browser.get("/secret-path")
        browser.post("/subscribe", {"email": "reader@example.org"})
        browser.log_in(password=PASSWORD)
    said = repr(logs)
    for secret in ("sssss", "secret-path", "reader@", "testclient", PASSWORD, "127.0.0.1"):
        assert secret not in said
    assert {"method": "GET", "route": "/u/{token}", "status": 200} in [
        {name: line[name] for name in ("method", "route", "status")} for line in logs
    ]


def test_no_map_of_the_application_is_handed_out(browser: Browser):
    for path in ("/schema", "/schema/openapi.json", "/docs", "/openapi.json"):
        assert browser.get(path).status_code == 404


def test_the_readers_forms_work_without_a_session(browser: Browser):
    one_click = {"List-Unsubscribe": "One-Click"}
    answer = browser.client.post("/u/" + "x" * 43, data=one_click, follow_redirects=False)
    assert answer.status_code == 200
    assert not answer.headers.get_list("set-cookie")
    answer = browser.client.post(
        "/u/" + "x" * 43, files={"List-Unsubscribe": (None, "One-Click")}, follow_redirects=False
    )
    assert answer.status_code == 200


def test_parts_and_the_application_do_not_print_secrets(parts: Parts):
    create_app(parts)
    said = repr(parts)
    for secret in (parts.keys.rate, parts.keys.token, parts.keys.index):
        assert secret.hex() not in said
        assert repr(secret) not in said
    assert BASE_URL in said
    structlog.reset_defaults()


def test_a_monitor_hears_what_is_late_and_not_why(browser: Browser, parts: Parts, clock: Clock):
    assert (browser.get("/overdue").status_code, browser.get("/overdue").text) == (200, "on time\n")
    with parts.database.write() as session:
        held = {"state": IssueState.HELD, "hold_reason": "anna is not sure"}
        session.execute(sa.update(Issue).values(**held))
    clock.now = dt.datetime(2026, 11, 12, 9, 30, tzinfo=dt.UTC)
    answer = browser.get("/overdue")
    assert answer.status_code == 503
    assert answer.text == "watchdog/2026-W46 was due on 2026-11-12 at 09:00 UTC and has not left.\n"
    assert browser.client.head("/overdue", headers={"host": "10.0.0.1"}).status_code == 503


def test_a_monitor_and_editors_hear_that_the_scheduler_is_away(desk: Browser, parts: Parts, clock: Clock):
    beat(parts.database, SCHEDULER, clock.now)
    assert desk.get("/overdue").status_code == 200
    clock.now += dt.timedelta(minutes=6)
    said = "The scheduler was last at work on 2026-11-12 at 05:30 UTC; start it."
    assert desk.get("/overdue").text == f"{said}\n"
    assert said in desk.get("/desk").text


def test_the_desk_says_that_an_issue_is_due_and_not_out(desk: Browser, clock: Clock):
    assert "Due, and not out." not in desk.get("/desk").text
    clock.now += dt.timedelta(hours=4)
    assert desk.log_in().status_code == 303
    assert "Due, and not out." in desk.get("/desk").text
