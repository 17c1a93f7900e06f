"""The log of who did what, for publishers and administrators to read (W-42)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.orm import Session

from digest.issues import audit
from digest.issues.audit import Asked, Broken
from digest.models import LogEntry
from digest.web.accounts import Role
from digest.web.desk.page import desk_page
from digest.web.desk.words import ACTIONS, action
from digest.web.door import Door, rule, visitor_of
from digest.web.parts import Parts

SHOWN = 60
PATH = "/desk/log"


@dataclass(frozen=True)
class Line:
    """An entry as the page shows it."""

    day: str
    time: str
    who: str
    did: str
    about: str
    path: str
    """The page of what it is about; empty where there is none."""
    detail: str


def log_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The page. What it verifies it only reads."""

    @get(PATH, opt=rule(Door.DESK, Role.PUBLISHER, to_read=True), media_type="text/html", sync_to_thread=True)
    def look(request: Request[Any, Any, Any]) -> Response[Any]:
        asked = asked_for(request.query_params)
        with parts.database.read() as session:
            entries = audit.page(session, asked, SHOWN + 1)
            lines = tuple(_line(entry, parts) for entry in entries[:SHOWN])
            people = tuple(session.scalars(sa.select(LogEntry.who).distinct().order_by(LogEntry.who)))
            done = tuple(session.scalars(sa.select(LogEntry.action).distinct()))
            chain = _chain(session, parts) if "verify" in request.query_params else ""
        older = _older(asked, entries[SHOWN - 1].id) if len(entries) > SHOWN else ""
        return desk_page(
            parts,
            visitor_of(request),
            "log",
            asked=asked,
            lines=lines,
            people=people,
            actions=sorted((ACTIONS.get(one, one.replace("-", " ")), one) for one in done),
            older=older,
            chain=chain,
        )

    return [look]


def asked_for(query: Any) -> Asked:
    """What an address asks for; what is not a number is no page."""
    before = str(query.get("before", ""))
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 18 else None  # noqa: PLR2004
    who, did, about = (str(query.get(name, "")).strip()[:200] for name in ("who", "action", "about"))
    return Asked(who, did, about, number)


def _older(asked: Asked, before: int) -> str:
    said = {"who": asked.who, "action": asked.action, "about": asked.about, "before": str(before)}
    return f"{PATH}?{urlencode({name: text for name, text in said.items() if text})}"


def _chain(session: Session, parts: Parts) -> str:
    found = audit.verify(session, parts.keys.token)
    if isinstance(found, Broken):
        return f"Entry {found.number} does not hold: {found.why}. Tell whoever runs the service."
    waiting = f" {found.unlinked} of the last minute are not linked yet." if found.unlinked else ""
    return f"{found.entries:,} entries, none changed, none missing.{waiting}"


def _line(entry: LogEntry, parts: Parts) -> Line:
    newsletter, slash, week = entry.object.partition("/")
    is_issue = bool(slash and week) and parts.newsletter(newsletter) is not None
    return Line(
        day=f"{entry.at:%A, %-d %B %Y}",
        time=f"{entry.at:%H:%M:%S}",
        who=entry.who,
        did=action(entry),
        about=entry.object,
        path=f"/desk/issues/{entry.object}" if is_issue else "",
        detail=entry.detail,
    )
