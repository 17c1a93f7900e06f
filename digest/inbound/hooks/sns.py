"""Amazon SNS, which carries what SES tells: is a request really from one of our topics? Pure but for the certificate.

SNS signs a list of fields with RSA; the certificate is named in the request, and only an address of SNS itself is
believed (N-32; Amazon SNS Developer Guide, "Verifying the signatures of Amazon SNS messages").
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from digest.inbound.hooks import ses
from digest.inbound.hooks.event import AHEAD, BadPayload, Event, Passed, Refused, parse, text
from digest.settings_hooks import MEMORY, Hooks

_HOST = r"https://sns\.[a-z0-9-]+\.amazonaws\.com(\.cn)?"
_CERTIFICATE = re.compile(_HOST + r"/SimpleNotificationService-[a-z0-9]+\.pem")
_CONFIRMATION = re.compile(_HOST + r"/\?[!-~]+")
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CHANGE = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _CHANGE,
    "UnsubscribeConfirmation": _CHANGE,
}

Certificate = Callable[[str], rsa.RSAPublicKey | None]
"""The public key of the certificate at an address of SNS; none where it could not be had just now."""


def verify(raw: bytes, hooks: Hooks, certificate: Certificate, now: dt.datetime) -> Passed | Refused:
    """Whether the request is one of an allowed topic, and what it tells.

    The signature is inside the body, so the envelope is read before it is believed; of the message inside, nothing is.
    """
    try:
        envelope = parse(raw)
    except BadPayload as error:
        return Refused(400, str(error))
    refused = _unbelievable(envelope, hooks, now)
    if refused:
        return refused
    key = certificate(text(envelope, "SigningCertURL"))
    if key is None:
        return Refused(503, "the certificate of SNS could not be had")
    if not _is_signed(envelope, key):
        return Refused(403, "the signature is not right")
    return _passed(envelope)


def _unbelievable(envelope: object, hooks: Hooks, now: dt.datetime) -> Refused | None:
    """Why an envelope needs no look at its signature."""
    if text(envelope, "Type") not in _SIGNED:
        return Refused(400, "it is no message of SNS")
    if text(envelope, "TopicArn") not in hooks.ses_topics:
        return Refused(403, "the topic is not one of [hooks] ses_topics")
    if not _CERTIFICATE.fullmatch(text(envelope, "SigningCertURL")):
        return Refused(403, "the certificate's address is not one of SNS")
    if text(envelope, "SignatureVersion") not in ({"1", "2"} if hooks.ses_sha1 else {"2"}):
        return Refused(403, "the topic's SignatureVersion has to be 2")
    if not _is_recent(text(envelope, "Timestamp"), now):
        return Refused(403, "it is too old, or its time cannot be read")
    return None


def _is_recent(stamp: str, now: dt.datetime) -> bool:
    try:
        at = dt.datetime.fromisoformat(stamp)
        age = now - at
    except (ValueError, TypeError, OverflowError):
        return False
    return dt.timedelta(seconds=-AHEAD) <= age <= MEMORY


def _is_signed(envelope: object, key: rsa.RSAPublicKey) -> bool:
    fields = ((name, text(envelope, name)) for name in _SIGNED[text(envelope, "Type")])
    is_old = text(envelope, "SignatureVersion") == "1"
    try:
        signed = "".join(f"{name}\n{value}\n" for name, value in fields if value or name != "Subject").encode()
        signature = base64.b64decode(text(envelope, "Signature"), validate=True)
        # SHA-1 is what version 1 is made with; an operator has to ask for it.
        algorithm = hashes.SHA1() if is_old else hashes.SHA256()  # noqa: S303 -- AWS's choice, off by default.
        key.verify(signature, signed, padding.PKCS1v15(), algorithm)
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True


def _passed(envelope: object) -> Passed | Refused:
    match text(envelope, "Type"):
        case "SubscriptionConfirmation":
            url = text(envelope, "SubscribeURL")
            if not _confirms(url, text(envelope, "TopicArn")):
                return Refused(403, "the address to confirm is not one of SNS for this topic")
            return Passed(confirm=url)
        case "UnsubscribeConfirmation":
            return Passed(said="SNS says that the topic does not tell us anything any more")
        case _:
            message = text(envelope, "Message")
            kept = ses.is_wanted(message)
            return Passed((Event(text(envelope, "MessageId"), message.encode()),) if kept else ())


def _confirms(url: str, topic: str) -> bool:
    """Whether an address is SNS's own, and confirms this topic and nothing else."""
    if not _CONFIRMATION.fullmatch(url):
        return False
    query = parse_qs(urlsplit(url).query)
    return query.get("Action") == ["ConfirmSubscription"] and query.get("TopicArn") == [topic]
