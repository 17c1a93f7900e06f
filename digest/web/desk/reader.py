"""Looking one reader up, for administrators: the exact address is typed, and what is kept of it is said (E-07, W-42).

The address comes in a form and goes no further: it is in no address of a page, in no answer and in no log. Each look-up
is written down before its answer is given, with who asked and whether anything was found; not of whom, since the log
outlives an erasure and cannot be changed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.orm import Session

from digest.inbound.inbox import KEEP_BOUNCES
from digest.inbound.notice import Sign
from digest.inbound.returned import returned_from
from digest.issues import log
from digest.mail.kinds import Kind
from digest.models import LogEntry
from digest.web.accounts import Role
from digest.web.desk.page import desk_page
from digest.web.desk.readers import HOME
from digest.web.door import Door, form_of, rule, visitor_of
from digest.web.parts import Parts
from digest.web.sessions import Visitor
from subscribers import lifecycle
from subscribers.forms import BadAddress, parse_address
from subscribers.lifecycle import State
from subscribers.looked_up import LookedUp, Tie, look_up
from subscribers.suppression import ASKED, BOUNCE, COMPLAINT, ERASED, HAND, LEFT_ELSEWHERE

MOST = 20
"""Look-ups by one administrator in `SPAN`: enough for people who write in, and too few to try a list of names."""
SPAN = dt.timedelta(hours=1)
ACTION, ABOUT = "looked-up", "readers"
"""What the log says was done, and about what."""
STALE = "Whether somebody reads is told only to whoever has shown within the last quarter of an hour who they are."
SIGNS: Mapping[Sign, str] = {
    Sign.HARD: "the mailbox is gone",
    Sign.SOFT: "the mailbox could not take it",
    Sign.POLICY: "we or our text were refused",
    Sign.COMPLAINT: "called spam",
}
NEVER: Mapping[str, str] = {
    ASKED: "its owner asked for that",
    COMPLAINT: "its owner called a mail spam",
    BOUNCE: "mail to it kept coming back",
    HAND: "somebody here entered it so",
    LEFT_ELSEWHERE: "its owner had left a list that was imported",
    ERASED: "its owner had everything deleted",
}
METHODS: Mapping[str, str] = {
    lifecycle.FORM: "the form",
    lifecycle.BY_MAIL: "a mail to us",
    lifecycle.LINK: "a page of their own",
    lifecycle.HAND: "an entry by hand",
    lifecycle.IMPORT: "an imported list",
}


@dataclass(frozen=True)
class TieLine:
    """How somebody stands with a newsletter, in words."""

    title: str
    language: str
    direction: str
    state: str
    """Its class in the style sheet."""
    state_word: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Answer:
    """What is said of an address, without the address."""

    headline: str
    ties: tuple[TieLine, ...]
    never: str
    back: tuple[str, ...]


def reader_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The look-up. It has no page of its own to be asked for: an address would stand in its path."""

    @post(HOME, opt=rule(Door.DESK, Role.ADMIN), media_type="text/html", sync_to_thread=True)
    def ask(request: Request[Any, Any, Any]) -> Response[Any]:
        visitor, now = visitor_of(request), parts.clock()
        if not visitor.is_fresh(now):
            return _page(parts, visitor, status=403, problem=STALE, is_stale=True)
        address = parse_address(form_of(request).raw("address"))
        if isinstance(address, BadAddress):
            return _page(parts, visitor, status=422, problem=address.reason)
        with parts.database.write() as session:
            if _asked_lately(session, visitor.name, now) >= MOST:
                return _page(
                    parts,
                    visitor,
                    status=429,
                    problem=f"You have looked {MOST} up within the hour. Please wait a little.",
                )
            found = look_up(session, parts.vault, address)
            said = _answer(session, parts, found, now)
            is_known = found.subscriber_id is not None or found.never is not None
            detail = "found" if is_known else "not found"
            log.append(session, at=now, who=visitor.name, action=ACTION, about=ABOUT, detail=detail)
        return _page(parts, visitor, answer=said)

    return [ask]


def _page(
    parts: Parts,
    visitor: Visitor,
    *,
    status: int = 200,
    problem: str = "",
    is_stale: bool = False,
    answer: Answer | None = None,
) -> Response[str]:
    return desk_page(
        parts,
        visitor,
        "reader",
        status=status,
        path=HOME,
        days=KEEP_BOUNCES.days,
        problem=problem,
        is_stale=is_stale,
        answer=answer,
    )


def _asked_lately(session: Session, who: str, now: dt.datetime) -> int:
    theirs = (LogEntry.object == ABOUT, LogEntry.action == ACTION, LogEntry.who == who, LogEntry.at > now - SPAN)
    return session.scalar(sa.select(sa.func.count()).where(*theirs)) or 0


def _answer(session: Session, parts: Parts, found: LookedUp, now: dt.datetime) -> Answer:
    ties = tuple(_line(tie, parts, now) for tie in found.ties)
    back = returned_from(session, found.subscriber_id) if found.subscriber_id is not None else ()
    reason, month = found.never or ("", "")
    never = (
        f"Never mailed since {dt.date.fromisoformat(f'{month}-01'):%B %Y}: {NEVER.get(reason, reason)}."
        if month
        else ""
    )
    return Answer(
        _headline(found), ties, never, tuple(f"{count:,}: {SIGNS[sign]} ({sign.value})" for sign, count in back)
    )


def _headline(found: LookedUp) -> str:
    states = {tie.state for tie in found.ties}
    if State.CONFIRMED in states:
        return "On the list" if found.reads else "On the list, and never mailed"
    if State.PENDING in states:
        return "Not on the list yet"
    return "Not on the list any more" if State.LEFT in states else "Not on the list"


def _line(tie: Tie, parts: Parts, now: dt.datetime) -> TieLine:
    newsletter = parts.newsletter(tie.newsletter)
    first = next(iter(parts.settings.newsletters.values()))
    zone = (newsletter or first).timezone
    state, word = _state(tie, now)
    return TieLine(
        title=newsletter.title if newsletter else tie.newsletter,
        language=newsletter.language if newsletter else "en",
        direction=newsletter.direction if newsletter else "ltr",
        state=state,
        state_word=word,
        facts=tuple(_facts(tie, zone, now)),
    )


def _state(tie: Tie, now: dt.datetime) -> tuple[str, str]:
    if tie.state is State.PENDING:
        return "draft", "Has not confirmed"
    if tie.state is State.LEFT:
        return "", {BOUNCE: "Taken off: mail kept coming back", COMPLAINT: "Taken off: called a mail spam"}.get(
            tie.left_reason or "", "Has left"
        )
    return ("paused", "Paused") if tie.paused_until and tie.paused_until > now else ("sent", "Reads")


def _facts(tie: Tie, zone: ZoneInfo, now: dt.datetime) -> list[tuple[str, str]]:
    """What is known of a subscription, a word and the fact."""
    facts = [("Asked", _day(tie.requested_at, zone)), ("Came by", METHODS.get(tie.method, tie.method))]
    if tie.confirmed_at:
        facts.append(("Confirmed", _day(tie.confirmed_at, zone)))
    if tie.left_at:
        facts.append(("Left", _day(tie.left_at, zone)))
    if tie.paused_until and tie.paused_until > now:
        facts.append(("Paused", f"until {_day(tie.paused_until, zone)}"))
    if tie.state is State.CONFIRMED:
        facts += [("Gets", Kind(tie.format, tie.is_neutral).name), ("Language", tie.language)]
    return facts


def _day(at: dt.datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%-d %B %Y}"
