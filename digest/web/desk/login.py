"""The way in and the way out: `/desk/login` and `/desk/logout`."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import sqlalchemy as sa
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.orm import Session

from digest.models import LogEntry, User
from digest.web.accounts import BadAccount, Role, check_password, clean_name
from digest.web.desk.page import desk_page, see
from digest.web.door import Door, form_of, rule, visitor_of
from digest.web.form import Form
from digest.web.parts import Parts
from digest.web.sessions import close_session, cookie_name, open_session, session_cookie
from digest.web.throttle import Attempt, make_device_mark, read_device_mark
from subscribers.networks import prefix_of

HOME = "/desk"
REMEMBER_DEVICE = dt.timedelta(days=90)


def login_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The form, the log-in and the log-out."""

    @get("/desk/login", opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def ask(request: Request[Any, Any, Any]) -> Response[Any]:
        wanted = safe_next(request.query_params.get("next"))
        if request.scope["user"] is not None:
            return see(wanted)
        left = request.query_params.get("done") == "logged-out"
        return _form(parts, wanted, note="You are logged out." if left else "")

    @post("/desk/login", opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def enter(request: Request[Any, Any, Any]) -> Response[Any]:
        return _enter(parts, request, form_of(request))

    @post("/desk/logout", opt=rule(Door.DESK, Role.VIEWER), sync_to_thread=True)
    def leave(request: Request[Any, Any, Any]) -> Response[Any]:
        visitor, now = visitor_of(request), parts.clock()
        with parts.database.write() as session:
            close_session(session, visitor.session_hash)
            session.add(LogEntry(at=now, who=visitor.name, action="logged-out", object="desk"))
        answer = see("/desk/login?done=logged-out")
        answer.set_cookie(_ended(parts))
        return answer

    return [ask, enter, leave]


def safe_next(wanted: str | None) -> str:
    """The page of the desk that was wanted, or its first one: only plain paths of the desk are gone to (W-14)."""
    path = wanted or ""
    return path if re.fullmatch(r"/desk(/[A-Za-z0-9._-]+)*/?", path) and ".." not in path else HOME


def _enter(parts: Parts, request: Request[Any, Any, Any], form: Form) -> Response[Any]:
    now, name, wanted = parts.clock(), form.line("name"), safe_next(form.raw("next"))
    attempt = _attempt(parts, request, name)
    if left := parts.throttle.admit(attempt, now):
        note = f"There were too many tries. Please wait {_in_words(left)} and try once more."
        return _form(parts, wanted, name=name, problem=note, status=429, wait=left)
    user_id = check_password(parts.database, name, form.raw("password"))
    if user_id is None:
        _log_failure(parts, name, now)
        return _form(parts, wanted, name=name, problem="This name and password do not belong together.", status=403)
    parts.throttle.succeeded(attempt)
    with parts.database.write() as session:
        session_id = open_session(session, user_id, now, instead_of=request.cookies.get(_cookie(parts)))
        account = session.get_one(User, user_id).name
        session.add(LogEntry(at=now, who=account, action="logged-in", object="desk"))
    answer = see(wanted)
    answer.set_cookie(session_cookie(session_id, secure=parts.is_https))
    answer.set_cookie(_device_cookie(parts, account))
    return answer


def _form(
    parts: Parts,
    wanted: str,
    *,
    name: str = "",
    problem: str = "",
    note: str = "",
    status: int = 200,
    wait: dt.timedelta | None = None,
) -> Response[str]:
    headers = {"retry-after": str(int(wait.total_seconds()) + 1)} if wait else None
    return desk_page(
        parts, None, "login", status=status, headers=headers, wanted=wanted, account=name, problem=problem, note=note
    )


def _attempt(parts: Parts, request: Request[Any, Any, Any], name: str) -> Attempt:
    try:
        account = clean_name(name)
    except BadAccount:
        account = ""
    mark = request.cookies.get(f"{_cookie(parts)}-device", "")
    prefix = prefix_of(request.client.host if request.client else None)
    return Attempt(account, prefix, read_device_mark(parts.keys.rate, account, mark))


def _log_failure(parts: Parts, name: str, now: dt.datetime) -> None:
    """A failure is written with the name of an account; what else was typed may be a password in the wrong field."""
    with parts.database.write() as session:
        known = _known_name(session, name)
        session.add(LogEntry(at=now, who=known or "somebody", action="log-in-failed", object="desk"))


def _known_name(session: Session, name: str) -> str | None:
    try:
        return session.scalar(sa.select(User.name).where(User.name == clean_name(name)))
    except BadAccount:
        return None


def _in_words(left: dt.timedelta) -> str:
    seconds = int(left.total_seconds()) + 1
    if seconds < 90:  # noqa: PLR2004 -- beyond it, minutes are the clearer word.
        return "a second" if seconds == 1 else f"{seconds} seconds"
    return f"{-(-seconds // 60)} minutes"


def _cookie(parts: Parts) -> str:
    return cookie_name(secure=parts.is_https)


def _device_cookie(parts: Parts, account: str) -> Cookie:
    return Cookie(
        key=f"{_cookie(parts)}-device",
        value=make_device_mark(parts.keys.rate, account),
        max_age=int(REMEMBER_DEVICE.total_seconds()),
        path="/",
        secure=parts.is_https,
        httponly=True,
        samesite="strict",
    )


def _ended(parts: Parts) -> Cookie:
    return Cookie(
        key=_cookie(parts), value="", max_age=0, path="/", secure=parts.is_https, httponly=True, samesite="strict"
    )
