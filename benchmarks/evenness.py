"""Whether two kinds of requests can be told apart by their time: pairs, and the signed-rank test of Wilcoxon. Pure.

The two of a pair come one right after the other, in an order that is drawn each time, so that whatever else the machine
does falls on both kinds alike. Ranks and not means are judged: one slow request sways nothing.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ENOUGH = 20
"""Pairs from which on the normal distribution stands for that of the ranks."""


@dataclass(frozen=True)
class Compared:
    """What the pairs say."""

    p: float
    """How likely so large a difference would be if there were none (two-sided)."""
    difference: float
    """The median of the pairs' differences, in seconds: the second kind's time less the first's."""
    noise: float
    """The middle half of the differences lies in so many seconds."""
    first: float
    """The first kind's median, in seconds."""
    pairs: int


def measure(first: Callable[[], object], second: Callable[[], object], pairs: int, rng: random.Random) -> Compared:
    """Send so many pairs and compare them."""
    times: list[tuple[float, float]] = []
    for _ in range(pairs):
        if rng.random() < 0.5:
            one = _seconds(first)
            times.append((one, _seconds(second)))
        else:
            other = _seconds(second)
            times.append((_seconds(first), other))
    return compare(times)


def compare(times: Sequence[tuple[float, float]]) -> Compared:
    """Judge the times of pairs, in seconds. Raises `ValueError` for too few to judge."""
    if len(times) < ENOUGH:
        raise ValueError(f"{len(times)} pairs are too few to judge")
    differences = [second - first for first, second in times]
    low, middle, high = statistics.quantiles(differences, n=4)
    first = statistics.median(one for one, _ in times)
    return Compared(_signed_rank(differences), middle, high - low, first, len(times))


def _signed_rank(differences: Sequence[float]) -> float:
    """The p of Wilcoxon's test, by the normal approximation; times in nanoseconds hardly ever tie."""
    ranked = sorted((one for one in differences if one), key=abs)
    count = len(ranked)
    if not count:
        return 1.0
    positive = sum(rank for rank, one in enumerate(ranked, 1) if one > 0)
    mean = count * (count + 1) / 4
    deviation = math.sqrt(count * (count + 1) * (2 * count + 1) / 24)
    return math.erfc(abs(positive - mean) / deviation / math.sqrt(2))


def _seconds(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun
