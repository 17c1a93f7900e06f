"""What every page of the readers is made with: headers, the form's data, a button that is bound to its link."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from litestar import Request, Response
from litestar.enums import HttpMethod, MediaType
from litestar.exceptions import ClientException

from subscribers.beat import Beat
from subscribers.body import MAX_BODY, BadForm, read_form
from subscribers.budgets import Pressure
from subscribers.guard import Guard
from subscribers.languages import Wish, wish
from subscribers.networks import prefix_of
from subscribers.newsletters import NewsletterInfo
from subscribers.pages import Frame, Pages
from subscribers.proof import as_attribute
from subscribers.service import Service
from subscribers.tokens import button_token, fill_stamp, is_button_token

Clock = Callable[[], dt.datetime]
"""Says what time it is: an aware instant in UTC."""
Answer = Response[str]

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), browsing-topics=()",
}
"""On every page here: what W-11 asks, and O-04 of pages whose address has a token."""
WITH_PROOF = {
    "content-security-policy": f"{HEADERS['content-security-policy']}; script-src 'self'; worker-src 'self'",
}
"""On the page whose script looks for a proof of work, and on no other."""
HSTS = {"strict-transport-security": "max-age=63072000; includeSubDomains"}
NOT_FOR_SEARCH = {"x-robots-tag": "noindex"}
LOOK: list[HttpMethod | Any] = [HttpMethod.GET, HttpMethod.HEAD]
READING: dict[str, Any] = {"http_method": LOOK, "sync_to_thread": True, "include_in_schema": False}
"""What a handler is declared with that shows a page."""
DOING: dict[str, Any] = {
    "status_code": 200,
    "sync_to_thread": True,
    "include_in_schema": False,
    "request_max_body_size": MAX_BODY,
}
"""What a handler is declared with that takes a form."""
ON_BEAT: dict[str, Any] = {name: value for name, value in DOING.items() if name != "sync_to_thread"}
"""The same for one whose answer must not tell by its time what was done."""
# Which language a visitor wants, and where they come from, is asked by every page and concerns hardly a handler, so it
# goes round them: each request has a context of its own, which Litestar copies into the handler's thread.
_WISHED: ContextVar[Wish] = ContextVar("wished")
_NETWORK: ContextVar[str] = ContextVar("network")


@dataclass(frozen=True)
class Site:
    """What the pages are made with."""

    service: Service
    pages: Pages
    clock: Clock
    guard: Guard
    origins: frozenset[str] = frozenset()
    """Sites whose own pages may use the API from a browser."""
    beat: Beat = field(default_factory=Beat)

    def page(self, name: str, *, status: int = 200, is_own: bool = False, **context: object) -> Answer:
        """A page that search engines should leave alone.

        It is in the language of the `newsletter`, where it is given one; a person's own (`is_own`) can be changed to
        another.
        """
        return self._answer(name, status, NOT_FOR_SEARCH, context, is_own=is_own)

    def form(
        self,
        *,
        status: int = 200,
        name: str = "public/home.html",
        chosen: str = "",
        typed: str = "",
        problem: str = "",
        at_least: Pressure = Pressure.CALM,
    ) -> Answer:
        """A page with the sign-up form, `problem` said beside the field and what was typed still in it.

        `problem` is one of our own English sentences; the page says it in its language. Where the form is pressed for
        visitors from this one's network, it has a challenge, or rests.
        """
        about, now, network = self.service.newsletters.get(chosen), self.clock(), visitors_network()
        pressure = max(at_least, self.guard.pressure(network, now))
        is_asked = Pressure.CALM < pressure < Pressure.PAUSED
        context: dict[str, object] = {
            "newsletters": list(self.service.newsletters.values()),
            "newsletter": about,
            # The one at the head, in the visitor's language, is what they have most likely come for.
            "chosen": about or self._frame(None).head,
            "typed": typed,
            "problem": problem and self.say(problem, about),
            "filled": fill_stamp(self.service.token_key, now, network),
            "challenge": as_attribute(self.guard.challenge(pressure, now)) if is_asked else "",
            "is_resting": pressure is Pressure.PAUSED,
        }
        more = {} if name == "public/home.html" else NOT_FOR_SEARCH
        return self._answer(name, status, {**more, **(WITH_PROOF if is_asked else {})}, context)

    def old_link(self) -> Answer:
        """What somebody sees whose link is forged, used up or too old: what to do, and the form to do it with."""
        return self.form(status=404, name="public/old_link.html")

    def button(self, name: str, token: str, *, status: int = 200, is_own: bool = False, **context: object) -> Answer:
        """A page with one button; the button's form is bound to the link (O-11)."""
        proof = button_token(self.service.token_key, token)
        return self.page(name, status=status, is_own=is_own, proof=proof, **context)

    def is_pressed(self, token: str, fields: dict[str, str]) -> bool:
        """Whether the button of the link's own page was pressed."""
        return is_button_token(self.service.token_key, token, fields.get("proof", ""))

    def say(self, sentence: str, about: NewsletterInfo | None = None) -> str:
        """One of our own English sentences, in the language of the page about a newsletter."""
        return self.pages.say(sentence, self._frame(about).language)

    def _frame(self, about: NewsletterInfo | None, *, is_own: bool = False) -> Frame:
        papers = list(self.service.newsletters.values())
        return self.pages.frame(papers, _WISHED.get(Wish()), about, is_own=is_own)

    def _answer(
        self, name: str, status: int, more: dict[str, str], context: dict[str, object], *, is_own: bool = False
    ) -> Answer:
        https = HSTS if self.service.base_url.startswith("https://") else {}
        frame = self._frame(_about(context), is_own=is_own)
        html = self.pages.render(name, frame, **context) if context else self.pages.plain(name, frame)
        return Response(html, status_code=status, media_type=MediaType.HTML, headers={**HEADERS, **https, **more})


async def note_visitor(request: Request[Any, Any, Any]) -> None:
    """Before each handler of the readers' pages: remember what its request says of languages, and whence it comes."""
    _WISHED.set(wish_of(request))
    _NETWORK.set(network_of(request))


def visitors_network() -> str:
    """The network that the request under way comes from."""
    return _NETWORK.get("")


def wish_of(request: Request[Any, Any, Any]) -> Wish:
    """What a request says of languages."""
    asked, accepted = request.query_params.get("lang", ""), request.headers.get("accept-language", "")
    return wish(asked, accepted, is_repeatable=request.method in LOOK)


def _about(context: dict[str, object]) -> NewsletterInfo | None:
    newsletter = context.get("newsletter")
    return newsletter if isinstance(newsletter, NewsletterInfo) else None


def network_of(request: Request[Any, Any, Any]) -> str:
    """The network that a request comes from, as the server knows it: a header counts only from a proxy (O-26)."""
    return prefix_of(request.client.host if request.client else None)


def fields_of(request: Request[Any, Any, Any], body: bytes) -> dict[str, str]:
    """The fields of a posted form. Raises `ClientException` where the body is none."""
    try:
        return read_form(body, request.headers.get("content-type", ""))
    except BadForm as error:
        raise ClientException(detail=str(error)) from error
