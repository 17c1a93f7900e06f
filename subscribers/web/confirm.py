"""What the link of the confirmation letter leads to."""

from __future__ import annotations

from typing import Any

from litestar import Request, post, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, RawBody

from subscribers.service import Outcome
from subscribers.web.site import DOING, READING, Answer, Site, fields_of


def confirm_routes(site: Site) -> list[HTTPRouteHandler]:
    """`/confirm/{token}`."""

    @route("/confirm/{token:str}", **READING)
    def show(token: FromPath[str]) -> Answer:
        info = site.service.awaiting(token, site.clock())
        if info is None:
            return site.old_link()
        if site.service.is_confirmed(token, site.clock()):
            return site.page("public/confirmed.html", newsletter=info)
        return site.button("public/confirm.html", token, newsletter=info)

    @post("/confirm/{token:str}", **DOING)
    def confirm(request: Request[Any, Any, Any], body: RawBody, token: FromPath[str]) -> Answer:
        info = site.service.awaiting(token, site.clock())
        if info is None:
            return site.old_link()
        if not site.is_pressed(token, fields_of(request, body)):
            return site.button("public/confirm.html", token, status=422, newsletter=info)
        if site.service.confirm(token, site.clock()) is Outcome.OLD_LINK:
            return site.old_link()
        return site.page("public/confirmed.html", newsletter=info)

    return [show, confirm]
