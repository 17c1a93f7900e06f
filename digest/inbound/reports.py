"""What a delivery status notification says (RFC 3464), and the bounces that follow no RFC. Pure (N-10, N-11)."""

from __future__ import annotations

import logging
from email import message_from_bytes

from flufl.bounce import all_failures

from digest.inbound import status
from digest.inbound.mime import Fields, Part, blocks_of, value
from digest.inbound.notice import Ignored, Sign, Unreadable
from digest.inbound.status import Meaning, meaning

STATUS_KINDS = ("message/delivery-status", "message/global-delivery-status")
FAILED = ("failed", "fail", "error")
"""OpenSMTPD says `error`."""
NO_BOUNCE = ("delayed", "relayed", "delivered", "expanded")
MILDEST_FIRST = (Sign.POLICY, Sign.SOFT, Sign.HARD)
LOOKED_AT = 16 * 1024
"""Octets of a mail that the patterns for bounces without an RFC are tried on: they stand at its beginning."""
MANY_PARTS = 20
"""A bounce has four or five. The standard library's parser, which the patterns need, goes as deep as it is led."""
_SENDERS = ("mailer-daemon", "postmaster", "mail delivery", "maildelivery", "mdaemon")
# The library writes its findings to the log, and what it finds are addresses (O-53).
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL + 1)


def read_bounce(mail: Part, raw: bytes, *, from_nobody: bool) -> Meaning | Ignored | Unreadable | None:
    """What a mail to a return path of ours says; none where it is no bounce at all.

    `from_nobody`: whether its own return path is null, as a bounce's must be (RFC 5321 §4.5.5).
    """
    said = _by_report(mail)
    if isinstance(said, Meaning | Ignored):
        return said
    return _by_vendor(mail, raw) or _by_words(mail, from_nobody=from_nobody) or said


def is_report(mail: Part) -> bool:
    """Whether a mail has the form of a delivery status notification."""
    return bool(mail.of(*STATUS_KINDS))


def _by_report(mail: Part) -> Meaning | Ignored | Unreadable | None:
    parts = mail.of(*STATUS_KINDS)
    if not parts:
        return None
    recipients = [block for part in parts for block in blocks_of(part.text) if _action(block)]
    failed = [block for block in recipients if _action(block) in FAILED]
    other = [_action(block) for block in recipients if _action(block) in NO_BOUNCE]
    if failed:
        return _mildest([_meaning(block, mail) for block in failed], is_partial=bool(set(other) - {"delayed"}))
    if other:
        return Ignored(f"a report that the copy is {other[0]}")
    return Unreadable("a delivery report without a recipient that failed or was delayed")


def _action(block: Fields) -> str:
    """What was done, for one recipient; by its status where the report does not say."""
    said = value(block, "action").split("(")[0].strip().lower()
    if said or not value(block, "final-recipient"):
        return said.split(" ")[0].rstrip(";.,")
    return {"5": "failed", "4": "delayed", "2": "delivered"}.get(status.code_in(value(block, "status"))[:1], "")


def _meaning(block: Fields, mail: Part) -> Meaning:
    diagnostic = value(block, "diagnostic-code")
    return meaning(value(block, "status"), diagnostic or _written(mail)[: LOOKED_AT // 8])


def _mildest(found: list[Meaning], *, is_partial: bool) -> Meaning:
    """One verdict where the mail was passed on to several: the mildest, and never hard where one of them got it."""
    first = min(found, key=lambda one: MILDEST_FIRST.index(one.sign))
    return Meaning(Sign.SOFT, first.status, first.reason) if is_partial and first.sign is Sign.HARD else first


def _by_vendor(mail: Part, raw: bytes) -> Meaning | Ignored | None:
    """What the library recognises; how grave it is our own table says, since the library calls everything permanent."""
    beginning = raw[:LOOKED_AT]
    # A part begins with a line of dashes, and needs no type.
    if beginning.lower().count(b"content-type:") > MANY_PARTS or beginning.count(b"\n--") > 2 * MANY_PARTS:
        return None
    try:
        temporary, permanent = all_failures(message_from_bytes(beginning))
    except Exception:  # noqa: BLE001 -- it may raise anything on odd input (N-11); then it has recognised nothing.
        return None
    if permanent:
        return meaning("", _written(mail))
    return Ignored("a warning that the copy is delayed") if temporary else None


def _by_words(mail: Part, *, from_nobody: bool) -> Meaning | None:
    """A notice in free words: only from a mail system, and only where it has a code that one would give."""
    sender = mail.first("from").lower()
    words = _written(mail)
    is_system = from_nobody or any(name in sender for name in _SENDERS)
    return meaning("", words) if is_system and status.has_code(words) else None


def _written(mail: Part) -> str:
    """What was written for people, without the mail that was returned."""
    own = [mail] if not mail.parts else [part for part in mail.parts if not part.kind.startswith("message/")]
    leaves = [leaf for part in own for leaf in part.walk() if leaf.kind.startswith("text/") and not leaf.parts]
    text = "\n".join(part.text for part in leaves if part.kind != "text/rfc822-headers")
    for mark in ("\n--- Below this line is a copy", "\n------ This is a copy of", "\n--- The header of the original"):
        text = text.partition(mark)[0]
    return text[:LOOKED_AT]
