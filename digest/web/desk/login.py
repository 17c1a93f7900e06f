"""The way in and the way out: `/desk/login` and `/desk/logout`."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import sqlalchemy as sa
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.orm import Session

from digest.issues import log
from digest.models import User
from digest.web.access.steps import Proof
from digest.web.accounts import BadAccount, Role, check_password, clean_name
from digest.web.desk.entering import advance, attempt_of, end_session_cookie, retry_after, too_many
from digest.web.desk.page import desk_page, see
from digest.web.door import Door, form_of, rule, visitor_of
from digest.web.form import Form
from digest.web.parts import Parts
from digest.web.sessions import close_session

HOME = "/desk"
NOTES = {
    "logged-out": "You are logged out.",
    "over": "That took too long, or there were too many wrong codes. Please begin anew.",
    "again": "Please log in once more; then you can change how you come in.",
    "changed": "That is done. Please log in.",
}
"""What the page says after something: only these sentences, never a text from an address."""


def login_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The form, the log-in and the log-out."""

    @get("/desk/login", opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def ask(request: Request[Any, Any, Any]) -> Response[Any]:
        wanted = safe_next(request.query_params.get("next"))
        if request.scope["user"] is not None:
            return see(wanted)
        return login_page(parts, wanted, note=NOTES.get(request.query_params.get("done", ""), ""))

    @post("/desk/login", opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def enter(request: Request[Any, Any, Any]) -> Response[Any]:
        return _enter(parts, request, form_of(request))

    @post("/desk/logout", opt=rule(Door.DESK, Role.VIEWER), sync_to_thread=True)
    def leave(request: Request[Any, Any, Any]) -> Response[Any]:
        visitor, now = visitor_of(request), parts.clock()
        with parts.database.write() as session:
            close_session(session, visitor.session_hash)
            log.append(session, at=now, who=visitor.name, action="logged-out", about="desk")
        again = form_of(request).raw("then") == "again"
        answer = see(f"/desk/login?done=again&next={HOME}/account" if again else "/desk/login?done=logged-out")
        answer.set_cookie(end_session_cookie(parts))
        return answer

    return [ask, enter, leave]


def safe_next(wanted: str | None) -> str:
    """The page of the desk that was wanted, or its first one: only plain paths of the desk are gone to (W-14)."""
    path = wanted or ""
    return path if re.fullmatch(r"/desk(/[A-Za-z0-9._-]+)*/?", path) and ".." not in path else HOME


def login_page(
    parts: Parts,
    wanted: str,
    *,
    name: str = "",
    problem: str = "",
    note: str = "",
    status: int = 200,
    wait: dt.timedelta | None = None,
) -> Response[str]:
    """The page with every way in that there is."""
    login = parts.settings.login
    return desk_page(
        parts,
        None,
        "login",
        status=status,
        headers=retry_after(wait),
        wanted=wanted,
        account=name,
        problem=problem,
        note=note,
        passwords=login.passwords,
        passkeys=parts.passkey_site is not None,
        provider=login.oidc.name if login.oidc else "",
    )


def _enter(parts: Parts, request: Request[Any, Any, Any], form: Form) -> Response[Any]:
    now, name, wanted = parts.clock(), form.line("name"), safe_next(form.raw("next"))
    if not parts.settings.login.passwords:
        return login_page(parts, wanted, problem="The desk is not opened by passwords here.", status=403)
    attempt = attempt_of(parts, request, name)
    if left := parts.throttle.admit(attempt, now):
        return login_page(parts, wanted, name=name, problem=too_many(left), status=429, wait=left)
    user_id = check_password(parts.database, name, form.raw("password"))
    if user_id is None:
        _log_failure(parts, name, now)
        problem = "This name and password do not belong together."
        return login_page(parts, wanted, name=name, problem=problem, status=403)
    parts.throttle.succeeded(attempt)
    with parts.database.write() as session:
        return advance(parts, request, session, user_id, Proof.PASSWORD, wanted)


def _log_failure(parts: Parts, name: str, now: dt.datetime) -> None:
    """A failure is written with the name of an account; what else was typed may be a password in the wrong field."""
    with parts.database.write() as session:
        known = _known_name(session, name)
        log.append(session, at=now, who=known or "somebody", action="log-in-failed", about="desk")


def _known_name(session: Session, name: str) -> str | None:
    try:
        return session.scalar(sa.select(User.name).where(User.name == clean_name(name)))
    except BadAccount:
        return None
