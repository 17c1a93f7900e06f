"""Our own signed tokens in the header of a message that a provider tells about. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from digest.inbound.hooks.event import Identify
from digest.inbound.notice import ByDelivery, BySubscription, Who
from digest.mail.verp import read_return_path
from subscribers.tokens import Purpose, read_subscription_token

_TOKEN = re.compile(r"(?:/u/|unsubscribe(?:%20|\+|\s))([A-Za-z0-9_-]{43})(?![A-Za-z0-9_-])")
_LONGEST = 2000
"""Characters of a field that are looked at."""


def by_tokens(key: bytes) -> Identify:
    """Finds a reader by the return path of their copy (N-01), or by its List-Unsubscribe (N-12)."""

    def identify(header: Mapping[str, str]) -> Who | None:
        path = header.get("return-path", "").strip().removeprefix("<").removesuffix(">")
        if len(path) <= _LONGEST and (delivery := read_return_path(key, path)) is not None:
            return ByDelivery(delivery)
        for token in _TOKEN.findall(header.get("list-unsubscribe", "")[:_LONGEST]):
            if (subscription := read_subscription_token(key, Purpose.LEAVE, token)) is not None:
                return BySubscription(subscription)
        return None

    return identify
