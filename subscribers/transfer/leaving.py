"""The list, readable: everybody who is confirmed, and what they chose. Only who holds the private key can make it."""

from __future__ import annotations

import datetime as dt
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import sqlalchemy as sa

from subscribers.db import Database
from subscribers.models import Subscriber, Subscription
from subscribers.roll import READS
from subscribers.transfer.rejects import OWNER_ONLY, open_for_owner, write_row
from subscribers.transfer.systems import OWN_COLUMNS
from subscribers.vault import SUBSCRIBER_ADDRESS, Vault
from subscribers.wordings import in_full, wordings

PAGE = 1000
"""Rows of one look at the database."""
NO_NAMELESS = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL})
"""What file systems and kernels answer that know no files without names."""


def count_readers(database: Database, newsletter: str) -> int:
    """How many an export would hold."""
    query = sa.select(sa.func.count()).where(Subscription.newsletter == newsletter, *READS)
    with database.read() as session:
        return session.scalar(query) or 0


def export(
    database: Database, vault: Vault, newsletter: str, path: Path, on_page: Callable[[int], None] = lambda _: None
) -> int:
    """Write everybody who is confirmed to a new file of mode 0600; returns how many.

    The file appears whole or not at all; until then it has no name where that can be (`O_TMPFILE`), so that a process
    that is killed leaves nothing. Whoever has left is not in it, and no hash of whoever must never be mailed.
    Raises `FileExistsError`, `OSError`, `vault.CannotOpen`.
    """
    if path.exists():
        raise FileExistsError(str(path))
    count = 0
    with _unfinished(path) as file:
        write_row(file, OWN_COLUMNS)
        for row in _rows(database, vault, newsletter):
            write_row(file, row)
            count += 1
            if count % PAGE == 0:
                on_page(count)
    return count


@contextmanager
def _unfinished(path: Path) -> Iterator[TextIO]:
    """A file for its owner alone that is given its name when all is in it, and is gone where that does not come."""
    try:
        handle = os.open(path.parent, os.O_WRONLY | os.O_TMPFILE, OWNER_ONLY)
    except OSError as error:
        if error.errno not in NO_NAMELESS:
            raise
        with _named(path) as file:
            yield file
        return
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        yield file
        _settle(file)
        # The descriptor is of no use to an absolute path; but without one Python calls link(2), which follows nothing.
        os.link(f"/proc/self/fd/{handle}", path, src_dir_fd=handle, follow_symlinks=True)


@contextmanager
def _named(path: Path) -> Iterator[TextIO]:
    """The same where a file has to have a name, always the same one: what a killed process left stands in the way."""
    named = path.with_name(f".{path.name}.unfinished")
    with open_for_owner(named, replace=False) as file:
        try:
            yield file
            _settle(file)
            os.link(named, path)
        finally:
            named.unlink()


def _settle(file: TextIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _rows(database: Database, vault: Vault, newsletter: str) -> Iterator[tuple[str, ...]]:
    last = 0
    with database.read() as session:
        known = wordings(session)
    while page := _page(database, newsletter, last):
        for tie, person in page:
            address = vault.open(person.address_sealed, SUBSCRIBER_ADDRESS, person.public_id)
            yield _cells(tie, address, known)
        last = page[-1][0].id


def _page(database: Database, newsletter: str, last: int) -> list[tuple[Subscription, Subscriber]]:
    query = (
        sa.select(Subscription, Subscriber)
        .join(Subscriber, Subscription.subscriber_id == Subscriber.id)
        .where(Subscription.newsletter == newsletter, *READS, Subscription.id > last)
        .order_by(Subscription.id)
        .limit(PAGE)
    )
    with database.read() as session:
        return [(row[0], row[1]) for row in session.execute(query)]


def _cells(tie: Subscription, address: str, known: dict[str, str]) -> tuple[str, ...]:
    return (
        address,
        "subscribed",
        _instant(tie.requested_at),
        _instant(tie.confirmed_at),
        tie.language,
        tie.format.value,
        "yes" if tie.is_neutral else "no",
        _instant(tie.paused_until),
        tie.method,
        in_full(tie.evidence, known),
    )


def _instant(at: dt.datetime | None) -> str:
    return at.isoformat() if at else ""
