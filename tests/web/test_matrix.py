"""Every route of the desk against every role, from the application's own table of routes (W-40).

A new route fails here until it has a rule that says who may read it and who may change something by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from litestar import Litestar, get
from litestar.testing import TestClient

from digest.web.accounts import Role
from digest.web.app import Parts, create_app
from digest.web.door import NEEDS, RULE, SAFE, TO_READ, Door
from tests.web.house import BASE_URL, Browser, add_editor, make_client
from tests.web.test_door import BEFORE_THE_LOG_IN, filled, handlers, is_one_s_own

WHO = ("nobody", *(role.value for role in Role))


def desk_routes(app: Litestar) -> list[tuple[str, str, dict[str, object]]]:
    """(path template, method, what its rule says) of everything below `/desk`."""
    return [(path, method, handler.opt) for path, method, handler in handlers(app) if re.match(r"/desk(/|$)", path)]


def unclear(app: Litestar) -> list[str]:
    """The routes of the desk whose rule does not say all that there is to say."""
    return [f"{method} {path}" for path, method, opt in desk_routes(app) if not {RULE, NEEDS, TO_READ} <= set(opt)]


def may(who: str, method: str, opt: dict[str, object]) -> str:
    """What the rule of a route means for somebody: `in`, `refused` or `log in`."""
    if opt[RULE] is Door.LOGIN:
        return "in"
    if who == "nobody":
        return "log in"
    needed = opt[NEEDS] if method not in SAFE or opt[TO_READ] else Role.VIEWER
    assert isinstance(needed, Role)
    return "in" if Role(who).covers(needed) else "refused"


@pytest.fixture(params=WHO)
def visitor(request: pytest.FixtureRequest, parts: Parts) -> Iterator[tuple[str, Browser]]:
    """Nobody, and somebody of each role, in turn."""
    who: str = request.param
    with make_client(parts) as client:
        browser = Browser(client)
        if who != "nobody":
            add_editor(parts, "mara", who, None)
            assert browser.log_in("mara").status_code == 303
        yield who, browser


def token_of(browser: Browser) -> str:
    """The token of whoever is logged in, as it stands on every page."""
    found = re.search(r'name="csrf" value="([^"]+)"', browser.get("/desk").text)
    return found[1] if found else "x"


def test_every_route_says_who_may_come_in(parts: Parts):
    assert unclear(create_app(parts)) == []


def test_a_new_route_without_a_rule_is_named(parts: Parts):
    @get("/desk/new", sync_to_thread=False)
    def new() -> str:
        return "inside"

    app = create_app(parts)
    app.register(new)
    assert unclear(app) == ["GET /desk/new"]
    add_editor(parts, "edith", "editor", None)
    with TestClient(app, base_url=BASE_URL) as client:
        browser = Browser(client)
        browser.log_in("edith")
        assert browser.get("/desk/new").status_code == 403


def test_each_route_answers_each_role_as_its_rule_says(parts: Parts, visitor: tuple[str, Browser]):
    who, browser = visitor
    csrf, wrong = token_of(browser), []
    for path, method, opt in desk_routes(create_app(parts)):
        # Logging out comes last, for nothing is open after it.
        if path == "/desk/logout" or opt[RULE] is Door.LOGIN:
            continue
        answer = browser.get(filled(path)) if method in SAFE else browser.post(filled(path), {"csrf": csrf})
        refused = "This takes the role of" in answer.text
        to_login = answer.status_code == 401 or "/desk/login" in answer.headers.get("location", "")
        got = "log in" if to_login else "refused" if answer.status_code == 403 and refused else "in"
        if is_one_s_own(path):
            # Some of these give the browser a new session.
            csrf = token_of(browser)
        if got != may(who, method, opt):
            wrong.append(f"{method} {path}: {who} is {got}, and the rule says {may(who, method, opt)}")
    assert wrong == []


def test_the_rules_themselves_are_what_the_roles_are_for(parts: Parts):
    """Not from the table, so that a rule that was loosened by mistake is noticed."""
    for path, method, opt in desk_routes(create_app(parts)):
        about = f"{method} {path}"
        if path in BEFORE_THE_LOG_IN:
            assert opt[RULE] is Door.LOGIN, about
            continue
        assert opt[RULE] is Door.DESK, about
        if path.startswith("/desk/people"):
            assert (opt[NEEDS], opt[TO_READ]) == (Role.ADMIN, True), about
        elif path == "/desk/readers" and method not in SAFE:
            assert opt[NEEDS] is Role.ADMIN, about
        elif is_one_s_own(path):
            assert opt[NEEDS] is Role.VIEWER, about
        elif method not in SAFE:
            assert opt[NEEDS] is not Role.VIEWER, about
        if re.search(r"/(approve|withdraw|hold|send|pause|resume|cancel|leave|resend|recall)$", path):
            assert opt[NEEDS] in (Role.PUBLISHER, Role.ADMIN), about
