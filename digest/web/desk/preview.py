"""The issue as each kind of reader will see it: two widths, light and dark, as text, where nothing can run (W-12)."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response, get
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from sqlalchemy.orm import Session

from digest.issues.view import view
from digest.mail.kept import rendering
from digest.mail.kinds import ORDINARY, Kind
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT, BadTemplate, Rendered
from digest.models import Issue
from digest.settings import Newsletter
from digest.web.desk.change import declared, wanted
from digest.web.desk.issue import PATH
from digest.web.desk.page import count_of, desk_page
from digest.web.desk.show import issue_page
from digest.web.door import Door, rule, visitor_of
from digest.web.headers import mail_policy
from digest.web.parts import Parts
from digest.web.problems import problem
from subscribers.lifecycle import Format

LOOKS = ("light", "dark")
NEUTRAL = "neutral"
"""What the address of a preview says for a subject that gives nothing away."""
_DARK = re.compile(r"\(\s*prefers-color-scheme\s*:\s*dark\s*\)")


@dataclass(frozen=True)
class Seen:
    """An issue as it would leave now, or as it has left, without any reader's links."""

    subject: str
    text: str
    html: str

    @property
    def size(self) -> str:
        """How heavy the HTML is; mail programs cut what is over about 100 KB (F-43)."""
        return f"{len(self.html.encode()) / 1024:.0f} KB"


def preview_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The page with the frames, the document in the frames, and where the example links lead."""

    @get(f"{PATH}/preview", opt=rule(Door.DESK), media_type="text/html", sync_to_thread=True)
    def page(request: Request[Any, Any, Any]) -> Response[Any]:
        try:
            return _page(parts, request)
        except BadTemplate as error:
            return problem(parts.pages, 500, f"The issue cannot be rendered: {error}.")

    @get(
        "/desk/preview/{newsletter:str}/{document:str}",
        opt=rule(Door.DESK),
        media_type="text/html",
        sync_to_thread=True,
    )
    def document(request: Request[Any, Any, Any], document: FromPath[str]) -> Response[Any]:
        week, dot, kind = document.rpartition(".")
        if not dot or kind != "html":
            raise NotFoundException
        request.path_params["week"] = week
        newsletter = declared(parts, request)
        try:
            with parts.database.read() as session:
                seen = as_seen(parts, session, wanted(session, request), newsletter, kind_of(request))
        except BadTemplate as error:
            return framed(f"<!doctype html><title>Cannot be shown</title><p>{html.escape(str(error))}</p>")
        return framed(in_look(seen.html, request.query_params.get("look", "")))

    @get("/example-link", opt=rule(Door.OPEN), media_type="text/html", sync_to_thread=True)
    def example() -> Response[Any]:
        return Response(parts.pages.render("archive/example_link.html"), media_type=MediaType.HTML)

    return [page, document, example]


def _page(parts: Parts, request: Request[Any, Any, Any]) -> Response[str]:
    newsletter = declared(parts, request)
    look = request.query_params.get("look")
    kind = kind_of(request)
    with parts.database.read() as session:
        issue = wanted(session, request)
        seen = as_seen(parts, session, issue, newsletter, kind)
        shown = issue_page(session, issue, newsletter, (), parts.clock())
    words = count_of(len(seen.text.split()), "word", "words")
    return desk_page(
        parts,
        visitor_of(request),
        "preview",
        page=shown,
        seen=seen,
        words=words,
        preview_line=" ".join(seen.text.partition("\n\n")[0].split()) if kind.is_neutral else shown.preheader.value,
        kind=kind,
        choice=choice_of(kind),
        formats=tuple((one, Kind(one).name) for one in Format),
        look=look if look in LOOKS else "light",
    )


def kind_of(request: Request[Any, Any, Any]) -> Kind:
    """The kind of reader that an address asks for; the ordinary one where it says nothing known."""
    said = request.query_params.get("format", "")
    wanted_format = Format(said) if said in tuple(Format) else Format.SUMMARIES
    return Kind(wanted_format, request.query_params.get("subject") == NEUTRAL)


def choice_of(kind: Kind) -> str:
    """What an address says to get that kind; nothing for the ordinary one."""
    said = {"format": kind.format.value} if kind.format is not Format.SUMMARIES else {}
    return urlencode(said | ({"subject": NEUTRAL} if kind.is_neutral else {}))


def rendered_now(
    parts: Parts, session: Session, issue: Issue, newsletter: Newsletter, kind: Kind = ORDINARY
) -> Rendered:
    """The issue for one kind of reader as it stands, or, once it is out, exactly what was sent; slots unfilled.

    Raises `BadTemplate`.
    """
    if issue.frozen_at and (kept := rendering(issue, kind)):
        return kept
    return parts.renderer.rendering(view(session, issue.id, newsletter, parts.base_url), kind)


def as_seen(parts: Parts, session: Session, issue: Issue, newsletter: Newsletter, kind: Kind = ORDINARY) -> Seen:
    """The issue for an editor's eyes: where readers have their own links, a harmless one stands."""
    return without_readers(rendered_now(parts, session, issue, newsletter, kind), f"{parts.base_url}/example-link")


def without_readers(rendered: Rendered, link: str) -> Seen:
    """The parts with a harmless link where each reader's own would stand (W-12, W-13). Pure."""
    text, document = rendered.text, rendered.html
    for slot in (UNSUBSCRIBE_SLOT, MANAGE_SLOT):
        text, document = text.replace(slot, link), document.replace(slot, html.escape(link))
    return Seen(rendered.subject, text, document)


def in_look(document: str, look: str) -> str:
    """The document as somebody sees it who has chosen light or dark, whatever the editor's own machine prefers.

    The frame is sandboxed and cannot be told; so the question in the style sheet is answered here. Pure.
    """
    answer = {"dark": "(min-width: 0)", "light": "(max-width: 0)"}.get(look)
    return _DARK.sub(answer, document) if answer else document


def framed(document: str) -> Response[str]:
    """A mail as a document for our own frames: nothing runs in it, and only its own pictures are loaded (W-12)."""
    headers = {
        "content-security-policy": mail_policy(document, framed=True),
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
    return Response(document, media_type=MediaType.HTML, headers=headers)
