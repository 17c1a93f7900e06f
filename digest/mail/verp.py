"""Where a copy's bounces come back to: an address that only we can make, and that names nobody (N-01). Pure.

The local part is `b.` and 40 letters of base32: the delivery's public id (16 octets) and the first 9 octets of an
HMAC-SHA-256 over it. Case does not matter, since some mail servers fold it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re

from digest.settings import Newsletter

_LABEL = b"return-path\0"
_ID_SIZE = 16
_TAG_SIZE = 9
"""72 bits: with the id they fill 40 letters without padding."""
_LOCAL = re.compile(r"b\.([a-z2-7]{40})")
LEAVE = "leave"
"""The mailbox that takes the `mailto` of List-Unsubscribe."""


def return_path(newsletter: Newsletter, key: bytes, delivery: bytes) -> str:
    """The envelope's sender of a copy: the same at every try (S-30). Without an inbound domain the newsletter's own."""
    if newsletter.inbound_domain is None:
        return newsletter.sender.address
    return f"b.{verp_token(key, delivery)}@{newsletter.inbound_domain}"


def leave_mailbox(newsletter: Newsletter) -> str:
    """Where a mail goes that ends a subscription: its own mailbox, or the sender's where nothing is taken in."""
    return newsletter.sender.address if newsletter.inbound_domain is None else f"{LEAVE}@{newsletter.inbound_domain}"


def verp_token(key: bytes, delivery: bytes) -> str:
    """The 40 letters that name a delivery by its public id."""
    return base64.b32encode(delivery + _tag(key, delivery)).decode("ascii").lower()


def is_return_path(address: str) -> bool:
    """Whether an address has the form of one of ours, good or forged."""
    return address.lower().startswith("b.")


def read_return_path(key: bytes, address: str) -> bytes | None:
    """The public id of the delivery that an address names; none where it is forged, damaged or another's."""
    match = _LOCAL.fullmatch(address.rpartition("@")[0].lower())
    if match is None:
        return None
    try:
        raw = base64.b32decode(match[1].upper())
    except binascii.Error:
        return None
    delivery, tag = raw[:_ID_SIZE], raw[_ID_SIZE:]
    return delivery if hmac.compare_digest(tag, _tag(key, delivery)) else None


def _tag(key: bytes, delivery: bytes) -> bytes:
    return hmac.digest(key, _LABEL + delivery, "sha256")[:_TAG_SIZE]
