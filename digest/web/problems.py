"""Pages for what went wrong: in plain words, with a number for the log, and never with what is inside (W-18)."""

from __future__ import annotations

import re
import secrets
import traceback
from collections.abc import Callable, Mapping
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
from subscribers.pages import Pages

log = structlog.get_logger("digest.web")

# A title and a sentence for what visitors run into; our own exceptions bring their own sentence.
SAYINGS: Mapping[int, tuple[str, str]] = {
    400: ("That request made no sense to us", "Please go back, and try once more."),
    401: ("Please log in", "This page belongs to the newsroom."),
    403: ("Not allowed", "This was refused, and nothing was changed."),
    404: ("There is nothing here", "The address may be mistyped, or the page may be gone."),
    405: ("Not this way", "This address does not take that kind of request."),
    409: ("Something changed meanwhile", "Nothing of yours was saved over it."),
    413: ("That is too much at once", "What was sent is larger than this page takes."),
    415: ("We could not read that", "This page takes forms only."),
    500: ("Something went wrong on our side", "It has been written to the log. Nothing was left half done."),
    503: ("Back in a moment", "The service is not ready just now."),
}
# The address of a problem may hold a reader's token, and the page says nothing for long (O-04).
NOT_KEPT: Mapping[str, str] = {"cache-control": "no-store", "x-robots-tag": "noindex"}
# Only the sentences of our own refusals are shown; a library's words stay inside.
OUR_OWN = "digest.web"


def problem_handlers(parts: Parts) -> dict[int | type[Exception], ExceptionHandler[Any]]:
    """The application's exception handlers."""
    return {
        NotLoggedIn: _to_the_login(parts.pages),
        HTTPException: _refused(parts.pages),
        Exception: _broken(parts.pages),
    }


def problem(pages: Pages, status: int, sentence: str | None = None, number: str | None = None) -> Response[str]:
    """A page that says what went wrong."""
    title, usual = SAYINGS.get(status, SAYINGS[500 if status >= 500 else 400])  # noqa: PLR2004 -- RFC 9110 §15.6.
    html = pages.render("archive/problem.html", title=title, sentence=sentence or usual, number=number)
    return Response(html, status_code=status, media_type=MediaType.HTML, headers=dict(NOT_KEPT))


def _to_the_login(pages: Pages) -> Callable[[Request[Any, Any, Any], NotLoggedIn], Response[Any]]:
    def handle(request: Request[Any, Any, Any], error: NotLoggedIn) -> Response[Any]:
        if error.typed is None:
            # The query holds a path of ours only; the log-in checks it again (W-14).
            return Response(None, status_code=303, headers={"location": f"/desk/login?next={quote(request.url.path)}"})
        html = pages.render("desk/logged_out.html", typed=written(error.typed), visitor=None)
        return Response(html, status_code=401, media_type=MediaType.HTML, headers=dict(NOT_KEPT))

    return handle


def _refused(pages: Pages) -> Callable[[Request[Any, Any, Any], HTTPException], Response[str]]:
    def handle(request: Request[Any, Any, Any], error: HTTPException) -> Response[str]:
        if error.status_code >= 500:  # noqa: PLR2004 -- RFC 9110 §15.6.
            return _broken(pages)(request, error)
        ours = type(error).__module__.startswith(OUR_OWN)
        answer = problem(pages, error.status_code, error.detail if ours else None)
        if error.headers:
            answer.headers.update({name: value for name, value in error.headers.items() if name.lower() == "allow"})
        return answer

    return handle


def _broken(pages: Pages) -> Callable[[Request[Any, Any, Any], Exception], Response[str]]:
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
        return problem(pages, 500, number=number)

    return handle


def _frames(error: Exception) -> list[str]:
    """Where in our own code it came to this, and where at last. No message: it may quote an address or a token."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames[:-1] if re.search(r"[/\\](digest|subscribers)[/\\]", frame.filename)]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in [*ours, *frames[-1:]]]
