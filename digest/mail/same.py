"""Whether an issue's message, made now, is the one that was made first: a resend has to be byte by byte the same.

Settings (the sender's name, the base address, keys) and the program itself can change between a first try and a resend.
The message is therefore made from what the freeze has stored, and its digest is compared with the first one's.
"""

from __future__ import annotations

import hashlib

from digest.mail.compose import NOBODY, Mailing, issue_mailing
from digest.mail.render import Rendered
from digest.models import Issue
from digest.settings import Newsletter
from subscribers.tokens import Links

SAMPLES = ("reader@example.org", f"{'l' * 64}@{'d' * 63}.{'d' * 63}.example.org")
"""A short address and a very long one: the line they stand in is written differently."""


def mailing_of(issue: Issue, newsletter: Newsletter, links: Links) -> Mailing:
    """The message of a frozen issue, the same whenever it is made. Its rendered columns have to be loaded.

    Raises `compose.NotSendable`.
    """
    return issue_mailing(
        newsletter,
        Rendered(issue.rendered_subject or "", issue.rendered_text or "", issue.rendered_html or ""),
        links,
        week=issue.week,
        made_at=issue.frozen_at or issue.created_at,
        by_hand=issue.touched or issue.approved_by is not None,
    )


def wire_digest(mailing: Mailing) -> bytes:
    """SHA-256 of what goes on the wire, for readers who do not exist.

    Text, sender, base address and the key of the links are all in it: where one of them is another one, every reader's
    copy is, and so is this.
    """
    found = hashlib.sha256()
    for address in SAMPLES:
        found.update(b"".join(mailing.copy(address, NOBODY, NOBODY)))
    return found.digest()
