"""One's own second factors: the authenticator app, the recovery codes, the passkeys (W-04)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

from litestar import Request, Response, get, post
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from sqlalchemy.orm import Session

from digest.models import StepKind
from digest.web.access import codes, passkeys, waiting
from digest.web.accounts import Role
from digest.web.desk.account import HOME, LAST_FACTOR, account_page, changed, stale
from digest.web.desk.page import desk_page, see
from digest.web.desk.second import WRONG
from digest.web.door import Door, form_of, rule, visitor_of
from digest.web.parts import Parts

APP = f"{HOME}/app"
OWN = rule(Door.DESK, Role.VIEWER)
Act = Callable[[Parts, Request[Any, Any, Any], Session], Response[Any]]


def app_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """Switch an authenticator app on and off; new recovery codes."""

    @post(APP, opt=OWN, media_type="text/html", sync_to_thread=True)
    def begin(request: Request[Any, Any, Any]) -> Response[Any]:
        return fresh(parts, request, _begin)

    @get(APP, opt=OWN, media_type="text/html", sync_to_thread=True)
    def show(request: Request[Any, Any, Any]) -> Response[Any]:
        return _show(parts, request)

    @post(f"{APP}/confirm", opt=OWN, media_type="text/html", sync_to_thread=True)
    def confirm(request: Request[Any, Any, Any]) -> Response[Any]:
        return fresh(parts, request, _confirm)

    @post(f"{APP}/remove", opt=OWN, media_type="text/html", sync_to_thread=True)
    def remove(request: Request[Any, Any, Any]) -> Response[Any]:
        return fresh(parts, request, _remove_app)

    @post(f"{HOME}/codes", opt=OWN, media_type="text/html", sync_to_thread=True)
    def renew(request: Request[Any, Any, Any]) -> Response[Any]:
        return fresh(parts, request, _renew_codes)

    return [begin, show, confirm, remove, renew]


def passkey_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """Make, name and remove one's passkeys."""

    @post(f"{HOME}/passkeys/options", opt=OWN, sync_to_thread=True)
    def options(request: Request[Any, Any, Any]) -> Response[Any]:
        visitor, site = visitor_of(request), parts.passkey_site
        if site is None or not visitor.is_fresh(parts.clock()):
            return Response({"problem": "Please show first that it is you."}, status_code=403)
        with parts.database.write() as session:
            return asked(parts, session, visitor.user_id, visitor.session_hash)

    @post(f"{HOME}/passkeys", opt=OWN, media_type="text/html", sync_to_thread=True)
    def add(request: Request[Any, Any, Any]) -> Response[Any]:
        return fresh(parts, request, _add_passkey)

    @post(f"{HOME}/passkeys/{{number:int}}/remove", opt=OWN, media_type="text/html", sync_to_thread=True)
    def remove(request: Request[Any, Any, Any], number: FromPath[int]) -> Response[Any]:
        return fresh(parts, request, partial(_remove_passkey, number))

    return [options, add, remove]


def fresh(parts: Parts, request: Request[Any, Any, Any], act: Act) -> Response[Any]:
    """Do it in one transaction, for somebody who has shown lately who they are."""
    if refusal := stale(parts, request):
        return refusal
    with parts.database.write() as session:
        return act(parts, request, session)


def _begin(parts: Parts, request: Request[Any, Any, Any], session: Session) -> Response[Any]:
    codes.begin_enrolment(session, parts.secret_box, visitor_of(request).user_id, parts.clock())
    return see(APP)


def _confirm(parts: Parts, request: Request[Any, Any, Any], session: Session) -> Response[Any]:
    user_id, now = visitor_of(request).user_id, parts.clock()
    if not codes.confirm_enrolment(session, parts.secret_box, user_id, form_of(request).raw("code"), now):
        return _show(parts, request, problem=WRONG, status=403)
    answer = _with_codes(parts, session, user_id, "app-added")
    return changed(parts, request, session, answer, action="app-added", is_strong=True)


