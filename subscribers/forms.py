"""What people type becomes an address, in the form it is mailed to and the form it is known by. Pure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from subscribers.languages import mark

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
    """A sentence for the person who typed it, in English and one of few: pages say it in other languages too."""


def parse_address(text: str) -> Address | BadAddress:
    """Read what was typed. Only the form is looked at; no name server is asked (O-40)."""
    typed = text.strip()
    if not typed:
        return BadAddress(mark("Please write your e-mail address."))
    if len(typed) > MAX_TYPED:
        return BadAddress(mark("This is longer than an e-mail address can be."))
    if (domain := _ascii_domain(typed)) is None:
        return BadAddress(_reason(typed))
    local = typed.rpartition("@")[0]
    return Address(f"{local}@{domain.lower()}", _identity(local, domain))


def _ascii_domain(typed: str) -> str | None:
    """The domain of an address as its A-label; none where no mail can be sent to the address."""
    try:
        # A local part outside ASCII needs a relay and a reader's server that both speak SMTPUTF8 (RFC 6531): rather
        # than lose the letter there, we say so here (S-42).
        valid = validate_email(typed, allow_smtputf8=False, check_deliverability=False, strict=True)
    except EmailNotValidError:
        return None
    return valid.ascii_domain or None


def _reason(typed: str) -> str:
    """What is wrong with an address, in our own words: the library's are English alone, and quote what was typed."""
    local, sign, domain = typed.rpartition("@")
    if not (sign and local and domain):
        return _missing(sign, local)
    if re.search(r"[\s,;]", typed) or "@" in local:
        return mark("Please write one address alone, without spaces and commas.")
    if _ascii_domain(f"x@{domain}") is None:
        return mark("The part after the @-sign is not a name that mail can be sent to.")
    if not local.isascii():
        return mark("The part before the @-sign has letters that not every mail server takes: only a to z are safe.")
    return mark("The part before the @-sign is not one that mail can be sent to.")


def _missing(sign: str, local: str) -> str:
    if not sign:
        return mark("An e-mail address has an @-sign in the middle, as in name@example.org.")
    return mark("There is nothing after the @-sign.") if local else mark("There is nothing before the @-sign.")


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
