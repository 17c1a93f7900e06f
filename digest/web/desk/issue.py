"""One issue on the desk: looking at it, saving its texts, and moving its stories about."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from digest.issues.control import stale
from digest.issues.draft import absorb_new_posts
from digest.issues.edit import include, items_of, leave_out, move, place
from digest.issues.moves import moved
from digest.issues.outcomes import Done, Refused
from digest.issues.revisions import redo, stood, undo
from digest.issues.snapshot import snapshot
from digest.web.desk.change import Act, change, show_issue
from digest.web.desk.save import Hand
from digest.web.desk.stories import sections_of
from digest.web.door import Door, rule
from digest.web.parts import Parts

PATH = "/desk/issues/{newsletter:str}/{week:str}"


def issue_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The page, its saving, and what can be done with a story."""

    @get(PATH, opt=rule(Door.DESK), media_type="text/html", sync_to_thread=True)
    def look(request: Request[Any, Any, Any]) -> Response[Any]:
        return show_issue(parts, request, done=request.query_params.get("done"))

    @post(f"{PATH}/save", opt=rule(Door.DESK), sync_to_thread=True)
    def save(request: Request[Any, Any, Any]) -> Response[Any]:
        return change(parts, request, None, "saved")

    @post(f"{PATH}/items/{{item:int}}/{{step:str}}", opt=rule(Door.DESK), sync_to_thread=True)
    def shift(request: Request[Any, Any, Any], item: FromPath[int], step: FromPath[str]) -> Response[Any]:
        if step not in STEPS:
            raise NotFoundException
        return change(parts, request, _on_item(item, step), STEPS[step], f"#story-{item}")

    @post(f"{PATH}/newer", opt=rule(Door.DESK), sync_to_thread=True)
    def newer(request: Request[Any, Any, Any]) -> Response[Any]:
        return change(parts, request, _absorb, "looked", "#stories")

    @post(f"{PATH}/undo", opt=rule(Door.DESK), sync_to_thread=True)
    def back(request: Request[Any, Any, Any]) -> Response[Any]:
        return change(parts, request, lambda hand: undo(hand.session, hand.issue.id, **hand.by), "undone")

    @post(f"{PATH}/redo", opt=rule(Door.DESK), sync_to_thread=True)
    def again(request: Request[Any, Any, Any]) -> Response[Any]:
        return change(parts, request, lambda hand: redo(hand.session, hand.issue.id, **hand.by), "redone")

    return [look, save, shift, newer, back, again]


# What a story's buttons do, and what is said afterwards.
STEPS = {"up": "moved", "down": "moved", "in": "included", "out": "left-out", "place": "moved"}


def _on_item(item_id: int, step: str) -> Act:
    def act(hand: Hand) -> Done | Refused:
        # What was before their eyes may be older than what stands, as long as nobody moved this very story.
        by = hand.by | {"expected_revision": None}
        sections = sections_of(hand.issue, hand.newsletter)
        if step not in ("in", "out") and (refused := _moved_meanwhile(hand, item_id)):
            return refused
        match step:
            case "up" | "down":
                return move(hand.session, hand.issue.id, item_id, step, sections=sections, **by)
            case "place":
                return _place(hand, item_id, sections, by)
            case "in":
                return include(hand.session, hand.issue.id, item_id, **by)
            case _:
                return leave_out(hand.session, hand.issue.id, item_id, **by)

    return act


def _place(hand: Hand, item_id: int, sections: tuple[str, ...], by: dict[str, Any]) -> Done | Refused:
    section, before = hand.form.line("section"), hand.form.line("before")
    follower = hand.form.number("before") if before else None
    return place(hand.session, hand.issue.id, item_id, section, follower, sections=sections, **by)


def _moved_meanwhile(hand: Hand, item_id: int) -> Refused | None:
    """The refusal where somebody else has moved a story since the page was made, or nobody can tell."""
    if hand.revision == hand.issue.revision:
        return None
    items = items_of(hand.session, hand.issue.id)
    seen = stood(hand.session, hand.issue, hand.revision)
    if seen is None:
        return stale(hand.issue, hand.revision)
    if not any(item.id == item_id and item.post_id in moved(seen, snapshot(hand.issue, items)) for item in items):
        return None
    return Refused("Somebody else has moved this story meanwhile. Look where it stands now, and then move it.")


def _absorb(hand: Hand) -> Done | Refused:
    noticed = absorb_new_posts(hand.session, hand.issue.id, hand.newsletter, hand.now)
    return noticed if isinstance(noticed, Refused) else Done(hand.issue.id, hand.revision, hand.issue.state)
