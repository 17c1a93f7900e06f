"""New keys in the place of old ones, while everything runs (E-06).

A rotation is never half done in a way that loses something; whatever was interrupted is gone on with:

1. `begin` writes the new keys file, with the pair before in it, durably. From then on this machine's processes seal to
   the new pair (they see the file change) and open what was sealed to either.
2. The data keys from before are *retired*: nothing new is sealed with them, by anybody. Values under them are opened
   and sealed anew, a hundred a transaction, and a subscriber's hashes are made anew with the present index key.
3. A retired data key that no value needs is deleted, `DRAIN` after it was last needed. Then it opens nothing any more,
   whoever has it.
4. `finish` closes the pair before: machines that still have the old public key seal nothing any more, what they sealed
   is sealed anew, and the pair leaves the keys file.

Looking somebody up works all the time, by processes with the old index key and with the new: a person is known by the
blind index or by the suppression hash, whose key stays, and both are unique (`models.Subscriber.known_by`).

Nobody seals with a data key that was retired `DRAIN` ago: `Vault.seal` has looked within `vault.STALE` seconds, and a
transaction that stands still is ended after `db.IDLE_IN_TRANSACTION`; on SQLite it would hold up the rotation itself.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.db import IDLE_IN_TRANSACTION, Database
from subscribers.keys import BadKeys, read_keys, replace_keys
from subscribers.models import ClosedPair, DataKey
from subscribers.sealed import BATCH, LOST, Finding, check_keys, hashes_of, mend, table_of, walk, without_hash
from subscribers.vault import PLACES, STALE, SUBSCRIBER_ADDRESS, CannotOpen, Keys, Place, Vault, key_id_of

DRAIN = dt.timedelta(seconds=STALE + IDLE_IN_TRANSACTION + 20)
"""How long after it was last needed a retired data key is kept: 20 seconds more than anybody could still use it."""

Tell = Callable[[str, int], None]
"""Told after each durable step: its name, and how many values it was about."""


def tell_nobody(_step: str, _count: int) -> None:
    """For who does not want to know."""


class CannotRotate(BadKeys):
    """Nothing was changed; the message is a sentence that says why and what to do."""


@dataclass(frozen=True)
class Standing:
    """How far a rotation is."""

    since: dt.datetime | None
    """When the present pair took the other's place; none where only data keys are made anew, or nothing is."""
    retired: int
    """Data keys that are still to go."""
    values: int
    """Values that are still sealed with those."""
    others: int
    """Data keys of another pair that are in use: machines with the old keys file."""
    ready_at: dt.datetime | None
    """When the retired data keys can go; none where there are none."""

    @property
    def is_done(self) -> bool:
        """Whether no rotation is under way."""
        return self.since is None and not self.retired


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """See to it that one rotation at a time works with a keys file. Raises `CannotRotate`."""
    # The folder is locked, since the file is replaced; the lock goes with the process, however it ends.
    folder = os.open(path.resolve().parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise CannotRotate("Another `digest keys rotate` is at work here; nothing was changed.") from None
    finally:
        os.close(folder)


def begin(database: Database, path: Path, now: dt.datetime, tell: Tell = tell_nobody) -> Keys:
    """Write the next keys into the file, with the pair before beside them; returns them.

    Raises `BadKeys` where these keys cannot be rotated or do not open this database, `OSError` where the file cannot be
    written; then nothing is different.
    """
    keys = read_keys(path)
    following = keys.rotated(now)
    vault = Vault(database, keys)
    if wrong := check_keys(database, vault, keys):
        raise CannotRotate(str(wrong[0]))
    # From now on the index key alone finds nobody: everybody needs the other handle.
    mend(database, vault, without_hash(database))
    replace_keys(path, following)
    tell("file", 0)
    return following


def retire_all(database: Database, now: dt.datetime) -> None:
    """Let every data key go; one that is made from now on stays."""
    with database.write() as session:
        _retire(session, now)


def reseal(database: Database, keys: Keys, clock: Callable[[], dt.datetime], tell: Tell = tell_nobody) -> list[Finding]:
    """Seal everything anew that is sealed with a retired data key; returns what does not open.

    In a rotation of the pair the data keys from before it are retired first. Rows that somebody works on just now are
    passed over; the next call finds them.
    """
    if keys.previous:
        with database.write() as session:
            _retire(session, clock(), _of_others(keys), DataKey.created_at <= keys.previous.since)
    # Its own vault, which knows no data key yet: the one that it makes has the highest number, and no number is ever
    # given twice, since that one stays.
    vault = Vault(database, keys)
    vault.prepare()
    tell("retired", 0)
    retired, left = _retired(database), list[Finding]()
    for place in PLACES:
        for page in walk(database, place):
            rows = [row for row, key_id in page if key_id in retired]
            for first in range(0, len(rows), BATCH):
                vault.prepare()
                with database.write() as session:
                    count = _reseal(session, vault, place, rows[first : first + BATCH], retired, left, clock())
                tell(place.table, count)
    return left


def forget(database: Database, now: dt.datetime, tell: Tell = tell_nobody) -> int:
    """Delete the retired data keys that were not needed for `DRAIN`; returns how many."""
    used = {key_id for place in PLACES for page in walk(database, place) for _, key_id in page}
    with database.write() as session:
        old = sa.select(DataKey.id).where(DataKey.retired_at <= now - DRAIN)
        gone = [key_id for key_id in session.scalars(old) if key_id not in used]
        for first in range(0, len(gone), BATCH):
            session.execute(sa.delete(DataKey).where(DataKey.id.in_(gone[first : first + BATCH])))
    tell("forgotten", len(gone))
    return len(gone)


def close(database: Database, keys: Keys, now: dt.datetime, tell: Tell = tell_nobody) -> None:
    """Let nothing more be sealed to another pair, and retire what was: the first half of finishing."""
    if keys.previous is None:
        return
    closed = replace(keys, public=keys.previous.public).pair
    with database.write() as session:
        if session.get(ClosedPair, closed) is None:
            session.add(ClosedPair(pair=closed, closed_at=now))
        _retire(session, now, _of_others(keys))
    tell("closed", 0)


def finish(database: Database, path: Path, now: dt.datetime, tell: Tell = tell_nobody) -> bool:
    """Take the pair before out of the keys file, where nothing needs it any more; whether that was so.

    Raises `OSError` where the file cannot be written, which changes nothing.
    """
    keys = read_keys(path)
    if keys.previous is None:
        return True
    closed = replace(keys, public=keys.previous.public).pair
    with database.read() as session:
        pair = session.get(ClosedPair, closed)
        is_needed = session.scalar(sa.select(sa.exists().where(_of_others(keys))))
    # Whoever made a data key in the moment of closing has shown it by now.
    if pair is None or pair.closed_at > now - DRAIN or is_needed:
        return False
    replace_keys(path, replace(keys, previous=None))
    tell("done", 0)
    return True


def standing(database: Database, keys: Keys) -> Standing:
    """How far a rotation is; changes nothing."""
    retired = _retired(database)
    values = sum(key_id in retired for place in PLACES for page in walk(database, place) for _, key_id in page)
    with database.read() as session:
        last = session.scalar(sa.select(sa.func.max(DataKey.retired_at)))
        others = sa.select(sa.func.count()).select_from(DataKey).where(_of_others(keys), DataKey.retired_at.is_(None))
        found = session.scalar(others) or 0
    since = keys.previous.since if keys.previous else None
    return Standing(since, len(retired), values, found if since else 0, last + DRAIN if last else None)


def _of_others(keys: Keys) -> sa.ColumnElement[bool]:
    return sa.or_(DataKey.pair.is_(None), DataKey.pair != keys.pair)


def _retire(session: Session, now: dt.datetime, *which: sa.ColumnElement[bool]) -> None:
    session.execute(sa.update(DataKey).where(DataKey.retired_at.is_(None), *which).values(retired_at=now))


def _retired(database: Database) -> frozenset[int]:
    with database.read() as session:
        return frozenset(session.scalars(sa.select(DataKey.id).where(DataKey.retired_at.is_not(None))))


def _reseal(
    session: Session,
    vault: Vault,
    place: Place,
    rows: list[int],
    retired: frozenset[int],
    left: list[Finding],
    now: dt.datetime,
) -> int:
    """Seal these rows' values anew; what does not open is put to `left`. Returns how many were."""
    table = table_of(place)
    query = sa.select(table.c.id, table.c.public_id, table.c[place.column]).where(table.c.id.in_(rows))
    changes, needed = list[dict[str, Any]](), set[int]()
    for row, public_id, value in session.execute(query.with_for_update(skip_locked=True)).all():
        if value is None or (key_id := key_id_of(value)) not in retired:
            continue
        try:
            changes.append({"row": row, **_anew(vault, place, public_id, value)})
        except CannotOpen as error:
            left.append(Finding(place.table, row, str(error), LOST))
        needed.add(key_id)
    if changes:
        _store(session, place, changes)
    # Somebody may have read the old value a moment ago and be about to open it: the key stays for another while.
    session.execute(sa.update(DataKey).where(DataKey.id.in_(needed)).values(retired_at=now))
    return len(changes)


def _anew(vault: Vault, place: Place, public_id: bytes, value: bytes) -> dict[str, bytes]:
    """A row's new columns. Raises `CannotOpen`."""
    text = vault.open(value, place, public_id)
    anew = {place.column: vault.seal(text, place, public_id)}
    if place == SUBSCRIBER_ADDRESS and (hashes := hashes_of(vault, text)):
        anew |= {"blind_index": hashes.blind_index, "suppression_hash": hashes.suppression_hash}
    return anew


def _store(session: Session, place: Place, changes: list[dict[str, Any]]) -> None:
    by_shape: dict[frozenset[str], list[dict[str, Any]]] = {}
    for change in changes:
        by_shape.setdefault(frozenset(change) - {"row"}, []).append(change)
    for columns, rows in by_shape.items():
        table = sa.table(place.table, sa.column("id"), *(sa.column(name, sa.LargeBinary()) for name in columns))
        # Named apart from the columns, whose own names the library keeps for itself in an update of many.
        values: dict[Any, Any] = {table.c[name]: sa.bindparam(f"new_{name}") for name in columns}
        update = sa.update(table).where(table.c.id == sa.bindparam("row")).values(values)
        given = [{"row": row["row"], **{f"new_{name}": row[name] for name in columns}} for row in rows]
        session.connection().execute(update, given)
