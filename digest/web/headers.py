"""What goes on every response, found pages and errors alike: the headers that tell browsers what not to do (W-11)."""

from __future__ import annotations

import html
import re
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import structlog
from litestar.enums import ScopeType
from litestar.types import Message, Scope

log = structlog.get_logger("digest.web")

# A picture's address in a document that we have rendered ourselves.
_IMAGE = re.compile(r'<img\b[^>]*?\ssrc="([^"]+)"')

OUR_PAGES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
)
ALWAYS = {
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), "
        "microphone=(), payment=(), usb=(), browsing-topics=()"
    ),
}
UNLESS_SAID = {
    "content-security-policy": OUR_PAGES,
    "referrer-policy": "no-referrer",
}
DESK = {
    # With `no-referrer` a browser would send `Origin: null` with our own forms; the second layer of W-10 reads it.
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}


def mail_policy(document: str, *, framed: bool) -> str:
    """The policy for a document that is a mail: its own styles, its own pictures' hosts, and nothing that runs.

    `framed` lets our own pages show it in a frame (W-12, W-13).
    """
    hosts = sorted({origin for image in _IMAGE.findall(document) if (origin := _origin(html.unescape(image)))})
    pictures = " ".join(hosts) or "'none'"
    ancestors = "'self'" if framed else "'none'"
    return (
        f"default-src 'none'; img-src {pictures}; style-src 'unsafe-inline'; form-action 'none'; "
        f"base-uri 'none'; frame-ancestors {ancestors}"
    )


def on_every_response(*, is_https: bool) -> Callable[[Message, Scope], Awaitable[None]]:
    """The hook that puts the headers on and writes one line for the log: method, route and status, no more.

    The route is its template (`/u/{token}`), never the path: paths hold tokens. No address of a machine is written.
    """
    always = _raw(
        {**ALWAYS, **({"strict-transport-security": "max-age=63072000; includeSubDomains"} if is_https else {})}
    )
    unless_said = _raw(UNLESS_SAID)
    on_desk = _raw({**UNLESS_SAID, **DESK})

    async def before_send(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start" or scope["type"] != ScopeType.HTTP:
            return
        path = scope["path"]
        more = on_desk if path == "/desk" or path.startswith("/desk/") else unless_said
        # One pass over the list: Litestar's own view of it goes through it anew for each header, with every answer.
        said = [(name.lower(), value) for name, value in message["headers"]]
        names = {name for name, _ in said}
        message["headers"] = [
            *((name, value) for name, value in said if name not in always),
            *((name, value) for name, value in more.items() if name not in names),
            *always.items(),
        ]
        log.info(
            "answered",
            method=scope["method"],
            route=scope.get("path_template") or "(no route)",
            status=message["status"],
        )

    return before_send


def _raw(headers: dict[str, str]) -> dict[bytes, bytes]:
    return {name.encode("ascii"): value.encode("ascii") for name, value in headers.items()}


def _origin(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.netloc or not parts.netloc.isascii():
        return None
    # A name that could say more than a name in a policy is left out; its picture is then not shown.
    return f"{parts.scheme}://{parts.netloc}" if not set(parts.netloc) & set(" ;,'\"*@\\") else None
