"""A story by a pasted address: read from its site if need be, and put into the issue."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler

from digest.issues.add import Added, add_post, find_link
from digest.issues.outcomes import Done, Refused
from digest.web.desk.change import attempt, back, declared, refusal
from digest.web.desk.issue import PATH
from digest.web.desk.save import Hand
from digest.web.desk.stories import sections_of
from digest.web.door import Door, form_of, rule
from digest.web.parts import Parts


def add_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The field and its button."""

    @post(f"{PATH}/add", opt=rule(Door.DESK), sync_to_thread=True)
    def add(request: Request[Any, Any, Any]) -> Response[Any]:
        newsletter = declared(parts, request)
        # Its site is asked before the issue is locked: nobody waits for a stranger's server.
        found = find_link(parts.database, newsletter, parts.settings.fetch, form_of(request).raw("link"), parts.clock())

        def act(hand: Hand) -> Done | Refused:
            if isinstance(found, Refused):
                return found
            section = hand.form.line("section") if "section" in hand.form else found.section
            by = hand.by | {"expected_revision": None}
            sections = sections_of(hand.issue, hand.newsletter)
            return add_post(hand.session, hand.issue.id, found.post_id, section, sections=sections, **by)

        tried = attempt(parts, request, act)
        if isinstance(tried.result, Added):
            return back(request, _saying(tried.result), f"#story-{tried.result.item_id}")
        if isinstance(tried.result, Refused):
            return refusal(parts, request, tried, tried.result)
        raise TypeError("adding answers with what was added")

    return [add]


def _saying(added: Added) -> str:
    if added.stood:
        return "added-already"
    return "added-twice" if added.earlier else "added-outside" if added.is_outside else "added"
