"""Providers' webhooks (N-30 to N-36): a file a provider, each with `verify` for the door and `read` for the worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from digest.inbound.hooks import mailgun, postmark, sendgrid, ses
from digest.inbound.hooks.event import Identify
from digest.inbound.hooks.tokens import by_tokens
from digest.inbound.notice import Ignored, Notice, Unreadable

__all__ = ["nobody", "read", "readers"]

Read = list[Notice] | Ignored | Unreadable

_READERS: Mapping[str, Callable[[bytes, Identify], Read]] = {
    "ses": ses.read,
    "mailgun": mailgun.read,
    "postmark": postmark.read,
    "sendgrid": sendgrid.read,
}


def nobody(header: Mapping[str, str]) -> None:
    """An `Identify` that knows no token: readers are then found by the address that the provider names."""
    del header


def read(source: str, raw: bytes, identify: Identify = nobody) -> Read:
    """What an arrival of a provider says. Pure, and never raises for what the octets hold.

    `identify` reads our own signed tokens in the header of the message that it is about, where the provider shows one:
    a token also finds the reader whose mail was forwarded on.
    """
    reader = _READERS.get(source)
    if reader is None:
        return Unreadable("It came from a provider that is not known here.")
    return reader(raw, identify)


def readers(key: bytes) -> dict[str, Callable[[bytes], Read]]:
    """Who reads each provider's arrivals, for the inbox; `key` is that of links and return paths."""
    return {source: partial(read, source, identify=by_tokens(key)) for source in _READERS}
