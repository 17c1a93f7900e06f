"""Being logged in: rows in `desk_sessions`, a random id in a cookie, and the limits of time on both (W-01, W-02)."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass

import sqlalchemy as sa
from litestar.datastructures import Cookie
from sqlalchemy.orm import Session

from digest.models import DeskSession, User
from digest.web.access.tokens import hash_id
from digest.web.accounts import Role
from subscribers.db import Database

IDLE = dt.timedelta(minutes=30)
ABSOLUTE = dt.timedelta(hours=8)
FRESH = dt.timedelta(minutes=15)
"""So long after showing who they are may people change how they come in."""
# Being seen is written down at most this often, so that reading pages does not become writing rows.
SEEN_EVERY = dt.timedelta(minutes=1)


@dataclass(frozen=True)
class Rules:
    """How long sessions last, and which roles' sessions need a second factor (`[login]`)."""

    idle: dt.timedelta = IDLE
    absolute: dt.timedelta = ABSOLUTE
    second_factor: frozenset[Role] = frozenset()


RULES = Rules()


@dataclass(frozen=True)
class Visitor:
    """Who is at the desk in this request."""

    user_id: int
    name: str
    role: Role
    has_address: bool
    """Whether test-sends have somewhere to go that is known to be theirs (W-43)."""
    csrf_token: str
    session_hash: bytes
    proven_at: dt.datetime
    is_strong: bool
    """Whether they came in by two factors."""

    def __repr__(self) -> str:
        return f"Visitor({self.name!r}, {self.role})"

    @property
    def may_edit(self) -> bool:
        """Whether they may change issues."""
        return self.role.covers(Role.EDITOR)

    @property
    def may_publish(self) -> bool:
        """Whether they may approve issues and send them."""
        return self.role.covers(Role.PUBLISHER)

    def is_fresh(self, now: dt.datetime) -> bool:
        """Whether they showed who they are so lately that they may change how they come in."""
        return now - self.proven_at < FRESH


def open_session(
    session: Session,
    user_id: int,
    now: dt.datetime,
    instead_of: str | None = None,
    *,
    is_strong: bool = False,
    browser: str = "",
    rules: Rules = RULES,
) -> str:
    """Begin a session and give the id for its cookie: 256 random bits, of which only the hash is kept.

    `instead_of` is what the browser's cookie held until now; that session ends, so an id that was planted before the
    log-in is worth nothing after it. Sessions that have run out are swept away.
    """
    session_id = secrets.token_urlsafe(32)
    if instead_of:
        close_session(session, hash_id(instead_of))
    session.execute(sa.delete(DeskSession).where(_is_over(now, rules)))
    session.add(
        DeskSession(
            id_hash=hash_id(session_id),
            user_id=user_id,
            csrf_token=secrets.token_urlsafe(32),
            created_at=now,
            seen_at=now,
            proven_at=now,
            is_strong=is_strong,
            browser=browser,
        )
    )
    session.execute(sa.update(User).where(User.id == user_id).values(seen_at=now))
    return session_id


def find_visitor(
    database: Database, session_id: str, now: dt.datetime, rules: Rules = RULES, *, is_seen: bool = True
) -> Visitor | None:
    """Who the cookie's session belongs to; none if there is no such session, its time is over, or it is too weak.

    `is_seen` says whether somebody is there: what a page asks by itself keeps no session open (W-02).
    """
    query = (
        sa.select(DeskSession, User)
        .join(User, DeskSession.user_id == User.id)
        .where(DeskSession.id_hash == hash_id(session_id), sa.not_(_is_over(now, rules)), User.disabled_at.is_(None))
    )
    with database.read() as session:
        found = session.execute(query).one_or_none()
        if found is None:
            return None
        row, user = found
        seen_at = row.seen_at
        visitor = Visitor(
            user.id,
            user.name,
            Role(user.role),
            user.address_sealed is not None and user.address_verified_at is not None,
            row.csrf_token,
            row.id_hash,
            row.proven_at,
            row.is_strong,
        )
    if visitor.role in rules.second_factor and not visitor.is_strong:
        return None
    if is_seen and now - seen_at >= SEEN_EVERY:
        _write_seen(database, visitor, now)
    return visitor


def sessions_of(session: Session, user_id: int, now: dt.datetime, rules: Rules = RULES) -> list[DeskSession]:
    """Somebody's sessions that are good, the one seen last first."""
    mine = sa.and_(DeskSession.user_id == user_id, sa.not_(_is_over(now, rules)))
    query = sa.select(DeskSession).where(mine).order_by(DeskSession.seen_at.desc(), DeskSession.created_at.desc())
    return list(session.scalars(query))


def close_session(session: Session, session_hash: bytes) -> None:
    """End one session."""
    session.execute(sa.delete(DeskSession).where(DeskSession.id_hash == session_hash))


def cookie_name(*, secure: bool) -> str:
    """The cookie's name; the `__Host-` prefix makes a browser insist on Secure, Path=/ and no Domain."""
    return "__Host-digest" if secure else "digest"


def session_cookie(session_id: str, *, secure: bool) -> Cookie:
    """The cookie of a session. It has no age of its own: the server decides when it is over."""
    return desk_cookie(cookie_name(secure=secure), session_id, secure=secure)


def desk_cookie(name: str, value: str, *, secure: bool, max_age: int | None = None) -> Cookie:
    """A cookie of the desk: for the server alone, sent with what our own pages ask for, and with nothing else."""
    return Cookie(key=name, value=value, max_age=max_age, path="/", secure=secure, httponly=True, samesite="strict")


def _is_over(now: dt.datetime, rules: Rules) -> sa.ColumnElement[bool]:
    return sa.or_(DeskSession.seen_at <= now - rules.idle, DeskSession.created_at <= now - rules.absolute)


def _write_seen(database: Database, visitor: Visitor, now: dt.datetime) -> None:
    with database.write() as session:
        # A clock that a second request has already moved on is not moved back.
        session.execute(
            sa.update(DeskSession)
            .where(DeskSession.id_hash == visitor.session_hash, DeskSession.seen_at < now)
            .values(seen_at=now)
        )
        session.execute(sa.update(User).where(User.id == visitor.user_id).values(seen_at=now))
