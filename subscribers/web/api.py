"""The form for programs: `/api/…`, JSON in and out, under the same budgets and as even as the page (O-20, O-24).

It sets no cookie and asks for none, so no site can do anything here in a reader's name (W-10). What goes wrong is told
as RFC 9457 has it. Browsers may use it from the pages of the sites that `[form] origins` names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from litestar import Litestar, Request, Response, Router, get, post, route
from litestar.connection import ASGIConnection
from litestar.enums import HttpMethod, MediaType
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.params import JSONBody
from litestar.types import ExceptionHandlersMap

from subscribers.body import MAX_BODY
from subscribers.forms import BadAddress, parse_address
from subscribers.guard import Knock, Verdict
from subscribers.web.site import HEADERS, HSTS, LOOK, NOT_FOR_SEARCH, Site, network_of

VERSION = "1"
PROBLEM = "application/problem+json"
HOUR = 3600
ABOUT = (
    "Ask for a newsletter. A letter with a link goes to the address first; nothing else comes until the button there "
    "was pressed. The answer is the same for every address."
)
TITLES = {
    400: "The request could not be read",
    413: "The request is too long",
    415: "Only application/json is taken here",
    422: "The request cannot be used as it is",
    429: "A proof of work is needed",
    503: "The form is resting",
}
"""What can be wrong, by status."""
UNREADABLE = 'Send an object like {"email": "reader@example.org", "newsletter": "watchdog"}.'
T = TypeVar("T")


@dataclass(frozen=True)
class Wanted:
    """Somebody wants a newsletter, by its slug. `altcha` is the answer to a challenge, where one was asked for."""

    email: str = field(repr=False)
    newsletter: str
    altcha: str = field(repr=False, default="")


@dataclass(frozen=True)
class Accepted:
    """All that is ever said: whether a letter goes to the address, its owner alone can see."""

    detail: str = "If this address can be subscribed, a letter with a link is on its way to it."


@dataclass(frozen=True)
class Offered:
    """A newsletter. Its wording is what somebody agrees to who asks for it: show it beside your button."""

    slug: str
    title: str
    description: str
    language: str
    direction: str
    wording: str


@dataclass(frozen=True)
class Offers:
    """What there is."""

    newsletters: list[Offered]


@dataclass(frozen=True)
class Challenge:
    """A proof of work to be done, as ALTCHA's own programs read it."""

    parameters: dict[str, Any]
    signature: str


