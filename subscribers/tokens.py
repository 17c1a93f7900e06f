"""Links in mail and forms: random tokens that are stored as hashes, and signed ones that need no row. Pure.

A signed token is a payload and the first 16 octets of an HMAC-SHA-256 over its purpose and the payload, in base64url.
It says nothing of the address and does not expire (F-24); it serves its one purpose only (O-01).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import enum
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

_MAC_SIZE = 16
_ID_SIZE = 16
_HASH_SIZE = 32


class Purpose(enum.StrEnum):
    """What a signed token is good for; one that is good for a thing is good for nothing else."""

    LEAVE = "leave"
    MANAGE = "manage"
    NEVER = "never"
    FORM = "form"
    """The hidden field beside a button: it shows that the page with the button was read first (O-11)."""
    FILLED = "filled"
    """When the sign-up form was handed out (O-24)."""


def new_token() -> str:
    """A random token of 256 bits, 43 characters (O-01)."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> bytes:
    """What is stored of a random token: its SHA-256. It has bits enough to need no salt (ASVS 6.5.2)."""
    return hashlib.sha256(token.encode()).digest()


def subscription_token(key: bytes, purpose: Purpose, public_id: bytes) -> str:
    """A link's token that names a subscription by its random public id: 43 characters."""
    return _sign(key, purpose, public_id)


def read_subscription_token(key: bytes, purpose: Purpose, token: str) -> bytes | None:
    """The public id that a token names; none where it is forged, damaged or was made for another purpose."""
    return _read(key, purpose, token, _ID_SIZE)


@dataclass(frozen=True)
class NeverToken:
    """Whom a "never mail me again" link is about, by keyed hashes alone.

    So the link also works when its subscription has long been deleted (O-25), and for one that was made since.
    """

    blind_index: bytes = field(repr=False)
    suppression_hash: bytes = field(repr=False)


def never_token(key: bytes, blind_index: bytes, suppression_hash: bytes) -> str:
    """The token of such a link: 107 characters."""
    return _sign(key, Purpose.NEVER, blind_index + suppression_hash)


def read_never_token(key: bytes, token: str) -> NeverToken | None:
    """What such a token names; none where it is forged or damaged."""
    payload = _read(key, Purpose.NEVER, token, 2 * _HASH_SIZE)
    return NeverToken(payload[:_HASH_SIZE], payload[_HASH_SIZE:]) if payload else None


def button_token(key: bytes, link_token: str) -> str:
    """The hidden field of a page's form, bound to the token in the page's address (O-11)."""
    return _sign(key, Purpose.FORM, hash_token(link_token))


def is_button_token(key: bytes, link_token: str, given: str) -> bool:
    """Whether a form came from the page of this link."""
    payload = _read(key, Purpose.FORM, given, _HASH_SIZE)
    return payload is not None and hmac.compare_digest(payload, hash_token(link_token))


def fill_stamp(key: bytes, at: dt.datetime) -> str:
    """The sign-up form's hidden field: when it was handed out."""
    return _sign(key, Purpose.FILLED, int(at.timestamp() * 1000).to_bytes(8, "big"))


def read_fill_stamp(key: bytes, stamp: str) -> dt.datetime | None:
    """When a form was handed out; none where the stamp is forged or missing."""
    payload = _read(key, Purpose.FILLED, stamp, 8)
    return dt.datetime.fromtimestamp(int.from_bytes(payload, "big") / 1000, dt.UTC) if payload else None


@dataclass(frozen=True)
class Links:
    """The addresses of pages that letters name. The base comes from the configuration alone (O-03)."""

    base_url: str
    key: bytes = field(repr=False)

    def confirm(self, token: str) -> str:
        """The page with the button that confirms; `token` is a random one."""
        return f"{self.base_url}/confirm/{token}"

    def leave(self, public_id: bytes) -> str:
        """The one-click address of a subscription (F-24)."""
        return f"{self.base_url}/u/{subscription_token(self.key, Purpose.LEAVE, public_id)}"

    def manage(self, public_id: bytes) -> str:
        """The page where a person sees and ends a subscription."""
        return f"{self.base_url}/manage/{subscription_token(self.key, Purpose.MANAGE, public_id)}"

    def never(self, blind_index: bytes, suppression_hash: bytes) -> str:
        """The page that puts an address on the list of those who are never mailed (O-22)."""
        return f"{self.base_url}/never/{never_token(self.key, blind_index, suppression_hash)}"


def _sign(key: bytes, purpose: Purpose, payload: bytes) -> str:
    return _encode(payload + _mac(key, purpose, payload))


def _read(key: bytes, purpose: Purpose, token: str, size: int) -> bytes | None:
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        return None
    # Base64 has several spellings of the same octets, and the decoder skips what it does not know: one is ours.
    if len(raw) != size + _MAC_SIZE or _encode(raw) != token:
        return None
    payload, mac = raw[:size], raw[size:]
    return payload if hmac.compare_digest(mac, _mac(key, purpose, payload)) else None


def _mac(key: bytes, purpose: Purpose, payload: bytes) -> bytes:
    return hmac.digest(key, purpose.encode() + b"\0" + payload, "sha256")[:_MAC_SIZE]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
