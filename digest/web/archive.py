"""What has gone out, for everybody: the list, each issue at its own address, and an Atom feed (W-13)."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any

from litestar import Request, Response
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler, route
from litestar.params import FromPath

from digest.issues.archive import Entry, Published, feed, one, published
from digest.mail.render import Dated, Renderer
from digest.settings import Newsletter, Settings
from digest.web.door import Door, rule
from digest.web.feed import CONTENT_TYPE, atom
from digest.web.headers import mail_policy
from digest.web.parts import Parts
from subscribers.web.site import wish_of

READING: dict[str, Any] = {
    "http_method": ["GET", "HEAD"],
    "status_code": 200,
    "sync_to_thread": True,
    "opt": rule(Door.OPEN),
}
# Public, but asked again each time: an issue that should not be read any more is gone at once.
CACHING = {"cache-control": "public, max-age=0, must-revalidate"}


@dataclass(frozen=True)
class Shelf:
    """A newsletter's issues in the list."""

    title: str
    language: str
    direction: str
    issues: tuple[tuple[Published, Dated], ...]
    """Each with its date in the newsletter's zone."""


def archive_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """`/issues`, `/issues/{newsletter}/{week}` and `/feed.xml`."""

    @route("/issues", **READING)
    def look(request: Request[Any, Any, Any]) -> Response[Any]:
        with parts.database.read() as session:
            issues = published(session)
        frame = parts.pages.frame(list(parts.settings.newsletters.values()), wish_of(request))
        found = shelves(parts.settings, issues, parts.renderer)
        html = parts.pages.render("archive/issues.html", frame, shelves=found)
        return _answer(request, html, MediaType.HTML, _latest(issues), {"vary": "accept-language"})

    @route("/issues/{newsletter:str}/{week:str}", **READING)
    def read(request: Request[Any, Any, Any], newsletter: FromPath[str], week: FromPath[str]) -> Response[Any]:
        with parts.database.read() as session:
            entry = one(session, newsletter, week, home_url=f"{parts.base_url}/")
        if entry is None:
            raise NotFoundException
        policy = mail_policy(entry.html, framed=False)
        return _answer(request, entry.html, MediaType.HTML, entry.issue.updated_at, {"content-security-policy": policy})

    @route("/feed.xml", **READING)
    def follow(request: Request[Any, Any, Any]) -> Response[Any]:
        with parts.database.read() as session:
            entries = feed(session, home_url=f"{parts.base_url}/")
        issues = tuple(entry.issue for entry in entries)
        return _answer(request, _feed(parts, entries), CONTENT_TYPE, _latest(issues))

    return [look, read, follow]


def shelves(settings: Settings, issues: tuple[Published, ...], renderer: Renderer) -> tuple[Shelf, ...]:
    """The issues by newsletter, in the order in which the settings declare them, dated as their mails are."""
    return tuple(_shelf(newsletter, issues, renderer) for newsletter in settings.newsletters.values())


def _shelf(newsletter: Newsletter, issues: tuple[Published, ...], renderer: Renderer) -> Shelf:
    mine = [issue for issue in issues if issue.newsletter == newsletter.slug]
    zone, language = newsletter.timezone, newsletter.language
    dated = tuple((issue, renderer.dated(issue.published_at.astimezone(zone).date(), language)) for issue in mine)
    return Shelf(newsletter.title, language, newsletter.direction, dated)


def _feed(parts: Parts, entries: tuple[Entry, ...]) -> bytes:
    newsletters = parts.settings.newsletters
    return atom(tuple(entry.issue for entry in entries), newsletters, parts.base_url)


def _latest(issues: tuple[Published, ...]) -> dt.datetime | None:
    return max((issue.updated_at for issue in issues), default=None)


def _answer(
    request: Request[Any, Any, Any],
    content: str | bytes,
    media_type: str,
    changed: dt.datetime | None,
    more: Mapping[str, str] | None = None,
) -> Response[Any]:
    """The document, or 304 where the caller has this very one (RFC 9110 §13.1)."""
    body = content.encode() if isinstance(content, str) else content
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"etag": etag, **CACHING, **(more or {})}
    if changed:
        headers["last-modified"] = format_datetime(changed.replace(microsecond=0), usegmt=True)
    if _has_it(request.headers.get("if-none-match", ""), etag):
        return Response(None, status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def _has_it(wanted: str, etag: str) -> bool:
    """Whether the tag is among those that the caller has; compared weakly, since proxies weaken tags."""
    return wanted.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in wanted.split(","))
