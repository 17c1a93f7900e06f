"""The door: a matrix of every route against who comes, made from the application's own table of routes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urljoin, urlsplit

import pytest
import sqlalchemy as sa
from litestar import Litestar, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.testing import TestClient

from digest.models import DeskSession, Issue, IssueState, User
from digest.web.app import Parts, create_app
from digest.web.door import NEEDS, RULE, SAFE, TO_READ, Door
from tests.subscribers.house import Clock
from tests.web.house import BASE_URL, ISSUE, Browser, add_editor, dump, make_client

FILLED = {
    "newsletter": "watchdog",
    "week": "2026-W46",
    "item": "1",
    "step": "up",
    "token": "x" * 43,
    "document": "2026-W46.html",
    "file_path": "desk.css",
    "number": "1",
    "deed": "sessions",
}
# Whoever adds a form for readers adds it here, and thinks of who may post to it.
READERS_FORMS = {
    "/subscribe",
    "/api/subscribe",
    "/confirm/{token:str}",
    "/u/{token:str}",
    "/never/{token:str}",
    # The button's own token is bound to the link's (O-11), here and in what follows.
    "/manage/{token:str}",
    "/mine/{token:str}",
    "/mine/{token:str}/export",
    "/mine/{token:str}/erase",
}
# Pages of the desk for those who are not in yet: they are opened by a password, a code or a token.
BEFORE_THE_LOG_IN = {
    "/desk/login",
    "/desk/login/second",
    "/desk/login/enrol",
    "/desk/login/passkey/options",
    "/desk/login/passkey",
    "/desk/address/{token:str}",
    "/desk/invited/{token:str}",
    "/desk/invited/{token:str}/passkey",
    "/desk/first/{token:str}",
    "/desk/login/provider",
    "/desk/login/provider/return",
}


def handlers(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    """Every (path template, method, handler), the automatic answers to OPTIONS left out."""
    for route in app.routes:
        assert isinstance(route, HTTPRoute), f"{route.path} is no page"
        for handler in route.route_handlers:
            yield from ((route.path, method, handler) for method in handler.http_methods if method != "OPTIONS")


def filled(template: str) -> str:
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda match: FILLED[match[1]], template)


def is_one_s_own(path: str) -> bool:
    return path in ("/desk/logout", "/desk/account") or path.startswith("/desk/account/")


def unruled(app: Litestar) -> set[str]:
    return {f"{method} {path}" for path, method, handler in handlers(app) if RULE not in handler.opt}


def test_every_route_has_a_rule(parts: Parts):
    assert unruled(create_app(parts)) == set()


def test_a_new_route_without_a_rule_is_noticed_and_is_closed(parts: Parts):
    @get("/desk/new", sync_to_thread=False)
    def new() -> str:
        return "inside"

    @post("/desk/newer", sync_to_thread=False)
    def newer() -> str:
        return "inside"

    app = create_app(parts)
    app.register(new)
    app.register(newer)
    assert unruled(app) == {"GET /desk/new", "POST /desk/newer"}
    with TestClient(app, base_url=BASE_URL) as client:
        browser = Browser(client)
        assert browser.get("/desk/new").status_code == 303
        browser.log_in()
        assert browser.post("/desk/newer", {"csrf": browser.form("/desk")["csrf"]}).status_code == 403


def test_the_rules_fit_the_addresses(parts: Parts):
    for path, method, handler in handlers(create_app(parts)):
        door = handler.opt[RULE]
        if path == "/desk" or path.startswith("/desk/"):
            assert door is (Door.LOGIN if path in BEFORE_THE_LOG_IN else Door.DESK), path
        elif path.startswith("/hooks/"):
            # Who comes in here proves it by a signature, and no session could be ridden on (W-10).
            assert door is Door.HOOK, path
        else:
            assert door in (Door.OPEN, Door.PUBLIC_FORM), path
        if method not in SAFE and door is Door.PUBLIC_FORM:
            assert path in READERS_FORMS
        assert method in SAFE or door is not Door.OPEN, path


def test_nobody_gets_into_the_desk_without_a_log_in(browser: Browser, parts: Parts):
    before = dump(parts.database)
    for path, method, handler in handlers(create_app(parts)):
        if handler.opt[RULE] is not Door.DESK:
            continue
        answer = browser.get(filled(path)) if method == "GET" else browser.post(filled(path), {"csrf": "x"})
        assert answer.status_code == (303 if method == "GET" else 401), path
        assert "Tarnovo" not in answer.text
    assert dump(parts.database) == before


def test_no_change_is_made_without_the_session_s_token(desk: Browser, parts: Parts):
    good = desk.form()
    before = dump(parts.database)
    for path, method, handler in handlers(create_app(parts)):
        if handler.opt[RULE] is not Door.DESK or method in SAFE:
            continue
        for token in ({}, {"csrf": ""}, {"csrf": "x" * 43}, {"csrf": good["csrf"][:-1]}):
            fields = {**{name: value for name, value in good.items() if name != "csrf"}, **token}
            assert desk.post(filled(path), fields).status_code == 403, path
        for header in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"origin": "null"}):
            assert desk.post(filled(path), good, **header).status_code == 403, path
    assert dump(parts.database) == before


def test_a_viewer_looks_and_changes_nothing(parts: Parts):
    add_editor(parts, "vera", "viewer")
    with make_client(parts) as client:
        browser = Browser(client)
        browser.log_in("vera")
        fields = browser.form()
        before = dump(parts.database)
        for path, method, handler in handlers(create_app(parts)):
            if handler.opt[RULE] is not Door.DESK or is_one_s_own(path):
                continue
            answer = browser.get(filled(path)) if method == "GET" else browser.post(filled(path), fields)
            may_read = method == "GET" and not handler.opt[TO_READ]
            assert answer.status_code == (200 if may_read else 403), path
        assert dump(parts.database) == before


PUBLISHING = ("approve", "withdraw", "hold", "send", "pause", "resume", "cancel")


@pytest.mark.parametrize("state", list(IssueState))
def test_an_editor_neither_approves_nor_sends_in_any_state(parts: Parts, state: IssueState):
    add_editor(parts, "edith", "editor")
    with parts.database.write() as session:
        session.execute(sa.update(Issue).values(state=state))
    with make_client(parts) as client:
        browser = Browser(client)
        browser.log_in("edith")
        page = browser.get(ISSUE).text
        fields = browser.form()
        before = dump(parts.database)
        for step in PUBLISHING:
            answer = browser.post(f"{ISSUE}/{step}", fields)
            assert answer.status_code == 403, step
            assert "This takes the role of publisher on the desk, and yours is editor." in answer.text
            assert f'formaction="{ISSUE}/{step}"' not in page
        assert dump(parts.database) == before
        over = state in (IssueState.SENT, IssueState.CANCELLED)
        assert ("this issue is for publishers: anna." in page) is not over
        # What editors are for, they may.
        if state in (IssueState.DRAFT, IssueState.HELD):
            assert browser.press("save", subject="Hers").status_code == 303


def test_where_nobody_may_send_the_page_says_so(parts: Parts):
    with parts.database.write() as session:
        session.execute(sa.update(User).values(role="editor"))
    with make_client(parts) as client:
        browser = Browser(client)
        browser.log_in()
        assert "is for publishers, and nobody has that role yet." in browser.get(ISSUE).text


@pytest.mark.parametrize("role", ["publisher", "admin"])
def test_publishers_and_administrators_approve_and_send(parts: Parts, role: str):
    add_editor(parts, "paul", role)
    with make_client(parts) as client:
        browser = Browser(client)
        browser.log_in("paul")
        assert "is for publishers" not in browser.get(ISSUE).text
        for step in ("approve", "withdraw", "hold", "approve", "send", "pause", "resume", "cancel"):
            assert f'formaction="{ISSUE}/{step}"' in browser.get(ISSUE).text
            assert browser.press(step).status_code == 303, step


def test_a_role_that_nobody_knows_lets_nobody_in(desk: Browser, parts: Parts):
    with parts.database.write() as session:
        session.execute(sa.update(User).values(role="root"))
    assert desk.get("/desk").status_code == 500


def test_the_token_of_another_session_is_refused(desk: Browser, parts: Parts):
    add_editor(parts, "boris")
    with make_client(parts) as client:
        other = Browser(client)
        other.log_in("boris")
        foreign = other.form()["csrf"]
    assert desk.post(f"{ISSUE}/approve", {**desk.form(), "csrf": foreign}).status_code == 403


def test_the_token_from_before_a_new_log_in_is_refused(desk: Browser):
    old = desk.form()
    desk.log_in()
    assert desk.post(f"{ISSUE}/approve", old).status_code == 403
    assert desk.press("approve").status_code == 303


def test_words_written_in_a_session_that_ended_are_shown_so_that_they_can_be_kept(desk: Browser, clock: Clock):
    fields = desk.form()
    clock.turn(hours=1)
    answer = desk.post(f"{ISSUE}/save", {**fields, "introduction": "A long <b>evening</b>'s work."})
    assert answer.status_code == 401
    assert "A long &lt;b&gt;evening&lt;/b&gt;&#39;s work." in answer.text
    assert fields["csrf"] not in answer.text


def test_a_host_that_is_not_ours_is_refused_everywhere_but_by_the_probes(desk: Browser):
    for host in ("evil.example", "digest.example.org.evil.example", "127.0.0.1:8000"):
        for path in ("/", "/desk", "/desk/login", "/feed.xml", "/static/desk.css"):
            assert desk.client.get(path, headers={"host": host}).status_code == 400, (host, path)
        for path in ("/healthz", "/readyz"):
            assert desk.client.get(path, headers={"host": host}).status_code == 200
    assert desk.client.get("/desk/login", headers={"host": "DIGEST.example.org:8443"}).status_code == 200


@pytest.mark.filterwarnings("ignore:The base_url")
def test_on_a_machine_of_one_s_own_any_loopback_name_will_do(parts: Parts):
    settings = parts.settings
    local = settings.model_copy(update={"web": settings.web.model_copy(update={"base_url": "http://127.0.0.1:8000"})})
    with make_client(replace(parts, settings=local), "http://localhost:9999") as client:
        assert Browser(client, "http://localhost:9999").log_in().status_code == 303
        assert client.get("/desk", headers={"host": "evil.example"}).status_code == 400


def test_looking_changes_nothing(desk: Browser, parts: Parts, clock: Clock):
    """Every GET and HEAD of the table, and every link of every page: the database is the same afterwards."""
    clock.turn(minutes=5)
    before = without_being_seen(parts)
    todo = [filled(path) for path, method, _ in handlers(create_app(parts)) if method == "GET"]
    todo += ["/desk?done=approved", f"{ISSUE}?done=cancelled", f"{ISSUE}/preview?look=dark"]
    seen = set[str]()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = desk.get(path)
        desk.client.head(path, follow_redirects=False)
        desk.client.options(path)
        assert answer.status_code < 500, path
        links = [
            urlsplit(urljoin(BASE_URL + path, link)) for link in re.findall(r'(?:href|src)="([^"#]+)', answer.text)
        ]
        todo += [link.path for link in links if link.hostname == urlsplit(BASE_URL).hostname]
    assert len(seen) > 20
    assert without_being_seen(parts) == before


def without_being_seen(parts: Parts) -> dict[str, list[tuple[object, ...]]]:
    """The database, but for when somebody was last seen: that is written by looking, and must be (W-02)."""
    rows = dump(parts.database)
    for name, table in (("desk_sessions", DeskSession.__table__), ("users", User.__table__)):
        place = list(table.columns.keys()).index("seen_at")
        rows[name] = [row[:place] + row[place + 1 :] for row in rows[name]]
    return rows


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
def test_only_forms_are_read(desk: Browser, kind: str):
    headers = {"content-type": kind, "sec-fetch-site": "same-origin"}
    body = f"csrf={desk.form()['csrf']}&revision=1"
    assert desk.client.post(f"{ISSUE}/approve", content=body, headers=headers).status_code == 415


def test_bodies_are_bounded(desk: Browser):
    csrf = desk.form()["csrf"]
    assert desk.post(f"{ISSUE}/save", {"csrf": csrf, "introduction": "x" * 3_000_000}).status_code == 413
    assert desk.post(f"{ISSUE}/save", {"csrf": csrf, **{f"f{n}": "" for n in range(900)}}).status_code == 400
    assert desk.post("/subscribe", {"email": "x" * 70_000}).status_code == 413
    headers = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
    assert desk.client.post(f"{ISSUE}/save", content=b"csrf=%ff\xff", headers=headers).status_code == 400


def test_no_unsafe_route_needs_less_than_an_editor(parts: Parts):
    found = {
        path: handler.opt[NEEDS]
        for path, method, handler in handlers(create_app(parts))
        if handler.opt[RULE] is Door.DESK and method not in SAFE
    }
    # What belongs to one's own account, everybody may change.
    assert {path for path, role in found.items() if role == "viewer"} == set(filter(is_one_s_own, found))
    assert {filled(path) for path, role in found.items() if role == "publisher"} == {
        f"{ISSUE}/{step}" for step in (*PUBLISHING, "report/leave", "report/resend")
    }
