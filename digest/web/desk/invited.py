"""What the links open that work once: an invitation or a new way in, and the making of the first account (W-07)."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.orm import Session

from digest.issues import log
from digest.models import DeskLink, User
from digest.web.access.codes import factors_of
from digest.web.access.links import LinkKind, find_link, use_link
from digest.web.access.people import is_empty, lock_people
from digest.web.access.steps import Proof
from digest.web.accounts import BadAccount, Role, end_sessions, hashed_password, name_of, new_user, put_password
from digest.web.desk.entering import advance
from digest.web.desk.factors import asked, kept
from digest.web.desk.page import desk_page
from digest.web.door import Door, form_of, rule
from digest.web.form import Form
from digest.web.parts import Parts

INVITED = "/desk/invited/{token:str}"
FIRST = "/desk/first/{token:str}"
HOME = "/desk"


def invited_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The page behind an invitation: one chooses a password or makes a passkey."""

    @get(INVITED, opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def ask(request: Request[Any, Any, Any]) -> Response[Any]:
        with parts.database.read() as session:
            return _invited_page(parts, session, request)

    @post(INVITED, opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def accept(request: Request[Any, Any, Any]) -> Response[Any]:
        form = form_of(request)
        return _by_passkey(parts, request) if form.raw("answer") else _by_password(parts, request, form)

    @post(f"{INVITED}/passkey", opt=rule(Door.LOGIN), sync_to_thread=True)
    def options(request: Request[Any, Any, Any]) -> Response[Any]:
        with parts.database.write() as session:
            link = _link(parts, session, request)
            if link is None or link.user_id is None or not _may_make_passkey(parts, session, link.user_id):
                return Response({"problem": "This link does not work any more."}, status_code=404)
            return asked(parts, session, link.user_id, link.token_hash)

    return [ask, accept, options]


def first_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The page that makes the first account; there is none once there is an account."""

    @get(FIRST, opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def ask(request: Request[Any, Any, Any]) -> Response[Any]:
        token = str(request.path_params["token"])
        with parts.database.read() as session:
            if not is_empty(session) or find_link(session, LinkKind.FIRST, token, parts.clock()) is None:
                raise NotFoundException
        return desk_page(parts, None, "first", token=token, account="", problem="")

    @post(FIRST, opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def make(request: Request[Any, Any, Any]) -> Response[Any]:
        return _make_first(parts, request, form_of(request))

    return [ask, make]


def _make_first(parts: Parts, request: Request[Any, Any, Any], form: Form) -> Response[Any]:
    token, now, name = str(request.path_params["token"]), parts.clock(), form.line("name")
    with parts.database.read() as session:
        if not is_empty(session) or find_link(session, LinkKind.FIRST, token, now) is None:
            raise NotFoundException
    try:
        hashed = _chosen(form, name)
        with parts.database.write() as session:
            # Two who come at once wait for each other here, and the second finds the desk no longer empty.
            lock_people(session)
            link = find_link(session, LinkKind.FIRST, token, now)
            if not is_empty(session) or link is None or not use_link(session, link):
                raise NotFoundException
            user = new_user(session, parts.vault, name, Role.ADMIN, None, now)
            user.password_hash, user.joined_at = hashed, now
            log.append(session, at=now, who=user.name, action="first-account", about=user.name, detail="as admin")
            return advance(parts, request, session, user.id, Proof.PASSWORD, HOME)
    except BadAccount as error:
        return desk_page(parts, None, "first", status=422, token=token, account=name, problem=str(error))


def _by_password(parts: Parts, request: Request[Any, Any, Any], form: Form) -> Response[Any]:
    now = parts.clock()
    with parts.database.read() as session:
        link = _link(parts, session, request)
        if link is None or link.user_id is None or not parts.settings.login.passwords:
            return _invited_page(parts, session, request)
        try:
            # The hash takes its time before the transaction: nobody waits for it on SQLite.
            hashed = _chosen(form, name_of(session, link.user_id))
        except BadAccount as error:
            return _invited_page(parts, session, request, problem=str(error))
    with parts.database.write() as session:
        user = _accepted(parts, session, request)
        if user is None:
            return _invited_page(parts, session, request)
        put_password(session, user.id, hashed, user.name, now)
        return advance(parts, request, session, user.id, Proof.PASSWORD, HOME)


def _by_passkey(parts: Parts, request: Request[Any, Any, Any]) -> Response[Any]:
    now = parts.clock()
    with parts.database.write() as session:
        link = _link(parts, session, request)
        if link is None or link.user_id is None or not _may_make_passkey(parts, session, link.user_id):
            return _invited_page(parts, session, request)
        if problem := kept(parts, request, session, link.user_id, link.token_hash):
            return _invited_page(parts, session, request, problem=problem)
        user = _accepted(parts, session, request)
        if user is None:
            session.rollback()
            return _invited_page(parts, session, request)
        user.joined_at = user.joined_at or now
        end_sessions(session, user.id)
        log.append(session, at=now, who=user.name, action="passkey-added", about=user.name)
        return advance(parts, request, session, user.id, Proof.PASSKEY, HOME)


def _accepted(parts: Parts, session: Session, request: Request[Any, Any, Any]) -> User | None:
    """Take the link; whose it is, or none if it was taken meanwhile. One that was mailed confirms the address."""
    link = _link(parts, session, request)
    if link is None or link.user_id is None:
        return None
    user, is_mailed = session.get_one(User, link.user_id), link.is_mailed
    if not use_link(session, link) or user.disabled_at is not None:
        return None
    if is_mailed and user.address_sealed:
        user.address_verified_at = parts.clock()
    log.append(session, at=parts.clock(), who=user.name, action="came-by-link", about=user.name)
    return user


def _may_make_passkey(parts: Parts, session: Session, user_id: int) -> bool:
    """Whether a link may end in a passkey. Not where there is a second factor: it would be stepped over."""
    return parts.passkey_site is not None and not factors_of(session, user_id).any


def _link(parts: Parts, session: Session, request: Request[Any, Any, Any]) -> DeskLink | None:
    return find_link(session, LinkKind.WAY_IN, str(request.path_params["token"]), parts.clock())


def _invited_page(
    parts: Parts, session: Session, request: Request[Any, Any, Any], *, problem: str = ""
) -> Response[Any]:
    link = _link(parts, session, request)
    if link is None or link.user_id is None:
        return desk_page(parts, None, "invited", status=404, token="", account="", problem="")
    user = session.get_one(User, link.user_id)
    login = parts.settings.login
    return desk_page(
        parts,
        None,
        "invited",
        status=422 if problem else 200,
        token=str(request.path_params["token"]),
        account=user.name,
        role=user.role,
        is_new=user.joined_at is None,
        passwords=login.passwords,
        passkeys=_may_make_passkey(parts, session, user.id),
        provider=login.oidc.name if login.oidc else "",
        problem=problem,
    )


def _chosen(form: Form, name: str) -> str:
    """The hash of the password that was typed twice. Raises `BadAccount`."""
    if form.raw("new") != form.raw("again"):
        raise BadAccount("The two passwords are not the same.")
    return hashed_password(form.raw("new"), name)
