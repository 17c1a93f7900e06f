"""The sealed values of a database: walked over page by page, and looked at whether they are what they should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.db import Database
from subscribers.forms import Address, parse_address
from subscribers.models import ClosedPair, DataKey, Subscriber
from subscribers.vault import PLACES, SUBSCRIBER_ADDRESS, CannotOpen, Keys, Place, Vault, WrongKeys, key_id_of

PAGE = 2000
"""So many rows' numbers are read at a time."""
BATCH = 100
"""So many values are open at once, at most (E-08)."""

LOST = "restore this row from a backup, or erase it: nobody can be mailed by it"
OLD_INDEX = "`digest keys rotate` makes it anew, and they are found all the same until then"
"""What is no fault while an index key is rotated."""
MENDABLE = "`digest keys check --repair` makes it from the address"


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, where, and what to do. Without an address."""

    table: str
    row: int | None
    """None where it is not about one row."""
    what: str
    advice: str

    def __str__(self) -> str:
        where = self.table if self.row is None else f"{self.table} row {self.row}"
        return f"{where}: {self.what}; {self.advice}."


@dataclass(frozen=True)
class Hashes:
    """What a subscriber's row has beside the address."""

    blind_index: bytes
    suppression_hash: bytes


def table_of(place: Place) -> sa.TableClause:
    """The columns of a place's table that a sealed value needs: the row's number, what binds it, the value itself."""
    binary = sa.LargeBinary()
    return sa.table(
        place.table, sa.column("id", sa.Integer()), sa.column("public_id", binary), sa.column(place.column, binary)
    )


def walk(database: Database, place: Place) -> Iterator[list[tuple[int, int]]]:
    """Pages of (row, number of the data key) of a place's values, in the order of rows."""
    table, last = table_of(place), 0
    value = table.c[place.column]
    # The first octets say which key it is; the value itself is not needed for that.
    head = sa.type_coerce(sa.func.substr(value, 1, 5), sa.LargeBinary)
    query = sa.select(table.c.id, head).where(value.is_not(None)).order_by(table.c.id).limit(PAGE)
    while True:
        with database.read() as session:
            rows = [(row, key_id_of(begins)) for row, begins in session.execute(query.where(table.c.id > last))]
        if not rows:
            return
        yield rows
        last = rows[-1][0]


def has_sealed(database: Database) -> bool:
    """Whether anything is sealed in the database, a data key at least."""
    with database.read() as session:
        return session.scalar(sa.select(sa.exists().where(DataKey.id.is_not(None)))) is True


def hashes_of(vault: Vault, address_text: str) -> Hashes | None:
    """What an opened address is found by; none where it is no address."""
    address = parse_address(address_text)
    if not isinstance(address, Address):
        return None
    return Hashes(vault.blind_index(address.identity), vault.suppression_hash(address.identity))


def check_keys(database: Database, vault: Vault, keys: Keys) -> list[Finding]:
    """Whether this keys file opens every data key, or, without `private`, whether its public key is the present one."""
    with database.read() as session:
        found = session.execute(sa.select(DataKey.id, DataKey.pair).order_by(DataKey.id.desc())).all()
        is_closed = session.get(ClosedPair, keys.pair) is not None
    if is_closed:
        return [Finding("data_keys", None, "these keys were rotated away", "use the installation's present keys file")]
    if keys.private is not None:
        return [finding for row in found if (finding := _check_key(vault, row.id))]
    if found and all(row.pair != keys.pair for row in found):
        what = "the public key in this file is not the one that others seal to"
        return [Finding("data_keys", None, what, "make this file anew with `digest keys split`")]
    return []


def _check_key(vault: Vault, key_id: int) -> Finding | None:
    try:
        vault.check_data_key(key_id)
    except WrongKeys as error:
        return Finding("data_keys", key_id, str(error), "use the keys file that belongs to this database")
    return None


