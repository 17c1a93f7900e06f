"""Addresses are sealed here, and opened only where the private key is (DESIGN 4.7, E-01 to E-04).

Each process that takes sign-ups makes a *data key* and stores it sealed to the sender's public key (HPKE, RFC 9180).
Values are encrypted with the data key by AES-256-GCM-SIV (RFC 8452), bound to the place they stand in. Who has the
database alone, or the database and a web server's keys, cannot open what was stored.

A sealed value is one octet 1 (the format), the data key's number in 4 octets, a nonce of 12, then ciphertext and tag.
The text is padded to a multiple of 64 octets, since its length would tell about the address.

While keys are rotated (E-06, `rotation`), a process finds out by itself: it looks every few seconds whether its data
key still stands, and reads the keys file again where that has changed.
"""

from __future__ import annotations

import secrets
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import sqlalchemy as sa
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from sqlalchemy.orm import Session

from subscribers.keys import BadKeys, Keys, KeysFile, make_keys, read_keys, write_keys
from subscribers.tokens import Mac

__all__ = [
    "ARRIVAL",
    "DELIVERY_CONTEXT",
    "PLACES",
    "SUBSCRIBER_ADDRESS",
    "USER_ADDRESS",
    "BadKeys",
    "CannotOpen",
    "Keys",
    "Place",
    "StoodStill",
    "Vault",
    "WrongKeys",
    "make_keys",
    "read_keys",
    "write_keys",
]

log = structlog.get_logger()

FORMAT = 1
BUCKET = 64
SEALS_PER_KEY = 1000
"""After so many values `prepare` makes another data key: whoever takes a web process over reads no more than these."""
SECONDS_PER_KEY = 24 * 3600.0
"""And also after so long, where few people come."""
LOOK_EVERY = 20.0
"""Seconds after which `prepare` looks whether the data key still stands."""
STALE = 60.0
"""Seconds after which nothing is sealed without such a look, however long the process stood still (see `rotation`)."""

_HEAD = struct.Struct(">BI12s")
_NONCE = 12
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_INFO = b"watchdog-digest data key 1"
_data_keys = sa.table("data_keys", *map(sa.column, ("id", "sealed", "created_at", "pair", "retired_at")))
_closed_pairs = sa.table("closed_pairs", sa.column("pair"))


class CannotOpen(Exception):
    """A sealed value was not opened: it is damaged, was moved from another place, or this process lacks the key."""


class WrongKeys(CannotOpen):
    """This keys file does not belong to this database: nothing in it can be opened, and no single value is at fault."""


class StoodStill(Exception):
    """Nothing was sealed: this process stood still for so long that its data key was rotated away. Try again."""


@dataclass(frozen=True)
class Place:
    """A column that sealed values stand in; a value opens only where it was put (E-02)."""

    table: str
    column: str


SUBSCRIBER_ADDRESS = Place("subscribers", "address_sealed")
USER_ADDRESS = Place("users", "address_sealed")
DELIVERY_CONTEXT = Place("deliveries", "context_sealed")
ARRIVAL = Place("arrivals", "sealed")
PLACES = (SUBSCRIBER_ADDRESS, USER_ADDRESS, DELIVERY_CONTEXT, ARRIVAL)
"""Every column of sealed values; its table has an `id`, and a `public_id` that the value is bound to."""


class Store(Protocol):
    """What the vault needs of a `Database`: its two doors."""

    def read(self) -> AbstractContextManager[Session]:
        """A session for looking."""

    def write(self) -> AbstractContextManager[Session]:
        """A session that is one transaction."""


@dataclass
class _Sealer:
    """The data key that this process seals with, how often it has, and when it was seen to stand."""

    key_id: int
    cipher: AESGCMSIV
    made_at: float
    seen_at: float
    seals: int = 0


class _Nonces:
    """Random nonces, fetched some at a time: a call of the system's for each takes as long as the sealing.

    Should a process be doubled with some left, both would use them once; what RFC 8452 is for. Nothing else repeats.
    """

    def __init__(self) -> None:
        self._left: deque[bytes] = deque()

    def next(self) -> bytes:
        """One that was not given before, to whichever thread asks."""
        while True:
            try:
                return self._left.pop()
            except IndexError:
                random = secrets.token_bytes(64 * _NONCE)
                self._left.extend(random[place : place + _NONCE] for place in range(0, len(random), _NONCE))


