"""Who is of the newsroom, and what may be done about it: invite, change a role, keep out, let back in (W-40, W-42).

The desk's page and the command line call these. Each works in the caller's transaction and writes the log. Changes wait
for each other, so that two administrators at once cannot leave the desk without one.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.issues import log
from digest.issues.outcomes import Refused
from digest.models import DeskLink, ProviderTie, User
from digest.web.access import codes
from digest.web.access.links import LinkKind, end_links, make_link
from digest.web.access.steps import Factors
from digest.web.accounts import Role, end_sessions, known_role, new_user
from subscribers.db import Database
from subscribers.vault import Vault

_LOCK = 7_310_442_119
"""PostgreSQL's advisory lock for changes of who may come in; on SQLite a write transaction is alone anyway."""


@dataclass(frozen=True)
class Actor:
    """Who does it: somebody of the desk, or the operator at the command line, who has no account."""

    name: str
    user_id: int | None = None


@dataclass(frozen=True)
class Invited:
    """Somebody has a link to come in by."""

    user_id: int
    name: str
    link: str

    def __repr__(self) -> str:
        return f"Invited({self.name!r})"


@dataclass(frozen=True)
class Person:
    """Somebody of the newsroom, as the list shows them."""

    user_id: int
    name: str
    role: Role
    factors: Factors
    has_password: bool
    has_provider: bool
    address: str
    """A word about their address: "confirmed", "not confirmed", "none". The address itself is not shown to anybody."""
    seen_at: dt.datetime | None
    joined_at: dt.datetime | None
    disabled_at: dt.datetime | None
    link_until: dt.datetime | None
    """Until when a link of theirs works that nobody has used yet."""


def lock_people(session: Session) -> None:
    """Wait for whoever else changes who may come in, until the transaction ends."""
    if session.get_bind().dialect.name != "sqlite":
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def is_empty(session: Session) -> bool:
    """Whether the desk has no account at all."""
    return not session.scalar(sa.select(sa.exists().where(User.id.is_not(None))))


def first_link(database: Database, now: dt.datetime, base_url: str) -> str | None:
    """The link that makes the first account, for the console and for nowhere else; none once there is an account.

    Each process that starts on an empty desk makes its own, and whichever is used first ends all of them.
    """
    with database.read() as session:
        if not is_empty(session):
            return None
    with database.write() as session:
        lock_people(session)
        return make_link(session, LinkKind.FIRST, None, now, base_url=base_url) if is_empty(session) else None


def people(session: Session, now: dt.datetime) -> tuple[Person, ...]:
    """Everybody, by name."""
    return tuple(_person(session, user, now) for user in session.scalars(sa.select(User).order_by(User.name)))


def invite(
    session: Session,
    vault: Vault,
    name: str,
    role: str,
    address: str | None,
    *,
    by: Actor,
    now: dt.datetime,
    base_url: str,
) -> Invited:
    """Make an account that waits for its owner, and the link that lets them in, once, within three days.

    With an address, call `vault.prepare()` before, and let the link be sent there and shown to nobody. Raises
    `BadAccount` with a sentence.
    """
    lock_people(session)
    user = new_user(session, vault, name, role, address, now)
    link = make_link(session, LinkKind.WAY_IN, user.id, now, base_url=base_url, is_mailed=address is not None)
    log.append(session, at=now, who=by.name, action="invited", about=user.name, detail=f"as {user.role}")
    return Invited(user.id, user.name, link)


def way_in(session: Session, user_id: int, *, by: Actor, now: dt.datetime, base_url: str) -> Invited | Refused:
    """Make a new link for somebody who is invited or has lost their password. It is for showing, once."""
    user = session.get_one(User, user_id)
    if user.disabled_at is not None:
        return Refused(f"{user.name} may not come in. Let them in again first.")
    link = make_link(session, LinkKind.WAY_IN, user_id, now, base_url=base_url)
    log.append(session, at=now, who=by.name, action="made-way-in", about=user.name)
    return Invited(user.id, user.name, link)


