"""The door: every request to every route passes it, and every route says by its rule who may come in.

A route without a rule is closed to everybody who is not an administrator. Unsafe requests to the desk need a token that
belongs to the session, compared in constant time, and must come from our own pages by what the browser says of itself
(W-10). A GET passes without either and changes nothing.
"""

from __future__ import annotations

import enum
import hmac
from typing import Any, cast

from litestar import Request
from litestar.concurrency import sync_to_thread
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler

from digest.web.accounts import Role
from digest.web.form import Form, read_form
from digest.web.parts import Parts
from digest.web.sessions import Visitor, cookie_name, find_visitor
from subscribers.languages import mark

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
RULE = "door"
NEEDS = "role"
TO_READ = "to_read"
BY_ITSELF = "by itself"
"""The mark, in a route's `opt`, of what a page asks without anybody's doing: it does not count as being there."""


class Door(enum.Enum):
    """Who may come in by a route."""

    OPEN = "open"
    """Everybody, to read."""
    PUBLIC_FORM = "public form"
    """Everybody, posting included: readers have no session, and mail providers post to the one-click address (F-25)."""
    HOOK = "hook"
    """Mail providers, who prove themselves by a signature or a password of their own (W-10, N-30)."""
    LOGIN = "login"
    """Everybody, but only from our own page: there is no session yet that a token could belong to."""
    DESK = "desk"
    """Whoever is logged in, with the session's token for every change."""


class NotLoggedIn(HTTPException):
    """The desk was asked for without a session that is still good."""

    status_code = 401
    detail = "Please log in."

    def __init__(self, typed: Form | None = None) -> None:
        self.typed = typed
        super().__init__()


class NotOurPage(HTTPException):
    """A change was asked for, and nothing shows that one of our own pages asked."""

    status_code = 403
    detail = (
        "This did not come from one of our own pages, or the page was from before you logged in. Nothing was changed."
    )


class NotYourTask(HTTPException):
    """The person is known, and their role does not cover what they asked for."""

    status_code = 403

    def __init__(self, needed: Role, role: Role) -> None:
        super().__init__(f"This takes the role of {needed} on the desk, and yours is {role}. Nothing was changed.")


class WrongHost(HTTPException):
    """The request names a host that is not ours."""

    status_code = 400
    detail = mark("This server does not answer to that name.")


def rule(door: Door, role: Role = Role.EDITOR, *, to_read: bool = False) -> dict[str, Any]:
    """What a route hands to Litestar as `opt`: its door and, for changes on the desk, the role it needs.

    Every role reads the desk's pages, unless `to_read` says that the role is needed for that as well.
    """
    return {RULE: door, NEEDS: role, TO_READ: to_read}


class Doorkeeper:
    """The guard of the whole application."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def guard(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Let a request pass, or raise why not. Litestar calls it before each handler."""
        request = cast("Request[Any, Any, Any]", connection)
        door = handler.opt.get(RULE)
        if not handler.opt.get("any_host"):
            self._check_host(request)
        if door in (Door.PUBLIC_FORM, Door.HOOK) or request.method == "OPTIONS":
            return
        if door is Door.OPEN and request.method in SAFE:
            return
        if door is Door.LOGIN:
            await self._at_login(request)
        else:
            needed = handler.opt.get(NEEDS, Role.EDITOR) if door is Door.DESK else Role.ADMIN
            to_read = door is not Door.DESK or handler.opt.get(TO_READ, False)
            await self._at_desk(request, needed, to_read=to_read, is_seen=not handler.opt.get(BY_ITSELF))

    async def _at_login(self, request: Request[Any, Any, Any]) -> None:
        request.scope["user"] = await self._visitor(request)
        if request.method not in SAFE:
            self._check_origin(request)
            _keep_form(request, await read_form(request))

    async def _at_desk(self, request: Request[Any, Any, Any], needed: Role, *, to_read: bool, is_seen: bool) -> None:
        visitor = await self._visitor(request, is_seen=is_seen)
        if request.method in SAFE:
            if visitor is None:
                raise NotLoggedIn
            if to_read and not visitor.role.covers(needed):
                raise NotYourTask(needed, visitor.role)
            request.scope["user"] = visitor
            return
        self._check_origin(request)
        form = await read_form(request)
        if visitor is None:
            raise NotLoggedIn(form)
        if not hmac.compare_digest(form.raw("csrf").encode(), visitor.csrf_token.encode()):
            raise NotOurPage
        if not visitor.role.covers(needed):
            raise NotYourTask(needed, visitor.role)
        request.scope["user"] = visitor
        _keep_form(request, form)

    async def _visitor(self, request: Request[Any, Any, Any], *, is_seen: bool = True) -> Visitor | None:
        session_id = request.cookies.get(cookie_name(secure=self._parts.is_https))
        if not session_id:
            return None
        parts = self._parts
        return await sync_to_thread(
            find_visitor, parts.database, session_id, parts.clock(), parts.session_rules, is_seen=is_seen
        )

    def _check_host(self, request: Request[Any, Any, Any]) -> None:
        name = host_name(request.headers.get("host", ""))
        loopback = {"127.0.0.1", "localhost", "[::1]"}
        if name != self._parts.host and not (name in loopback and self._parts.host in {*loopback, "::1"}):
            raise WrongHost

    def _check_origin(self, request: Request[Any, Any, Any]) -> None:
        """Every browser of this decade sends one of the two; whoever sends neither is refused."""
        site = request.headers.get("sec-fetch-site")
        origin = request.headers.get("origin")
        scheme = "https" if self._parts.is_https else "http"
        ours = f"{scheme}://{request.headers.get('host', '')}".lower()
        if site not in (None, "same-origin") or (origin is not None and origin.lower() != ours):
            raise NotOurPage
        if site is None and origin is None:
            raise NotOurPage


def host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def visitor_of(request: Request[Any, Any, Any]) -> Visitor:
    """Who the door has let in."""
    return cast("Visitor", request.scope["user"])


def form_of(request: Request[Any, Any, Any]) -> Form:
    """The form that the door has read."""
    return cast("Form", request.scope["state"]["form"])


def _keep_form(request: Request[Any, Any, Any], form: Form) -> None:
    request.scope["state"]["form"] = form
