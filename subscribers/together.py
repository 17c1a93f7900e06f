"""What several threads want of the database at the same time becomes one transaction (DESIGN 4.3, for sign-ups).

On SQLite writers wait for each other, and they do so by sleeping: with every thread on its own some would sleep for a
tenth of a second while the disk is idle. Here one of them acts for all that came meanwhile, and each is answered when
what it wanted is durable. Nobody can tell by the time who was alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Wish = TypeVar("Wish")
MOST = 32
"""Wishes that one transaction fulfils."""


@dataclass
class _Waiting(Generic[Wish]):
    """Somebody's wish, and what became of it."""

    wish: Wish
    called: threading.Event = field(default_factory=threading.Event)
    came_at: float = field(default_factory=time.monotonic)
    is_done: bool = False
    error: BaseException | None = None


class Together(Generic[Wish]):
    """Fulfils wishes one batch after the other; `act` is given a batch and returns when it is durable.

    Whoever is the first of a batch waits some seconds for others (`gather`): two together are less work than twice one.
    """

    def __init__(
        self,
        act: Callable[[Sequence[Wish]], None],
        gather: float = 0.0,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._act = act
        self._gather = gather
        self._wait = wait
        self._lock = threading.Lock()
        self._queue: list[_Waiting[Wish]] = []
        self._is_somebody_acting = False

    def fulfil(self, wish: Wish) -> None:
        """Come back when it is done. Raises what `act` raised for the batch that this wish was in."""
        mine = _Waiting(wish)
        with self._lock:
            self._queue.append(mine)
            is_mine_to_act = not self._is_somebody_acting
            self._is_somebody_acting = True
        if not is_mine_to_act:
            mine.called.wait()
        if not mine.is_done:
            self._act_once(mine.came_at)
        if mine.error:
            raise mine.error

    def _act_once(self, came_at: float) -> None:
        """Act for the first of those who wait, of whom the caller is one; then leave the rest to the next of them."""
        batch: list[_Waiting[Wish]] = []
        error: BaseException | None = None
        try:
            self._wait(max(0.0, came_at + self._gather - time.monotonic()))
            batch = self._next_batch()
            self._act([one.wish for one in batch])
        except BaseException as raised:  # noqa: BLE001 -- whoever waits must learn of it, and somebody must act next.
            error = raised
        batch = batch or self._next_batch()
        for one in batch:
            one.error, one.is_done = error, True
        with self._lock:
            following = self._queue[0] if self._queue else None
            self._is_somebody_acting = following is not None
        for one in batch:
            one.called.set()
        if following:
            following.called.set()

    def _next_batch(self) -> list[_Waiting[Wish]]:
        with self._lock:
            batch, self._queue = self._queue[:MOST], self._queue[MOST:]
        return batch
