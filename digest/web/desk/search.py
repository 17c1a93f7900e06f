"""Search over everything that was ever sent, and the drafts."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from digest.issues.search import Found, Hit, search, years
from digest.issues.search_terms import LONGEST, Passage
from digest.settings import Newsletter
from digest.web.desk.page import desk_page
from digest.web.desk.words import STATES
from digest.web.door import Door, rule, visitor_of
from digest.web.parts import Parts
from digest.weeks import Week


@dataclass(frozen=True)
class Asked:
    """What the form says."""

    words: str
    newsletter: str
    year: int | None
    page: int

    def path(self, page: int) -> str:
        """The address of another page of the same."""
        fields = {"q": self.words, "newsletter": self.newsletter, "year": self.year, "page": page if page > 1 else None}
        return f"/desk/search?{urlencode({name: value for name, value in fields.items() if value})}"


@dataclass(frozen=True)
class Line:
    """A place, as the page shows it."""

    path: str
    archive_path: str
    """Where everybody can read it; empty where nobody can."""
    head: Passage
    body: Passage
    place: str
    state: str
    state_word: str
    title: str
    date: str
    week: int
    subject: str
    """The issue's, where the place is a story of it."""
    language: str
    direction: str


def search_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The page: looking for something changes nothing, so its words are in the address and can be kept."""

    @get("/desk/search", opt=rule(Door.DESK), media_type="text/html", sync_to_thread=True)
    def look(request: Request[Any, Any, Any]) -> Response[Any]:
        asked = _asked(parts, request)
        with parts.database.read() as session:
            found = search(session, asked.words, newsletter=asked.newsletter or None, year=asked.year, page=asked.page)
            known = years(session)
        return desk_page(
            parts,
            visitor_of(request),
            "search",
            asked=asked,
            found=found,
            lines=_lines(parts, found),
            newsletters=[(slug, one.title) for slug, one in parts.settings.newsletters.items()],
            years=known,
            longest=LONGEST,
        )

    return [look]


def _asked(parts: Parts, request: Request[Any, Any, Any]) -> Asked:
    """What is looked for; whatever makes no sense in an address narrows nothing."""
    said = request.query_params
    slug, year, page = (str(said.get(name, "")) for name in ("newsletter", "year", "page"))
    return Asked(
        words=" ".join(str(said.get("q", "")).split())[:LONGEST],
        newsletter=slug if slug in parts.settings.newsletters else "",
        year=int(year) if re.fullmatch(r"[0-9]{4}", year, re.ASCII) else None,
        page=int(page) if re.fullmatch(r"[0-9]{1,4}", page, re.ASCII) else 1,
    )


def _lines(parts: Parts, found: Found) -> tuple[Line, ...]:
    return tuple(_line(hit, parts.newsletter(hit.newsletter)) for hit in found.hits)


def _line(hit: Hit, newsletter: Newsletter | None) -> Line:
    anchor = f"#story-{hit.item_id}" if hit.item_id else ""
    archive_path = f"/issues/{hit.name}" if hit.is_public else ""
    return Line(
        # A newsletter that is no longer declared has no pages on the desk any more.
        path=f"/desk/issues/{hit.name}{anchor}" if newsletter else archive_path,
        archive_path=archive_path,
        head=hit.head,
        body=hit.body,
        place=_place(hit),
        state=hit.state.value,
        state_word=STATES[hit.state],
        title=newsletter.title if newsletter else hit.newsletter,
        date=f"{hit.send_at.astimezone(newsletter.timezone if newsletter else dt.UTC):%-d %B %Y}",
        week=Week.parse(hit.week).number,
        subject=hit.subject if hit.item_id else "",
        language=newsletter.language if newsletter else "und",
        direction=newsletter.direction if newsletter else "auto",
    )


def _place(hit: Hit) -> str:
    if hit.item_id is None:
        return "Subject and introduction"
    return "The lead" if hit.is_lead else hit.section or "Main part"