@dataclass(frozen=True)
class Problem:
    """What went wrong (RFC 9457); with a challenge where a proof of work is needed."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    challenge: Challenge | None = None


def api_routes(site: Site) -> list[Router]:
    """`/api/newsletters`, `/api/challenge`, `/api/subscribe` and `/api/openapi.json`."""
    speaker = _Speaker(site)
    # Made when it is first asked for: it takes longer than all the rest of an application's start.
    described = functools.cache(lambda: _described(site))

    @route("/openapi.json", http_method=LOOK, status_code=200, sync_to_thread=False, include_in_schema=False)
    def openapi(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
        return speaker.say(request, described())

    asking = [_preflight(speaker, path) for path in ("/newsletters", "/challenge", "/subscribe", "/openapi.json")]
    return [_router([*asking, *_handlers(site, speaker), openapi], speaker)]


def _described(site: Site) -> dict[str, Any]:
    """The OpenAPI document, as Litestar writes it of an application that has these routes and no others."""
    about = OpenAPIConfig(title="Newsletters", version=VERSION, description=ABOUT)
    speaker = _Speaker(site)
    described = Litestar([_router(_handlers(site, speaker), speaker)], openapi_config=about, logging_config=None)
    return described.openapi_schema.to_schema()


def _router(handlers: list[HTTPRouteHandler], speaker: _Speaker) -> Router:
    # A function and no method: Litestar copies a router with all that hangs on it, and this must stay the one it is.
    def refuse(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
        return speaker.refuse(request, error)

    def too_deep(request: Request[Any, Any, Any], _: RecursionError) -> Response[Any]:
        return speaker.problem(request, 400, UNREADABLE)

    refusals: ExceptionHandlersMap = {HTTPException: refuse, RecursionError: too_deep}
    return Router("/api", route_handlers=handlers, exception_handlers=refusals)


@dataclass(frozen=True)
class _Speaker:
    """Makes answers with the headers that all of them have."""

    site: Site

    def say(self, request: Request[Any, Any, Any], content: T, status: int = 200) -> Response[T]:
        """An answer."""
        return self._answer(request, content, status, MediaType.JSON)

    def problem(
        self, request: Request[Any, Any, Any], status: int, detail: str, challenge: Challenge | None = None
    ) -> Response[Any]:
        """What went wrong; without the challenge's name where there is none."""
        problem = Problem(TITLES.get(status, TITLES[400]), status, detail, challenge=challenge)
        said = {name: value for name, value in vars(problem).items() if value is not None}
        answer = self._answer(request, said, status, PROBLEM)
        if status == 503:  # noqa: PLR2004 -- RFC 9110 §15.6.4.
            answer.headers["retry-after"] = str(HOUR)
        return answer

    def refuse(self, request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
        """What the framework refuses; its own words may repeat what was sent, and are not said."""
        answer = self.problem(request, error.status_code, UNREADABLE)
        answer.headers.update({name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"})
        return answer

    def _answer(self, request: Request[Any, Any, Any], content: T, status: int, kind: str) -> Response[T]:
        https = HSTS if self.site.service.base_url.startswith("https://") else {}
        headers = {**HEADERS, **NOT_FOR_SEARCH, **https, **self.sharing(request)}
        return Response(content, status_code=status, media_type=kind, headers=headers)

    def sharing(self, request: Request[Any, Any, Any]) -> dict[str, str]:
        """What lets the pages of the sites that may read an answer (the Fetch standard's CORS protocol)."""
        if not self.site.origins:
            return {}
        origin = request.headers.get("origin", "")
        allowed = {"access-control-allow-origin": origin} if origin in self.site.origins else {}
        return {"vary": "Origin", **allowed}


def _preflight(speaker: _Speaker, path: str) -> HTTPRouteHandler:
    method = HttpMethod.POST if path == "/subscribe" else HttpMethod.GET

    @route(path, http_method=HttpMethod.OPTIONS, status_code=204, sync_to_thread=False, include_in_schema=False)
    def preflight(request: Request[Any, Any, Any]) -> Response[None]:
        headers = {"allow": f"{method.value}, OPTIONS", **speaker.sharing(request)}
        if "access-control-allow-origin" in headers:
            headers |= {"access-control-allow-methods": method.value, "access-control-allow-headers": "content-type"}
        return Response(None, status_code=204, headers=headers)

    return preflight


def _json_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """No form of another site can send this kind without its browser asking us first (W-10)."""
    kind = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != MediaType.JSON:
        raise HTTPException(status_code=415)


def _problems(*statuses: int) -> dict[int, ResponseSpec]:
    return {
        status: ResponseSpec(Problem, generate_examples=False, description=TITLES[status], media_type=PROBLEM)
        for status in statuses
    }


def _handlers(site: Site, speaker: _Speaker) -> list[HTTPRouteHandler]:
    return [_offer(site, speaker), _challenge(site, speaker), _subscribe(site, speaker)]


def _offer(site: Site, speaker: _Speaker) -> HTTPRouteHandler:
    @get("/newsletters", sync_to_thread=False, description="The newsletters that can be asked for.")
    def newsletters(request: Request[Any, Any, Any]) -> Response[Offers]:
        offered = [
            Offered(one.slug, one.title, one.description, one.language, one.direction, one.wording)
            for one in site.service.newsletters.values()
        ]
        return speaker.say(request, Offers(offered))

    return newsletters


def _challenge(site: Site, speaker: _Speaker) -> HTTPRouteHandler:
    @get(
        "/challenge",
        sync_to_thread=True,
        description="A proof of work, as hard as is asked for just now; good for ten minutes and for one request.",
    )
    def challenge(request: Request[Any, Any, Any]) -> Response[Challenge]:
        now = site.clock()
        return speaker.say(
            request, Challenge(**site.guard.challenge(site.guard.pressure(network_of(request), now), now))
        )

    return challenge


def _subscribe(site: Site, speaker: _Speaker) -> HTTPRouteHandler:
    act = _taker(site, speaker)

    @post(
        "/subscribe",
        status_code=202,
        description=ABOUT,
        guards=[_json_only],
        request_max_body_size=MAX_BODY,
        responses=_problems(*TITLES),
    )
    async def subscribe(request: Request[Any, Any, Any], data: JSONBody[Wanted]) -> Response[Accepted]:
        return await site.beat.answer(lambda: act(request, data))

    return subscribe


def _taker(site: Site, speaker: _Speaker) -> Callable[[Request[Any, Any, Any], Wanted], Response[Any]]:
    """What takes a request; it answers the same whatever is known of the address."""

    def take(request: Request[Any, Any, Any], wanted: Wanted) -> Response[Any]:
        if wanted.newsletter not in site.service.newsletters:
            return speaker.problem(request, 422, "There is no newsletter of that name; /api/newsletters lists them.")
        address = parse_address(wanted.email)
        if isinstance(address, BadAddress):
            return speaker.problem(request, 422, address.reason)
        now = site.clock()
        # A program reads no page and has no stamp: without a proof it shares the reserve, like a form elsewhere.
        match site.guard.judge(Knock(network_of(request), address.domain, wanted.altcha, is_ours=False), now):
            case Verdict.REST:
                return speaker.problem(request, 503, "Far more requests have come in than readers send.")
            case Verdict.ASK:
                pressure = site.guard.pressure(network_of(request), now)
                challenge = Challenge(**site.guard.challenge(pressure, now))
                return speaker.problem(request, 429, "Solve the challenge, and send the answer as `altcha`.", challenge)
        site.service.join(wanted.newsletter, address, now)
        return speaker.say(request, Accepted(), 202)

    return take
