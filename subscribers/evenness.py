"""Work that leaves nothing behind, so that an answer's time does not tell what stands in the database (O-20).

A request that posts a letter writes rows and waits for the disk; one that posts none would be done sooner, and whoever
measures would know an address that must never be mailed, or one that is subscribed, from a new one.
"""

from __future__ import annotations

import datetime as dt
import secrets

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.db import insert_new
from subscribers.models import LetterMemory
from subscribers.vault import SUBSCRIBER_ADDRESS, Vault

MOST_WRITTEN = 4
"""What a request writes for somebody new: the person, the subscription, the budget's row, the letter's row."""
STAND_IN = "stand-in"
"""A kind of letter that no budget counts."""
_STAND_INS = sa.delete(LetterMemory).where(
    LetterMemory.rate_key == sa.bindparam("nobody"), LetterMemory.letter == STAND_IN
)


def make_up(session: Session, vault: Vault, missing: int, now: dt.datetime) -> None:
    """Write as many rows as are missing, and delete them in the same transaction, whose commit then costs the same.

    The deletion counts as one of them. With each row something as long as an address is sealed, and thrown away.
    """
    if missing <= 0:
        return
    nobody = secrets.token_bytes(32)
    for _ in range(missing):
        vault.seal("nobody@example.org", SUBSCRIBER_ADDRESS, nobody)
    for _ in range(missing - 1):
        insert_new(session, [LetterMemory(rate_key=nobody, letter=STAND_IN, at=now)])
    session.connection().execute(_STAND_INS, {"nobody": nobody})
