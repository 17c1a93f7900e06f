"""The issue as each kind of reader will see it, in every look, as text and as octets, where nothing can run (W-12)."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response, get
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from sqlalchemy.orm import Session

from digest.issues.seen import Seen, rendered_now, source, without_readers
from digest.issues.sheet import DESKTOP, LOOKS, PHONE
from digest.mail.compose import NotSendable
from digest.mail.kinds import ORDINARY, Kind
from digest.mail.looks import Colours, Look, in_look
from digest.mail.render import BadTemplate
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
from subscribers.tokens import Links

LIGHT = Look(Colours.LIGHT)
NEUTRAL = "neutral"
"""What the address of a preview says for a subject that gives nothing away."""
OFF = "off"
NARROWEST, WIDEST = 240, 1600
"""CSS pixels of the frame whose width an editor chooses."""

Request_ = Request[Any, Any, Any]


@dataclass(frozen=True)
class Wish:
    """What an address asks to see: which reader's mail, and in which look."""

    kind: Kind = ORDINARY
    look: Look = LIGHT
    width: int | None = None
    """Of a third frame, where one is asked for."""

    def address(self, **changes: str) -> str:
        """What stands behind the `?` to ask for this, with something changed; what is usual is left out."""
        said = {
            "format": "" if self.kind.format is Format.SUMMARIES else self.kind.format.value,
            "subject": NEUTRAL if self.kind.is_neutral else "",
            "look": self.look.colours.value,
            "images": "" if self.look.has_images else OFF,
            "styles": "" if self.look.has_styles else OFF,
            "width": str(self.width or ""),
        } | changes
        return urlencode({name: text for name, text in said.items() if text})


def preview_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The page with the frames, all looks at once, the octets, the document in the frames, and the example link."""
    reading: dict[str, Any] = {"opt": rule(Door.DESK), "media_type": MediaType.HTML, "sync_to_thread": True}

    @get(f"{PATH}/preview", **reading)
    def page(request: Request_) -> Response[Any]:
        return _page(parts, request, "preview")

    @get(f"{PATH}/preview/sheet", **reading)
    def all_at_once(request: Request_) -> Response[Any]:
        return _page(parts, request, "sheet")

    @get(f"{PATH}/preview/source", **reading)
    def octets(request: Request_) -> Response[Any]:
        return _source(parts, request)

    @get("/desk/preview/{newsletter:str}/{document:str}", **reading)
    def document(request: Request_, document: FromPath[str]) -> Response[Any]:
        week, dot, ending = document.rpartition(".")
        if not dot or ending not in ("html", "eml"):
            raise NotFoundException
        request.path_params["week"] = week
        return _message(parts, request) if ending == "eml" else _document(parts, request)

    @get("/example-link", opt=rule(Door.OPEN), media_type="text/html", sync_to_thread=True)
    def example() -> Response[Any]:
        return Response(parts.pages.render("archive/example_link.html"), media_type=MediaType.HTML)

    return [page, all_at_once, octets, document, example]


def wish_of(request: Request_, usual: Colours = Colours.LIGHT) -> Wish:
    """What an address asks for; the usual where it says nothing known."""
    query = request.query_params
    said, colours, width = (str(query.get(name, "")) for name in ("format", "look", "width"))
    is_number = width.isascii() and width.isdigit() and len(width) <= 4  # noqa: PLR2004 -- four digits.
    return Wish(
        Kind(Format(said) if said in tuple(Format) else Format.SUMMARIES, query.get("subject") == NEUTRAL),
        Look(
            Colours(colours) if colours in tuple(Colours) else usual,
            has_images=query.get("images") != OFF,
            has_styles=query.get("styles") != OFF,
        ),
        min(max(int(width), NARROWEST), WIDEST) if is_number else None,
    )


def as_seen(parts: Parts, session: Session, issue: Issue, newsletter: Newsletter, kind: Kind = ORDINARY) -> Seen:
    """The issue for an editor's eyes: a harmless link where readers have their own. Raises `BadTemplate`."""
    rendered = rendered_now(session, issue, newsletter, parts.renderer, parts.base_url, kind)
    return without_readers(rendered, f"{parts.base_url}/example-link")


