"""The people of the newsroom who may enter the desk: their names, roles and passwords (W-03, W-40, W-42)."""

from __future__ import annotations

import datetime as dt
import enum
import functools
import re
import secrets
import threading
import unicodedata

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.orm import Session

from digest.issues import log
from digest.models import DeskSession, User
from digest.web.access import waiting
from subscribers.db import Database
from subscribers.forms import BadAddress, parse_address
from subscribers.vault import USER_ADDRESS, Vault

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 128

# RFC 9106's second choice (64 MiB, 3 passes), the library's default; far above OWASP's least.
_hasher = PasswordHasher()
# Each check takes 64 MiB: two at a time keep a flood of log-ins from taking the machine's memory.
_at_work = threading.BoundedSemaphore(2)


class Role(enum.StrEnum):
    """What somebody may do on the desk; each may do what those before it may (W-40)."""

    VIEWER = "viewer"
    EDITOR = "editor"
    PUBLISHER = "publisher"
    ADMIN = "admin"

    def covers(self, needed: Role) -> bool:
        """Whether this role may do what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class BadAccount(ValueError):
    """An account cannot be made or changed as asked; the message is a sentence for people."""


def add_user(
    session: Session,
    vault: Vault,
    name: str,
    password: str,
    role: str,
    address: str | None,
    now: dt.datetime,
    who: str = "operator",
) -> User:
    """Add a person to the desk. `address` is where test-sends and reminders go; without one, none do.

    It is taken to be theirs: whoever may call this knows. With an address, call `vault.prepare()` before the
    transaction. Raises `BadAccount` with a sentence.
    """
    name = clean_name(name)
    hashed = hashed_password(password, name)
    user = new_user(session, vault, name, role, address, now)
    user.password_hash, user.joined_at = hashed, now
    user.address_verified_at = now if user.address_sealed else None
    log.append(session, at=now, who=who, action="user-added", about=name, detail=f"as {user.role}")
    return user


def new_user(session: Session, vault: Vault, name: str, role: str, address: str | None, now: dt.datetime) -> User:
    """A row for somebody who has no way in yet, and whose address nobody has confirmed. Raises `BadAccount`."""
    name = clean_name(name)
    if session.scalar(sa.select(User.id).where(User.name == name)) is not None:
        raise BadAccount(f"There is already somebody called {name!r}.")
    public_id = secrets.token_bytes(16)
    user = User(
        public_id=public_id,
        name=name,
        address_sealed=sealed_address(vault, address, public_id),
        role=known_role(role),
        created_at=now,
    )
    session.add(user)
    session.flush()
    return user


def publishers(session: Session) -> tuple[str, ...]:
    """The names of those who may approve issues and send them, in their order."""
    roles = [role for role in Role if role.covers(Role.PUBLISHER)]
    able = sa.and_(User.role.in_(roles), User.disabled_at.is_(None), User.joined_at.is_not(None))
    return tuple(session.scalars(sa.select(User.name).where(able).order_by(User.name)))


def set_password(session: Session, user_id: int, password: str, who: str, now: dt.datetime) -> None:
    """Give somebody a new password. Every session of theirs ends with it (W-02).

    Raises `BadAccount` with a sentence.
    """
    put_password(session, user_id, hashed_password(password, name_of(session, user_id)), who, now)


def put_password(session: Session, user_id: int, hashed: str, who: str, now: dt.datetime) -> None:
    """The same with a hash that was made before the transaction, so that nobody waits for it on SQLite."""
    user = session.get_one(User, user_id)
    user.password_hash = hashed
    user.joined_at = user.joined_at or now
    end_sessions(session, user_id)
    log.append(session, at=now, who=who, action="password-changed", about=user.name)


def end_sessions(session: Session, user_id: int) -> int:
    """End every session and every half-done log-in of somebody; returns how many sessions there were."""
    waiting.end_all(session, user_id)
    ended = sa.delete(DeskSession).where(DeskSession.user_id == user_id).returning(DeskSession.user_id)
    return len(session.execute(ended).all())


def name_of(session: Session, user_id: int) -> str:
    """What somebody logs in with."""
    return session.get_one(User, user_id).name


def check_password(database: Database, name: str, password: str) -> int | None:
    """The id of the user with this name and password; none where they do not belong together.

    An unknown name, somebody without a password and somebody who may not come in any more take as long as a wrong
    password (CVE-2025-9824), and a hash made with older parameters is renewed. No transaction is open while the hash
    is computed, so a log-in never holds the write lock for long.
    """
    decoy = _decoy_hash()
    query = sa.select(User.id, User.password_hash, User.disabled_at).where(User.name == _normal(name))
    with database.read() as session:
        found = session.execute(query).one_or_none()
    known: str = (found.password_hash if found else None) or decoy
    if not _fits(known, password) or found is None or found.password_hash is None or found.disabled_at is not None:
        return None
    if _hasher.check_needs_rehash(known):
        renewed = _hash(password)
        with database.write() as session:
            # A password that was changed meanwhile stays changed.
            unchanged = sa.and_(User.id == found.id, User.password_hash == known)
            session.execute(sa.update(User).where(unchanged).values(password_hash=renewed))
    user_id: int = found.id
    return user_id


def clean_name(name: str) -> str:
    """A log-in name as it is kept: small letters, digits, dots and hyphens of any script; never an address.

    Raises `BadAccount`.
    """
    normal = _normal(name)
    if not re.fullmatch(r"[^\W_](?:[\w.-]{0,62}[^\W_])?", normal):
        raise BadAccount("A name has letters, digits, dots and hyphens, at most 64; it is not an e-mail address.")
    return normal


def hashed_password(password: str, name: str) -> str:
    """The hash of a password that is good enough for somebody of this name. Raises `BadAccount` with a sentence."""
    return _hash(_good_password(password, name))


def _normal(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()


def _good_password(password: str, name: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise BadAccount(
            f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters; a short sentence is good."
        )
    # The name in it is no secret, and a row of one letter is no length.
    rest = password.casefold().replace(name, "") if len(name) > 2 else password  # noqa: PLR2004 -- "jo" is in many words.
    if len(rest) < SHORTEST_PASSWORD // 2 or len(set(rest)) < SHORTEST_PASSWORD // 3:
        raise BadAccount("This password is too easy to guess; a short sentence of your own is good.")
    return password


def known_role(role: str) -> str:
    """A role that there is. Raises `BadAccount`."""
    if role not in set(Role):
        raise BadAccount(f"{role!r} is not a role; the roles are {', '.join(Role)}.")
    return role


def sealed_address(vault: Vault, address: str | None, public_id: bytes) -> bytes | None:
    """An address as it is kept; call `vault.prepare()` before the transaction. Raises `BadAccount`."""
    if address is None:
        return None
    parsed = parse_address(address)
    if isinstance(parsed, BadAddress):
        raise BadAccount(parsed.reason)
    return vault.seal(parsed.delivery, USER_ADDRESS, public_id)


def _hash(password: str) -> str:
    with _at_work:
        return _hasher.hash(unicodedata.normalize("NFKC", password))


def _fits(known: str, password: str) -> bool:
    if len(password) > LONGEST_PASSWORD:
        password = ""  # It still costs the same time; nobody has an empty one.
    try:
        with _at_work:
            return _hasher.verify(known, unicodedata.normalize("NFKC", password))
    except (VerificationError, InvalidHashError):
        return False


@functools.cache
def _decoy_hash() -> str:
    return _hash(secrets.token_urlsafe(16))
