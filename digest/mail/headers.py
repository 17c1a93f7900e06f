"""Header fields, written by our own hand (F-12, F-13): nothing that must stay as it is gets folded or encoded."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from email.header import Header
from email.utils import format_datetime

from digest.mail.verp import leave_mailbox
from digest.mail.wire import Segments, Slot
from digest.settings import Mailbox, Newsletter

MAX_SUBJECT = 150
ONE_LINE = 66
"""Characters of a plain subject that stays on one line of 78 behind its name."""

MUST_BE_SIGNED = (
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Feedback-ID",
)
"""What a DKIM signature of an issue has to cover, whoever makes it (F-27, RFC 8058 §4); defaults leave some out."""


def unstructured(name: str, text: str) -> bytes:
    """A free text as a header's value: plain where that is safe, else encoded words (RFC 2047, F-12)."""
    text = one_line(text)
    # "=?" would be read as an encoded word and may hide line ends (trap T3), so it is always encoded itself.
    if text.isascii() and "=?" not in text and len(text) <= ONE_LINE:
        return text.encode("ascii")
    return encoded(name, text)


def encoded(name: str, text: str) -> bytes:
    """A text as encoded words, folded for the header of that name."""
    return Header(one_line(text), "utf-8", maxlinelen=76, header_name=name).encode(linesep="\r\n").encode("ascii")


def one_line(text: str) -> str:
    """The text without controls and line ends, blanks collapsed, bounded (F-06, F-16)."""
    kept = "".join(" " if unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs") else char for char in text)
    return " ".join(kept.split())[:MAX_SUBJECT]


def mailbox(name: str, box: Mailbox) -> bytes:
    """`Name <address>`, for From (F-20)."""
    address = f"<{box.address}>".encode("ascii")
    if not box.name:
        return address
    if box.name.isascii() and box.name.isprintable() and "=?" not in box.name and len(box.name) <= MAX_SUBJECT:
        # An atom needs no quotes; a quoted string may hold anything (RFC 5322 §3.2.3, §3.2.4).
        is_atom = re.fullmatch(r"[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]+", box.name)
        quoted = box.name if is_atom else '"' + re.sub(r'(["\\])', r"\\\1", box.name) + '"'
        return quoted.encode("ascii") + b" " + address
    return encoded(name, box.name) + b"\r\n " + address


def date(instant: dt.datetime) -> bytes:
    """A Date in UTC, which tells nothing of where the newsroom is (F-21)."""
    return format_datetime(instant.astimezone(dt.UTC)).encode("ascii")


def list_id(newsletter: Newsletter) -> bytes:
    """`Title <slug.domain>`, constant for ever (RFC 2919, F-30)."""
    title = newsletter.title if newsletter.title.isascii() and re.fullmatch(r"[\w '-]+", newsletter.title) else ""
    label = f"<{newsletter.slug}.{newsletter.sender.domain}>"
    return f"{title} {label}".strip().encode("ascii")


def issue_headers(
    newsletter: Newsletter, *, subject: str, base_url: str, week: str, made_at: dt.datetime, by_hand: bool
) -> list[tuple[str, bytes | Segments]]:
    """The headers of an issue (F-20 to F-36). `by_hand`: whether an editor acted on it (F-33)."""
    mailto = f"<mailto:{leave_mailbox(newsletter)}?subject=unsubscribe%20".encode("ascii")
    fields: list[tuple[str, bytes | Segments]] = [
        ("From", mailbox("From", newsletter.sender)),
        ("To", (Slot("to"),)),
        ("Subject", unstructured("Subject", subject)),
        ("Date", date(made_at)),
        ("Message-ID", (Slot("message_id"),)),
        ("List-Id", list_id(newsletter)),
        ("List-Unsubscribe", (b"<", Slot("unsubscribe"), b">,\r\n ", mailto, Slot("leave_token"), b">")),
        ("List-Unsubscribe-Post", b"List-Unsubscribe=One-Click"),
        ("List-Post", b"NO"),
        ("List-Help", f"<{base_url}/>".encode("ascii")),
        ("List-Archive", f"<{base_url}/issues/>".encode("ascii")),
        ("Archived-At", f"<{base_url}/issues/{newsletter.slug}/{week}>".encode("ascii")),
        ("Feedback-ID", f"{week}:{newsletter.slug}:issue:watchdogdigest".encode("ascii")),
        ("Precedence", b"bulk"),
        ("X-Auto-Response-Suppress", b"OOF, AutoReply"),
    ]
    return fields if by_hand else [*fields, ("Auto-Submitted", b"auto-generated")]


def letter_headers(
    newsletter: Newsletter, *, subject: str, made_at: dt.datetime, is_reply: bool = False
) -> list[tuple[str, bytes | Segments]]:
    """The headers of a letter that answers somebody's act: nothing to unsubscribe from, so no List-* (F-23).

    `is_reply`: that act was a mail, and not a form (F-33).
    """
    return [
        ("From", mailbox("From", newsletter.sender)),
        ("To", (Slot("to"),)),
        ("Subject", unstructured("Subject", subject)),
        ("Date", date(made_at)),
        ("Message-ID", (Slot("message_id"),)),
        ("Auto-Submitted", b"auto-replied" if is_reply else b"auto-generated"),
        ("X-Auto-Response-Suppress", b"OOF, AutoReply"),
    ]
