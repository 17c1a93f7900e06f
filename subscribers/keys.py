"""The secrets of an installation, and the one file they are kept in (E-04, E-05)."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import os
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey

SECRET_SIZE = 32
# Both halves of the hybrid key pair stand one after the other, ML-KEM-768 first: seeds of 64 and 32 octets, public
# halves of 1184 and 32.
_MLKEM_SEED_SIZE = 64
_MLKEM_PUBLIC_SIZE = 1184
PRIVATE_SIZE = _MLKEM_SEED_SIZE + 32
PUBLIC_SIZE = _MLKEM_PUBLIC_SIZE + 32
# A random secret of 32 octets has more different ones than this, but for one in 10^20.
_FEWEST_OCTETS = 12

_FILE = """\
# The keys of this installation of Watchdog Digest. Keep this file secret, and a copy of it somewhere safe.
#
# Who has `private` can read the list of subscribers, given the database. Without `private` nobody can, we included:
# if it is lost, so is the list. Never keep it in the same place as the backups of the database.
# A machine that only serves pages needs everything but `private`: `digest keys split` makes its copy.

# To find an address without reading it.
index = "{index}"
# For the list of those who must never be mailed.
suppression = "{suppression}"
# To count letters to an address.
rate = "{rate}"
# For the links in mail.
token = "{token}"

# ML-KEM-768 and X25519: addresses are sealed to the public key and opened with the private one.
public = "{public}"
"""
_PREVIOUS = """
# The pair before: what was sealed to it has to be opened until `digest keys rotate` has done its work.
[previous]
since = {since}
public = "{public}"
private = "{private}"
"""


class BadKeys(Exception):
    """The keys file cannot be used; the message is a sentence that says why and what to do."""


@dataclass(frozen=True)
class Previous:
    """The key pair before, while what was sealed to it is sealed anew (E-06)."""

    public: bytes = field(repr=False)
    private: bytes = field(repr=False)
    since: dt.datetime
    """When the present pair took its place."""


@dataclass(frozen=True)
class Keys:
    """The secrets of an installation; `private` is none in a process that must not read the list (DESIGN 4.7)."""

    index: bytes = field(repr=False)
    suppression: bytes = field(repr=False)
    rate: bytes = field(repr=False)
    token: bytes = field(repr=False)
    public: bytes = field(repr=False)
    private: bytes | None = field(repr=False, default=None)
    previous: Previous | None = field(repr=False, default=None)

    @property
    def pair(self) -> bytes:
        """What the key pair is known by in the database: 8 octets that give nothing away."""
        return pair_of(self.public)

    def __repr__(self) -> str:
        return f"Keys({'with' if self.private else 'without'} the private key)"

    def sealing_key(self) -> MLKEM768X25519PublicKey:
        """The public key as the library wants it."""
        return MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(self.public[:_MLKEM_PUBLIC_SIZE]),
            X25519PublicKey.from_public_bytes(self.public[_MLKEM_PUBLIC_SIZE:]),
        )

    def opening_keys(self) -> list[MLKEM768X25519PrivateKey]:
        """The private keys as the library wants them, the present one first; none where this process has none."""
        known = [self.private, self.previous.private if self.previous else None]
        return [MLKEM768X25519PrivateKey(*_halves(one)) for one in known if one]

    def for_web(self) -> Keys:
        """What a process that only takes sign-ups needs: nothing that opens anything."""
        return replace(self, private=None, previous=None)

    def rotated(self, now: dt.datetime) -> Keys:
        """The next keys: another pair and another index key, the pair before beside them.

        The others stay: `token` because links in mail must work for ever (F-24), `suppression` because the addresses
        behind its hashes are not kept anywhere (O-52), `rate` because budgets would begin anew. Raises `BadKeys`
        without a private key, or before the last rotation is done.
        """
        if self.private is None:
            raise BadKeys("These keys have no `private`: rotate where the whole keys file is.")
        if self.previous is not None:
            raise BadKeys("The last rotation is not done yet; `digest keys rotate` goes on with it.")
        fresh = make_keys()
        previous = Previous(self.public, self.private, now.replace(microsecond=0))
        return replace(self, index=fresh.index, public=fresh.public, private=fresh.private, previous=previous)

    def is_next_of(self, other: Keys) -> bool:
        """Whether these are an installation's keys after, and those its keys before, a rotation began or ended."""
        lasting = all(getattr(self, name) == getattr(other, name) for name in ("suppression", "rate", "token"))
        return lasting and (self.private is not None or other.private is None)


def pair_of(public: bytes) -> bytes:
    """What a key pair is known by: the first 8 octets of the public key's SHA-256."""
    return hashlib.sha256(public).digest()[:8]


def make_keys() -> Keys:
    """New random keys, the private one included."""
    private = secrets.token_bytes(PRIVATE_SIZE)
    index, suppression, rate, token = (secrets.token_bytes(SECRET_SIZE) for _ in range(4))
    return Keys(index, suppression, rate, token, public=_public_of(private), private=private)


def write_keys(path: Path, keys: Keys) -> None:
    """Write a keys file that only its owner can read (mode 0600).

    Raises `FileExistsError` where there is a file already: keys are never overwritten. The file appears complete or
    not at all.
    """
    unfinished = _write_aside(path, keys)
    try:
        os.link(unfinished, path)
    finally:
        unfinished.unlink()
    _sync_folder(path)


