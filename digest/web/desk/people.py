"""The people of the desk, for administrators: who they are, how they come in, and who may (W-40)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from sqlalchemy.orm import Session

from digest.issues.outcomes import Refused
from digest.models import User
from digest.web.access import letters, people
from digest.web.access.people import Actor, Invited, Person
from digest.web.accounts import BadAccount, Role
from digest.web.desk.account import ROLES, STALE, seen_in_words
from digest.web.desk.page import count_of, desk_page, local_time, see
from digest.web.door import Door, form_of, rule, visitor_of
from digest.web.parts import Parts

HOME = "/desk/people"
ADMIN = rule(Door.DESK, Role.ADMIN, to_read=True)
DONE = {
    "mailed": "The invitation is on its way.",
    "role": "The role is changed, and their sessions are ended.",
    "disable": "They may not come in any more, and are logged out everywhere.",
    "enable": "They may come in again.",
    "reset": "Their app, passkeys and recovery codes are forgotten, and their sessions ended.",
    "sessions": "They are logged out everywhere.",
    "remove": "The invitation is taken back.",
}
Act = Callable[[Session, int, Actor, dt.datetime], "Refused | Invited | None"]


@dataclass(frozen=True)
class PersonLine:
    """Somebody in the list."""

    user_id: int
    name: str
    role: str
    state: str
    """A word where there is something to say: `invited`, `kept out`; empty for most."""
    factors: str
    address: str
    seen: str
    link: str
    """Until when an unused link of theirs works; empty where there is none."""
    is_me: bool
    has_joined: bool
    is_out: bool


def people_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The list, the invitation, and a button for each thing that can be done about somebody."""

    @get(HOME, opt=ADMIN, media_type="text/html", sync_to_thread=True)
    def look(request: Request[Any, Any, Any]) -> Response[Any]:
        return people_page(parts, request, said=DONE.get(request.query_params.get("done", ""), ""))

    @post(HOME, opt=ADMIN, media_type="text/html", sync_to_thread=True)
    def invite(request: Request[Any, Any, Any]) -> Response[Any]:
        return _invite(parts, request)

    @post(f"{HOME}/{{number:int}}/{{deed:str}}", opt=ADMIN, media_type="text/html", sync_to_thread=True)
    def act(request: Request[Any, Any, Any], number: FromPath[int], deed: FromPath[str]) -> Response[Any]:
        return _act(parts, request, number, deed)

    return [look, invite, act]


def people_page(
    parts: Parts,
    request: Request[Any, Any, Any],
    *,
    status: int = 200,
    said: str = "",
    problem: str = "",
    typed: tuple[str, str, str] = ("", Role.EDITOR.value, ""),
) -> Response[str]:
    """The list as it stands; `typed` is what stood in the invitation's fields."""
    now, visitor = parts.clock(), visitor_of(request)
    zone = next(iter(parts.settings.newsletters.values())).timezone
    with parts.database.read() as session:
        lines = [_line(one, visitor.user_id, now, zone) for one in people.people(session, now)]
    return desk_page(
        parts,
        visitor,
        "people",
        status=status,
        said=said,
        problem=problem,
        people=lines,
        typed=typed,
        roles=tuple((role.value, ROLES[role]) for role in Role),
    )


def _invite(parts: Parts, request: Request[Any, Any, Any]) -> Response[Any]:
    form, now = form_of(request), parts.clock()
    name, role, address = form.line("name"), form.line("role"), form.line("address")
    if refusal := _if_stale(parts, request):
        return refusal
    parts.vault.prepare()
    try:
        with parts.database.write() as session:
            invited = people.invite(
                session, parts.vault, name, role, address or None, by=_actor(request), now=now, base_url=parts.base_url
            )
            if address:
                paper = next(iter(parts.settings.newsletters.values()))
                letters.post_link(
                    session,
                    parts.outbox,
                    paper,
                    letters.INVITED,
                    invited.user_id,
                    name=invited.name,
                    link=invited.link,
                    now=now,
                )
    except BadAccount as error:
        return people_page(parts, request, status=422, problem=str(error), typed=(name, role, address))
    return see(f"{HOME}?done=mailed") if address else _shown(parts, request, invited)


def _act(parts: Parts, request: Request[Any, Any, Any], number: int, deed: str) -> Response[Any]:
    act = _deeds(parts, request).get(deed)
    if act is None:
        raise NotFoundException
    if refusal := _if_stale(parts, request):
        return refusal
    try:
        with parts.database.write() as session:
            if session.get(User, number) is None:
                raise NotFoundException
            result = act(session, number, _actor(request), parts.clock())
    except BadAccount as error:
        result = Refused(str(error))
    if isinstance(result, Refused):
        return people_page(parts, request, status=422, problem=result.reason)
    return _shown(parts, request, result) if isinstance(result, Invited) else see(f"{HOME}?done={deed}")


def _deeds(parts: Parts, request: Request[Any, Any, Any]) -> dict[str, Act]:
    """What can be done about somebody, by the last part of the address."""

    def ended(session: Session, number: int, by: Actor, now: dt.datetime) -> None:
        people.end_their_sessions(session, number, by=by, now=now)

    role, base_url = form_of(request).line("role"), parts.base_url
    return {
        "role": lambda session, number, by, now: people.set_role(session, number, role, by=by, now=now),
        "disable": lambda session, number, by, now: people.disable(session, number, by=by, now=now),
        "enable": lambda session, number, by, now: people.enable(session, number, by=by, now=now),
        "reset": lambda session, number, by, now: people.reset_factors(session, number, by=by, now=now),
        "sessions": ended,
        "link": lambda session, number, by, now: people.way_in(session, number, by=by, now=now, base_url=base_url),
        "remove": lambda session, number, by, now: people.take_back(session, number, by=by, now=now),
    }


def _if_stale(parts: Parts, request: Request[Any, Any, Any]) -> Response[Any] | None:
    """Who may come in is said by somebody who has shown lately who they are, not by a screen left open."""
    if visitor_of(request).is_fresh(parts.clock()):
        return None
    return people_page(parts, request, status=403, problem=f"{STALE} Your account’s page asks for it.")


def _shown(parts: Parts, request: Request[Any, Any, Any], invited: Invited) -> Response[str]:
    """The page that shows a link, once: only its hash is kept."""
    return desk_page(parts, visitor_of(request), "way_in", name=invited.name, link=invited.link)


def _actor(request: Request[Any, Any, Any]) -> Actor:
    visitor = visitor_of(request)
    return Actor(visitor.name, visitor.user_id)


def _line(one: Person, me: int, now: dt.datetime, zone: ZoneInfo) -> PersonLine:
    state = "kept out" if one.disabled_at else "invited" if one.joined_at is None else ""
    return PersonLine(
        user_id=one.user_id,
        name=one.name,
        role=one.role.value,
        state=state,
        factors=_ways(one),
        address=one.address,
        seen=seen_in_words(one.seen_at, now) if one.seen_at else "never",
        link=local_time(one.link_until, zone) if one.link_until else "",
        is_me=one.user_id == me,
        has_joined=one.joined_at is not None,
        is_out=one.disabled_at is not None,
    )


def _ways(one: Person) -> str:
    """How they come in, in words: `password and app, 2 passkeys`."""
    first = ("password and app" if one.factors.codes else "password") if one.has_password else ""
    keys = count_of(one.factors.passkeys, "passkey", "passkeys") if one.factors.passkeys else ""
    provider = "the newsroom’s provider" if one.has_provider else ""
    return ", ".join(way for way in (first, keys, provider) if way) or "no way in yet"
