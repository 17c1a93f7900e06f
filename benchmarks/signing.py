"""DKIM for the benchmarks: a key, and the proof that what is measured as signed is signed."""

from __future__ import annotations

import base64
from pathlib import Path

import dkim
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from digest.settings import Newsletter

BITS = 2048


class CannotMeasure(Exception):
    """What a row is about is not there; the message says what."""


def can_sign() -> bool:
    """Whether a newsletter can be told to sign its issues."""
    return "dkim" in Newsletter.model_fields


def write_key(file: Path) -> None:
    """Make an RSA key in a file that only its owner can read."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    file.touch(mode=0o600)
    # The older of the two formats is the one that dkimpy reads too.
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))


def check(raw: bytes, key: Path) -> None:
    """Raise `CannotMeasure` unless dkimpy finds the message signed with that key."""
    public = load_pem_private_key(key.read_bytes(), password=None).public_key()
    written = base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    record = b"v=DKIM1; k=rsa; p=" + written

    def published(_name: bytes, timeout: int = 5) -> bytes:  # noqa: ARG001 -- dkimpy's way to ask the DNS.
        return record

    if not dkim.verify(raw, dnsfunc=published):
        raise CannotMeasure("a copy was sent that has no valid signature")
