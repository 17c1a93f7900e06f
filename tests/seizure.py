"""What somebody does who has taken a database and a web machine's keys: the drill of `docs/privacy.md`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

import digest.models
from subscribers.db import Base, Database
from subscribers.forms import Address, parse_address
from subscribers.keys import Keys
from subscribers.models import DataKey, Subscriber, Subscription
from subscribers.sealed import table_of
from subscribers.vault import PLACES, CannotOpen, Place, Vault


def sealed_values(database: Database) -> list[tuple[Place, bytes, bytes]]:
    """Every sealed value of every table: where it stands, the row it is bound to, the value."""
    found = list[tuple[Place, bytes, bytes]]()
    with database.read() as session:
        for place in PLACES:
            table = table_of(place)
            rows = session.execute(sa.select(table.c.public_id, table.c[place.column]))
            found += [(place, row, value) for row, value in rows if value is not None]
    return found


def open_everything(database: Database, vault: Vault) -> tuple[int, list[str]]:
    """Try each value, in its own place and in every other; returns how many there were, and what opened."""
    values, opened = sealed_values(database), list[str]()
    for _, row, value in values:
        for place in PLACES:
            try:
                opened.append(vault.open(value, place, row))
            except CannotOpen:
                continue
    return len(values), opened


@dataclass
class Loot:
    """What was taken."""

    database: Database
    keys: Keys

    def try_as_data_key(self, secret: bytes) -> int:
        """Use a secret of the keys file as if it were the key of the values; returns how many open."""
        opened = 0
        for place, row, value in sealed_values(self.database):
            bound = b"".join(
                len(part).to_bytes(2, "big") + part for part in map(str.encode, (place.table, place.column))
            )
            bound += len(row).to_bytes(2, "big") + row + b"\0\4" + value[1:5]
            try:
                AESGCMSIV(secret).decrypt(value[5:17], value[17:], bound)
                opened += 1
            except InvalidTag:
                continue
        return opened

    def shown(self) -> dict[str, Any]:
        """What can be read without opening anything."""
        with self.database.read() as session:
            ties = session.scalars(sa.select(Subscription)).all()
            return {
                "readers": session.scalar(sa.select(sa.func.count()).select_from(Subscriber)),
                "data keys": session.scalar(sa.select(sa.func.count()).select_from(DataKey)),
                "newsletters": dict(Counter(tie.newsletter for tie in ties)),
                "languages": dict(Counter(tie.language for tie in ties)),
                "states": dict(Counter(tie.state for tie in ties)),
                "evidence": {tie.evidence for tie in ties},
                "times": [tie.requested_at for tie in ties],
                "desk names": list(session.scalars(sa.select(digest.models.User.name))),
            }

    def is_there(self, guess: str) -> bool:
        """Ask for an address that is known already: the keyed hash can be made with a web machine's keys."""
        address = parse_address(guess)
        assert isinstance(address, Address)
        vault = Vault(self.database, self.keys)
        hashes = vault.blind_index(address.identity), vault.suppression_hash(address.identity)
        with self.database.read() as session:
            return session.scalar(sa.select(Subscriber.id).where(Subscriber.known_by(*hashes))) is not None

    def everything(self) -> str:
        """All rows of all tables as text."""
        with self.database.read() as session:
            return "\n".join(
                repr(tuple(row)) for table in Base.metadata.sorted_tables for row in session.execute(sa.select(table))
            )
