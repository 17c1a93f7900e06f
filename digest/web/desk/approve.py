"""Approving an issue, taking that back, holding it."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler

from digest.issues import control
from digest.issues.outcomes import Done, Refused
from digest.models import IssueState
from digest.web.accounts import Role
from digest.web.desk.change import attempt, back, change, findings_of, refusal
from digest.web.desk.checked import overrides_in
from digest.web.desk.issue import PATH
from digest.web.desk.save import Hand
from digest.web.door import Door, rule
from digest.web.parts import Parts


def approve_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """Approve, withdraw and hold, for publishers (W-40); each saves first what was typed."""

    @post(f"{PATH}/approve", opt=rule(Door.DESK, Role.PUBLISHER), sync_to_thread=True)
    def approve(request: Request[Any, Any, Any]) -> Response[Any]:
        def act(hand: Hand) -> Done | Refused:
            # The checks look at the very text that is being approved, which this request may have changed.
            findings = findings_of(parts, hand.session, hand.issue, hand.newsletter)
            return control.approve(
                hand.session,
                hand.issue.id,
                findings=findings,
                overrides=overrides_in(hand.form),
                expected_revision=hand.revision,
                who=hand.who,
                now=hand.now,
                needed=hand.newsletter.approvals,
            )

        tried = attempt(parts, request, act)
        if isinstance(tried.result, Refused):
            return refusal(parts, request, tried, tried.result)
        return back(request, "approved" if tried.result.state is IssueState.APPROVED else "approved-first")

    @post(f"{PATH}/withdraw", opt=rule(Door.DESK, Role.PUBLISHER), sync_to_thread=True)
    def withdraw(request: Request[Any, Any, Any]) -> Response[Any]:
        return change(parts, request, _withdraw, "withdrawn")

    @post(f"{PATH}/hold", opt=rule(Door.DESK, Role.PUBLISHER), sync_to_thread=True)
    def hold(request: Request[Any, Any, Any]) -> Response[Any]:
        return change(parts, request, _hold, "held")

    return [approve, withdraw, hold]


def _withdraw(hand: Hand) -> Done | Refused:
    return control.withdraw(hand.session, hand.issue.id, who=hand.who, now=hand.now)


def _hold(hand: Hand) -> Done | Refused:
    reason = hand.form.line("reason") or f"{hand.who} put it on hold."
    return control.hold(hand.session, hand.issue.id, reason=reason, who=hand.who, now=hand.now)
