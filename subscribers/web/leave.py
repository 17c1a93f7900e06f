"""One click ends a subscription: a person's on our page, or their mail program's (RFC 8058)."""

from __future__ import annotations

import re
from typing import Any

from litestar import Request, post, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, RawBody

from subscribers.body import BadForm, read_form
from subscribers.web.site import ON_BEAT, READING, Answer, Site

ONE_CLICK = ("list-unsubscribe", "one-click")
"""The one field of a one-click request (RFC 8058 §3.1), in small letters; our own button sends the same."""
# The pair in a body that is no form: with `=` between, or as a part of a multipart body whose boundary or line ends are
# not what they should be. Everything is bounded, so that no body takes long to search.
_PAIR_IN_BODY = re.compile(
    rb"list-unsubscribe[\"']?[ \t]{0,9}(?:=|[^\n]{0,200}\n(?:[^\n]{2,200}\n){0,9}\r?\n)\s{0,9}one-click(?![\w-])",
    re.IGNORECASE,
)


# An issue travels with each copy that is forwarded, and its links with it. What they lead to says nothing of whoever it
# was sent to, not even whether they are still known here, nor of which newsletter: only their row knows that.


def leave_routes(site: Site) -> list[HTTPRouteHandler]:
    """`/u/{token}`."""

    # One address for two kinds of visitors: a person, who presses the button, and the person's mail program, which
    # posts the same field without having seen the page (F-25, F-26). Neither is asked for more.
    @route("/u/{token:str}", **READING)
    def show(token: FromPath[str]) -> Answer:  # noqa: ARG001 -- the address's.
        return site.page("public/leave.html")

    @post("/u/{token:str}", **ON_BEAT)
    async def leave(request: Request[Any, Any, Any], body: RawBody, token: FromPath[str]) -> Answer:
        is_one_click = _is_one_click(request, body)
        return await site.beat.answer(lambda: do_leave(token, is_one_click=is_one_click))

    def do_leave(token: str, *, is_one_click: bool) -> Answer:
        if not is_one_click:
            return site.page("public/leave.html")
        site.service.leave(token, site.clock())
        return site.page("public/left.html")

    return [show, leave]


def _is_one_click(request: Request[Any, Any, Any], body: bytes) -> bool:
    """Whether a body has the pair, however a mail program spells it: nobody stays because of a line end (F-25)."""
    try:
        fields = read_form(body, request.headers.get("content-type", ""))
    except BadForm:
        fields = {}
    pairs = ((name.strip().lower(), value.strip().lower()) for name, value in fields.items())
    return ONE_CLICK in pairs or _PAIR_IN_BODY.search(body) is not None
