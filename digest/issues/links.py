"""How the addresses that issues link to answer: asked in the background, kept, and shown from what is kept.

Pages and checks read what is kept and never ask a site. `want` says what is to be asked, `knock` asks it, outside any
transaction: several hosts at once, one host's pages one after another, within the rules of W-50 to W-52.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.gather.address import is_allowed_host
from digest.gather.answers import Failed, There
from digest.gather.fetch import Fetcher
from digest.issues.view import is_home
from digest.models import Link
from digest.settings import Settings
from subscribers.db import Database, insert_into

Outcome = Literal["fine", "moved", "dead", "unreachable", "unasked"]
Rule = Callable[[str], bool]
HOSTS = 4
"""Hosts that are asked at once."""
ROUND = 40
"""Addresses that one round takes at most."""
CLAIM = dt.timedelta(minutes=15)
"""How long an address belongs to whoever took it; where that one died, another takes it then."""
AGAIN = dt.timedelta(minutes=20)
"""After so long somebody who did not answer is asked again."""
GIVE_UP = 3
"""Answers in a row that a host owes us, after which its other pages are left for the next round."""
_ANCHOR = re.compile(r"<a\b[^>]*?\shref=\"([^\"]*)\"", re.IGNORECASE)


@dataclass(frozen=True)
class Answered:
    """How an address answered."""

    address: str
    outcome: Outcome
    final: str = ""
    """Where it redirects to."""
    reason: str = ""
    checked_at: dt.datetime | None = None
    is_due: bool = False
    """Whether it is being asked again."""


@lru_cache(maxsize=32)
def linked(source: str) -> tuple[str, ...]:
    """The web addresses that an HTML part links to, each once, in order; readers' own places are none. Pure."""
    found = (html.unescape(href) for href in _ANCHOR.findall(source))
    return tuple(dict.fromkeys(one for one in found if one.startswith(("http://", "https://"))))


def outward(mails: Iterable[str], base_url: str) -> tuple[str, ...]:
    """The addresses in some HTML parts that lead away from our own pages. Pure."""
    ours = urlsplit(base_url).netloc
    return tuple(dict.fromkeys(one for mail in mails for one in linked(mail) if urlsplit(one).netloc != ours))


def rule_of(settings: Settings) -> Rule:
    """Which addresses may be asked: those on the sources' own sites, and on the hosts that `[checks]` names.

    One inside the network only where it is a source's own host: a post cannot lead us to others there.
    """
    newsletters = tuple(settings.newsletters.values())
    own = {urlsplit(source.url).netloc for newsletter in newsletters for source in newsletter.sources}
    named = settings.checks.link_hosts

    def may(address: str) -> bool:
        try:
            parts = urlsplit(address)
            host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            return False
        if is_allowed_host(host, port, settings.fetch.allow_private):
            return parts.netloc in own
        is_named = any(host == one or host.endswith(f".{one}") for one in named)
        return is_named or any(is_home(address, newsletter) for newsletter in newsletters)

    return may


def answers(session: Session, addresses: Sequence[str]) -> Mapping[str, Answered]:
    """How these addresses answered last; those that nobody has asked yet are not in it."""
    return {row.address: _answered(row) for row in _rows(session, addresses) if row.outcome}


def lacking(session: Session, addresses: Sequence[str], now: dt.datetime, every: dt.timedelta) -> tuple[str, ...]:
    """Those of the addresses that are to be asked, since they never were, or not for so long; not those that wait."""
    known = {row.address: row for row in _rows(session, addresses)}
    return tuple(one for one in addresses if _is_lacking(known.get(one), now, every))


def want(session: Session, addresses: Sequence[str], now: dt.datetime) -> None:
    """Have these addresses asked in the next round, in the caller's transaction."""
    for address in sorted(addresses):  # In one order, so that two cannot wait for each other in a ring.
        row = {"digest": _digest(address), "address": address, "outcome": "", "final": "", "reason": ""}
        put = insert_into(session, Link).values(**row, due_at=now, wanted_at=now)
        wanted = {"due_at": now, "wanted_at": now}
        session.execute(put.on_conflict_do_update(index_elements=[Link.digest], set_=wanted))


