"""The readers' pages: the form, and what the links in mail lead to.

A GET shows a page with one button and changes nothing; only the button's POST does (DESIGN 6.3, O-10). Pages set no
cookie, need no script and load nothing from elsewhere. Handlers are synchronous, since the database is, and run in
threads.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, Router, post, route
from litestar.enums import HttpMethod, MediaType
from litestar.exceptions import ClientException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, RawBody

from subscribers.body import MAX_BODY, BadForm, read_form
from subscribers.forms import BadAddress
from subscribers.pages import Pages
from subscribers.service import Outcome, Service
from subscribers.tokens import button_token, fill_stamp, is_button_token, read_fill_stamp

Clock = Callable[[], dt.datetime]
"""Says what time it is: an aware instant in UTC."""
Answer = Response[str]

QUICKEST = dt.timedelta(seconds=1)
"""Nobody reads a form, types an address and sends it within this; a program does (O-24)."""
STALEST = dt.timedelta(hours=24)
"""How long a form that was handed out may be sent in."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), browsing-topics=()",
}
"""On every page here: what W-11 asks, and O-04 of pages whose address has a token."""
HSTS = {"strict-transport-security": "max-age=63072000; includeSubDomains"}
NOT_FOR_SEARCH = {"x-robots-tag": "noindex"}

ONE_CLICK = ("list-unsubscribe", "one-click")
"""The one field of a one-click request (RFC 8058 §3.1), in small letters; our own button sends the same."""
# The pair in a body that is no form: with `=` between, or as a part of a multipart body whose boundary or line ends are
# not what they should be. Everything is bounded, so that no body takes long to search.
_PAIR_IN_BODY = re.compile(
    rb"list-unsubscribe[\"']?[ \t]{0,9}(?:=|[^\n]{0,200}\n(?:[^\n]{2,200}\n){0,9}\r?\n)\s{0,9}one-click(?![\w-])",
    re.IGNORECASE,
)
_LOOK: list[HttpMethod | Any] = [HttpMethod.GET, HttpMethod.HEAD]
_READING: dict[str, Any] = {"http_method": _LOOK, "sync_to_thread": True, "include_in_schema": False}
_DOING: dict[str, Any] = {
    "status_code": 200,
    "sync_to_thread": True,
    "include_in_schema": False,
    "request_max_body_size": MAX_BODY,
}


@dataclass(frozen=True)
class Site:
    """What the pages are made with."""

    service: Service
    pages: Pages
    clock: Clock

    def page(self, name: str, *, status: int = 200, **context: object) -> Answer:
        """A page that search engines should leave alone."""
        return self._answer(name, status, NOT_FOR_SEARCH, context)

    def form(
        self,
        *,
        status: int = 200,
        name: str = "public/home.html",
        chosen: str = "",
        typed: str = "",
        problem: str = "",
    ) -> Answer:
        """A page with the sign-up form, `problem` said beside the field and what was typed still in it."""
        newsletters = self.service.newsletters
        context = {
            "newsletters": list(newsletters.values()),
            "chosen": newsletters.get(chosen) or next(iter(newsletters.values())),
            "typed": typed,
            "problem": problem,
            "filled": fill_stamp(self.service.token_key, self.clock()),
        }
        return self._answer(name, status, {} if name == "public/home.html" else NOT_FOR_SEARCH, context)

    def old_link(self) -> Answer:
        """What somebody sees whose link is forged, used up or too old: what to do, and the form to do it with."""
        return self.form(status=404, name="public/old_link.html")

    def button(self, name: str, token: str, *, status: int = 200, **context: object) -> Answer:
        """A page with one button; the button's form is bound to the link (O-11)."""
        proof = button_token(self.service.token_key, token)
        return self.page(name, status=status, proof=proof, **context)

    def is_pressed(self, token: str, fields: dict[str, str]) -> bool:
        """Whether the button of the link's own page was pressed."""
        return is_button_token(self.service.token_key, token, fields.get("proof", ""))

    def _answer(self, name: str, status: int, more: dict[str, str], context: dict[str, object]) -> Answer:
        https = HSTS if self.service.base_url.startswith("https://") else {}
        html = self.pages.render(name, **context)
        return Response(html, status_code=status, media_type=MediaType.HTML, headers={**HEADERS, **https, **more})


def public_routes(service: Service, pages: Pages, clock: Clock) -> list[Router]:
    """What serves `/ /subscribe /confirm/{token} /u/{token} /never/{token} /manage/{token}`, for the application."""
    site = Site(service, pages, clock)
    handlers = [*_form_routes(site), *_confirm_routes(site), *_leave_routes(site), *_never_routes(site), _manage(site)]
    # In a router and with one path each: Litestar 2 registers a handler anew with every further handler or path beside
    # it, and one that runs in threads is broken by that (see its pull request 4738). A router is registered once.
    return [Router("/", route_handlers=handlers)]


