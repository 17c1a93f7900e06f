"""How much a mail's HTML may be, and which of an issue's stories can stand in it whole (F-43). Pure."""

from __future__ import annotations

import base64
import quopri
from collections.abc import Sequence

HTML_LIMIT = 90_000
"""Bytes of the HTML part before it is encoded."""
ENCODED_LIMIT = 100_000
"""Bytes of the HTML part in its shorter encoding, quoted-printable or base64 (F-09)."""
FULL = 0.96
"""How much of either limit whole stories may take: the rest is left to subject and preheader, and to chance."""


def encoded_size(html: bytes) -> int:
    """The bytes of the shorter encoding."""
    return min(len(base64.encodebytes(html)), len(quopri.encodestring(html)))


def burden(html: str) -> float:
    """How much of what is allowed the HTML takes, by the limit that is nearer: 1 is all."""
    raw = html.encode("utf-8", errors="replace")
    if len(raw) > 2 * HTML_LIMIT:
        return len(raw) / HTML_LIMIT
    return max(len(raw) / HTML_LIMIT, encoded_size(raw) / ENCODED_LIMIT)


def fitting(weights: Sequence[int], room: float) -> tuple[int, ...]:
    """Which stories can be whole, by their places, where all of them together have so much room (1 is enough for all).

    In reading order, so that the lead comes first; one that is too long is passed over, and shorter ones may follow.
    """
    left = room * sum(weights)
    chosen = []
    for place, weight in enumerate(weights):
        if weight and weight <= left:
            chosen.append(place)
            left -= weight
    return tuple(chosen)
