"""Random ids and tokens of the desk: what is given out once, and what is kept of it."""

from __future__ import annotations

import hashlib


def hash_id(token: str) -> bytes:
    """What is kept of an id or a token: a stolen database opens no desk. It is random, so no salt is needed."""
    return hashlib.sha256(token.encode()).digest()
