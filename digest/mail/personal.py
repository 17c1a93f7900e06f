"""What the ledger and the bounces hold on one person: told to that person, and severed when they are erased."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.mail.ledger import BEFORE_DOT, IS_ISSUE, IS_LETTER
from digest.models import Bounce, Delivery, DeliveryState, Issue
from subscribers.records import Kept, Said

ERASED = "erased before the final dot"
LAPSED = "not confirmed before the final dot"


class LedgerRecords:
    """The mail side's `subscribers.records.Records`."""

    def held_on(self, session: Session, subscriber_id: int, since: dt.datetime) -> Kept:
        """The letters to a person and what came back. Nothing older than the person: numbers were given twice once."""
        letters = [
            _letter(delivery, week)
            for which in _theirs([subscriber_id])
            for delivery, week in session.execute(
                sa.select(Delivery, Issue.week)
                .outerjoin(Issue, Issue.id == Delivery.issue_id)
                .where(which, Delivery.created_at >= since)
            )
        ]
        bounces = session.scalars(
            sa.select(Bounce).where(Bounce.subscriber_id == subscriber_id, Bounce.at >= since).order_by(Bounce.at)
        )
        by_time = sorted(letters, key=lambda letter: str(letter["made_at"]))
        return Kept(tuple(by_time), tuple(_bounce(bounce) for bounce in bounces))

    def sever(self, session: Session, subscriber_ids: Sequence[int], now: dt.datetime) -> None:
        """Let no row point at some people. Counts stay, so the books of every issue still close.

        A copy of an issue that has not left is excluded by its sender, as one of somebody who has left: before the
        final dot the ledger asks for the subscription, which is no longer there. A letter need not have one, so what
        waits is settled here.
        """
        issues, letters = _theirs(subscriber_ids)
        _exclude(session, letters, ERASED, now)
        nobody = {"subscriber_id": None, "subscription_id": None, "context_sealed": None}
        for which in (issues, letters):
            session.execute(sa.update(Delivery).where(which).values(nobody))
        bounces = sa.update(Bounce).where(Bounce.subscriber_id.in_(subscriber_ids))
        session.execute(bounces.values(subscriber_id=None, domain_key=None))

    def sever_subscriptions(self, session: Session, subscription_ids: Sequence[int], now: dt.datetime) -> None:
        """Let no letter point at these subscriptions; one that still waits is settled."""
        letters = sa.and_(IS_LETTER, Delivery.subscription_id.in_(subscription_ids))
        _exclude(session, letters, LAPSED, now)
        session.execute(sa.update(Delivery).where(letters).values(subscription_id=None, context_sealed=None))


def _exclude(session: Session, which: sa.ColumnElement[bool], reason: str, now: dt.datetime) -> None:
    waits = sa.update(Delivery).where(which, Delivery.state.in_(BEFORE_DOT[DeliveryState.EXCLUDED]))
    session.execute(waits.values(state=DeliveryState.EXCLUDED, settled_at=now, reply=reason))


def _theirs(subscriber_ids: Sequence[int]) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    """People's copies of issues, and their letters: said so that each finds an index, and not all of the ledger."""
    of_them = Delivery.subscriber_id.in_(subscriber_ids)
    return (
        sa.and_(IS_ISSUE, Delivery.issue_id.in_(sa.select(Issue.id)), of_them),
        sa.and_(IS_LETTER, of_them),
    )


def _letter(delivery: Delivery, week: str | None) -> dict[str, Said]:
    return {
        "letter": delivery.letter,
        "newsletter": delivery.newsletter,
        "week": week,
        "format": delivery.format.value,
        "neutral_subject": delivery.is_neutral,
        "made_at": _instant(delivery.created_at),
        "state": delivery.state.value,
        "settled_at": _instant(delivery.settled_at),
        "attempts": delivery.attempts,
        "mail_servers_answer": delivery.reply,
        "kind_of_mailbox": delivery.provider,
    }


def _bounce(bounce: Bounce) -> dict[str, Said]:
    return {
        "newsletter": bounce.newsletter,
        "at": _instant(bounce.at),
        "sign": bounce.sign,
        "status": bounce.status,
        "reason": bounce.reason,
        "verdict": bounce.verdict,
    }


def _instant(at: dt.datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
