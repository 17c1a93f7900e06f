"""Links of the desk that work once: an invitation, a new way in, a confirmed address, the first account (W-07).

The token is 256 random bits; its hash is kept, and the row goes when the link has done its work.
"""

from __future__ import annotations

import datetime as dt
import enum
import secrets

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.models import DeskLink
from digest.web.access.tokens import hash_id


class LinkKind(enum.StrEnum):
    """What a link is for."""

    WAY_IN = "way-in"
    """To choose a password or a passkey: for whoever is invited, or has lost theirs."""
    ADDRESS = "address"
    """To confirm the account's address."""
    FIRST = "first"
    """To make the first account."""


LASTS = {
    LinkKind.WAY_IN: dt.timedelta(hours=72),
    LinkKind.ADDRESS: dt.timedelta(hours=24),
    LinkKind.FIRST: dt.timedelta(hours=24),
}
PATHS = {
    LinkKind.WAY_IN: "/desk/invited",
    LinkKind.ADDRESS: "/desk/address",
    LinkKind.FIRST: "/desk/first",
}


def make_link(
    session: Session, kind: LinkKind, user_id: int | None, now: dt.datetime, *, base_url: str, is_mailed: bool = False
) -> str:
    """A new link in full; somebody's earlier ones of that kind are worth nothing any more."""
    token = secrets.token_urlsafe(32)
    session.execute(sa.delete(DeskLink).where(DeskLink.expires_at <= now))
    if user_id is not None:
        session.execute(sa.delete(DeskLink).where(DeskLink.user_id == user_id, DeskLink.kind == kind))
    session.add(
        DeskLink(
            token_hash=hash_id(token),
            kind=kind,
            user_id=user_id,
            created_at=now,
            expires_at=now + LASTS[kind],
            is_mailed=is_mailed,
        )
    )
    return f"{base_url}{PATHS[kind]}/{token}"


def find_link(session: Session, kind: LinkKind, token: str, now: dt.datetime) -> DeskLink | None:
    """The link of that kind with this token, if it still works."""
    good = sa.and_(DeskLink.token_hash == hash_id(token), DeskLink.kind == kind, DeskLink.expires_at > now)
    return session.scalars(sa.select(DeskLink).where(good)).one_or_none()


def use_link(session: Session, link: DeskLink) -> bool:
    """Take the link's row out; of two requests at once, one gets it."""
    gone = sa.delete(DeskLink).where(DeskLink.token_hash == link.token_hash).returning(DeskLink.token_hash)
    session.expunge(link)
    return bool(session.execute(gone).all())


def open_link(session: Session, kind: LinkKind, user_id: int, now: dt.datetime) -> DeskLink | None:
    """Somebody's newest link of that kind that still works."""
    good = sa.and_(DeskLink.user_id == user_id, DeskLink.kind == kind, DeskLink.expires_at > now)
    return session.scalars(sa.select(DeskLink).where(good).order_by(DeskLink.created_at.desc()).limit(1)).one_or_none()


def end_links(session: Session, user_id: int) -> None:
    """Make all of somebody's links worth nothing."""
    session.execute(sa.delete(DeskLink).where(DeskLink.user_id == user_id))
