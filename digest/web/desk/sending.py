"""Sending: now instead of at the hour, pausing, going on, cancelling, and recalling what has not left yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler

from digest.issues import control
from digest.issues.outcomes import Done, Refused
from digest.issues.publish import publish
from digest.models import IssueState
from digest.web.accounts import Role
from digest.web.desk.change import attempt, back, change, declared, refusal, wanted
from digest.web.desk.issue import PATH
from digest.web.desk.save import Hand
from digest.web.door import Door, rule, visitor_of
from digest.web.parts import Parts

Step = Callable[..., "Done | Refused"]
"""One of `control`'s: `(session, issue_id, *, who, now)`."""


def sending_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """Send now, pause, resume, cancel, for publishers (W-40)."""

    @post(f"{PATH}/send", opt=rule(Door.DESK, Role.PUBLISHER), sync_to_thread=True)
    def send(request: Request[Any, Any, Any]) -> Response[Any]:
        return _send(parts, request)

    @post(f"{PATH}/pause", opt=rule(Door.DESK, Role.PUBLISHER), sync_to_thread=True)
    def pause(request: Request[Any, Any, Any]) -> Response[Any]:
        return change(parts, request, _stepping(control.pause), "paused")

    @post(f"{PATH}/resume", opt=rule(Door.DESK, Role.PUBLISHER), sync_to_thread=True)
    def resume(request: Request[Any, Any, Any]) -> Response[Any]:
        return change(parts, request, _stepping(control.resume), "resumed")

    @post(f"{PATH}/cancel", opt=rule(Door.DESK, Role.PUBLISHER), sync_to_thread=True)
    def cancel(request: Request[Any, Any, Any]) -> Response[Any]:
        return _stop(parts, request)

    return [send, pause, resume, cancel]


def _send(parts: Parts, request: Request[Any, Any, Any]) -> Response[Any]:
    """Freeze the issue now: only an approved one, of the very revision that the editor saw."""
    newsletter = declared(parts, request)
    tried = attempt(parts, request, _must_be_approved)
    refused = tried.result
    if isinstance(refused, Done):
        out = publish(
            parts.database,
            refused.issue_id,
            newsletter,
            parts.renderer,
            parts.base_url,
            parts.clock(),
            who=visitor_of(request).name,
            at_once=True,
            enqueue=parts.enqueue,
        )
        if not isinstance(out, Refused):
            return back(request, "sending")
        refused = out
    return refusal(parts, request, tried, refused)


def _stop(parts: Parts, request: Request[Any, Any, Any]) -> Response[Any]:
    """Cancel an issue that has not begun to go out, or recall one that has."""

    def act(hand: Hand) -> Done | Refused:
        # Whoever recalls is in a hurry: a reason is welcome, and its absence stops nobody.
        reason = hand.form.line("stop-reason") or (f"{hand.who} recalled it." if hand.issue.frozen_at else "")
        return control.cancel(hand.session, hand.issue.id, who=hand.who, now=hand.now, reason=reason)

    with parts.database.read() as session:
        is_out = wanted(session, request).frozen_at is not None
    return change(parts, request, act, "recalled" if is_out else "cancelled")


def _must_be_approved(hand: Hand) -> Done | Refused:
    issue = hand.issue
    if issue.revision != hand.revision:
        return Refused("Somebody changed the issue while this page was open. Look at what is new, and then send it.")
    if issue.state is not IssueState.APPROVED:
        return Refused("Only an approved issue can be sent. Approve it as it stands now, and then send it.")
    return Done(issue.id, issue.revision, issue.state)


def _stepping(step: Step) -> Callable[[Hand], Done | Refused]:
    return lambda hand: step(hand.session, hand.issue.id, who=hand.who, now=hand.now)
