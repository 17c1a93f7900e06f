"""The words that people agreed to (O-50): each version once, by the hash that the evidence of a subscription names."""

from __future__ import annotations

import datetime as dt
import json

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from subscribers.db import Database
from subscribers.models import Wording
from subscribers.newsletters import NewsletterInfo


class Wordings:
    """Keeps the words of newsletters when they are first agreed to; safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: set[str] = set()

    def keep(self, info: NewsletterInfo, now: dt.datetime) -> None:
        """See to it that a newsletter's words are kept, before somebody's evidence names them.

        In a transaction of its own, and the first time in a process alone: so it tells nothing of whoever asks, and
        nobody waits for it who holds a person's row.
        """
        if info.wording_hash in self._kept:
            return
        insert = sqlite.insert(Wording) if self._database.is_sqlite else postgresql.insert(Wording)
        row = insert.values(hash=info.wording_hash, text=info.wording, used_from=now)
        with self._database.write() as session:
            session.execute(row.on_conflict_do_nothing())
        self._kept.add(info.wording_hash)


def wordings(session: Session) -> dict[str, str]:
    """All words that were ever agreed to here, by their hashes."""
    return {row.hash: row.text for row in session.execute(sa.select(Wording.hash, Wording.text))}


def in_full(evidence: str, known: dict[str, str]) -> str:
    """Evidence with the words beside their hash, where it names a hash and these are known; else as it is."""
    try:
        said = json.loads(evidence)
    except ValueError:
        return evidence
    text = known.get(str(said.get("wording"))) if isinstance(said, dict) and "words" not in said else None
    return json.dumps({**said, "words": text}, ensure_ascii=False) if text else evidence
