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
from functools import cached_property

_MAC_SIZE = 16
_BLOCK_SIZE = 64
"""Octets of a block of SHA-256, and so of an HMAC's key."""
_INNER_PAD = bytes(octet ^ 0x36 for octet in range(256))
_OUTER_PAD = bytes(octet ^ 0x5C for octet in range(256))
_ID_SIZE = 16
_HASH_SIZE = 32
_NETWORK_MARK_SIZE = 8


class Purpose(enum.StrEnum):
    """What a signed token is good for; one that is good for a thing is good for nothing else."""

    LEAVE = "leave"
    MANAGE = "manage"
    NEVER = "never"
    FORM = "form"
    """The hidden field beside a button: it shows that the page with the button was read first (O-11)."""
    FILLED = "filled"
    """When and where the sign-up form was handed out (O-24)."""


class Mac:
    """HMAC-SHA-256 (RFC 2104) over one prefix and many payloads, for what is made for every reader of an issue.

    The key and the prefix are hashed once; each payload then costs two copies of a hash's state.
    """

    def __init__(self, key: bytes, prefix: bytes) -> None:
        block = (hashlib.sha256(key).digest() if len(key) > _BLOCK_SIZE else key).ljust(_BLOCK_SIZE, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER_PAD) + prefix)
        self._outer = hashlib.sha256(block.translate(_OUTER_PAD))

    def digest(self, payload: bytes) -> bytes:
        """The same 32 octets as `hmac.digest(key, prefix + payload, "sha256")`."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(payload)
        outer.update(inner.digest())
        return outer.digest()


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
    mailbox_hash: bytes | None = field(default=None, repr=False)
    """Of the mailbox in whatever spelling. Links of before have none, nor those made where no address was at hand."""


def never_token(key: bytes, blind_index: bytes, suppression_hash: bytes, mailbox_hash: bytes | None = None) -> str:
    """The token of such a link: 150 characters, 107 without the mailbox."""
    return _sign(key, Purpose.NEVER, blind_index + suppression_hash + (mailbox_hash or b""))


def read_never_token(key: bytes, token: str) -> NeverToken | None:
    """What such a token names; none where it is forged or damaged."""
    for count in (3, 2):
        if payload := _read(key, Purpose.NEVER, token, count * _HASH_SIZE):
            return NeverToken(*(payload[place : place + _HASH_SIZE] for place in range(0, len(payload), _HASH_SIZE)))
    return None


def button_token(key: bytes, link_token: str) -> str:
    """The hidden field of a page's form, bound to the token in the page's address (O-11)."""
    return _sign(key, Purpose.FORM, hash_token(link_token))


def is_button_token(key: bytes, link_token: str, given: str) -> bool:
    """Whether a form came from the page of this link."""
    payload = _read(key, Purpose.FORM, given, _HASH_SIZE)
    return payload is not None and hmac.compare_digest(payload, hash_token(link_token))


@dataclass(frozen=True)
class Filled:
    """What a form's stamp says."""

    at: dt.datetime
    """When the form was handed out."""
    is_here: bool
    """Whether it was handed out to the network that it was sent from."""


def fill_stamp(key: bytes, at: dt.datetime, network: str) -> str:
    """The sign-up form's hidden field: when it was handed out, and to which network, which nobody else can read."""
    when = int(at.timestamp() * 1000).to_bytes(8, "big")
    return _sign(key, Purpose.FILLED, when + _network_mark(key, when, network))


def read_fill_stamp(key: bytes, stamp: str, network: str) -> Filled | None:
    """What the stamp of a form says that was sent from a network; none where it is forged or missing."""
    payload = _read(key, Purpose.FILLED, stamp, 8 + _NETWORK_MARK_SIZE)
    if payload is None:
        return None
    when, mark = payload[:8], payload[8:]
    at = dt.datetime.fromtimestamp(int.from_bytes(when, "big") / 1000, dt.UTC)
    return Filled(at, hmac.compare_digest(mark, _network_mark(key, when, network)))


def _network_mark(key: bytes, when: bytes, network: str) -> bytes:
    return hmac.digest(key, b"network\0" + when + network.encode(), "sha256")[:_NETWORK_MARK_SIZE]


@dataclass(frozen=True)
class Links:
    """The addresses of pages that letters name. The base comes from the configuration alone (O-03)."""

    base_url: str
    key: bytes = field(repr=False)

    def confirm(self, token: str) -> str:
        """The page with the button that confirms; `token` is a random one."""
        return f"{self.base_url}/confirm/{token}"

    def leave_token(self, public_id: bytes) -> str:
        """What stands at the end of a subscription's one-click address: 43 characters."""
        return _encode(public_id + self._leave_mac.digest(public_id)[:_MAC_SIZE])

    def leave(self, public_id: bytes) -> str:
        """The one-click address of a subscription (F-24)."""
        return self.leave_with(self.leave_token(public_id))

    def leave_with(self, leave_token: str, language: str = "") -> str:
        """The one-click address that ends in this token, for somebody who is to read it in a language."""
        return f"{self.base_url}/u/{leave_token}{_in(language)}"

    def manage(self, public_id: bytes, language: str = "") -> str:
        """The page where a person asks for a link to their own, or ends a subscription."""
        token = _encode(public_id + self._manage_mac.digest(public_id)[:_MAC_SIZE])
        return f"{self.base_url}/manage/{token}{_in(language)}"

    def mine(self, token: str) -> str:
        """The page of one's own that a fresh link opens for an hour; `token` is a random one."""
        return f"{self.base_url}/mine/{token}"

    def never(
        self, blind_index: bytes, suppression_hash: bytes, mailbox_hash: bytes | None = None, language: str = ""
    ) -> str:
        """The page that puts an address on the list of those who are never mailed (O-22)."""
        token = never_token(self.key, blind_index, suppression_hash, mailbox_hash)
        return f"{self.base_url}/never/{token}{_in(language)}"

    # A sender makes both for every copy, so the key is set up once.
    @cached_property
    def _leave_mac(self) -> Mac:
        return Mac(self.key, _prefix(Purpose.LEAVE))

    @cached_property
    def _manage_mac(self) -> Mac:
        return Mac(self.key, _prefix(Purpose.MANAGE))


def _in(language: str) -> str:
    """What says a page's language that the page itself cannot know: it must not look who it is for."""
    return f"?lang={language}" if language else ""


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
    return hmac.digest(key, _prefix(purpose) + payload, "sha256")[:_MAC_SIZE]


def _prefix(purpose: Purpose) -> bytes:
    return purpose.encode() + b"\0"


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
