"""Readers are put in an order that makes the database write little.

An index on keyed hashes or random ids has each new entry somewhere else, and a database writes whole pages: a batch of
two thousand would change nearly two thousand pages of each such index. So tens of thousands are first put in the order
of their blind index, and their random ids are given out in that same order. A batch of them then lies close together in
three of these indexes; only that of suppression hashes has them anywhere.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from operator import attrgetter

from subscribers.transfer.landing import BATCH, Person

MOST = 40_000
"""Readers that are put in order at once: some thirty megabytes. As many wait meanwhile to be the next."""


class Runs:
    """Takes readers in as the file has them, and gives them out in order, some at a time.

    The first run is one batch, and each is twice as long as the one before: a small database needs no order, and nobody
    is to wait long for the first.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._ready: list[Person] = []
        """In order, to be given out."""
        self._next: list[Person] = []
        self._goal = min(BATCH, most)
        self._is_growing = True

    def exchange(self, people: Sequence[Person]) -> list[Person]:
        """Put some in, in the order of the file, and take at most as many out."""
        self._next += people
        if not self._ready and len(self._next) >= self._goal:
            self._ready, self._next = _in_order(self._next), []
            self._is_growing = len(self._ready) < self._most
            self._goal = min(2 * self._goal, self._most)
        # Half, so that the next run is twice as long when this one is given out.
        return self._take(len(people) // 2 if self._is_growing else len(people))

    def rest(self) -> Iterator[list[Person]]:
        """Take out what is left, a batch at a time."""
        self._ready += _in_order(self._next)
        self._next = []
        while self._ready:
            yield self._take(BATCH)

    def _take(self, count: int) -> list[Person]:
        taken = self._ready[:count]
        del self._ready[:count]
        return taken


def _in_order(people: list[Person]) -> list[Person]:
    # Of two rows about one person the first in the file stays the first: this sort is stable.
    people.sort(key=attrgetter("blind_index"))
    random = secrets.token_bytes(16 * len(people))
    public_ids = sorted(random[place : place + 16] for place in range(0, len(random), 16))
    for one, public_id in zip(people, public_ids, strict=True):
        one.public_id = public_id
    return people