def replace_keys(path: Path, keys: Keys) -> None:
    """Put a keys file in another's place, of the same owner and mode 0600.

    Whoever opens the path finds the old keys whole or the new ones whole, also after a power cut. Raises `OSError`,
    and then the old ones stay.
    """
    path = path.resolve()
    unfinished = _write_aside(path, keys)
    try:
        there = path.stat()
        # Who rotates as root must not take the file away from the account that the service runs as.
        if (there.st_uid, there.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(unfinished, there.st_uid, there.st_gid)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink()
        raise
    _sync_folder(path)


class KeysFile:
    """The file that a process has its keys from: what a rotation wrote there is seen without a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._mark()

    def changed(self) -> Keys | None:
        """The keys in the file where it is not the one seen last. Raises `BadKeys`."""
        mark = self._mark()
        if mark == self._seen:
            return None
        keys = read_keys(self._path)
        self._seen = mark
        return keys

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def read_keys(path: Path) -> Keys:
    """The keys in a file. A file without `private` is right for a process that only takes sign-ups.

    Raises `BadKeys` where the file is missing, open to others, incomplete, short, or holds placeholders (E-05).
    """
    data = _read(path)
    problem = f"The keys file {path}"
    given = _decoded(data, problem, frozenset(_SIZES) - {"private"})
    if len({given[name] for name in ("index", "suppression", "rate", "token")}) != 4:  # noqa: PLR2004
        raise BadKeys(f"{problem} has the same secret twice; each must be its own. Restore it from your copy.")
    if "private" in given and _public_of(given["private"]) != given["public"]:
        raise BadKeys(f"{problem} has a private key that does not belong to its public key; restore it from your copy.")
    return Keys(**given, previous=_previous(data, problem) if "previous" in data else None)


_SIZES = {
    "index": SECRET_SIZE,
    "suppression": SECRET_SIZE,
    "rate": SECRET_SIZE,
    "token": SECRET_SIZE,
    "public": PUBLIC_SIZE,
    "private": PRIVATE_SIZE,
}


def _read(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_mode & 0o077:
            raise BadKeys(f"The keys file {path} can be read by others on this machine; run `chmod 600 {path}`.")
        data = tomllib.loads(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        raise BadKeys(f"There is no keys file {path}; make one with `digest init`, or name yours.") from None
    except OSError as error:
        raise BadKeys(f"The keys file {path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        # The parser's own message could repeat a piece of a secret.
        raise BadKeys(f"The keys file {path} is damaged: it is not TOML. Restore it from your copy.") from None
    if unknown := sorted(set(data) - set(_SIZES) - {"previous"}):
        raise BadKeys(f"The keys file {path} has a key that is not ours: {', '.join(unknown)}.")
    return data


def _decoded(data: Mapping[str, object], problem: str, needed: frozenset[str]) -> dict[str, bytes]:
    given = {name: _decode(data, name, size, problem) for name, size in _SIZES.items() if name in data}
    if missing := [name for name in _SIZES if name in needed - set(given)]:
        raise BadKeys(f"{problem} lacks {', '.join(missing)}; restore it from your copy.")
    return given


def _previous(data: Mapping[str, object], problem: str) -> Previous:
    before, problem = data["previous"], f"{problem}, [previous]"
    if not isinstance(before, dict) or set(before) - {"since", "public", "private"} or "private" not in data:
        raise BadKeys(f"{problem} is not what `digest keys rotate` wrote; restore it from your copy.")
    given, since = _decoded(before, problem, frozenset({"public", "private"})), before.get("since")
    if not isinstance(since, dt.datetime) or since.tzinfo is None or _public_of(given["private"]) != given["public"]:
        raise BadKeys(f"{problem} is not what `digest keys rotate` wrote; restore it from your copy.")
    return Previous(**given, since=since)


def _decode(data: Mapping[str, object], name: str, size: int, problem: str) -> bytes:
    try:
        value = base64.b64decode(str(data[name]), validate=True)
    except binascii.Error:
        raise BadKeys(f"{problem}: {name} is not a key but something else; restore it from your copy.") from None
    if len(value) != size:
        raise BadKeys(f"{problem}: {name} has {len(value)} octets where {size} are right; restore it from your copy.")
    if len(set(value)) < _FEWEST_OCTETS:
        raise BadKeys(f"{problem}: {name} is a placeholder, not a random key; make real ones with `digest init`.")
    return value


def _write_aside(path: Path, keys: Keys) -> Path:
    """Write the keys to a file of another name beside the path, durably; returns it."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(_text(keys))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        unfinished.unlink()
        raise
    return unfinished


def _sync_folder(path: Path) -> None:
    """Make a new name in a folder last."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _text(keys: Keys) -> str:
    names = ("index", "suppression", "rate", "token", "public")
    text = _FILE.format(**{name: _encode(getattr(keys, name)) for name in names})
    if keys.private:
        text += f'private = "{_encode(keys.private)}"\n'
    if before := keys.previous:
        since = before.since.isoformat(timespec="seconds")
        text += _PREVIOUS.format(since=since, public=_encode(before.public), private=_encode(before.private))
    return text


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _halves(private: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    return (
        MLKEM768PrivateKey.from_seed_bytes(private[:_MLKEM_SEED_SIZE]),
        X25519PrivateKey.from_private_bytes(private[_MLKEM_SEED_SIZE:]),
    )


def _public_of(private: bytes) -> bytes:
    lattice, curve = _halves(private)
    return lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
