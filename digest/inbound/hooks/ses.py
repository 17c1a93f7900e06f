"""What Amazon SES tells of a message (its Developer Guide, "Notification contents" and "Event publishing"). Pure.

The same records come in two dressings: as feedback notifications (`notificationType`) and by event publishing
(`eventType`).
"""

from __future__ import annotations

from digest.inbound.hooks.event import (
    COMPLAINT,
    LEFT_THERE,
    SUPPRESSED_THERE,
    UNCLEAR,
    BadPayload,
    Identify,
    address,
    inside,
    parse,
    rows,
    text,
    weighed,
)
from digest.inbound.notice import Ignored, Notice, Sign, Unreadable, Who

_DROPPED = frozenset(
    {
        "AmazonSnsSubscriptionSucceeded",
        "Send",
        "Reject",
        "Delivery",
        "DeliveryDelay",
        "Open",
        "Click",
        "Rendering Failure",
    }
)
_GREETING = "Successfully validated SNS topic"
"""What SES writes, as plain text, into a topic that it is connected to."""
_BOUNCES = {
    ("Permanent", "UnsubscribedRecipient"): (Sign.LEAVE, LEFT_THERE),
    ("Permanent", "Suppressed"): (Sign.HARD, SUPPRESSED_THERE),
    ("Permanent", "OnAccountSuppressionList"): (Sign.HARD, SUPPRESSED_THERE),
    ("Transient", "MailboxFull"): (Sign.SOFT, "mailbox-full"),
    ("Transient", "MessageTooLarge"): (Sign.POLICY, "too-large"),
    ("Transient", "ContentRejected"): (Sign.POLICY, "content"),
    ("Transient", "AttachmentRejected"): (Sign.POLICY, "content"),
    ("Transient", "CustomTimeoutExceeded"): (Sign.SOFT, "expired"),
}
_BOUNCES_IN_GENERAL = {
    "Permanent": (Sign.HARD, "user-unknown"),
    "Transient": (Sign.SOFT, UNCLEAR),
    "Undetermined": (Sign.SOFT, UNCLEAR),
}


def is_wanted(message: str) -> bool:
    """Whether a verified message is worth keeping: opens, clicks and good news are dropped at the door (N-36)."""
    if message.startswith(_GREETING):
        return False
    try:
        return _kind(parse(message.encode())) not in _DROPPED
    except BadPayload:
        return True


def read(raw: bytes, identify: Identify) -> list[Notice] | Ignored | Unreadable:
    """What one message of SES says."""
    try:
        data = parse(raw)
    except BadPayload as error:
        return Unreadable(f"What SES sent cannot be read: {error}.")
    ours = identify(_header(data))
    match _kind(data):
        case "Bounce":
            return _bounces(data, ours)
        case "Complaint":
            return _complaint(data, ours)
        case "Subscription":
            return _subscription(data, ours)
        case kind if kind in _DROPPED:
            return Ignored("SES told of something that changes nothing.")
        case _:
            return Unreadable("SES told of something that is not known here.")


def _kind(data: object) -> str:
    return text(data, "notificationType") or text(data, "eventType")


def _header(data: object) -> dict[str, str]:
    """The fields of the message that it is about, and its envelope's sender."""
    found = {text(one, "name").lower(): text(one, "value") for one in rows(data, "mail", "headers")}
    return {**found, "return-path": text(data, "mail", "source")}


def _bounces(data: object, ours: Who | None) -> list[Notice] | Unreadable:
    kind, detail = text(data, "bounce", "bounceType"), text(data, "bounce", "bounceSubType")
    found = _BOUNCES.get((kind, detail)) or _BOUNCES_IN_GENERAL.get(kind)
    if found is None:
        return Unreadable("SES told of a bounce of a type that is not known here.")
    notices = []
    for one in rows(data, "bounce", "bouncedRecipients"):
        who = ours or address(one, "emailAddress")
        if who:
            notices.append(weighed(*found, who, text(one, "status"), text(one, "diagnosticCode")))
    return list(dict.fromkeys(notices)) or Unreadable("SES told of a bounce and not of whose.")


def _complaint(data: object, ours: Who | None) -> list[Notice] | Ignored | Unreadable:
    if text(data, "complaint", "complaintFeedbackType") == "not-spam":
        return Ignored("Somebody said that it is no spam.")
    whose = [who for one in rows(data, "complaint", "complainedRecipients") if (who := address(one, "emailAddress"))]
    # SES lists everybody who may have complained; a copy of ours has one reader, so more than one is a riddle.
    if ours is None and len(whose) != 1:
        return Unreadable("SES told of a complaint and not of whose.")
    return [Notice(Sign.COMPLAINT, ours or whose[0], reason=COMPLAINT)]


def _subscription(data: object, ours: Who | None) -> list[Notice] | Ignored | Unreadable:
    if inside(data, "subscription", "newTopicPreferences", "unsubscribeAll") is not True:
        return Ignored("Somebody changed what SES keeps of them, and did not leave.")
    to = inside(data, "mail", "destination")
    who = ours or (address({"to": to[0]}, "to") if isinstance(to, list) and len(to) == 1 else None)
    if who is None:
        return Unreadable("SES told that somebody left and not who.")
    return [Notice(Sign.LEAVE, who, reason=LEFT_THERE)]
