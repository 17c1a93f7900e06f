"""The secrets of an installation, and the one file they are kept in (E-04, E-05)."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import tomllib
from dataclasses import dataclass, field
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
# A machine that only serves pages needs everything but `private`; give it a copy of this file without that line.

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


class BadKeys(Exception):
    """The keys file cannot be used; the message is a sentence that says why and what to do."""


@dataclass(frozen=True)
class Keys:
    """The secrets of an installation; `private` is none in a process that must not read the list (DESIGN 4.7)."""

    index: bytes = field(repr=False)
    suppression: bytes = field(repr=False)
    rate: bytes = field(repr=False)
    token: bytes = field(repr=False)
    public: bytes = field(repr=False)
    private: bytes | None = field(repr=False, default=None)

    def __repr__(self) -> str:
        return f"Keys({'with' if self.private else 'without'} the private key)"

    def sealing_key(self) -> MLKEM768X25519PublicKey:
        """The public key as the library wants it."""
        return MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(self.public[:_MLKEM_PUBLIC_SIZE]),
            X25519PublicKey.from_public_bytes(self.public[_MLKEM_PUBLIC_SIZE:]),
        )

    def opening_key(self) -> MLKEM768X25519PrivateKey | None:
        """The private key as the library wants it; none where this process has none."""
        return MLKEM768X25519PrivateKey(*_halves(self.private)) if self.private else None


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
    text = _FILE.format(
        **{name: _encode(getattr(keys, name)) for name in ("index", "suppression", "rate", "token", "public")}
    )
    if keys.private:
        text += f'private = "{_encode(keys.private)}"\n'
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(unfinished, path)
    finally:
        unfinished.unlink()


def read_keys(path: Path) -> Keys:
    """The keys in a file. A file without `private` is right for a process that only takes sign-ups.

    Raises `BadKeys` where the file is missing, open to others, incomplete, short, or holds placeholders (E-05).
    """
    data = _read(path)
    problem = f"The keys file {path}"
    given = {name: _decode(data, name, size, problem) for name, size in _SIZES.items() if name in data}
    if missing := [name for name in _SIZES if name not in given and name != "private"]:
        raise BadKeys(f"{problem} lacks {', '.join(missing)}; restore it from your copy.")
    if len({given[name] for name in ("index", "suppression", "rate", "token")}) != 4:  # noqa: PLR2004
        raise BadKeys(f"{problem} has the same secret twice; each must be its own. Restore it from your copy.")
    if "private" in given and _public_of(given["private"]) != given["public"]:
        raise BadKeys(f"{problem} has a private key that does not belong to its public key; restore it from your copy.")
    return Keys(**given)


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
    if unknown := sorted(set(data) - set(_SIZES)):
        raise BadKeys(f"The keys file {path} has a key that is not ours: {', '.join(unknown)}.")
    return data


def _decode(data: dict[str, object], name: str, size: int, problem: str) -> bytes:
    try:
        value = base64.b64decode(str(data[name]), validate=True)
    except binascii.Error:
        raise BadKeys(f"{problem}: {name} is not a key but something else; restore it from your copy.") from None
    if len(value) != size:
        raise BadKeys(f"{problem}: {name} has {len(value)} octets where {size} are right; restore it from your copy.")
    if len(set(value)) < _FEWEST_OCTETS:
        raise BadKeys(f"{problem}: {name} is a placeholder, not a random key; make real ones with `digest init`.")
    return value


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