def knock(database: Database, may: Rule, fetcher: Callable[[], Fetcher], clock: Callable[[], dt.datetime]) -> int:
    """Ask the addresses that are due, and keep how each answers, as it does. Returns how many.

    Two at once take different ones. `fetcher` makes a client for one host's visit.
    """
    taken = _take(database, clock())
    hosts: dict[str, list[str]] = {}
    for address in taken:
        if may(address):
            hosts.setdefault(urlsplit(address).netloc, []).append(address)
        else:
            _keep(database, Answered(address, "unasked", reason="Its host is none of those that are asked."), clock())
    if hosts:
        with ThreadPoolExecutor(max_workers=HOSTS) as pool:
            visits = [pool.submit(_visit, database, some, may, fetcher, clock) for some in hosts.values()]
        for visit in visits:
            visit.result()
    return len(taken)


def forget(session: Session, before: dt.datetime) -> None:
    """Remove what no open issue has had since an instant."""
    session.execute(sa.delete(Link).where(Link.wanted_at < before))


def _visit(
    database: Database,
    addresses: Sequence[str],
    may: Rule,
    fetcher: Callable[[], Fetcher],
    clock: Callable[[], dt.datetime],
) -> None:
    """Ask for one host's pages, one after another."""
    silent = 0
    with fetcher() as client:
        for address in addresses:
            if silent >= GIVE_UP:
                answer: There | Failed = Failed("Its site did not answer for other pages either, and was left alone.")
            else:
                answer = client.look(address, may)
            silent = silent + 1 if isinstance(answer, Failed) and answer.status is None and not answer.refused else 0
            _keep(database, _judged(address, answer), clock())


def _judged(address: str, answer: There | Failed) -> Answered:
    match answer:
        case There(url=url) if url == address:
            return Answered(address, "fine")
        case There(url=url):
            return Answered(address, "moved", final=url)
        case Failed(refused=True):
            return Answered(address, "unasked", reason=answer.reason)
        case Failed():
            return Answered(address, "dead" if answer.gone else "unreachable", reason=answer.reason)


def _take(database: Database, now: dt.datetime) -> list[str]:
    due = sa.select(Link.digest).where(Link.due_at <= now).order_by(Link.due_at).limit(ROUND)
    with database.read() as session:
        if not session.scalar(sa.select(due.exists())):
            return []
    with database.write() as session:
        # Of two at once the second finds the first one's claims (PostgreSQL looks again when the lock is free).
        took = sa.update(Link).where(Link.digest.in_(due), Link.due_at <= now).values(due_at=now + CLAIM)
        return list(session.scalars(took.returning(Link.address).execution_options(synchronize_session=False)))


def _keep(database: Database, answered: Answered, now: dt.datetime) -> None:
    values = {"outcome": answered.outcome, "final": answered.final, "reason": answered.reason}
    with database.write() as session:
        row = sa.update(Link).where(Link.digest == _digest(answered.address))
        session.execute(row.values(**values, checked_at=now, due_at=None))


def _rows(session: Session, addresses: Sequence[str]) -> list[Link]:
    if not addresses:
        return []
    wanted = sa.select(Link).where(Link.digest.in_([_digest(one) for one in addresses]))
    return list(session.scalars(wanted.execution_options(populate_existing=True)))


def _answered(row: Link) -> Answered:
    outcome: Outcome = row.outcome  # type: ignore[assignment]  # only `_keep` writes it
    return Answered(row.address, outcome, row.final, row.reason, row.checked_at, is_due=row.due_at is not None)


def _is_lacking(row: Link | None, now: dt.datetime, every: dt.timedelta) -> bool:
    if row is None:
        return True
    if row.due_at is not None:
        return False
    span = min(every, AGAIN) if row.outcome == "unreachable" else every
    return row.checked_at is None or row.checked_at <= now - span


def _digest(address: str) -> bytes:
    return hashlib.sha256(address.encode()).digest()