def set_role(session: Session, user_id: int, role: str, *, by: Actor, now: dt.datetime) -> Refused | None:
    """Give somebody another role; wherever they are logged in, they are no longer (W-02). Raises `BadAccount`."""
    lock_people(session)
    user, wanted = session.get_one(User, user_id, populate_existing=True), Role(known_role(role))
    if wanted == user.role:
        return None
    if by.user_id == user_id:
        return Refused("Nobody changes their own role; another administrator can.")
    if wanted is not Role.ADMIN and (refused := _if_last_admin(session, user)):
        return refused
    before, user.role = user.role, wanted.value
    end_sessions(session, user_id)
    log.append(
        session, at=now, who=by.name, action="role-changed", about=user.name, detail=f"from {before} to {wanted}"
    )
    return None


def disable(session: Session, user_id: int, *, by: Actor, now: dt.datetime) -> Refused | None:
    """Keep somebody out from now on: their sessions end, their links are worth nothing, no letter goes to them."""
    lock_people(session)
    user = session.get_one(User, user_id, populate_existing=True)
    if user.disabled_at is not None:
        return None
    if by.user_id == user_id:
        return Refused("Nobody shuts themselves out; another administrator can.")
    if refused := _if_last_admin(session, user):
        return refused
    user.disabled_at = now
    end_sessions(session, user_id)
    end_links(session, user_id)
    log.append(session, at=now, who=by.name, action="disabled", about=user.name)
    return None


def enable(session: Session, user_id: int, *, by: Actor, now: dt.datetime) -> None:
    """Let somebody in again, as they came in before."""
    user = session.get_one(User, user_id)
    if user.disabled_at is not None:
        user.disabled_at = None
        log.append(session, at=now, who=by.name, action="enabled", about=user.name)


def reset_factors(session: Session, user_id: int, *, by: Actor, now: dt.datetime) -> None:
    """Forget somebody's app, passkeys and recovery codes: the phone is lost. Their sessions end (W-02)."""
    user = session.get_one(User, user_id)
    codes.remove_factors(session, user_id)
    end_sessions(session, user_id)
    log.append(session, at=now, who=by.name, action="factors-reset", about=user.name)


def end_their_sessions(session: Session, user_id: int, *, by: Actor, now: dt.datetime) -> int:
    """Log somebody out everywhere; returns how many sessions there were."""
    ended = end_sessions(session, user_id)
    name = session.get_one(User, user_id).name
    log.append(session, at=now, who=by.name, action="sessions-ended", about=name, detail=f"{ended}")
    return ended


def take_back(session: Session, user_id: int, *, by: Actor, now: dt.datetime) -> Refused | None:
    """Remove somebody who never came: their invitation and their row."""
    lock_people(session)
    user = session.get_one(User, user_id, populate_existing=True)
    if user.joined_at is not None:
        return Refused(f"{user.name} has been at the desk, and their name is in the log. Keep them out instead.")
    log.append(session, at=now, who=by.name, action="invitation-taken-back", about=user.name)
    session.delete(user)
    return None


def _if_last_admin(session: Session, user: User) -> Refused | None:
    able = sa.and_(User.role == Role.ADMIN, User.disabled_at.is_(None), User.joined_at.is_not(None))
    if user.role != Role.ADMIN or user.disabled_at is not None or user.joined_at is None:
        return None
    if session.scalar(sa.select(sa.exists().where(able, User.id != user.id))):
        return None
    return Refused(f"{user.name} is the last administrator. Make somebody else one first.")


def _person(session: Session, user: User, now: dt.datetime) -> Person:
    waits = sa.and_(DeskLink.user_id == user.id, DeskLink.kind == LinkKind.WAY_IN, DeskLink.expires_at > now)
    return Person(
        user_id=user.id,
        name=user.name,
        role=Role(user.role),
        factors=codes.factors_of(session, user.id),
        has_password=user.password_hash is not None,
        has_provider=bool(session.scalar(sa.select(sa.exists().where(ProviderTie.user_id == user.id)))),
        address="none" if not user.address_sealed else "confirmed" if user.address_verified_at else "not confirmed",
        seen_at=user.seen_at,
        joined_at=user.joined_at,
        disabled_at=user.disabled_at,
        link_until=session.scalar(sa.select(sa.func.max(DeskLink.expires_at)).where(waits)),
    )
