"""Who changed what of an issue, and when; what it said at each revision; and going back to one."""

from __future__ import annotations

import re
from typing import Any

from litestar import Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from digest.issues.edit import OPEN
from digest.issues.revisions import kept, restore
from digest.issues.snapshot import snapshot
from digest.web.desk.change import change, declared, wanted
from digest.web.desk.issue import PATH
from digest.web.desk.page import desk_page, local_time
from digest.web.desk.past import past_issue, spells
from digest.web.door import Door, rule, visitor_of
from digest.web.parts import Parts

SHOWN = 50
"""Revisions on one page."""


def history_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The list, one revision, and the button."""

    @get(f"{PATH}/history", opt=rule(Door.DESK), media_type="text/html", sync_to_thread=True)
    def look(request: Request[Any, Any, Any]) -> Response[Any]:
        newsletter, before = declared(parts, request), _number(request.query_params.get("before"))
        with parts.database.read() as session:
            issue = wanted(session, request)
            # One more than is shown: what the oldest one changed is seen against it.
            found = kept(session, issue, before=before, count=SHOWN + 1)
        return desk_page(
            parts,
            visitor_of(request),
            "history",
            **_frame(issue, newsletter),
            spells=spells(found, SHOWN, newsletter, issue.revision),
            older=found[SHOWN - 1][0].number if len(found) > SHOWN else None,
            is_newest=before is None,
        )

    @get(f"{PATH}/history/{{number:int}}", opt=rule(Door.DESK), media_type="text/html", sync_to_thread=True)
    def look_back(request: Request[Any, Any, Any], number: FromPath[int]) -> Response[Any]:
        newsletter = declared(parts, request)
        with parts.database.read() as session:
            issue = wanted(session, request)
            found = kept(session, issue, before=number + 1, count=1)
            stands = snapshot(issue, issue.items)
        if not found or found[0][0].number != number:
            raise NotFoundException
        ((line, then),) = found
        return desk_page(
            parts,
            visitor_of(request),
            "revision",
            **_frame(issue, newsletter),
            line=line,
            when=local_time(line.at, newsletter.timezone),
            past=past_issue(then, stands, newsletter.sections),
        )

    @post(f"{PATH}/restore/{{number:int}}", opt=rule(Door.DESK), sync_to_thread=True)
    def go_back(request: Request[Any, Any, Any], number: FromPath[int]) -> Response[Any]:
        return change(parts, request, lambda hand: restore(hand.session, hand.issue.id, number, **hand.by), "restored")

    return [look, look_back, go_back]


def _frame(issue: Any, newsletter: Any) -> dict[str, Any]:
    """What both pages say of the issue."""
    return {
        "path": f"/desk/issues/{issue.name}",
        "title": newsletter.title,
        "date": f"{issue.send_at.astimezone(newsletter.timezone):%A, %-d %B %Y}",
        # Not `language`: that is the page's own.
        "paper": {"language": newsletter.language, "direction": newsletter.direction},
        "revision": issue.revision,
        "can_edit": issue.state in OPEN,
    }


def _number(text: str | None) -> int | None:
    """A revision's number as an address has it; none for anything else."""
    return int(text) if text and re.fullmatch(r"\d{1,9}", text, re.ASCII) else None
