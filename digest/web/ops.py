"""Pages for machines and for who runs them: alive, ready, robots."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from litestar import Response
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler, route
from sqlalchemy.exc import SQLAlchemyError

from digest.web.door import Door, rule
from digest.web.parts import Parts

READING: list[HttpMethod | Any] = [HttpMethod.GET, HttpMethod.HEAD]
ROBOTS = """User-agent: *
Disallow: /desk
Disallow: /confirm/
Disallow: /u/
Disallow: /never/
Disallow: /manage/
Disallow: /mine/
"""


def ops_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """`/healthz`, `/readyz` and `/robots.txt`. The first two answer to any host name: a probe asks by address."""
    # A probe wants the state now; nobody between may answer for us.
    fresh = {"cache-control": "no-store"}
    probe: dict[str, Any] = {**rule(Door.OPEN), "any_host": True}

    @route("/healthz", http_method=READING, status_code=200, opt=probe, media_type="text/plain", sync_to_thread=False)
    def healthz() -> Response[str]:
        return Response("alive\n", headers=fresh)

    @route("/readyz", http_method=READING, status_code=200, opt=probe, media_type="text/plain", sync_to_thread=True)
    def readyz() -> Response[str]:
        reason = why_not_ready(parts)
        # A form that rests is no reason to take the process away from readers: it is said, and all else goes on.
        pressed = None if reason else parts.pressed(parts.clock())
        said = "\n".join(line for line in (reason or "ready", pressed) if line)
        return Response(f"{said}\n", status_code=503 if reason else 200, headers=fresh)

    @route(
        "/robots.txt",
        http_method=READING,
        status_code=200,
        opt=rule(Door.OPEN),
        media_type="text/plain",
        sync_to_thread=False,
    )
    def robots() -> Response[str]:
        return Response(ROBOTS, headers={"cache-control": "public, max-age=86400"})

    return [healthz, readyz, robots]


def why_not_ready(parts: Parts) -> str | None:
    """Why no work can be done now, in a sentence; none when it can. Names no host and no user of the database."""
    try:
        with parts.database.read() as session:
            session.execute(sa.select(1))
        return parts.unready()
    except SQLAlchemyError as error:
        return f"The database does not answer ({type(error).__name__})."
