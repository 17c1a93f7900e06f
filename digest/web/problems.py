"""Pages for what went wrong: in plain words, with a number for the log, and never with what is inside (W-18)."""

from __future__ import annotations

import re
import secrets
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import structlog
from litestar import Request, Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandler

from digest.web.desk.typed import written
from digest.web.door import NotLoggedIn
from digest.web.parts import Parts
from subscribers.languages import mark
from subscribers.pages import IN_ENGLISH, Frame, Pages
from subscribers.web.site import wish_of

log = structlog.get_logger("digest.web")

# A title and a sentence for what visitors run into; our own exceptions bring their own sentence.
SAYINGS: Mapping[int, tuple[str, str]] = {
    400: (mark("That request made no sense to us"), mark("Please go back, and try once more.")),
    401: (mark("Please log in"), mark("This page belongs to the newsroom.")),
    403: (mark("Not allowed"), mark("This was refused, and nothing was changed.")),
    404: (mark("There is nothing here"), mark("The address may be mistyped, or the page may be gone.")),
    405: (mark("Not this way"), mark("This address does not take that kind of request.")),
    409: (mark("Something changed meanwhile"), mark("Nothing of yours was saved over it.")),
    413: (mark("That is too much at once"), mark("What was sent is larger than this page takes.")),
    415: (mark("We could not read that"), mark("This page takes forms only.")),
    500: (
        mark("Something went wrong on our side"),
        mark("It has been written to the log. Nothing was left half done."),
    ),
    503: (mark("Back in a moment"), mark("The service is not ready just now.")),
}
# The address of a problem may hold a reader's token, and the page says nothing for long (O-04).
NOT_KEPT: Mapping[str, str] = {"cache-control": "no-store", "x-robots-tag": "noindex"}
# Only the sentences of our own refusals are shown; a library's words stay inside.
OUR_OWN = "digest.web"


def problem_handlers(parts: Parts) -> dict[int | type[Exception], ExceptionHandler[Any]]:
    """The application's exception handlers."""
    return {
        NotLoggedIn: _to_the_login(parts.pages),
        HTTPException: _refused(parts),
        Exception: _broken(parts),
    }


def problem(
    pages: Pages,
    status: int,
    sentence: str | None = None,
    number: str | None = None,
    frame: Frame = IN_ENGLISH,
) -> Response[str]:
    """A page that says what went wrong; in English, unless a `frame` has another language."""
    title, usual = SAYINGS.get(status, SAYINGS[500 if status >= 500 else 400])  # noqa: PLR2004 -- RFC 9110 §15.6.
    said = [pages.say(one, frame.language) for one in (title, sentence or usual)]
    html = pages.render("archive/problem.html", frame, title=said[0], sentence=said[1], number=number)
    return Response(html, status_code=status, media_type=MediaType.HTML, headers=dict(NOT_KEPT))


def _frame(parts: Parts, request: Request[Any, Any, Any]) -> Frame:
    """The frame of a page for whoever sent the request: the desk's people are answered in English, like everywhere."""
    if request.url.path.startswith("/desk"):
        return IN_ENGLISH
    # What came to this is not looked at again: another language is for the pages that the links lead to.
    return replace(parts.pages.frame(list(parts.settings.newsletters.values()), wish_of(request)), tongues=())


def _to_the_login(pages: Pages) -> Callable[[Request[Any, Any, Any], NotLoggedIn], Response[Any]]:
    def handle(request: Request[Any, Any, Any], error: NotLoggedIn) -> Response[Any]:
        if error.typed is None:
            # The query holds a path of ours only; the log-in checks it again (W-14).
            return Response(None, status_code=303, headers={"location": f"/desk/login?next={quote(request.url.path)}"})
        html = pages.render("desk/logged_out.html", typed=written(error.typed), visitor=None)
        return Response(html, status_code=401, media_type=MediaType.HTML, headers=dict(NOT_KEPT))

    return handle


def _refused(parts: Parts) -> Callable[[Request[Any, Any, Any], HTTPException], Response[str]]:
    def handle(request: Request[Any, Any, Any], error: HTTPException) -> Response[str]:
        if error.status_code >= 500:  # noqa: PLR2004 -- RFC 9110 §15.6.
            return _broken(parts)(request, error)
        ours = type(error).__module__.startswith(OUR_OWN)
        sentence = error.detail if ours else None
        answer = problem(parts.pages, error.status_code, sentence, frame=_frame(parts, request))
        if error.headers:
            answer.headers.update({name: value for name, value in error.headers.items() if name.lower() == "allow"})
        return answer

    return handle


def _broken(parts: Parts) -> Callable[[Request[Any, Any, Any], Exception], Response[str]]:
    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[str]:
        number = secrets.token_hex(4)
        log.error(
            "broken",
            number=number,
            method=request.method,
            route=request.scope.get("path_template") or "(no route)",
            error=type(error).__qualname__,
            frames=_frames(error),
        )
        return problem(parts.pages, 500, number=number, frame=_frame(parts, request))

    return handle


def _frames(error: Exception) -> list[str]:
    """Where in our own code it came to this, and where at last. No message: it may quote an address or a token."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames[:-1] if re.search(r"[/\\](digest|subscribers)[/\\]", frame.filename)]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in [*ours, *frames[-1:]]]
