"""Pages for machines and for who runs them: alive, ready, overdue, robots."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from litestar import Response
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler, route
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from digest.issues.overdue import away, overdue
from digest.settings import Newsletter
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
    """`/healthz`, `/readyz`, `/overdue` and `/robots.txt`. The first three answer to any host name, as probes ask."""
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

    @route("/overdue", http_method=READING, status_code=200, opt=probe, media_type="text/plain", sync_to_thread=True)
    def late() -> Response[str]:
        # Anybody may ask: it says what every reader sees, that an issue is not there, and not why.
        with parts.database.read() as session:
            said = what_is_late(session, parts.settings.newsletters.values(), parts.clock())
        return Response("\n".join(said or ["on time"]) + "\n", status_code=503 if said else 200, headers=fresh)

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

    return [healthz, readyz, late, robots]


def what_is_late(session: Session, newsletters: Iterable[Newsletter], now: dt.datetime) -> list[str]:
    """A sentence for each newsletter whose issue should have left, and for each role that is not at work."""
    found = (overdue(session, newsletter, now) for newsletter in newsletters)
    said = (f"{late.name} was due on {late.due_at:%Y-%m-%d at %H:%M} UTC and has not left." for late in found if late)
    return [*said, *away(session, now)]


def why_not_ready(parts: Parts) -> str | None:
    """Why no work can be done now, in a sentence; none when it can. Names no host and no user of the database."""
    try:
        with parts.database.read() as session:
            session.execute(sa.select(1))
        return parts.unready()
    except SQLAlchemyError as error:
        return f"The database does not answer ({type(error).__name__})."
