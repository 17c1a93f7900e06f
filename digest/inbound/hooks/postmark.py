"""What Postmark tells, and how it proves that it does (Postmark's developer pages, "Webhooks"). Pure.

Postmark signs nothing: it shows a name and a password, and comes from a few addresses that change (N-34).
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
from collections.abc import Mapping

from digest.inbound.hooks.event import (
    COMPLAINT,
    LEFT_THERE,
    UNCLEAR,
    BadPayload,
    Event,
    Identify,
    Passed,
    Refused,
    address,
    inside,
    octets,
    parse,
    rows,
    text,
    weighed,
)
from digest.inbound.notice import Ignored, Notice, Sign, Unreadable
from digest.settings_hooks import Hooks

_DROPPED = frozenset({"Delivery", "Open", "Click"})
_NOTHING = frozenset(
    {
        "Transient",
        "Subscribe",
        "AutoResponder",
        "AddressChange",
        "ChallengeVerification",
        "OpenRelayTest",
        "Unconfirmed",
        "InboundError",
        "TemplateRenderingFailed",
    }
)
"""Types of bounces that are none: a delay, an automatic answer, somebody's mail to Postmark."""
_BOUNCES = {
    "HardBounce": (Sign.HARD, "user-unknown"),
    "BadEmailAddress": (Sign.HARD, "user-unknown"),
    "SoftBounce": (Sign.SOFT, UNCLEAR),
    "DnsError": (Sign.SOFT, "host-not-found"),
    "Unknown": (Sign.SOFT, UNCLEAR),
    "Blocked": (Sign.POLICY, "blocked"),
    "SpamNotification": (Sign.POLICY, "spam"),
    "VirusNotification": (Sign.POLICY, "content"),
    "DMARCPolicy": (Sign.POLICY, "not-authenticated"),
    "SMTPApiError": (Sign.POLICY, "blocked"),
    "SpamComplaint": (Sign.COMPLAINT, COMPLAINT),
    "Unsubscribe": (Sign.LEAVE, LEFT_THERE),
    "ManuallyDeactivated": (Sign.LEAVE, LEFT_THERE),
    "ManualSuppression": (Sign.LEAVE, LEFT_THERE),
}


def verify(raw: bytes, headers: Mapping[str, str], client: str | None, hooks: Hooks) -> Passed | Refused:
    """Whether the request is Postmark's, by what it shows before its body is read, and what it tells.

    `client` is the address that the request comes from.
    """
    if not _comes_from(client, hooks.postmark_networks):
        return Refused(403, "it does not come from one of [hooks] postmark_networks")
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    expected = base64.b64encode(f"{hooks.postmark_user}:{hooks.postmark_password}".encode())
    if not hmac.compare_digest(octets(shown.strip()), expected) or scheme.lower() != "basic":
        return Refused(403, "the name or the password is not right")
    try:
        data = parse(raw)
    except BadPayload:
        # It is Postmark's: a person should see what came.
        return Passed((Event("", raw),))
    return Passed() if text(data, "RecordType") in _DROPPED else Passed((Event(_key(data), raw),))


def _comes_from(client: str | None, networks: tuple[str, ...]) -> bool:
    if not networks:
        return True
    try:
        found = ipaddress.ip_address(client or "")
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return any((mapped or found) in ipaddress.ip_network(network) for network in networks)


def _key(data: object) -> str:
    """What names an event. A change of a subscription has no number: the message that led to it, and the time."""
    kind, number = text(data, "RecordType"), inside(data, "ID")
    if isinstance(number, int):
        return f"{kind} {number % 2**64}"
    message, at = text(data, "MessageID"), text(data, "ChangedAt")
    # Without the message only the address would be left to name it by, and that must not be guessed from a hash.
    return f"{kind} {message} {at}" if message and at and len(message + at) < 200 else ""  # noqa: PLR2004 -- a bound.


def read(raw: bytes, identify: Identify) -> list[Notice] | Ignored | Unreadable:
    """What one event of Postmark says."""
    try:
        data = parse(raw)
    except BadPayload as error:
        return Unreadable(f"What Postmark sent cannot be read: {error}.")
    match text(data, "RecordType"):
        case "Bounce":
            kind = text(data, "Type")
        case "SpamComplaint":
            kind = "SpamComplaint"
        case "SubscriptionChange":
            # That somebody at the provider lets an address in again is not the reader's consent (N-23).
            kind = text(data, "SuppressionReason") if inside(data, "SuppressSending") is True else "Subscribe"
        case record:
            kind = "Transient" if record in _DROPPED else ""
    if kind in _NOTHING:
        return Ignored("Postmark told of something that changes nothing.")
    return _notices(kind, data, identify)


def _notices(kind: str, data: object, identify: Identify) -> list[Notice] | Unreadable:
    found = _BOUNCES.get(kind)
    if found is None:
        return Unreadable("Postmark told of something that is not known here.")
    who = identify(_header(data)) or address(data, "Email") or address(data, "Recipient")
    if who is None:
        return Unreadable("Postmark told of something and not of whom.")
    return [weighed(*found, who, "", text(data, "Details"))]


def _header(data: object) -> dict[str, str]:
    return {text(one, "Name").lower(): text(one, "Value") for one in rows(data, "Headers")}
