"""What a bounce, a complaint or a mail to us comes to, whoever told us: one shape for all sources. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Sign(enum.StrEnum):
    """What a notice says of a mailbox."""

    HARD = "hard"
    """It does not exist, or never will take mail again (N-20)."""
    SOFT = "soft"
    """It could not take this one (N-21)."""
    POLICY = "policy"
    """Somebody refused us, our text or our relay: nothing is wrong with the mailbox (N-22)."""
    COMPLAINT = "complaint"
    """Its owner called it spam (N-12)."""
    LEAVE = "leave"
    """Its owner asked to leave: by the `mailto` of List-Unsubscribe, or by the provider's own button."""


@dataclass(frozen=True)
class ByDelivery:
    """Whose copy it was, by the delivery's public id: a signed token of ours was read."""

    public_id: bytes


@dataclass(frozen=True)
class BySubscription:
    """Whose subscription it is, by its public id: a signed link of ours was read."""

    public_id: bytes


@dataclass(frozen=True)
class ByAddress:
    """Whose address it is. Only a source that proved who it is may name one (N-02)."""

    address: str = field(repr=False)


@dataclass(frozen=True)
class ByPerson:
    """Whose letter it was, by the keyed hashes in its link for never being mailed again."""

    blind_index: bytes = field(repr=False)
    suppression_hash: bytes = field(repr=False)


@dataclass(frozen=True)
class ByConfirmation:
    """Whose letter it was, by the hash of its link for confirming."""

    token_hash: bytes = field(repr=False)


Who = ByDelivery | BySubscription | ByAddress | ByPerson | ByConfirmation


@dataclass(frozen=True)
class Notice:
    """One mailbox's news. It never holds free text from outside: `status` and `reason` are of our own vocabulary."""

    sign: Sign
    who: Who
    status: str = ""
    """The enhanced status code (RFC 3463), `5.1.1`, where one was given."""
    reason: str = ""
    """The class of the reason: `user-unknown`, `mailbox-full`, `spam`, … (N-13); at most 32 letters."""


@dataclass(frozen=True)
class Unreadable:
    """What came in cannot be understood, or is not for us to act on: it is kept for a person."""

    why: str
    """A sentence, without an address."""


@dataclass(frozen=True)
class Ignored:
    """It was understood, and nothing has to be done."""

    why: str