def _remove_app(parts: Parts, request: Request[Any, Any, Any], session: Session) -> Response[Any]:
    if _is_last(parts, request, session):
        return account_page(parts, request, status=422, problem=LAST_FACTOR)
    codes.remove_app(session, visitor_of(request).user_id)
    return changed(parts, request, session, see(f"{HOME}?done=app-removed"), action="app-removed")


def _renew_codes(parts: Parts, request: Request[Any, Any, Any], session: Session) -> Response[Any]:
    visitor = visitor_of(request)
    if not codes.factors_of(session, visitor.user_id).any:
        return see(HOME)
    answer = desk_page(parts, None, "recovery", codes=codes.new_recovery_codes(session, visitor.user_id), onward=HOME)
    return changed(parts, request, session, answer, action="recovery-codes")


def _add_passkey(parts: Parts, request: Request[Any, Any, Any], session: Session) -> Response[Any]:
    visitor = visitor_of(request)
    if problem := kept(parts, request, session, visitor.user_id, visitor.session_hash):
        return account_page(parts, request, status=422, problem=problem)
    answer = _with_codes(parts, session, visitor.user_id, "passkey-added")
    return changed(parts, request, session, answer, action="passkey-added", is_strong=True)


def _remove_passkey(number: int, parts: Parts, request: Request[Any, Any, Any], session: Session) -> Response[Any]:
    if _is_last(parts, request, session):
        return account_page(parts, request, status=422, problem=LAST_FACTOR)
    user_id = visitor_of(request).user_id
    name = passkeys.remove(session, user_id, number)
    if name is None:
        raise NotFoundException
    codes.tidy(session, user_id)
    return changed(parts, request, session, see(f"{HOME}?done=passkey-removed"), action="passkey-removed", detail=name)


def asked(parts: Parts, session: Session, user_id: int, owner: bytes) -> Response[Any]:
    """What the browser is to make a passkey of; the challenge waits for whoever has the id behind `owner`."""
    assert parts.passkey_site is not None  # noqa: S101 -- the caller has looked.
    challenge = secrets.token_bytes(32)
    waiting.begin(session, StepKind.REGISTER, parts.clock(), user_id=user_id, secret=challenge, owner=owner)
    text = passkeys.registration(session, parts.passkey_site, user_id, challenge)
    return Response(text.encode(), media_type=MediaType.JSON)


def kept(parts: Parts, request: Request[Any, Any, Any], session: Session, user_id: int, owner: bytes) -> str | None:
    """Keep the passkey that the form holds; none if that is done, else the sentence that says why it was not."""
    form, now, site = form_of(request), parts.clock(), parts.passkey_site
    step = waiting.take(session, owner, StepKind.REGISTER, now)
    if site is None or step is None or step.secret is None or step.user_id != user_id:
        return "That took too long. Please begin anew."
    return passkeys.register(session, site, user_id, form.raw("answer"), step.secret, form.line("name"), now)


def _show(parts: Parts, request: Request[Any, Any, Any], *, problem: str = "", status: int = 200) -> Response[Any]:
    visitor = visitor_of(request)
    with parts.database.read() as session:
        shown = codes.enrolment(session, parts.secret_box, visitor.user_id, parts.title)
    if shown is None or not visitor.is_fresh(parts.clock()):
        return see(HOME)
    return desk_page(
        parts,
        visitor,
        "enrol",
        status=status,
        enrolment=shown,
        problem=problem,
        action=f"{APP}/confirm",
        csrf=visitor.csrf_token,
    )


def _with_codes(parts: Parts, session: Session, user_id: int, done: str) -> Response[Any]:
    """Back to the account; with the first factor come the recovery codes, once."""
    if codes.factors_of(session, user_id).recovery_codes:
        return see(f"{HOME}?done={done}")
    return desk_page(
        parts, None, "recovery", codes=codes.new_recovery_codes(session, user_id), onward=f"{HOME}?done={done}"
    )


def _is_last(parts: Parts, request: Request[Any, Any, Any], session: Session) -> bool:
    """Whether somebody whose role needs a second factor has only this one."""
    visitor = visitor_of(request)
    factors = codes.factors_of(session, visitor.user_id)
    return visitor.role in parts.session_rules.second_factor and factors.codes + factors.passkeys <= 1
