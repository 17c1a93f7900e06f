"""Waking the senders: a word to all of them when the caller's transaction is committed."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

CHANNEL = "digest_work"


def wake(session: Session) -> None:
    """Tell the senders that there is something to do (PostgreSQL's NOTIFY). On SQLite the one sender looks by itself.

    Several calls in one transaction are one word, and none is said where the transaction is rolled back.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.select(sa.func.pg_notify(CHANNEL, "")))
