"""Answers to sign-ups and to links in mail leave on a beat: their time says nothing of what was done (O-20).

However evenly the work is written, somebody new costs a little more than somebody who must not be mailed: a third of a
millisecond, which a few hundred requests show. So an answer waits until a whole number of beats has passed since its
request came. The work takes a fraction of the first; where a busy machine needs more, that is the load's doing.

Whoever had less to do sleeps longer until then, and a processor wakes from a longer sleep some hundredths of a
millisecond later, which two thousand requests show too. So each answer is late by chance as well: to find that small a
difference in it takes a hundred times as many requests, which the form's budgets do not allow.
"""

from __future__ import annotations

import asyncio
import contextvars
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
BEAT = 0.02
"""Seconds."""
LATE = 0.008
"""By how many seconds an answer may miss its beat."""
_CHANCE = secrets.SystemRandom()
THREADS = 64
"""How many requests can be under way; most of them wait for their beat, or for the others of their transaction."""


def until_beat(passed: float, beat: float = BEAT) -> float:
    """How long it is to the next beat for a request that came so many seconds ago. Pure."""
    return beat - passed % beat


class Beat:
    """Lets requests be answered in threads of their own, each on the beat or a little after it."""

    def __init__(self) -> None:
        # Not the event loop's own timer: it is only as fine as a millisecond, and counts it from when the work ended.
        # What is left of a millisecond would then tell of the work, whatever chance adds.
        self._threads = ThreadPoolExecutor(THREADS, "sign-ups")

    async def answer(self, act: Callable[[], T]) -> T:
        """What `act` returns or raises, on the beat or a little after it."""
        # With the request's own context, which says in which language its visitor is answered.
        run = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self._threads, run, _on_beat, act, time.monotonic())


def _on_beat(act: Callable[[], T], came_at: float) -> T:
    try:
        return act()
    finally:
        time.sleep(until_beat(time.monotonic() - came_at) + _CHANCE.uniform(0.0, LATE))
