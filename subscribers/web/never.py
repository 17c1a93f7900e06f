"""The link by which somebody forbids us to mail them at all (O-22)."""

from __future__ import annotations

from typing import Any

from litestar import Request, post, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, RawBody

from subscribers.service import Outcome
from subscribers.web.site import ON_BEAT, READING, Answer, Site, fields_of


def never_routes(site: Site) -> list[HTTPRouteHandler]:
    """`/never/{token}`."""

    @route("/never/{token:str}", **READING)
    def show(token: FromPath[str]) -> Answer:
        return site.button("public/never.html", token)

    @post("/never/{token:str}", **ON_BEAT)
    async def never(request: Request[Any, Any, Any], body: RawBody, token: FromPath[str]) -> Answer:
        fields = fields_of(request, body)
        return await site.beat.answer(lambda: do_never(token, fields))

    def do_never(token: str, fields: dict[str, str]) -> Answer:
        if not site.is_pressed(token, fields):
            return site.button("public/never.html", token, status=422)
        if site.service.never(token, site.clock()) is Outcome.OLD_LINK:
            return site.old_link()
        return site.page("public/never_done.html")

    return [show, never]