def check_values(database: Database, vault: Vault, keys: Keys, most: int | None) -> Iterator[Finding]:
    """Open the values of every place, or about so many of each, evenly spread; a subscriber's hashes are made anew.

    While the keys are rotated, a subscriber's blind index may still be by the index key before, which is gone: what is
    not by the present one is then reported with `OLD_INDEX`, which is no fault.
    """
    advice = OLD_INDEX if keys.previous else MENDABLE
    for place in PLACES:
        with database.read() as session:
            count = session.scalar(sa.select(sa.func.count()).select_from(table_of(place))) or 0
        step = max(1, -(-count // most)) if most else 1
        rows = (row for page in walk(database, place) for row, _ in page)
        chosen = [row for number, row in enumerate(rows) if number % step == 0]
        for first in range(0, len(chosen), BATCH):
            with database.read() as session:
                yield from _check_rows(session, vault, place, chosen[first : first + BATCH], advice)


def _check_rows(session: Session, vault: Vault, place: Place, rows: list[int], advice: str) -> Iterator[Finding]:
    table = table_of(place)
    query = sa.select(table.c.id, table.c.public_id, table.c[place.column]).where(table.c.id.in_(rows))
    for row, public_id, value in session.execute(query.where(table.c[place.column].is_not(None))).all():
        try:
            text = vault.open(value, place, public_id)
        except CannotOpen as error:
            yield Finding(place.table, row, str(error), LOST)
            continue
        if place == SUBSCRIBER_ADDRESS:
            yield from _check_hashes(session, vault, row, text, advice)


def _check_hashes(session: Session, vault: Vault, row: int, text: str, advice: str) -> Iterator[Finding]:
    right = hashes_of(vault, text)
    if right is None:
        yield Finding("subscribers", row, "what was sealed is no address", LOST)
        return
    query = sa.select(Subscriber.blind_index, Subscriber.suppression_hash).where(Subscriber.id == row)
    found = session.execute(query).one_or_none()
    # A row that was erased meanwhile is no finding.
    if found and found.suppression_hash is None:
        yield Finding("subscribers", row, "it has no suppression hash (it is older than that column)", MENDABLE)
    elif found and found.suppression_hash != right.suppression_hash:
        yield Finding("subscribers", row, "its suppression hash is not that of the address", MENDABLE)
    if found and found.blind_index != right.blind_index:
        yield Finding("subscribers", row, "its blind index is not that of the address by this index key", advice)


def mend(database: Database, vault: Vault, rows: list[int]) -> list[Finding]:
    """Make the hashes of subscribers anew from their addresses; returns what could not be mended."""
    left: list[Finding] = []
    for first in range(0, len(rows), BATCH):
        these = rows[first : first + BATCH]
        try:
            with database.write() as session:
                found = _mend(session, vault, these)
        except sa.exc.IntegrityError:
            # Which of them it is, is seen one by one.
            found = [finding for row in these if (finding := _mend_one(database, vault, row))]
        left += found
    return left


def _mend_one(database: Database, vault: Vault, row: int) -> Finding | None:
    try:
        with database.write() as session:
            return next(iter(_mend(session, vault, [row])), None)
    except sa.exc.IntegrityError:
        return Finding("subscribers", row, "another row is the same person's", "erase one of the two")


def _mend(session: Session, vault: Vault, rows: list[int]) -> list[Finding]:
    left: list[Finding] = []
    query = sa.select(Subscriber).where(Subscriber.id.in_(rows)).order_by(Subscriber.id).with_for_update()
    for person in session.scalars(query).all():
        try:
            hashes = hashes_of(vault, vault.open(person.address_sealed, SUBSCRIBER_ADDRESS, person.public_id))
        except CannotOpen as error:
            left.append(Finding("subscribers", person.id, str(error), LOST))
            continue
        if hashes is None:
            left.append(Finding("subscribers", person.id, "what was sealed is no address", LOST))
            continue
        person.blind_index, person.suppression_hash = hashes.blind_index, hashes.suppression_hash
    return left


def without_hash(database: Database) -> list[int]:
    """The subscribers whose row is older than the column of suppression hashes."""
    with database.read() as session:
        query = sa.select(Subscriber.id).where(Subscriber.suppression_hash.is_(None)).order_by(Subscriber.id)
        return list(session.scalars(query))
