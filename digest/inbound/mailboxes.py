"""Which mailboxes there are behind the door. Pure: it knows names and signatures, and nothing of anybody.

Whatever else is written to the domain is refused before its text is sent, so that nobody can fill the disk by guessing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from digest.mail.verp import LEAVE, is_return_path, read_return_path
from digest.settings import Newsletter

SUBSCRIBE = "subscribe"
LEAVING = frozenset({LEAVE, "unsubscribe", "signoff", "stop"})
JOINING = frozenset({SUBSCRIBE, "join"})
FEEDBACK = "feedback"
"""Where providers send complaints."""
_FOR_PEOPLE = frozenset({"postmaster", "abuse"})
"""Every domain has them (RFC 5321 §4.5.1, RFC 2142); a person reads what comes there."""


@dataclass(frozen=True)
class Mailboxes:
    """What is known of this installation's own addresses."""

    key: bytes = field(repr=False)
    """The key of return paths."""
    newsletters: Mapping[str, Newsletter]
    domain: str | None
    """`[inbound] domain`."""

    def has(self, recipient: str) -> bool:
        """Whether mail to an address is taken: to a return path that we have made, a command, or a sender of ours."""
        if is_return_path(recipient):
            return read_return_path(self.key, recipient) is not None
        senders = {one.sender.address.lower() for one in self.newsletters.values()}
        domains = {one.rpartition("@")[2] for one in senders} | {self.domain}
        local, _, domain = recipient.lower().rpartition("@")
        names = LEAVING | JOINING | _FOR_PEOPLE | {FEEDBACK, *self.newsletters}
        return recipient.lower() in senders or (domain in domains and local in names)
