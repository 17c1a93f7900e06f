"""Proof of work instead of a captcha: ALTCHA's challenges, version 2, each good for one request (O-30).

The reader's own browser looks for a number; nothing is loaded from anybody, and no picture has to be recognised. What
is asked costs a reader a moment and whoever asks ten thousand times a machine.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

import altcha
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from subscribers.db import Database
from subscribers.models import SpentProof

GOOD_FOR = dt.timedelta(minutes=10)
ACTION = {"action": "subscribe"}
ALGORITHM = "PBKDF2/SHA-256"
"""Browsers have it built in, so that they are not far slower than the machine of whoever asks too often."""
COST, HARD_COST = 5_000, 20_000
"""Rounds of one try. One try in 256 is right: a third of a second of a desktop's, two seconds of an old phone's."""
PREFIX = "00"
MOST_OCTETS = 4096
"""No answer to a challenge of ours is longer."""


@dataclass(frozen=True)
class Solved:
    """A challenge of ours with its right answer. Whether it was used before is not said."""

    name: bytes = field(repr=False)
    until: dt.datetime


class Proofs:
    """Hands challenges out and takes each answer once; of those used, a hash is kept until they expire."""

    def __init__(self, database: Database, key: bytes) -> None:
        self._database = database
        self._secret = hmac.digest(key, b"proof of work 1", "sha256")

    def challenge(self, now: dt.datetime, *, hard: bool = False) -> dict[str, Any]:
        """A new challenge, as ALTCHA's own programs read it (JSON: `parameters`, `signature`)."""
        made = altcha.create_challenge(
            ALGORITHM,
            HARD_COST if hard else COST,
            key_prefix=PREFIX,
            expires_at=now + GOOD_FOR,
            data=dict(ACTION),
            hmac_secret=self._secret,
        )
        return dict(made.to_dict())

    def spend(self, answer: str, now: dt.datetime, *, hard: bool = False) -> bool:
        """Whether this is a right answer that nobody has given before; from now on somebody has.

        With `hard`, the answer to an easy challenge is not enough.
        """
        solved = self.read(answer, now, hard=hard)
        if solved is None:
            return False
        insert = sqlite.insert(SpentProof) if self._database.is_sqlite else postgresql.insert(SpentProof)
        row = insert.values(name=solved.name, until=solved.until).on_conflict_do_nothing().returning(SpentProof.name)
        with self._database.write() as session:
            session.execute(sa.delete(SpentProof).where(SpentProof.until <= now))
            return session.scalar(row) is not None

    def read(self, answer: str, now: dt.datetime, *, hard: bool = False) -> Solved | None:
        """The challenge that is answered; none where it is not ours, is too old or too easy, or the answer is wrong."""
        if len(answer) > MOST_OCTETS:
            return None
        try:
            payload = altcha.Payload.from_base64(answer)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        # The library compares with the machine's clock, and we with the caller's.
        if not altcha.verify_solution(payload, self._secret).verified:
            return None
        asked = payload.challenge.parameters
        until = dt.datetime.fromtimestamp(asked.expires_at or 0, dt.UTC)
        if until <= now or asked.data != ACTION or (hard and asked.cost < HARD_COST):
            return None
        return Solved(hashlib.sha256(str(payload.challenge.signature).encode()).digest(), until)


def as_attribute(challenge: dict[str, Any]) -> str:
    """A challenge as a page carries it to its script."""
    return json.dumps(challenge, separators=(",", ":"))
