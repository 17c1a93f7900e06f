"""The web application: every page of ours behind one door, with the same headers, and friendly errors."""

from __future__ import annotations

from litestar import Litestar, Router
from litestar.datastructures import CacheControlHeader
from litestar.static_files import create_static_files_router
from litestar.types import ControllerRouterHandler

from digest.web.archive import archive_routes
from digest.web.desk.account import account_routes, address_routes
from digest.web.desk.add import add_routes
from digest.web.desk.approve import approve_routes
from digest.web.desk.calendar import calendar_routes
from digest.web.desk.checks import check_routes
from digest.web.desk.factors import app_routes, passkey_routes
from digest.web.desk.history import history_routes
from digest.web.desk.invited import first_routes, invited_routes
from digest.web.desk.issue import issue_routes
from digest.web.desk.issues import list_routes
from digest.web.desk.log import log_routes
from digest.web.desk.login import login_routes
from digest.web.desk.passkey import passkey_login_routes
from digest.web.desk.people import people_routes
from digest.web.desk.preview import preview_routes
from digest.web.desk.proof import proof_routes
from digest.web.desk.provider import provider_routes
from digest.web.desk.reader import reader_routes
from digest.web.desk.readers import readers_routes
from digest.web.desk.report import report_routes
from digest.web.desk.search import search_routes
from digest.web.desk.second import second_routes
from digest.web.desk.sending import sending_routes
from digest.web.desk.watch import watch_routes
from digest.web.door import Door, Doorkeeper, rule
from digest.web.form import MOST_BYTES
from digest.web.headers import on_every_response
from digest.web.hooks import hook_routes
from digest.web.icon import icon_routes
from digest.web.ops import ops_routes
from digest.web.parts import Parts
from digest.web.problems import problem_handlers

__all__ = ["Parts", "create_app"]

# Readers' forms are an address and a choice (W-17).
PUBLIC_BYTES = 64 * 1024


def create_app(parts: Parts) -> Litestar:
    """The application that a server runs. Serve it without the server's own access log: paths hold readers' tokens."""
    public = Router(
        "/",
        route_handlers=list(parts.public_routes),
        opt=rule(Door.PUBLIC_FORM),
        request_max_body_size=PUBLIC_BYTES,
    )
    desk = [
        *login_routes(parts),
        *second_routes(parts),
        *passkey_login_routes(parts),
        *account_routes(parts),
        *address_routes(parts),
        *app_routes(parts),
        *passkey_routes(parts),
        *people_routes(parts),
        *invited_routes(parts),
        *first_routes(parts),
        *provider_routes(parts),
        *list_routes(parts),
        *issue_routes(parts),
        *add_routes(parts),
        *history_routes(parts),
        *check_routes(parts),
        *approve_routes(parts),
        *sending_routes(parts),
        *preview_routes(parts),
        *proof_routes(parts),
        *report_routes(parts),
        *log_routes(parts),
        *watch_routes(parts),
        *calendar_routes(parts),
        *readers_routes(parts),
        *reader_routes(parts),
        *search_routes(parts),
    ]
    others: list[ControllerRouterHandler] = [
        *archive_routes(parts),
        *icon_routes(parts),
        *ops_routes(parts),
        *hook_routes(parts),
        _static(parts),
    ]
    everything = [public, *desk, *others]
    return Litestar(
        # One router around all: given one by one, the GET handler of a path that also has a POST would be registered
        # twice, and Litestar 2.25 then wraps it for its thread twice and never awaits the inner one.
        [Router("/", route_handlers=everything)],
        guards=[Doorkeeper(parts).guard],
        before_send=[on_every_response(is_https=parts.is_https)],
        exception_handlers=problem_handlers(parts),
        request_max_body_size=MOST_BYTES,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


def _static(parts: Parts) -> Router:
    """Style sheets and scripts; a browser asks after five minutes whether they are still the same."""
    return create_static_files_router(
        path="/static",
        directories=[str(folder) for folder in parts.static],
        cache_control=CacheControlHeader(public=True, max_age=300),
        opt=rule(Door.OPEN),
    )
