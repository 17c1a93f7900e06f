"""One's own account: how one comes in, where one is logged in, and where test copies go (`/desk/account`)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.orm import Session

from digest.issues import log
from digest.models import DeskSession, User
from digest.web.access import codes
from digest.web.access.letters import ADDRESS, post_link
from digest.web.access.links import LinkKind, find_link, make_link, use_link
from digest.web.access.passkeys import passkeys_of
from digest.web.accounts import (
    BadAccount,
    Role,
    check_password,
    end_sessions,
    hashed_password,
    put_password,
    sealed_address,
)
from digest.web.desk.entering import attempt_of, renew_session, retry_after, too_many
from digest.web.desk.page import desk_page, local_time, see, until
from digest.web.door import Door, form_of, rule, visitor_of
from digest.web.parts import Parts
from digest.web.sessions import Visitor, close_session, sessions_of

HOME = "/desk/account"
ROLES: Mapping[Role, str] = {
    Role.VIEWER: "looks at everything and changes nothing",
    Role.EDITOR: "arranges and writes",
    Role.PUBLISHER: "arranges and writes, approves and sends",
    Role.ADMIN: "arranges, approves and sends, and says who may come in",
}
DONE: Mapping[str, str] = {
    "confirmed": "Thank you. For the next quarter of an hour you can change how you come in.",
    "password": "Your password is changed. Wherever else you were logged in, you are no longer.",
    "app-added": "The app is switched on. From now on the desk asks for its code.",
    "app-removed": "The app is forgotten. Wherever else you were logged in, you are no longer.",
    "passkey-added": "The passkey is kept. Wherever else you were logged in, you are no longer.",
    "passkey-removed": "The passkey is removed. Wherever else you were logged in, you are no longer.",
    "session-ended": "That session is ended.",
    "others-ended": "Everywhere else you are logged out now.",
    "address": "A letter with a link is on its way to the new address. Until you follow it, nothing else goes there.",
    "address-confirmed": "Your address is confirmed: test copies and reminders go there.",
    "address-removed": "Your address is removed. Nothing goes to you any more.",
}
STALE = "This changes how you come in, so please show first that it is you."
LAST_FACTOR = "Your role needs a second factor, and this is your last one. Add another one first."


@dataclass(frozen=True)
class SessionLine:
    """A session in the list."""

    handle: str
    browser: str
    since: str
    seen: str
    is_this: bool


@dataclass(frozen=True)
class KeyLine:
    """A passkey in the list."""

    passkey_id: int
    name: str
    made: str
    used: str


def account_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The page, the password, the sessions."""

    @get(HOME, opt=rule(Door.DESK, Role.VIEWER), media_type="text/html", sync_to_thread=True)
    def look(request: Request[Any, Any, Any]) -> Response[Any]:
        return account_page(parts, request, said=DONE.get(request.query_params.get("done", ""), ""))

    @post(f"{HOME}/confirm", opt=rule(Door.DESK, Role.VIEWER), media_type="text/html", sync_to_thread=True)
    def confirm(request: Request[Any, Any, Any]) -> Response[Any]:
        return _confirm(parts, request)

    @post(f"{HOME}/password", opt=rule(Door.DESK, Role.VIEWER), media_type="text/html", sync_to_thread=True)
    def password(request: Request[Any, Any, Any]) -> Response[Any]:
        return _password(parts, request)

    @post(f"{HOME}/sessions", opt=rule(Door.DESK, Role.VIEWER), media_type="text/html", sync_to_thread=True)
    def sessions(request: Request[Any, Any, Any]) -> Response[Any]:
        return _end(parts, request)

    return [look, confirm, password, sessions]


