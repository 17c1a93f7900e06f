"""What the "manage" link of an issue leads to: leaving at once, and asking for a fresh link for all the rest.

An issue is forwarded, and its links with it. So this page shows nothing of whoever it was sent to, not even whether
they still read or are known, and it is the same for every state; the fresh link goes to the address alone.
"""

from __future__ import annotations

from typing import Any

from litestar import Request, post, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, RawBody

from subscribers import fresh
from subscribers.tokens import Purpose, read_subscription_token, subscription_token
from subscribers.web.site import ON_BEAT, READING, Answer, Site, fields_of


def manage_routes(site: Site) -> list[HTTPRouteHandler]:
    """`/manage/{token}`."""

    @route("/manage/{token:str}", **READING)
    def show(token: FromPath[str]) -> Answer:
        return _page(site, token)

    def do_ask(token: str, fields: dict[str, str]) -> Answer:
        if not site.is_pressed(token, fields):
            return _page(site, token, status=422)
        if not fresh.ask(site.service, token, site.clock()):
            return site.old_link()
        return site.page("public/fresh_sent.html")

    @post("/manage/{token:str}", **ON_BEAT)
    async def ask(request: Request[Any, Any, Any], body: RawBody, token: FromPath[str]) -> Answer:
        fields = fields_of(request, body)
        return await site.beat.answer(lambda: do_ask(token, fields))

    return [show, ask]


def _page(site: Site, token: str, status: int = 200) -> Answer:
    key = site.service.token_key
    public_id = read_subscription_token(key, Purpose.MANAGE, token)
    if public_id is None:
        return site.old_link()
    leave_token = subscription_token(key, Purpose.LEAVE, public_id)
    return site.button("public/manage.html", token, status=status, leave_token=leave_token)
