"""What SendGrid tells, and how it proves that it does (SendGrid's "Event Webhook Reference", security features). Pure.

One request holds many events. The signature is ECDSA over the time and the octets of the body as they came (N-35).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

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
    is_fresh,
    octets,
    parse,
    text,
    weighed,
)
from digest.inbound.notice import Ignored, Notice, Sign, Unreadable
from digest.settings_hooks import Hooks, verification_key

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
_LONGEST_ID = 400
_DROPPED = frozenset(
    {"processed", "deferred", "delivered", "open", "click", "group_resubscribe", "account_status_change"}
)
_CLASSES = {
    "Invalid Address": (Sign.HARD, "user-unknown"),
    "Mailbox Unavailable": (Sign.SOFT, "mailbox-trouble"),
    "Technical Failure": (Sign.SOFT, UNCLEAR),
    "Unclassified": (Sign.SOFT, UNCLEAR),
    "Content": (Sign.POLICY, "content"),
    "Reputation": (Sign.POLICY, "blocked"),
    "Frequency or Volume Too High": (Sign.POLICY, "too-fast"),
}
_DROPS = {
    "bounced address": (Sign.HARD, SUPPRESSED_THERE),
    "invalid": (Sign.HARD, "user-unknown"),
    "unsubscribed address": (Sign.LEAVE, LEFT_THERE),
    "spam reporting address": (Sign.COMPLAINT, COMPLAINT),
}


def verify(raw: bytes, headers: Mapping[str, str], hooks: Hooks, now: dt.datetime) -> Passed | Refused:
    """Whether the request is SendGrid's, by its octets as they came, and what it tells."""
    stamp = headers.get(TIMESTAMP, "")
    try:
        signature = base64.b64decode(headers.get(SIGNATURE, ""), validate=True)
        key = verification_key(hooks.sendgrid_key)
        key.verify(signature, octets(stamp) + raw, ec.ECDSA(hashes.SHA256()))
    except (binascii.Error, ValueError, InvalidSignature):
        return Refused(403, "the signature is not right")
    if not is_fresh(stamp, now, hooks.fresh):
        return Refused(403, "the signature's time is too old, or is none")
    try:
        events = parse(raw)
        found = events if isinstance(events, list) else [events]
        return Passed(tuple(_event(one) for one in found if text(one, "event") not in _DROPPED))
    except (BadPayload, RecursionError):
        # It is SendGrid's: a person should see what came.
        return Passed((Event("", raw),))


def _event(event: object) -> Event:
    name = text(event, "sg_event_id")
    return Event(name if len(name) <= _LONGEST_ID else "", json.dumps(event).encode())


def read(raw: bytes, identify: Identify) -> list[Notice] | Ignored | Unreadable:
    """What one event of SendGrid says. It shows nothing of a message's header, so no token of ours can be read."""
    del identify
    try:
        event = parse(raw)
    except BadPayload as error:
        return Unreadable(f"What SendGrid sent cannot be read: {error}.")
    found = _found(event)
    if not isinstance(found, tuple):
        return found
    who = address(event, "email")
    if who is None:
        return Unreadable("SendGrid told of something and not of whom.")
    return [weighed(*found, who, text(event, "status"), text(event, "reason"))]


def _found(event: object) -> tuple[Sign, str] | Ignored | Unreadable:
    match text(event, "event"):
        case "bounce":
            return _bounce(event)
        case "dropped":
            known = _DROPS.get(text(event, "reason").strip().lower())
            return known or Ignored("SendGrid sent something on to nobody, for a reason that is not the reader's.")
        case "spamreport":
            return Sign.COMPLAINT, COMPLAINT
        case "unsubscribe" | "group_unsubscribe":
            return Sign.LEAVE, LEFT_THERE
        case kind if kind in _DROPPED:
            return Ignored("SendGrid told of something that changes nothing.")
        case _:
            return Unreadable("SendGrid told of something that is not known here.")


def _bounce(event: object) -> tuple[Sign, str]:
    """A `blocked` or `expired` message is never the end of a mailbox, whatever class it is put in."""
    known = _CLASSES.get(text(event, "bounce_classification"))
    match text(event, "type"):
        case "blocked":
            return known if known and known[0] is not Sign.HARD else (Sign.POLICY, "blocked")
        case "expired":
            return Sign.SOFT, "expired"
        case _:
            return known or (Sign.HARD, "user-unknown")
