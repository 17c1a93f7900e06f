"""Letters to everybody of the newsroom: a reminder, an alarm."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.models import User
from digest.settings import Newsletter


class Reminders(Protocol):
    """What is asked of `digest.mail.outbox.LedgerOutbox`."""

    def post_to_user(
        self,
        session: Session,
        *,
        kind: str,
        newsletter: str,
        user_id: int,
        context: Mapping[str, str],
        now: dt.datetime,
    ) -> None:
        """Leave a letter to somebody of the newsroom, in the caller's transaction."""


def tell_all(
    session: Session,
    reminders: Reminders,
    newsletter: Newsletter,
    kind: str,
    context: Mapping[str, str],
    now: dt.datetime,
) -> int:
    """Leave a letter for everybody of the newsroom who has a confirmed address; returns how many."""
    reached = sa.and_(
        User.address_sealed.is_not(None), User.address_verified_at.is_not(None), User.disabled_at.is_(None)
    )
    users = session.scalars(sa.select(User.id).where(reached)).all()
    for user_id in users:
        reminders.post_to_user(
            session, kind=kind, newsletter=newsletter.slug, user_id=user_id, context=context, now=now
        )
    return len(users)
