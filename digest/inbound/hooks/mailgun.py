"""What Mailgun tells, and how it proves that it does (Mailgun's user manual, "Webhooks", "Securing Webhooks"). Pure."""

from __future__ import annotations

import datetime as dt
import hmac

from digest.inbound.hooks.event import (
    COMPLAINT,
    LEFT_THERE,
    SUPPRESSED_THERE,
    UNCLEAR,
    BadPayload,
    Event,
    Identify,
    Passed,
    Refused,
    address,
    inside,
    is_fresh,
    octets,
    parse,
    text,
    weighed,
)
from digest.inbound.notice import Ignored, Notice, Sign, Unreadable, Who
from digest.settings_hooks import Hooks

_DROPPED = frozenset(
    {
        "accepted",
        "rejected",
        "stored",
        "delivered",
        "opened",
        "clicked",
        "list_member_uploaded",
        "list_member_upload_error",
        "list_uploaded",
    }
)
_LONGEST_TOKEN = 200
_FAILURES = {
    "bounce": (Sign.HARD, "user-unknown"),
    "hardfail": (Sign.HARD, "user-unknown"),
    "suppress-bounce": (Sign.HARD, SUPPRESSED_THERE),
    "suppress-complaint": (Sign.COMPLAINT, COMPLAINT),
    "suppress-unsubscribe": (Sign.LEAVE, LEFT_THERE),
    "espblock": (Sign.POLICY, "blocked"),
    "blocked": (Sign.POLICY, "blocked"),
    "old": (Sign.SOFT, "expired"),
}
_OTHER_FAILURE = (Sign.SOFT, UNCLEAR)


def verify(raw: bytes, hooks: Hooks, now: dt.datetime) -> Passed | Refused:
    """Whether the request is Mailgun's, and what it tells.

    The signature is inside the body and covers a time and a token, not the event (N-33). So the token is the event's
    name: with another event, an old token brings nothing new, for longer than its time is good.
    """
    try:
        body = parse(raw)
    except BadPayload as error:
        return Refused(400, str(error))
    stamp, token = _stamp(body), text(body, "signature", "token")
    expected = hmac.digest(hooks.mailgun_key.encode(), octets(stamp + token), "sha256").hex()
    if not hmac.compare_digest(octets(text(body, "signature", "signature")), expected.encode()):
        return Refused(403, "the signature is not right")
    if not token or len(token) > _LONGEST_TOKEN or not is_fresh(stamp, now, hooks.fresh):
        return Refused(403, "the signature's time is too old, or is none")
    event = inside(body, "event-data")
    # Of a failure that is not final Mailgun tells at each of its tries; only the end of them counts (N-10).
    if text(event, "event") in _DROPPED or text(event, "severity") == "temporary":
        return Passed()
    # The time stands first and has a fixed place, so that no other pair of time and token makes the same name.
    return Passed((Event(f"{stamp} {token}", raw),))


def _stamp(body: object) -> str:
    found = inside(body, "signature", "timestamp")
    return str(found) if isinstance(found, int) and found in range(10**12) else text(body, "signature", "timestamp")


def read(raw: bytes, identify: Identify) -> list[Notice] | Ignored | Unreadable:
    """What one event of Mailgun says."""
    try:
        event = inside(parse(raw), "event-data")
    except BadPayload as error:
        return Unreadable(f"What Mailgun sent cannot be read: {error}.")
    kind = text(event, "event")
    if kind in _DROPPED or text(event, "severity") == "temporary":
        return Ignored("Mailgun told of something that changes nothing.")
    if kind not in ("failed", "complained", "unsubscribed"):
        return Unreadable("Mailgun told of something that is not known here.")
    who = identify(_header(event)) or address(event, "recipient")
    if who is None:
        return Unreadable("Mailgun told of something and not of whom.")
    return [_notice(kind, event, who)]


def _header(event: object) -> dict[str, str]:
    found = inside(event, "message", "headers")
    fields = found if isinstance(found, dict) else {}
    texts = {name.lower(): value for name, value in fields.items() if isinstance(value, str)}
    return {**texts, "return-path": text(event, "envelope", "sender")}


def _notice(kind: str, event: object, who: Who) -> Notice:
    if kind == "complained":
        return Notice(Sign.COMPLAINT, who, reason=COMPLAINT)
    if kind == "unsubscribed":
        return Notice(Sign.LEAVE, who, reason=LEFT_THERE)
    sign, reason = _FAILURES.get(text(event, "reason"), _OTHER_FAILURE)
    if sign is Sign.HARD and text(event, "delivery-status", "bounce-type") == "soft":
        sign, reason = _OTHER_FAILURE
    status, words = text(event, "delivery-status", "enhanced-code"), text(event, "delivery-status", "message")
    return weighed(sign, reason, who, status, words)