def address_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """One's address, and the page behind the link that is sent there."""

    @post(f"{HOME}/address", opt=rule(Door.DESK, Role.VIEWER), media_type="text/html", sync_to_thread=True)
    def address(request: Request[Any, Any, Any]) -> Response[Any]:
        return _address(parts, request)

    @get("/desk/address/{token:str}", opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def ask(request: Request[Any, Any, Any]) -> Response[Any]:
        token = str(request.path_params["token"])
        with parts.database.read() as session:
            found = find_link(session, LinkKind.ADDRESS, token, parts.clock())
        return desk_page(parts, None, "address", status=200 if found else 404, token=token if found else "")

    @post("/desk/address/{token:str}", opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def confirm(request: Request[Any, Any, Any]) -> Response[Any]:
        now = parts.clock()
        with parts.database.write() as session:
            found = find_link(session, LinkKind.ADDRESS, str(request.path_params["token"]), now)
            if found is None or not use_link(session, found):
                return desk_page(parts, None, "address", status=404, token="")
            user = session.get_one(User, found.user_id)
            user.address_verified_at = now
            log.append(session, at=now, who=user.name, action="address-confirmed", about=user.name)
        return see(f"{HOME}?done=address-confirmed")

    return [address, ask, confirm]


def account_page(
    parts: Parts,
    request: Request[Any, Any, Any],
    *,
    status: int = 200,
    said: str = "",
    problem: str = "",
    wait: dt.timedelta | None = None,
) -> Response[str]:
    """The page as it stands; `problem` is a sentence about what was not done."""
    visitor, now = visitor_of(request), parts.clock()
    zone = next(iter(parts.settings.newsletters.values())).timezone
    with parts.database.read() as session:
        user = session.get_one(User, visitor.user_id)
        return desk_page(
            parts,
            visitor,
            "account",
            status=status,
            headers=retry_after(wait),
            said=said,
            problem=problem,
            is_fresh=visitor.is_fresh(now),
            role_words=ROLES[visitor.role],
            factors=codes.factors_of(session, user.id),
            needs_second=visitor.role in parts.session_rules.second_factor,
            has_password=user.password_hash is not None,
            passwords=parts.settings.login.passwords,
            can_passkey=parts.passkey_site is not None,
            has_address=user.address_sealed is not None,
            passkeys=[
                KeyLine(
                    one.id,
                    one.name,
                    local_time(one.created_at, zone),
                    local_time(one.used_at, zone) if one.used_at else "not yet",
                )
                for one in passkeys_of(session, user.id)
            ],
            sessions=[
                SessionLine(
                    handle_of(one),
                    one.browser or "a browser",
                    local_time(one.created_at, zone),
                    "now" if one.id_hash == visitor.session_hash else seen_in_words(one.seen_at, now),
                    one.id_hash == visitor.session_hash,
                )
                for one in sessions_of(session, user.id, now, parts.session_rules)
            ],
        )


def handle_of(row: DeskSession) -> str:
    """What a session is called in a form: a piece of the hash of its id, which opens nothing."""
    return row.id_hash.hex()[:16]


def seen_in_words(instant: dt.datetime, now: dt.datetime) -> str:
    """How long ago somebody was seen; what is written down is right to the minute."""
    return "just now" if now - instant < dt.timedelta(minutes=1) else until(instant, now)


def stale(parts: Parts, request: Request[Any, Any, Any]) -> Response[Any] | None:
    """The refusal for whoever has not shown lately who they are; none for whoever has."""
    if visitor_of(request).is_fresh(parts.clock()):
        return None
    return account_page(parts, request, status=403, problem=STALE)


def changed(
    parts: Parts,
    request: Request[Any, Any, Any],
    session: Session,
    answer: Response[Any],
    *,
    action: str,
    detail: str = "",
    is_strong: bool | None = None,
) -> Response[Any]:
    """After a change of how somebody comes in: all their sessions end, and this browser gets a new one (W-02)."""
    visitor = visitor_of(request)
    end_sessions(session, visitor.user_id)
    strong = visitor.is_strong if is_strong is None else is_strong
    renew_session(parts, request, session, visitor.user_id, answer, is_strong=strong)
    log.append(session, at=parts.clock(), who=visitor.name, action=action, about=visitor.name, detail=detail)
    return answer


def _known(parts: Parts, request: Request[Any, Any, Any], password: str) -> Response[Any] | None:
    """None if this is the visitor's password; else the page that says it is not, or that it was tried too often."""
    visitor = visitor_of(request)
    attempt = attempt_of(parts, request, visitor.name)
    if left := parts.throttle.admit(attempt, parts.clock()):
        return account_page(parts, request, status=429, problem=too_many(left), wait=left)
    if check_password(parts.database, visitor.name, password) != visitor.user_id:
        return account_page(parts, request, status=403, problem="That is not your password. Nothing was changed.")
    parts.throttle.succeeded(attempt)
    return None


def _confirm(parts: Parts, request: Request[Any, Any, Any]) -> Response[Any]:
    if wrong := _known(parts, request, form_of(request).raw("password")):
        return wrong
    visitor = visitor_of(request)
    answer = see(f"{HOME}?done=confirmed")
    with parts.database.write() as session:
        renew_session(parts, request, session, visitor.user_id, answer, is_strong=visitor.is_strong)
    return answer


def _password(parts: Parts, request: Request[Any, Any, Any]) -> Response[Any]:
    form, visitor = form_of(request), visitor_of(request)
    if refusal := _may_set_password(parts, request, visitor):
        return refusal
    if form.raw("new") != form.raw("again"):
        return account_page(parts, request, status=422, problem="The two new passwords are not the same.")
    try:
        hashed = hashed_password(form.raw("new"), visitor.name)
    except BadAccount as error:
        return account_page(parts, request, status=422, problem=str(error))
    with parts.database.write() as session:
        put_password(session, visitor.user_id, hashed, visitor.name, parts.clock())
        answer = see(f"{HOME}?done=password")
        renew_session(parts, request, session, visitor.user_id, answer, is_strong=visitor.is_strong)
    return answer


def _may_set_password(parts: Parts, request: Request[Any, Any, Any], visitor: Visitor) -> Response[Any] | None:
    """The old password is asked for, however lately they came in; who has none must have come in lately."""
    if not parts.settings.login.passwords:
        return account_page(parts, request, status=403, problem="The desk is not opened by passwords here.")
    with parts.database.read() as session:
        has_one = session.get_one(User, visitor.user_id).password_hash is not None
    return _known(parts, request, form_of(request).raw("old")) if has_one else stale(parts, request)


def _end(parts: Parts, request: Request[Any, Any, Any]) -> Response[Any]:
    visitor, now, which = visitor_of(request), parts.clock(), form_of(request).raw("which")
    with parts.database.write() as session:
        mine = sessions_of(session, visitor.user_id, now, parts.session_rules)
        others = [one for one in mine if one.id_hash != visitor.session_hash]
        ended = others if which == "others" else [one for one in others if handle_of(one) == which]
        for one in ended:
            close_session(session, one.id_hash)
        if ended:
            detail = f"{len(ended)}"
            log.append(session, at=now, who=visitor.name, action="sessions-ended", about=visitor.name, detail=detail)
    return see(f"{HOME}?done={'others-ended' if which == 'others' else 'session-ended'}#sessions")


def _address(parts: Parts, request: Request[Any, Any, Any]) -> Response[Any]:
    if refusal := stale(parts, request):
        return refusal
    visitor, now, typed = visitor_of(request), parts.clock(), form_of(request).line("address")
    parts.vault.prepare()
    with parts.database.write() as session:
        user = session.get_one(User, visitor.user_id)
        try:
            user.address_sealed = sealed_address(parts.vault, typed or None, user.public_id)
        except BadAccount as error:
            session.rollback()
            return account_page(parts, request, status=422, problem=str(error))
        user.address_verified_at = None
        log.append(
            session, at=now, who=user.name, action="address-changed" if typed else "address-removed", about=user.name
        )
        if not typed:
            return see(f"{HOME}?done=address-removed")
        link = make_link(session, LinkKind.ADDRESS, user.id, now, base_url=parts.base_url, is_mailed=True)
        paper = next(iter(parts.settings.newsletters.values()))
        if not post_link(session, parts.outbox, paper, ADDRESS, user.id, name=user.name, link=link, now=now):
            session.rollback()
            problem = "You have asked for several letters within the hour. Please look for them, or try again later."
            return account_page(parts, request, status=429, problem=problem)
    return see(f"{HOME}?done=address")