def framed(document: str) -> Response[str]:
    """A mail as a document for our own frames: nothing runs in it, and only its own pictures are loaded (W-12)."""
    headers = {
        "content-security-policy": mail_policy(document, framed=True),
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
    return Response(document, media_type=MediaType.HTML, headers=headers)


def _document(parts: Parts, request: Request_) -> Response[Any]:
    # Without a word about colours a frame shows what its own screen prefers: the glance beside the stories.
    wish = wish_of(request, Colours.OWN)
    newsletter = declared(parts, request)
    try:
        with parts.database.read() as session:
            seen = as_seen(parts, session, wanted(session, request), newsletter, wish.kind)
    except BadTemplate as error:
        return framed(f"<!doctype html><title>Cannot be shown</title><p>{html.escape(str(error))}</p>")
    return framed(in_look(seen.html, wish.look))


def _page(parts: Parts, request: Request_, template: str) -> Response[str]:
    newsletter, wish = declared(parts, request), wish_of(request)
    try:
        with parts.database.read() as session:
            issue = wanted(session, request)
            seen = as_seen(parts, session, issue, newsletter, wish.kind)
            shown = issue_page(session, issue, newsletter, (), parts.clock())
    except BadTemplate as error:
        return problem(parts.pages, 500, f"The issue cannot be rendered: {error}.")
    return desk_page(
        parts,
        visitor_of(request),
        template,
        page=shown,
        seen=seen,
        words=count_of(len(seen.text.split()), "word", "words"),
        preview_line=seen.first_line if wish.kind.is_neutral else shown.preheader.value,
        wish=wish,
        formats=tuple((one, Kind(one).name) for one in Format),
        colours=tuple((one, Look(one).name) for one in Colours if one is not Colours.OWN),
        widths={"phone": PHONE, "desktop": DESKTOP, "least": NARROWEST, "most": WIDEST},
        looks=tuple((title, Wish(wish.kind, look).address(), width == PHONE) for title, look, width in LOOKS),
    )


def _source(parts: Parts, request: Request_) -> Response[str]:
    newsletter, wish = declared(parts, request), wish_of(request)
    with parts.database.read() as session:
        issue = wanted(session, request)
        shown = issue_page(session, issue, newsletter, (), parts.clock())
        try:
            octets = _octets(parts, session, issue, newsletter, wish.kind)
        except (BadTemplate, NotSendable) as error:
            return problem(parts.pages, 500, f"The issue cannot be made into a mail: {error}.")
    head, _, body = octets.decode("ascii").partition("\r\n\r\n")
    return desk_page(
        parts,
        visitor_of(request),
        "source",
        page=shown,
        wish=wish,
        head=head.replace("\r\n", "\n"),
        body=body.replace("\r\n", "\n"),
        size=f"{len(octets):,}",
        lines=count_of(octets.count(b"\r\n"), "line", "lines"),
    )


def _message(parts: Parts, request: Request_) -> Response[bytes]:
    newsletter, wish = declared(parts, request), wish_of(request)
    with parts.database.read() as session:
        issue = wanted(session, request)
        try:
            octets = _octets(parts, session, issue, newsletter, wish.kind)
        except (BadTemplate, NotSendable):
            raise NotFoundException from None
    name = issue.name.replace("/", "-")
    headers = {"content-disposition": f'attachment; filename="{name}.eml"', "cache-control": "no-store"}
    return Response(octets, media_type="message/rfc822", headers=headers)


def _octets(parts: Parts, session: Session, issue: Issue, newsletter: Newsletter, kind: Kind) -> bytes:
    rendered = rendered_now(session, issue, newsletter, parts.renderer, parts.base_url, kind)
    return source(issue, newsletter, rendered, Links(parts.base_url, parts.keys.token), parts.clock())
