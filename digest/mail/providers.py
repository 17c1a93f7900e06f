"""Which mailbox provider an address belongs to, coarsely: lanes and accounts go by it (B-09, E-07). Pure.

The class is found from the opened address at the moment of sending, and tells no more than "one of a billion".
"""

from __future__ import annotations

import enum


class Provider(enum.StrEnum):
    """A class of mailbox providers that slow a sender down together."""

    GOOGLE = "google"
    MICROSOFT = "microsoft"
    YAHOO = "yahoo"
    APPLE = "apple"
    OTHER = "other"


_DOMAINS: dict[Provider, frozenset[str]] = {
    Provider.GOOGLE: frozenset({"gmail.com", "googlemail.com"}),
    Provider.MICROSOFT: frozenset({"msn.com", "passport.com"}),
    Provider.YAHOO: frozenset({"ymail.com", "rocketmail.com", "aol.com", "aim.com"}),
    Provider.APPLE: frozenset({"icloud.com", "me.com", "mac.com"}),
}
_NAMES: dict[Provider, frozenset[str]] = {
    # These have a domain a country: `outlook.de`, `live.co.uk`, `yahoo.com.br`.
    Provider.MICROSOFT: frozenset({"hotmail", "outlook", "live"}),
    Provider.YAHOO: frozenset({"yahoo"}),
}
_MOST_LABELS = 3


def provider_of(address: str) -> Provider:
    """The provider of an address, by its domain alone: nobody is asked (B-11)."""
    domain = address.rpartition("@")[2].lower()
    for provider, domains in _DOMAINS.items():
        if domain in domains:
            return provider
    name, _, rest = domain.partition(".")
    if rest and domain.count(".") < _MOST_LABELS:
        for provider, names in _NAMES.items():
            if name in names:
                return provider
    return Provider.OTHER
