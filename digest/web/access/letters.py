"""Letters to the newsroom's people about getting in: an invitation, and a link that confirms an address (W-43)."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.mail.outbox import LedgerOutbox
from digest.models import Delivery
from digest.settings import Newsletter
from digest.web.access.links import LASTS, LinkKind

INVITED = "invited"
ADDRESS = "address"
MOST = 5
"""Letters of a kind to one person within an hour: the form must not become a way to bury somebody in mail."""
SPAN = dt.timedelta(hours=1)


def post_link(
    session: Session,
    outbox: LedgerOutbox,
    newsletter: Newsletter,
    letter: str,
    user_id: int,
    *,
    name: str,
    link: str,
    now: dt.datetime,
) -> bool:
    """Leave the letter in the outbox; whether it may go, for there were not too many of it."""
    recent = sa.and_(Delivery.letter == letter, Delivery.user_id == user_id, Delivery.created_at > now - SPAN)
    if (session.scalar(sa.select(sa.func.count()).select_from(Delivery).where(recent)) or 0) >= MOST:
        return False
    lasts = LASTS[LinkKind.WAY_IN if letter == INVITED else LinkKind.ADDRESS]
    context = {"link_url": link, "person": name, "hours": lasts // dt.timedelta(hours=1)}
    outbox.post_to_user(session, kind=letter, newsletter=newsletter.slug, user_id=user_id, context=context, now=now)
    return True
