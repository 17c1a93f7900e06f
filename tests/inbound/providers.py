"""Requests as the providers make them, in the shape of their documents, signed with keys of the tests' own."""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import json
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from digest.settings_hooks import Hooks

NOW = dt.datetime(2026, 11, 19, 9, 0, tzinfo=dt.UTC)
READER = "reader@example.org"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:bounces"
CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem"
MAILGUN_KEY = "key-of-the-tests"
PATHS = {name: f"{name}-path-{'x' * 20}" for name in ("ses", "mailgun", "postmark", "sendgrid")}


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def hooks(**changes: Any) -> Hooks:
    """All four providers set up."""
    public = ec_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    values: dict[str, Any] = {
        **{f"{name}_path": path for name, path in PATHS.items()},
        "ses_topics": (TOPIC,),
        "mailgun_key": MAILGUN_KEY,
        "postmark_user": "postmark",
        "postmark_password": "a password: with a colon",
        "sendgrid_key": base64.b64encode(public).decode(),
    }
    return Hooks.model_validate({**values, **changes})


def certificate(start: dt.datetime | None = None, days: int = 365, key: Any = None) -> bytes:
    """A certificate in PEM; of the RSA key above, if no other key is given."""
    key = key or rsa_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    start = start or NOW - dt.timedelta(days=30)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + dt.timedelta(days=days))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def sns(message: str, kind: str = "Notification", version: str = "2", **changes: str) -> bytes:
    """An SNS message, signed after the changes were made."""
    fields = {
        "Type": kind,
        "MessageId": "5f5e2b0a-0b46-5c2c-8d1c-000000000001",
        "TopicArn": TOPIC,
        "Message": message,
        "Timestamp": "2026-11-19T08:59:30.123Z",
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE,
    }
    names = ["Message", "MessageId", "Timestamp", "TopicArn", "Type"]
    if kind == "Notification":
        fields["UnsubscribeURL"] = "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe"
    else:
        fields["Token"] = "2336412f37fb687f5d51e6e2"
        fields["SubscribeURL"] = (
            f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37fb"
        )
        names += ["SubscribeURL", "Token"]
    fields |= changes
    names += ["Subject"] if "Subject" in fields else []
    signed = "".join(f"{name}\n{fields[name]}\n" for name in sorted(names)).encode()
    algorithm = hashes.SHA256() if version == "2" else hashes.SHA1()
    signature = rsa_key().sign(signed, padding.PKCS1v15(), algorithm)
    return json.dumps({**fields, "Signature": base64.b64encode(signature).decode()}).encode()


def ses_bounce(
    kind: str = "Permanent", detail: str = "General", status: str = "5.1.1", to: object = READER, **mail: Any
) -> dict[str, Any]:
    return {
        "notificationType": "Bounce",
        "bounce": {
            "bounceType": kind,
            "bounceSubType": detail,
            "bouncedRecipients": [
                {
                    "emailAddress": to,
                    "action": "failed",
                    "status": status,
                    "diagnosticCode": f"smtp; 550 {status} said by the other side",
                }
            ],
            "timestamp": "2026-11-19T08:59:29.000Z",
            "feedbackId": "0102-feedback",
            "reportingMTA": "dsn; a1-2.smtp-out.eu-west-1.amazonses.com",
        },
        "mail": {
            "timestamp": "2026-11-19T08:59:00.000Z",
            "source": "digest@example.org",
            "messageId": "0102-message",
            "destination": [to],
            **mail,
        },
    }


def ses_complaint(*to: str, kind: str = "abuse", **mail: Any) -> dict[str, Any]:
    return {
        "eventType": "Complaint",
        "complaint": {
            "complainedRecipients": [{"emailAddress": one} for one in to or (READER,)],
            "timestamp": "2026-11-19T08:59:29.000Z",
            "feedbackId": "0102-feedback",
            "complaintFeedbackType": kind,
        },
        "mail": {"source": "digest@example.org", "messageId": "0102-message", "destination": list(to), **mail},
    }


def mailgun(event: object, token: str = "a" * 50, at: dt.datetime = NOW) -> bytes:
    stamp = str(int(at.timestamp()))
    mac = hmac.digest(MAILGUN_KEY.encode(), (stamp + token).encode(), "sha256").hex()
    return json.dumps(
        {"signature": {"timestamp": stamp, "token": token, "signature": mac}, "event-data": event}
    ).encode()


def mailgun_failure(reason: str = "bounce", severity: str = "permanent", **status: Any) -> dict[str, Any]:
    return {
        "event": "failed",
        "id": "G9Bn5sl1TC6nu79C8C0bwg",
        "severity": severity,
        "reason": reason,
        "recipient": READER,
        "recipient-domain": "example.org",
        "timestamp": 1795078769.5,
        "envelope": {"sender": "digest@example.org", "transport": "smtp", "targets": READER},
        "message": {"headers": {"to": READER, "message-id": "2026.1@example.org", "subject": "A week"}, "size": 111},
        "delivery-status": {"attempt-no": 1, "code": 550, "message": "", "description": "", **status},
    }


def postmark_bounce(kind: str = "HardBounce", details: str = "smtp;550 5.1.1 no such user", **more: Any) -> bytes:
    return json.dumps(
        {
            "RecordType": "Bounce",
            "MessageStream": "broadcast",
            "ID": 4323372036854775807,
            "Type": kind,
            "TypeCode": 1,
            "Name": "as Postmark calls it",
            "MessageID": "00000000-0000-0000-0000-000000000001",
            "ServerID": 1234,
            "Details": details,
            "Email": READER,
            "From": "digest@example.org",
            "BouncedAt": "2026-11-19T08:59:29Z",
            "Inactive": True,
            **more,
        }
    ).encode()


def postmark_change(reason: str | None, **more: Any) -> bytes:
    return json.dumps(
        {
            "RecordType": "SubscriptionChange",
            "MessageID": "00000000-0000-0000-0000-000000000001",
            "ServerID": 1234,
            "MessageStream": "broadcast",
            "ChangedAt": "2026-11-19T08:59:29Z",
            "Recipient": READER,
            "Origin": "Recipient",
            "SuppressSending": reason is not None,
            "SuppressionReason": reason,
            **more,
        }
    ).encode()


def basic(user: str = "postmark", password: str = "a password: with a colon") -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def sendgrid_event(kind: str, number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "email": READER,
        "timestamp": 1795078769,
        "smtp-id": "<2026.1@example.org>",
        "event": kind,
        "sg_event_id": f"event-{number}",
        "sg_message_id": "message.0001",
        **more,
    }


def signed_by_sendgrid(raw: bytes, at: dt.datetime = NOW) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    signature = ec_key().sign(stamp.encode() + raw, ec.ECDSA(hashes.SHA256()))
    return {
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
        "x-twilio-email-event-webhook-timestamp": stamp,
    }
