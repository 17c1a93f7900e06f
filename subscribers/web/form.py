"""The sign-up form, and what becomes of it."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

from litestar import Request, post, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery, RawBody

from subscribers.budgets import Pressure
from subscribers.forms import Address, BadAddress, parse_address
from subscribers.guard import Knock, Verdict
from subscribers.languages import mark
from subscribers.tokens import Filled, read_fill_stamp
from subscribers.web.site import ON_BEAT, READING, Answer, Site, fields_of, visitors_network

QUICKEST = dt.timedelta(seconds=1)
"""Nobody reads a form, types an address and sends it within this; a program does (O-24)."""
STALEST = dt.timedelta(hours=24)
"""How long a form that was handed out may be sent in."""

ONCE_MORE = mark(
    "Before this goes on we ask for a moment of your computer’s time, which keeps programs away. Please press the "
    "button once more; most often that is enough without scripts too. If not, please try again in an hour."
)


def form_routes(site: Site) -> list[HTTPRouteHandler]:
    """`/` and `/subscribe`."""

    @route("/", **READING)
    def show(newsletter: FromQuery[str] = "") -> Answer:
        return site.form(chosen=newsletter)

    @route("/subscribe", **READING)
    def show_again() -> Answer:
        return site.form()

    @post("/subscribe", **ON_BEAT)
    async def subscribe(request: Request[Any, Any, Any], body: RawBody) -> Answer:
        fields = fields_of(request, body)
        return await site.beat.answer(lambda: _answer(site, fields))

    return [show, show_again, subscribe]


def _answer(site: Site, fields: dict[str, str]) -> Answer:
    chosen, typed, network = fields.get("newsletter", ""), fields.get("email", ""), visitors_network()
    again = partial(site.form, chosen=chosen, typed=typed)
    filled = read_fill_stamp(site.service.token_key, fields.get("filled", ""), network)
    address = parse_address(typed)
    problem = _unusable(site, fields, address, filled)
    if problem or isinstance(address, BadAddress):
        return again(status=422, problem=problem)
    # A stamp that was handed out elsewhere is as good as none: one page could else send its visitors' browsers here.
    is_ours = filled is not None and filled.is_here
    knock = Knock(network, address.domain, fields.get("altcha", ""), is_ours=is_ours)
    match site.guard.judge(knock, site.clock()):
        case Verdict.REST:
            return again(status=503, at_least=Pressure.PAUSED)
        case Verdict.ASK:
            return again(status=429, problem=ONCE_MORE, at_least=Pressure.PROOF)
    site.service.join(chosen, address, site.clock(), is_meant=_is_by_hand(site, fields, filled))
    return site.page("public/look.html")


def _unusable(site: Site, fields: dict[str, str], address: Address | BadAddress, filled: Filled | None) -> str:
    """Why a form cannot be taken as it is, in a sentence for whoever sent it; empty when it can.

    What takes more than another press is told first: the form that is handed out then is a new one anyway.
    """
    if fields.get("newsletter") not in site.service.newsletters:
        return mark("Please choose a newsletter.")
    if isinstance(address, BadAddress):
        return address.reason
    # One that a newsroom has on a page of its own has no stamp (docs/form.md).
    if fields.get("filled") and (filled is None or site.clock() - filled.at > STALEST):
        return mark("This page had been open for a long time. Please press the button once more.")
    return ""


def _is_by_hand(site: Site, fields: dict[str, str], filled: Filled | None) -> bool:
    """Whether a person sent the form. Programs fill in every field, and fast; they get the same answer (O-24)."""
    return not fields.get("website") and (filled is None or site.clock() - filled.at >= QUICKEST)
