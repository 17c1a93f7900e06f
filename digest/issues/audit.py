"""The log as a chain: each entry is numbered and bound to all before it, so that a change shows (W-42).

An entry is written in the transaction of what it tells, and linked a moment later by whoever comes by (`link`): were it
linked at once, everybody who writes into the log would wait for everybody else who does. The hashes are keyed, so a
stolen or altered database cannot be given a new chain by somebody without the keys file. Entries that were cut off at
the end show by a link that was noted down elsewhere: `digest log --verify` prints it, and takes it again.
"""

from __future__ import annotations

import datetime as dt
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.models import LogEntry
from subscribers.db import Database

MOST = 500
"""Entries that are linked in one transaction."""
_LABEL = b"the log's chain"
_BEFORE_ALL = bytes(32)
_LOCK = 0x6C6F67
"""The number of PostgreSQL's advisory lock: of several processes one links."""


@dataclass(frozen=True)
class Head:
    """The last link of a chain, to be noted down where nobody can change it with the database."""

    number: int
    link: bytes

    def __str__(self) -> str:
        return f"{self.number}:{self.link.hex()[:32]}"


@dataclass(frozen=True)
class Sound:
    """Nothing was changed, left out or put in."""

    entries: int
    head: Head | None
    """None where nothing is linked yet."""
    unlinked: int
    """Entries of the last moments, which nothing protects so far."""


@dataclass(frozen=True)
class Broken:
    """The chain does not hold from this entry on."""

    number: int
    why: str


@dataclass(frozen=True)
class Asked:
    """What somebody wants to see of the log; an empty text asks for everything."""

    who: str = ""
    action: str = ""
    about: str = ""
    """The beginning of the object's name: `watchdog/2026-W47`, or `watchdog/`."""
    before: int | None = None
    """Only entries older than this one's id: how a long log is paged."""


def link(database: Database, secret: bytes) -> int:
    """Number and link the entries that are not yet; returns how many. Several at once do it once.

    `secret` is the installation's `token` key, from which the chain's own key is derived.
    """
    done = 0
    while count := _link_some(database, chain_key(secret)):
        done += count
    return done


def verify(session: Session, secret: bytes, noted: str = "") -> Sound | Broken:
    """Go through the chain from its beginning. `noted` is a head that was printed once, and has to be in it still.

    Raises `ValueError` with a sentence where `noted` is no head.
    """
    key, wanted = chain_key(secret), _noted(noted)
    last = Head(0, _BEFORE_ALL)
    for entry in _linked(session):
        if entry.number != last.number + 1:
            return Broken(last.number + 1, "it is missing")
        if entry.link is None or not hmac.compare_digest(entry.link, _link_of(key, last, entry)):
            return Broken(entry.number, "it is not what was written, or an entry before it was changed")
        last = Head(entry.number, entry.link)
        if wanted and wanted[0] == last.number and not last.link.hex().startswith(wanted[1]):
            return Broken(last.number, "its link is not the one that was noted down")
    if wanted and wanted[0] > last.number:
        return Broken(last.number + 1, f"the log ends here, and a link of entry {wanted[0]} was noted down")
    unlinked = session.scalar(sa.select(sa.func.count()).where(LogEntry.number.is_(None))) or 0
    return Sound(last.number, last if last.number else None, unlinked)


def page(session: Session, asked: Asked, count: int) -> Sequence[LogEntry]:
    """The newest entries that were asked for, newest first."""
    query = sa.select(LogEntry).order_by(LogEntry.id.desc()).limit(count)
    if asked.who:
        query = query.where(LogEntry.who == asked.who)
    if asked.action:
        query = query.where(LogEntry.action == asked.action)
    if asked.about:
        query = query.where(LogEntry.object.startswith(asked.about, autoescape=True))
    if asked.before is not None:
        query = query.where(LogEntry.id < asked.before)
    return session.scalars(query).all()


def chain_key(secret: bytes) -> bytes:
    """The chain's own key. Pure."""
    return hmac.digest(secret, _LABEL, "sha256")


def _link_some(database: Database, key: bytes) -> int:
    with database.read() as session:
        if not session.scalar(sa.select(sa.exists().where(LogEntry.number.is_(None)))):
            return 0
    with database.write() as session:
        if not database.is_sqlite:
            session.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        last = _head(session)
        waiting = sa.select(LogEntry).where(LogEntry.number.is_(None)).order_by(LogEntry.id).limit(MOST)
        entries = session.scalars(waiting).all()
        for entry in entries:
            entry.link = _link_of(key, last, entry)
            entry.number = last.number + 1
            last = Head(entry.number, entry.link)
    return len(entries)


def _head(session: Session) -> Head:
    query = sa.select(LogEntry.number, LogEntry.link).where(LogEntry.number.is_not(None))
    found = session.execute(query.order_by(LogEntry.number.desc()).limit(1)).one_or_none()
    return Head(found.number or 0, found.link or _BEFORE_ALL) if found else Head(0, _BEFORE_ALL)


def _linked(session: Session) -> Iterator[LogEntry]:
    """The linked entries in their order, some at a time: a cursor of the server's would stay open where we stop."""
    last = 0
    while True:
        query = sa.select(LogEntry).where(LogEntry.number > last).order_by(LogEntry.number).limit(MOST)
        entries = session.scalars(query).all()
        yield from entries
        if len(entries) < MOST:
            return
        last = entries[-1].number or last


def _link_of(key: bytes, last: Head, entry: LogEntry) -> bytes:
    at = entry.at.astimezone(dt.UTC).isoformat(timespec="microseconds")
    told = json.dumps([last.number + 1, at, entry.who, entry.action, entry.object, entry.detail], ensure_ascii=True)
    return hmac.digest(key, last.link + told.encode(), "sha256")


def _noted(text: str) -> tuple[int, str] | None:
    if not text:
        return None
    number, colon, start = text.partition(":")
    is_hex = bool(start) and not set(start.lower()) - set("0123456789abcdef")
    if not (colon and number.isascii() and number.isdigit() and is_hex and len(start) >= 16):  # noqa: PLR2004 -- 64 bits.
        raise ValueError(f"{text!r} is no link of the log; it is written like `1204:9f2c…`, as `--verify` prints it")
    return int(number), start.lower()
