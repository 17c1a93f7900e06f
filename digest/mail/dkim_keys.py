"""The keys that mail is signed with: made, read, and published (RFC 6376 §3.6, RFC 8301)."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from digest.mail.dkim import Signer
from digest.settings import Newsletter, Settings
from subscribers.keys import BadKeys

FEWEST_BITS = 2048
"""Shorter keys are not accepted; new ones have this many, since some receivers read no longer ones (RFC 8301 §3.2)."""
_LONGEST_STRING = 255
"""Octets of a string in a TXT record (RFC 1035 §3.3.14)."""


class BadDkimKey(BadKeys):
    """A DKIM key cannot be used; the message is a sentence that says why and what to do."""


def signers(settings: Settings) -> Mapping[str, Signer]:
    """By slug, who signs each newsletter's mail; the relay signs for those that are not here. Raises `BadDkimKey`."""
    made = ((slug, signer(newsletter)) for slug, newsletter in settings.newsletters.items())
    found = {slug: one for slug, one in made if one}
    published: dict[str, str] = {}
    for slug, one in found.items():
        name, strings = record(one)
        if published.setdefault(name, "".join(strings)) != "".join(strings):
            raise BadDkimKey(
                f"{slug} has another key than a newsletter before it for {name}; give it its own selector."
            )
    return found


def signer(newsletter: Newsletter) -> Signer | None:
    """Who signs a newsletter's mail; none where the relay does. Raises `BadDkimKey`."""
    if newsletter.dkim is None:
        return None
    return Signer(newsletter.signing_domain, newsletter.dkim.selector, read_key(newsletter.dkim.key))


def make_key() -> rsa.RSAPrivateKey:
    """A new random key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=FEWEST_BITS)


def write_key(path: Path, key: rsa.RSAPrivateKey) -> None:
    """Write a key to a file that only its owner can read (mode 0600).

    Raises `FileExistsError` where there is a file already: keys are never overwritten. The file appears complete or
    not at all.
    """
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(unfinished, path)
    finally:
        unfinished.unlink()


def read_key(path: Path) -> rsa.RSAPrivateKey:
    """The key in a file. Raises `BadDkimKey` where it is missing, open to others, no RSA key, or too short (F-28)."""
    octets = _read(path)
    try:
        key = load_pem_private_key(octets, password=None)
    except TypeError:
        raise BadDkimKey(f"The DKIM key {path} is locked with a password; give it without one, mode 0600.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadDkimKey(f"The DKIM key {path} is no private key in PEM; make one with `digest dkim make`.") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise BadDkimKey(f"The DKIM key {path} is not for RSA, which all receivers read; use `digest dkim make`.")
    if key.key_size < FEWEST_BITS:
        raise BadDkimKey(
            f"The DKIM key {path} has {key.key_size} bits, and {FEWEST_BITS} is the least; use `digest dkim make`."
        )
    return key


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            raise BadDkimKey(f"The DKIM key {path} can be read by others on this machine; run `chmod 600 {path}`.")
        return path.read_bytes()
    except FileNotFoundError:
        raise BadDkimKey(f"There is no DKIM key {path}; make one with `digest dkim make`, or name yours.") from None
    except OSError as error:
        raise BadDkimKey(f"The DKIM key {path} cannot be read: {error.strerror}.") from None


def record(signer: Signer) -> tuple[str, tuple[str, ...]]:
    """The TXT record to publish: its name, and its value in strings of at most 255 octets (RFC 6376 §3.6.2)."""
    public = signer.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    value = f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode('ascii')}"
    strings = (value[start : start + _LONGEST_STRING] for start in range(0, len(value), _LONGEST_STRING))
    return f"{signer.selector}._domainkey.{signer.domain}", tuple(strings)
