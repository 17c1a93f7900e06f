"""A person's own page, for an hour after a fresh link was sent to their address: choices, export, erasure.

It sets no cookie: the link is the key, and each button carries a token that is bound to it and to its page (O-11).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, post, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, RawBody
from sqlalchemy.orm import Session

from subscribers import choices
from subscribers.erasing import erase
from subscribers.fresh import person_of
from subscribers.lifecycle import Format
from subscribers.models import Subscriber
from subscribers.personal import personal_file
from subscribers.tokens import button_token, is_button_token
from subscribers.web.site import ON_BEAT, READING, Answer, Site, fields_of

Fields = dict[str, str]
FILE_NAME = "what-is-held-on-me.json"


@dataclass(frozen=True)
class _Press:
    """A button that was pressed on the page, and whose page it is."""

    site: Site
    session: Session
    person: Subscriber
    token: str
    fields: Fields

    @property
    def newsletter(self) -> str:
        return self.fields.get("newsletter", "")


def mine_routes(site: Site) -> list[HTTPRouteHandler]:
    """`/mine/{token}`, `/mine/{token}/export` and `/mine/{token}/erase`."""

    @route("/mine/{token:str}", **READING)
    def show(token: FromPath[str]) -> Answer:
        return _page(site, token)

    @post("/mine/{token:str}", **ON_BEAT)
    async def choose(request: Request[Any, Any, Any], body: RawBody, token: FromPath[str]) -> Answer:
        fields = fields_of(request, body)
        return await site.beat.answer(lambda: _choose(site, token, fields))

    # By a button, not a link: what follows every link in a mail and on its page is not given the file.
    @post("/mine/{token:str}/export", **ON_BEAT)
    async def export(request: Request[Any, Any, Any], body: RawBody, token: FromPath[str]) -> Answer:
        fields = fields_of(request, body)
        return await site.beat.answer(lambda: _export(site, token, fields))

    @route("/mine/{token:str}/erase", **READING)
    def show_erase(token: FromPath[str]) -> Answer:
        return _erase_page(site, token)

    @post("/mine/{token:str}/erase", **ON_BEAT)
    async def do_erase(request: Request[Any, Any, Any], body: RawBody, token: FromPath[str]) -> Answer:
        fields = fields_of(request, body)
        return await site.beat.answer(lambda: _erase(site, token, fields))

    return [show, choose, export, show_erase, do_erase]


def _choose(site: Site, token: str, fields: Fields) -> Answer:
    if not site.is_pressed(token, fields):
        return _page(site, token, status=422)
    _keep_words(site, fields)
    with site.service.rooms.database.write() as session:
        person = person_of(session, token, site.clock(), locked=True)
        said = _act(_Press(site, session, person, token, fields)) if person else ""
    return _page(site, token, said=said, about=fields.get("newsletter", ""))


def _export(site: Site, token: str, fields: Fields) -> Answer:
    if not site.is_pressed(token, fields):
        return _page(site, token, status=422)
    with site.service.rooms.database.read() as session:
        person = person_of(session, token, site.clock())
        text = _file(site, session, person) if person else None
    return _download(site, text) if text is not None else _worn_off(site)


def _erase(site: Site, token: str, fields: Fields) -> Answer:
    # A proof of its own: the page with the choices cannot erase.
    if not is_button_token(site.service.token_key, _erasing(token), fields.get("proof", "")):
        return _erase_page(site, token, status=422)
    # Asked before it is forgotten: the answer is in the same language as the page.
    mine = _mine(site, token)
    mark = erase(site.service.rooms, token, site.clock(), keeps_mark=fields.get("mark") != "drop")
    if mark is None or mine is None:
        return _worn_off(site)
    return site.page("public/erased.html", mark=mark.value, newsletter=mine.first)


def _mine(site: Site, token: str) -> choices.Mine | None:
    """What the page of a fresh link shows; none for a link that is unknown or has worn off."""
    with site.service.rooms.database.read() as session:
        person = person_of(session, token, site.clock())
        return choices.mine(session, person, site.service.newsletters, site.clock()) if person else None


def _page(site: Site, token: str, *, status: int = 200, said: str = "", about: str = "") -> Answer:
    mine = _mine(site, token)
    if mine is None:
        return _worn_off(site)
    context = {"said": said, "about": site.service.newsletters.get(about), "pauses": choices.PAUSES}
    return site.button(
        "public/mine.html", token, status=status, is_own=True, mine=mine, here=token, newsletter=mine.first, **context
    )


def _erase_page(site: Site, token: str, status: int = 200) -> Answer:
    mine = _mine(site, token)
    if mine is None:
        return _worn_off(site)
    proof = button_token(site.service.token_key, _erasing(token))
    return site.page("public/erase.html", status=status, is_own=True, proof=proof, here=token, newsletter=mine.first)


def _worn_off(site: Site) -> Answer:
    return site.page("public/fresh_old.html", status=404)


def _erasing(token: str) -> str:
    return f"erase {token}"


def _file(site: Site, session: Session, person: Subscriber) -> str:
    service = site.service
    return personal_file(session, service.rooms.records, person, service.newsletters, site.clock())


def _download(site: Site, text: str) -> Answer:
    like = site.page("public/fresh_old.html").headers
    headers = {**like, "content-disposition": f'attachment; filename="{FILE_NAME}"'}
    return Response(text, status_code=200, media_type="application/json", headers=headers)


def _keep_words(site: Site, fields: Fields) -> None:
    """See to it that what somebody is about to agree to is kept; before the transaction that their row is held in."""
    info = site.service.newsletters.get(fields.get("newsletter", ""))
    if info and fields.get("do") == "join":
        site.service.wordings.keep(info, site.clock())


def _act(press: _Press) -> str:
    """Do what a button says; returns what the page then says, empty where it is no button of ours."""
    act = _ACTS.get(press.fields.get("do", ""))
    return act(press) if act and press.newsletter in press.site.service.newsletters else ""


def _format(press: _Press) -> str:
    wanted = press.fields.get("format", "")
    if wanted not in set(Format):
        return ""
    is_neutral = press.fields.get("neutral") == "yes"
    done = choices.set_format(press.session, press.person, press.newsletter, Format(wanted), is_neutral=is_neutral)
    return "saved" if done else ""


def _pause(press: _Press) -> str:
    weeks = press.fields.get("weeks", "")
    if weeks not in map(str, choices.PAUSES):
        return ""
    done = choices.pause(press.session, press.person, press.newsletter, int(weeks), press.site.clock())
    return "paused" if done else ""


def _resume(press: _Press) -> str:
    return "resumed" if choices.pause(press.session, press.person, press.newsletter, 0, press.site.clock()) else ""


def _leave(press: _Press) -> str:
    return "left" if choices.leave(press.session, press.person, press.newsletter, press.site.clock()) else ""


def _join(press: _Press) -> str:
    info = press.site.service.newsletters[press.newsletter]
    joined = choices.join(press.session, press.person, info, press.token, press.site.clock())
    return "joined" if joined else "suppressed"


_ACTS: dict[str, Callable[[_Press], str]] = {
    "format": _format,
    "pause": _pause,
    "resume": _resume,
    "leave": _leave,
    "join": _join,
}
