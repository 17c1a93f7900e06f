"""What people type becomes an address, in the form it is mailed to and the form it is known by. Pure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

MAX_TYPED = 320
"""More than any address may have (RFC 5321 §4.5.3.1): 64 octets, the @, 255."""

_DOTLESS = frozenset({"gmail.com", "googlemail.com"})
# Wider than any address on purpose: what it takes for one too often is written anew, what it misses is stored. First
# what has a dotted name after the sign, with spaces and quotes allowed; then anything without a space on either side.
_MENTIONED = re.compile(r"\S\s*@\s*[^\s@]+\.[^\s@]|[^\s@(\[]@[^\s@]")


@dataclass(frozen=True)
class Address:
    """An e-mail address in its two forms (O-41). Neither is shown by `repr`."""

    delivery: str
    """As it was typed, with the domain in lower case and as an A-label: what mail is sent to."""
    identity: str
    """Two spellings of one address have the same: what it is found by, through a keyed hash."""

    def __repr__(self) -> str:
        return "Address(…)"

    @property
    def domain(self) -> str:
        """The part after the @, as an A-label in lower case."""
        return self.identity.rpartition("@")[2]


@dataclass(frozen=True)
class BadAddress:
    """What was typed is no address that mail can be sent to."""

    reason: str
    """A sentence for the person who typed it."""


def parse_address(text: str) -> Address | BadAddress:
    """Read what was typed. Only the form is looked at; no name server is asked (O-40)."""
    typed = text.strip()
    if not typed:
        return BadAddress("Please write your e-mail address.")
    if len(typed) > MAX_TYPED:
        return BadAddress("This is longer than an e-mail address can be.")
    try:
        # A local part outside ASCII needs a relay and a reader's server that both speak SMTPUTF8 (RFC 6531): rather
        # than lose the letter there, we say so here (S-42).
        valid = validate_email(typed, allow_smtputf8=False, check_deliverability=False, strict=True)
    except EmailNotValidError as error:
        return BadAddress(str(error))
    if not valid.ascii_domain:
        return BadAddress("The part after the @-sign is not a name that mail can be sent to.")
    local = typed.rpartition("@")[0]
    return Address(f"{local}@{valid.ascii_domain.lower()}", _identity(local, valid.ascii_domain))


def budget_form(identity: str) -> str:
    """The identity folded as mailbox providers fold it: what budgets are counted by, and nothing else (O-41).

    `a.b+news@gmail.com` and `ab@gmail.com` are one mailbox, so they share a budget; as subscribers they stay two.
    """
    local, _, domain = identity.rpartition("@")
    folded = local.partition("+")[0] or local
    if domain in _DOTLESS:
        return f"{folded.replace('.', '')}@gmail.com"
    return f"{folded}@{domain}"


def mentions_address(text: str) -> bool:
    """Whether a text that people wrote seems to have an e-mail address in it, in any script, quoted or percent-encoded.

    For texts that are stored in the clear, where no address may stand (E-01).
    """
    return _MENTIONED.search(unicodedata.normalize("NFKC", text).replace("%40", "@")) is not None


def _identity(local: str, domain: str) -> str:
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).casefold())
    return f"{folded}@{domain.lower()}"
