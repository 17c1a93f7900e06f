"""What an open issue page asks by itself: whether somebody else has changed the issue, and how the issue looks now."""

from __future__ import annotations

import html
import re
from typing import Any

import sqlalchemy as sa
from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.orm import Session

from digest.mail.looks import Colours, in_look
from digest.mail.render import BadTemplate
from digest.models import Issue, Item, LogEntry, Post, Revision
from digest.web.desk.change import declared
from digest.web.desk.issue import PATH
from digest.web.desk.preview import as_seen, framed, wish_of
from digest.web.desk.words import action
from digest.web.door import BY_ITSELF, Door, rule, visitor_of
from digest.web.parts import Parts

_LINK = re.compile(r'<a href="([^"]*)"')


def watch_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """A few bytes about the newest change, and the document of the preview beside the stories."""

    @get(f"{PATH}/revision", opt=rule(Door.DESK) | {BY_ITSELF: True}, sync_to_thread=True)
    def revision(request: Request[Any, Any, Any]) -> dict[str, Any]:
        visitor = visitor_of(request)
        with parts.database.read() as session:
            issue = _issue(session, request)
            who, did = _newest(session, issue)
            return {
                "revision": issue.revision,
                "state": issue.state.value,
                "who": who,
                "did": did,
                # A page that is older than the session, for it was left open over a log-in, goes on with these.
                "me": visitor.name,
                "csrf": visitor.csrf_token,
            }

    @get(f"{PATH}/beside", opt=rule(Door.DESK), media_type="text/html", sync_to_thread=True)
    def beside(request: Request[Any, Any, Any]) -> Response[Any]:
        newsletter = declared(parts, request)
        try:
            with parts.database.read() as session:
                issue = _issue(session, request)
                seen = as_seen(parts, session, issue, newsletter)
                places = _places(session, issue)
        except BadTemplate as error:
            return framed(f"<!doctype html><title>Cannot be shown</title><p>{html.escape(str(error))}</p>")
        return framed(in_look(with_places(seen.html, places), wish_of(request, Colours.OWN).look))

    return [revision, beside]


def with_places(document: str, places: dict[str, str]) -> str:
    """The document with a name at each story, by its link: a frame that runs nothing can be told to show one. Pure."""
    left = dict(places)

    def named(match: re.Match[str]) -> str:
        name = left.pop(html.unescape(match[1]), None)
        # Not on the link itself: whoever is led there would have it under their fingers, and leave by the next key.
        return f'<span id="{name}"></span>{match[0]}' if name else match[0]

    return _LINK.sub(named, document)


def _places(session: Session, issue: Issue) -> dict[str, str]:
    """The stories that are in, by their links."""
    query = sa.select(Post.link, Item.id).join(Post, Item.post_id == Post.id)
    found = session.execute(query.where(Item.issue_id == issue.id, Item.included))
    return {link: f"story-{item}" for link, item in found}


def _newest(session: Session, issue: Issue) -> tuple[str, str]:
    """Who did something to the issue last, and what, as the rest of a sentence that begins with the name."""
    query = sa.select(LogEntry).where(LogEntry.object == issue.name).order_by(LogEntry.id.desc()).limit(1)
    entry, revision = session.scalar(query), session.get(Revision, (issue.id, issue.revision))
    if revision and revision.who and (entry is None or entry.at <= revision.at):
        return revision.who, revision.said
    return (entry.who, action(entry)) if entry else ("", "")


def _issue(session: Session, request: Request[Any, Any, Any]) -> Issue:
    """The issue that the address names, without its stories. Raises `NotFoundException`."""
    newsletter, week = (str(request.path_params[part]) for part in ("newsletter", "week"))
    issue = session.scalar(sa.select(Issue).where(Issue.newsletter == newsletter, Issue.week == week))
    if issue is None:
        raise NotFoundException
    return issue