def _form_routes(site: Site) -> list[HTTPRouteHandler]:
    @route("/", **_READING)
    def show(newsletter: FromQuery[str] = "") -> Answer:
        return site.form(chosen=newsletter)

    @route("/subscribe", **_READING)
    def show_again() -> Answer:
        return site.form()

    @post("/subscribe", **_DOING)
    def subscribe(request: Request[Any, Any, Any], body: RawBody) -> Answer:
        fields = _fields(request, body)
        typed, chosen = fields.get("email", ""), fields.get("newsletter", "")
        if problem := _unusable(site, fields):
            return site.form(status=422, chosen=chosen, typed=typed, problem=problem)
        if not _is_by_hand(site, fields):
            return site.page("public/look.html")
        joined = site.service.join(chosen, typed, site.clock())
        if isinstance(joined, BadAddress):
            return site.form(status=422, chosen=chosen, typed=typed, problem=joined.reason)
        return site.page("public/look.html")

    return [show, show_again, subscribe]


def _unusable(site: Site, fields: dict[str, str]) -> str:
    """Why a form cannot be taken as it is, in a sentence for whoever sent it; empty when it can."""
    if fields.get("newsletter") not in site.service.newsletters:
        return "Please choose a newsletter."
    handed_out = read_fill_stamp(site.service.token_key, fields.get("filled", ""))
    if handed_out is None or site.clock() - handed_out > STALEST:
        return "This page had been open for a long time. Please press the button once more."
    return ""


def _is_by_hand(site: Site, fields: dict[str, str]) -> bool:
    """Whether a person sent the form. Programs fill in every field, and fast; they get the same answer (O-24)."""
    handed_out = read_fill_stamp(site.service.token_key, fields["filled"])
    return not fields.get("website") and handed_out is not None and site.clock() - handed_out >= QUICKEST


def _confirm_routes(site: Site) -> list[HTTPRouteHandler]:
    @route("/confirm/{token:str}", **_READING)
    def show(token: FromPath[str]) -> Answer:
        info = site.service.awaiting(token, site.clock())
        if info is None:
            return site.old_link()
        if site.service.is_confirmed(token, site.clock()):
            return site.page("public/confirmed.html", newsletter=info)
        return site.button("public/confirm.html", token, newsletter=info)

    @post("/confirm/{token:str}", **_DOING)
    def confirm(request: Request[Any, Any, Any], body: RawBody, token: FromPath[str]) -> Answer:
        info = site.service.awaiting(token, site.clock())
        if info is None:
            return site.old_link()
        if not site.is_pressed(token, _fields(request, body)):
            return site.button("public/confirm.html", token, status=422, newsletter=info)
        if site.service.confirm(token, site.clock()) is Outcome.OLD_LINK:
            return site.old_link()
        return site.page("public/confirmed.html", newsletter=info)

    return [show, confirm]


def _leave_routes(site: Site) -> list[HTTPRouteHandler]:
    # One address for two kinds of visitors: a person, who presses the button, and the person's mail program, which
    # posts the same field without having seen the page (F-25, F-26). Neither is asked for more.
    @route("/u/{token:str}", **_READING)
    def show(token: FromPath[str]) -> Answer:
        return site.page("public/leave.html", held=site.service.leaving(token))

    @post("/u/{token:str}", **_DOING)
    def leave(request: Request[Any, Any, Any], body: RawBody, token: FromPath[str]) -> Answer:
        if not _is_one_click(request, body):
            return site.page("public/leave.html", held=site.service.leaving(token))
        site.service.leave(token, site.clock())
        return site.page("public/left.html")

    return [show, leave]


def _never_routes(site: Site) -> list[HTTPRouteHandler]:
    @route("/never/{token:str}", **_READING)
    def show(token: FromPath[str]) -> Answer:
        return site.button("public/never.html", token)

    @post("/never/{token:str}", **_DOING)
    def never(request: Request[Any, Any, Any], body: RawBody, token: FromPath[str]) -> Answer:
        if not site.is_pressed(token, _fields(request, body)):
            return site.button("public/never.html", token, status=422)
        if site.service.never(token, site.clock()) is Outcome.OLD_LINK:
            return site.old_link()
        return site.page("public/never_done.html")

    return [show, never]


def _manage(site: Site) -> HTTPRouteHandler:
    @route("/manage/{token:str}", **_READING)
    def show(token: FromPath[str]) -> Answer:
        held = site.service.held(token)
        return site.page("public/manage.html", held=held) if held else site.old_link()

    return show


def _is_one_click(request: Request[Any, Any, Any], body: bytes) -> bool:
    """Whether a body has the pair, however a mail program spells it: nobody stays because of a line end (F-25)."""
    try:
        fields = read_form(body, request.headers.get("content-type", ""))
    except BadForm:
        fields = {}
    pairs = ((name.strip().lower(), value.strip().lower()) for name, value in fields.items())
    return ONE_CLICK in pairs or _PAIR_IN_BODY.search(body) is not None


def _fields(request: Request[Any, Any, Any], body: bytes) -> dict[str, str]:
    try:
        return read_form(body, request.headers.get("content-type", ""))
    except BadForm as error:
        raise ClientException(detail=str(error)) from error