class _Ring:
    """An installation's keys as the libraries want them; taken as one, so that no thread sees half of a change."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.sealing_key = keys.sealing_key()
        self.opening_keys = keys.opening_keys()
        # A keyed hash is made of every address of a list: with the key set up once it takes a sixth of the time.
        self.index = Mac(keys.index, b"subscriber-email\0")
        self.suppression = Mac(keys.suppression, b"suppression\0")
        self.rate = Mac(keys.rate, b"letter-rate\0")


class Vault:
    """Seals texts for their place in the database and opens them again; safe to use from several threads."""

    def __init__(
        self,
        database: Store,
        keys: Keys,
        file: KeysFile | None = None,
        clock: Callable[[], float] = time.monotonic,
        keys_at_once: int = 1,
    ) -> None:
        """`keys_at_once`: how many data keys are made in one transaction; whoever seals a long list needs many."""
        self._database = database
        self._keys_at_once = keys_at_once
        self._file = file
        self._clock = clock
        self._ring = _Ring(keys)
        self._opened: dict[int, AESGCMSIV] = {}
        self._sealer: _Sealer | None = None
        self._spare: list[_Sealer] = []
        """Made with the one in use, to be used after it."""
        self._nonces = _Nonces()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Vault({self._ring.keys!r})"

    def prepare(self, patience: float = LOOK_EVERY) -> None:
        """See to it that this process has a data key that stands, and a fresh one after many values or a day.

        It is looked up where the last look is so many seconds ago; after `StoodStill` say 0. The key's row is its own
        committed transaction, so call this before a transaction that seals: on SQLite a second writer would wait for
        the first, and here both would be the same thread. Raises `WrongKeys` where this process's keys were rotated
        away.
        """
        sealer = self._sealer
        if sealer is None or self._is_worn(sealer) or not self._stands(sealer, patience):
            with self._lock:
                if self._sealer is sealer:
                    self._sealer = self._next_sealer(patience)

    def seal(self, text: str, place: Place, row: bytes) -> bytes:
        """The text, readable only to the sender, only in this place of this row (`row` is the row's public id).

        Raises `StoodStill` where the data key was rotated away since `prepare`.
        """
        sealer = self._sealer
        if sealer is None:
            self.prepare()
            sealer = self._sealer
        assert sealer is not None  # noqa: S101 -- `prepare` has made one or raised.
        if not self._stands(sealer, STALE):
            raise StoodStill("this process stood still while its data key was rotated away; try again")
        sealer.seals += 1
        nonce = self._nonces.next()
        bound = _bound(place, row, sealer.key_id)
        return _HEAD.pack(FORMAT, sealer.key_id, nonce) + sealer.cipher.encrypt(nonce, pad(text.encode()), bound)

    def open(self, sealed: bytes, place: Place, row: bytes) -> str:
        """The text that was sealed for this place. Raises `CannotOpen`."""
        if len(sealed) < _HEAD.size or sealed[0] != FORMAT:
            raise CannotOpen("the value has no format that is known here")
        _, key_id, nonce = _HEAD.unpack_from(sealed)
        cipher = self._data_key(key_id)
        try:
            padded = cipher.decrypt(nonce, sealed[_HEAD.size :], _bound(place, row, key_id))
        except InvalidTag:
            raise CannotOpen("the value is damaged or was moved from another place") from None
        return unpad(padded).decode()

    def check(self) -> None:
        """Open the newest data key, as whoever sends will have to. Raises `WrongKeys`."""
        with self._database.read() as session:
            newest = session.scalar(sa.select(sa.func.max(_data_keys.c.id)))
        if newest is not None:
            self.check_data_key(newest)

    def check_data_key(self, key_id: int) -> None:
        """Open a data key, and throw it away. Raises `WrongKeys`, or `CannotOpen` where there is none."""
        self._unsealed(key_id)

    def blind_index(self, identity: str) -> bytes:
        """What a subscriber is found by: the same for the same address, nothing to anybody without the key (E-04)."""
        return self._ring.index.digest(identity.encode())

    def suppression_hash(self, identity: str) -> bytes:
        """What stays of an address that must never be mailed (O-52)."""
        return self._ring.suppression.digest(identity.encode())

    def rate_key(self, identity: str) -> bytes:
        """What the budgets of letters are counted by (O-21); give it the folded form of `forms.budget_form`."""
        return self._ring.rate.digest(identity.encode())

    def _take_what_changed(self) -> bool:
        """Read the keys file again where another one is there; whether it holds other keys of this installation."""
        try:
            found = self._file.changed() if self._file else None
        except BadKeys as error:
            log.warning("the keys file has changed and cannot be used; going on with the keys from before", why=error)
            return False
        if found is None or found == self._ring.keys:
            return False
        if not found.is_next_of(self._ring.keys):
            log.warning("the keys file has changed and is another installation's; going on with the keys from before")
            return False
        self._ring = _Ring(found)
        self._spare = []
        return True

    def _is_worn(self, sealer: _Sealer) -> bool:
        return sealer.seals >= SEALS_PER_KEY or self._clock() - sealer.made_at >= SECONDS_PER_KEY

    def _stands(self, sealer: _Sealer, seconds: float) -> bool:
        """Whether a data key may be sealed with, looked up where the last look is so many seconds ago."""
        now = self._clock()
        if now - sealer.seen_at < seconds:
            return True
        if self._take_what_changed():
            return False
        query = sa.select(_data_keys.c.id).where(_data_keys.c.id == sealer.key_id, _data_keys.c.retired_at.is_(None))
        with self._database.read() as session:
            stands = session.scalar(query) is not None
        if stands:
            sealer.seen_at = now
        return stands

    def _next_sealer(self, patience: float) -> _Sealer:
        while self._spare:
            sealer = self._spare.pop()
            if not self._is_worn(sealer) and self._stands(sealer, patience):
                return sealer
        self._take_what_changed()
        sealer, *self._spare = self._new_sealers()
        return sealer

    def _new_sealers(self) -> list[_Sealer]:
        now, ring, pair = self._clock(), self._ring, self._ring.keys.pair
        keys = [AESGCMSIV.generate_key(256) for _ in range(self._keys_at_once)]
        rows = [
            {
                "sealed": _SUITE.encrypt(key, ring.sealing_key, _INFO),
                "created_at": sa.func.current_timestamp(),
                "pair": pair,
            }
            for key in keys
        ]
        with self._database.write() as session:
            if session.scalar(sa.select(_closed_pairs.c.pair).where(_closed_pairs.c.pair == pair)) is not None:
                raise WrongKeys(
                    "these keys were rotated away: give this process the installation's present keys file, or the copy "
                    "that `digest keys split` makes of it, and start it anew"
                )
            new = [sa.insert(_data_keys).values(row).returning(_data_keys.c.id) for row in rows]
            key_ids = [session.scalars(one).one() for one in new]
        return [_Sealer(key_id, AESGCMSIV(key), now, now) for key_id, key in zip(key_ids, keys, strict=True)]

    def _data_key(self, key_id: int) -> AESGCMSIV:
        if cipher := self._opened.get(key_id):
            return cipher
        sealer = self._sealer
        if sealer and sealer.key_id == key_id:
            return sealer.cipher
        cipher = self._opened[key_id] = AESGCMSIV(self._unsealed(key_id))
        return cipher

    def _unsealed(self, key_id: int) -> bytes:
        if not self._ring.opening_keys:
            raise WrongKeys("this process has no private key, and so cannot read what others have sealed")
        with self._database.read() as session:
            sealed = session.scalar(sa.select(_data_keys.c.sealed).where(_data_keys.c.id == key_id))
        if sealed is None:
            raise CannotOpen("the value's data key is not in the database")
        opened = self._try(sealed)
        # Others may have new keys already, and this process the ones before: its file says so by now.
        if opened is None and self._take_what_changed():
            opened = self._try(sealed)
        if opened is None:
            raise WrongKeys("the database was sealed to other keys than this keys file has")
        return opened

    def _try(self, sealed: bytes) -> bytes | None:
        for key in self._ring.opening_keys:
            try:
                return _SUITE.decrypt(sealed, key, _INFO)
            except InvalidTag:
                continue
        return None


def check_standing(session: Session, values: Iterable[bytes]) -> None:
    """See to it that what was sealed before a transaction began can still be opened when it is over.

    Call it in the transaction that stores them. Raises `StoodStill` where a data key was retired since: it may be gone
    any moment, and with it whatever is sealed with it.
    """
    key_ids = {key_id_of(value) for value in values}
    stands = _data_keys.c.id.in_(key_ids), _data_keys.c.retired_at.is_(None)
    if session.scalar(sa.select(sa.func.count()).select_from(_data_keys).where(*stands)) != len(key_ids):
        raise StoodStill("the data key was rotated away before the values were stored; try again")


def key_id_of(sealed: bytes) -> int:
    """The number of the data key that a sealed value opens with; 0, which no key has, where it is none of ours."""
    return int.from_bytes(sealed[1:5], "big") if sealed[:1] == bytes([FORMAT]) else 0


def pad(text: bytes) -> bytes:
    """Fill up to a multiple of 64 octets: one 0x80, then zeros (ISO/IEC 7816-4)."""
    marked = text + b"\x80"
    return marked.ljust(-(-len(marked) // BUCKET) * BUCKET, b"\0")


def unpad(padded: bytes) -> bytes:
    """Undo `pad`. Raises `CannotOpen` where nothing was padded."""
    text, mark, zeros = padded.rpartition(b"\x80")
    if not mark or zeros.strip(b"\0"):
        raise CannotOpen("the value was not written by this program")
    return text


def _bound(place: Place, row: bytes, key_id: int) -> bytes:
    """Table, column, row and key in an order and with lengths that leave one reading only (E-02)."""
    return _lead(place) + len(row).to_bytes(2, "big") + row + b"\0\4" + key_id.to_bytes(4, "big")


@cache
def _lead(place: Place) -> bytes:
    return b"".join(len(part).to_bytes(2, "big") + part for part in (place.table.encode(), place.column.encode()))
