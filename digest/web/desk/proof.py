"""A test copy to the editor's own address, a few an hour, with no reader's link in it (W-43)."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.orm import Session

from digest.issues import log
from digest.issues.outcomes import Done, Refused
from digest.issues.seen import rendered_now
from digest.mail.outbox import TEST
from digest.mail.render import BadTemplate
from digest.models import Delivery
from digest.web.desk.change import change
from digest.web.desk.issue import PATH
from digest.web.desk.save import Hand
from digest.web.door import Door, rule, visitor_of
from digest.web.parts import Parts
from digest.web.sessions import Visitor

MOST = 10
"""Test copies to one editor in `SPAN`."""
SPAN = dt.timedelta(hours=1)
MARK = "[Test] "


def proof_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The button."""

    @post(f"{PATH}/test", opt=rule(Door.DESK), sync_to_thread=True)
    def send(request: Request[Any, Any, Any]) -> Response[Any]:
        visitor = visitor_of(request)
        # Sealing needs a data key, whose row must not wait for the transaction below.
        parts.vault.prepare()
        return change(parts, request, lambda hand: post_test(parts, hand, visitor), "tested")

    return [send]


def post_test(parts: Parts, hand: Hand, visitor: Visitor) -> Done | Refused:
    """Leave a test copy of the issue as it stands in the outbox, in the caller's transaction."""
    if not visitor.has_address:
        return Refused("Your account has no confirmed address to send a test to. Give one on your account’s page.")
    if _sent_lately(hand.session, visitor.user_id, hand.now) >= MOST:
        return Refused(f"You have had {MOST} test copies within the hour. The preview shows the same.")
    try:
        rendered = rendered_now(hand.session, hand.issue, hand.newsletter, parts.renderer, parts.base_url)
    except BadTemplate as error:
        return Refused(f"The issue cannot be rendered: {error}.")
    parts.outbox.post_rendered(
        hand.session,
        kind=TEST,
        newsletter=hand.newsletter.slug,
        issue_id=hand.issue.id,
        user_id=visitor.user_id,
        # The slots stay: the sender fills those of a test with links that belong to nobody.
        rendered=replace(rendered, subject=MARK + rendered.subject),
        now=hand.now,
    )
    log.append(hand.session, at=hand.now, who=hand.who, action="test-send", about=hand.issue.name)
    return Done(hand.issue.id, hand.revision, hand.issue.state)


def _sent_lately(session: Session, user_id: int, now: dt.datetime) -> int:
    mine = sa.and_(Delivery.letter == TEST, Delivery.user_id == user_id, Delivery.created_at > now - SPAN)
    return session.scalar(sa.select(sa.func.count()).where(mine)) or 0
