"""The sign-up form, and what becomes of it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from litestar import Request, post, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery, RawBody

from subscribers.forms import BadAddress
from subscribers.languages import mark
from subscribers.tokens import read_fill_stamp
from subscribers.web.site import DOING, READING, Answer, Site, fields_of

QUICKEST = dt.timedelta(seconds=1)
"""Nobody reads a form, types an address and sends it within this; a program does (O-24)."""
STALEST = dt.timedelta(hours=24)
"""How long a form that was handed out may be sent in."""


def form_routes(site: Site) -> list[HTTPRouteHandler]:
    """`/` and `/subscribe`."""

    @route("/", **READING)
    def show(newsletter: FromQuery[str] = "") -> Answer:
        return site.form(chosen=newsletter)

    @route("/subscribe", **READING)
    def show_again() -> Answer:
        return site.form()

    @post("/subscribe", **DOING)
    def subscribe(request: Request[Any, Any, Any], body: RawBody) -> Answer:
        fields = fields_of(request, body)
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
        return mark("Please choose a newsletter.")
    handed_out = read_fill_stamp(site.service.token_key, fields.get("filled", ""))
    if handed_out is None or site.clock() - handed_out > STALEST:
        return mark("This page had been open for a long time. Please press the button once more.")
    return ""


def _is_by_hand(site: Site, fields: dict[str, str]) -> bool:
    """Whether a person sent the form. Programs fill in every field, and fast; they get the same answer (O-24)."""
    handed_out = read_fill_stamp(site.service.token_key, fields["filled"])
    return not fields.get("website") and handed_out is not None and site.clock() - handed_out >= QUICKEST
