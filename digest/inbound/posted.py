"""A mail with what its envelope said, as it is stored: for every door that a mail server hands mail to."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field

from digest.inbound import arrivals, mime
from subscribers.db import Database
from subscribers.vault import Vault

LARGEST = 256 * 1024
"""Octets of the largest mail that is taken (N-11): a report returns fields, a command is a line."""
_RECIPIENTS = ("x-original-to", "delivered-to", "envelope-to", "to")
"""Where the recipient stands in a mail whose envelope is not known, best first."""


@dataclass(frozen=True)
class Posted:
    """One mail to one recipient."""

    octets: bytes = field(repr=False)
    recipient: str = field(repr=False)
    sender: str | None = field(repr=False)
    """The envelope's; empty for the null return path, none where nobody said."""


def post(database: Database, vault: Vault, mail: Posted, now: dt.datetime) -> bool:
    """Keep a mail, durably. True where it is new: one that is handed over again is the same (N-31).

    Raises `sqlalchemy.exc.SQLAlchemyError` where it was not kept.
    """
    envelope = json.dumps({"recipient": mail.recipient, "sender": mail.sender}).encode("ascii")
    key = mail.recipient.lower().encode() + b"\0" + mail.octets
    return arrivals.take_in(database, vault, arrivals.MAIL, key, envelope + b"\n" + mail.octets, now)


def unpacked(raw: bytes) -> Posted:
    """What `post` has stored."""
    envelope, _, octets = raw.partition(b"\n")
    said = json.loads(envelope)
    return Posted(octets, said["recipient"], said["sender"])


def from_fields(octets: bytes) -> Posted:
    """A mail without an envelope: its own fields say where it went and where it came from."""
    mail = mime.parse(octets)
    recipients = (found for name in _RECIPIENTS for text in mail.all(name) for found in mime.addresses_in(text))
    paths = mail.all("return-path")
    sender = next(iter(mime.addresses_in(paths[0])), "") if paths else None
    return Posted(octets, next(recipients, ""), sender)
