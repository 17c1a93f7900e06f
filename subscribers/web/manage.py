"""The page on which a reader sees a subscription, and ends it."""

from __future__ import annotations

from litestar import route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from subscribers.web.site import READING, Answer, Site


def manage_routes(site: Site) -> list[HTTPRouteHandler]:
    """`/manage/{token}`."""

    @route("/manage/{token:str}", **READING)
    def show(token: FromPath[str]) -> Answer:
        held = site.service.held(token)
        return site.page("public/manage.html", held=held) if held else site.old_link()

    return [show]
