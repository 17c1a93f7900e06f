"""The readers' pages: the form, and what the links in mail lead to.

A GET shows a page with one button and changes nothing; only the button's POST does (DESIGN 6.3, O-10). Pages set no
cookie, need no script and load nothing from elsewhere. Handlers are synchronous, since the database is, and run in
threads.
"""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Router

from subscribers.budgets import FormRules
from subscribers.guard import Guard
from subscribers.pages import Pages
from subscribers.service import Service
from subscribers.web.api import api_routes
from subscribers.web.confirm import confirm_routes
from subscribers.web.form import form_routes
from subscribers.web.leave import leave_routes
from subscribers.web.manage import manage_routes
from subscribers.web.mine import mine_routes
from subscribers.web.never import never_routes
from subscribers.web.site import HEADERS, Clock, Site, note_visitor

__all__ = ["HEADERS", "Clock", "public_routes"]


def public_routes(
    service: Service,
    pages: Pages,
    clock: Clock,
    guard: Guard | None = None,
    origins: Sequence[str] = (),
) -> list[Router]:
    """What serves `/ /subscribe /confirm/{token} /u/{token} /never/{token} /manage/{token} /mine/{token} /api`.

    `origins` are the sites whose own pages may use `/api` from a browser.
    """
    site = Site(service, pages, clock, guard or service.guard(FormRules()), frozenset(origins))
    kinds = (form_routes, confirm_routes, leave_routes, never_routes, manage_routes, mine_routes)
    handlers = [handler for kind in kinds for handler in kind(site)]
    # In a router and with one path each: Litestar 2 registers a handler anew with every further handler or path beside
    # it, and one that runs in threads is broken by that (see its pull request 4738). A router is registered once.
    return [Router("/", route_handlers=handlers, before_request=note_visitor), *api_routes(site)]
