"""What several threads want at the same time is done together, and each learns what became of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from subscribers.together import MOST, Together

WITHIN = 20.0
"""Seconds that a thread of these tests may take."""


class Crowd:
    """Threads that each want a number; the first of a batch waits until so many others have come as the test says."""

    def __init__(self, act: Callable[[Sequence[int]], None], *, others: int, gather: float = 5.0) -> None:
        self.waited: list[float] = []
        self.errors: dict[int, OSError] = {}
        self._others = others
        self._together = Together(act, gather, self._until_others_came)

    def want(self, *numbers: int) -> None:
        """Let each number be wanted by a thread of its own, one after the other, and wait until all are answered."""
        threads = [threading.Thread(target=self._fulfil, args=(number,), daemon=True) for number in numbers]
        *most, last = threads
        for thread in most:
            before = len(self._together._queue)
            thread.start()
            self._spin(partial(self._has_more_than, before))
        # With the last the first goes on, and takes them out.
        last.start()
        for thread in threads:
            thread.join(WITHIN)
            assert not thread.is_alive()

    def _fulfil(self, number: int) -> None:
        try:
            self._together.fulfil(number)
        except OSError as error:
            self.errors[number] = error

    def _until_others_came(self, seconds: float) -> None:
        first = not self.waited
        self.waited.append(seconds)
        if first:
            self._spin(partial(self._has_more_than, self._others))

    def _has_more_than(self, count: int) -> bool:
        return len(self._together._queue) > count

    def _spin(self, is_so: Callable[[], bool]) -> None:
        """Where it never comes to that, go on: what the test says next is then not so."""
        until = time.monotonic() + WITHIN
        while not is_so() and time.monotonic() < until:
            threading.Event().wait(0.001)


def test_who_comes_while_the_first_waits_shares_its_batch() -> None:
    batches: list[list[int]] = []
    crowd = Crowd(lambda wishes: batches.append(list(wishes)), others=4)
    crowd.want(1, 2, 3, 4, 5)
    assert batches == [[1, 2, 3, 4, 5]]
    assert len(crowd.waited) == 1
    assert 4 < crowd.waited[0] <= 5


def test_a_batch_has_an_end_and_the_next_waits_for_the_rest_of_its_time() -> None:
    batches: list[list[int]] = []
    crowd = Crowd(lambda wishes: batches.append(list(wishes)), others=MOST + 1)
    crowd.want(*range(MOST + 2))
    assert batches == [list(range(MOST)), [MOST, MOST + 1]]
    assert len(crowd.waited) == 2
    assert crowd.waited[1] < 5, "what was left of the five seconds of whoever is the first now"


def test_whoever_has_waited_long_enough_does_not_wait_again() -> None:
    crowd = Crowd(list[int]().extend, others=MOST + 1, gather=0.0)
    crowd.want(*range(MOST + 2))
    assert crowd.waited == [0.0, 0.0]


def test_a_wait_that_fails_keeps_nobody_who_comes_later() -> None:
    waits = iter([InterruptedError("the wait was broken off")])
    done: list[int] = []

    def wait(_seconds: float) -> None:
        for error in waits:
            raise error

    together = Together(done.extend, 1.0, wait)
    with pytest.raises(InterruptedError):
        together.fulfil(1)
    later = threading.Thread(target=together.fulfil, args=(2,), daemon=True)
    later.start()
    later.join(WITHIN)
    assert done == [2]


def test_all_of_a_batch_learn_that_it_failed_and_the_next_is_done() -> None:
    done: list[int] = []

    def act(wishes: Sequence[int]) -> None:
        if 0 in wishes:
            raise OSError("the disk is full")
        done.extend(wishes)

    crowd = Crowd(act, others=MOST)
    crowd.want(*range(MOST + 1))
    assert set(crowd.errors) == set(range(MOST))
    assert done == [MOST]
    with pytest.raises(OSError, match="disk is full"):
        Together(act).fulfil(0)
