"""What can be done about a check from the issue page: look at the links again, take or keep a text, follow a link."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from digest.issues import links
from digest.issues.outcomes import Done, Refused
from digest.issues.taking import follow, keep, take
from digest.web.desk.change import Act, change, examined_of
from digest.web.desk.issue import PATH
from digest.web.desk.save import Hand
from digest.web.door import Door, rule
from digest.web.parts import Parts


def check_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The buttons of the checks, for editors; each saves first what was typed."""

    @post(f"{PATH}/links", opt=rule(Door.DESK), sync_to_thread=True)
    def ask(request: Request[Any, Any, Any]) -> Response[Any]:
        return change(parts, request, lambda hand: _ask(parts, hand), "asked", "#findings")

    @post(f"{PATH}/items/{{item:int}}/take", opt=rule(Door.DESK), sync_to_thread=True)
    def taking(request: Request[Any, Any, Any], item: FromPath[int]) -> Response[Any]:
        return change(parts, request, _take(item), "taken", f"#story-{item}")

    @post(f"{PATH}/items/{{item:int}}/keep", opt=rule(Door.DESK), sync_to_thread=True)
    def keeping(request: Request[Any, Any, Any], item: FromPath[int]) -> Response[Any]:
        return change(parts, request, _keep(item), "kept", "#findings")

    @post(f"{PATH}/items/{{item:int}}/link", opt=rule(Door.DESK), sync_to_thread=True)
    def following(request: Request[Any, Any, Any], item: FromPath[int]) -> Response[Any]:
        return change(parts, request, _follow(item), "followed", "#findings")

    return [ask, taking, keeping, following]


def _ask(parts: Parts, hand: Hand) -> Done | Refused:
    """Have the issue's links asked in the scheduler's next round: nothing is asked in a request."""
    if not parts.settings.checks.links:
        return Refused("Links are not asked for here; whoever runs this service has switched it off.")
    examined = examined_of(parts, hand.session, hand.issue, hand.newsletter)
    if examined is None:
        return Refused("It is out: its links are what they are.")
    links.want(hand.session, examined.addresses, hand.now)
    return Done(hand.issue.id, hand.revision, hand.issue.state)


def _take(item_id: int) -> Act:
    return lambda hand: take(
        hand.session,
        hand.issue.id,
        item_id,
        hand.newsletter,
        expected_revision=hand.revision,
        who=hand.who,
        now=hand.now,
    )


def _keep(item_id: int) -> Act:
    return lambda hand: keep(
        hand.session, hand.issue.id, item_id, expected_revision=hand.revision, who=hand.who, now=hand.now
    )


def _follow(item_id: int) -> Act:
    return lambda hand: follow(
        hand.session, hand.issue.id, item_id, expected_revision=hand.revision, who=hand.who, now=hand.now
    )
