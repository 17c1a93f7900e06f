"""The rows of the table: what is measured, what is asked for, and whether it was reached. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.sizes import Sizes


@dataclass(frozen=True)
class Row:
    """One line of issue 3's table."""

    name: str
    """What `--row` calls it."""
    what: str
    goal: float
    unit: str
    """Written behind figures."""
    at_most: bool = False
    """Whether the goal is the most that may be, and not the least."""
    digits: int = 2

    def is_met(self, median: float) -> bool:
        """Whether a median is good enough."""
        return median <= self.goal if self.at_most else median >= self.goal

    def written(self, figure: float) -> str:
        """A figure as people read it."""
        return f"{figure:,.{self.digits}f}{self.unit}"


@dataclass(frozen=True)
class Measured:
    """What one round found for a row, and the figures that it came from."""

    value: float
    said: str


@dataclass(frozen=True)
class NotMeasured:
    """Why there is no figure: the row falls short."""

    why: str


@dataclass(frozen=True)
class Line:
    """A row with what was found, in words."""

    what: str
    goal: str
    median: str
    range: str
    said: str
    """The figures of the round nearest to the median."""
    is_met: bool

    @property
    def verdict(self) -> str:
        """One word."""
        return "ok" if self.is_met else "short"


def judged(row: Row, found: Sequence[Measured] | NotMeasured) -> Line:
    """A line of the table. Without a figure a row falls short."""
    goal = ("≤ " if row.at_most else "≥ ") + row.written(row.goal)
    if isinstance(found, NotMeasured) or not found:
        why = found.why if isinstance(found, NotMeasured) else "no round was run"
        return Line(row.what, goal, "–", "–", f"not measured: {why}", is_met=False)
    values = [one.value for one in found]
    median = statistics.median(values)
    nearest = min(found, key=lambda one: abs(one.value - median))
    extent = f"{row.written(min(values))} to {row.written(max(values))}"
    return Line(row.what, goal, row.written(median), extent, nearest.said, row.is_met(median))


def rows(sizes: Sizes) -> tuple[Row, ...]:
    """Issue 3's rows, with the sizes that are really used."""
    link = f"a link with a {sizes.round_trip * 1000:.0f} ms round trip"
    audiences = f"{sizes.large:,} readers against {sizes.small:,}"
    lanes = sizes.connections
    return (
        Row("source-kept", f"one process, {lanes} connections, SQLite, against `smtp-source -d -s {lanes}`", 1.0, " ×"),
        Row("source-each", f"the same against `smtp-source -s {lanes}` (a connection each)", 1.2, " ×"),
        Row("sendmail", "the same against a loop over `aiosmtplib.SMTP.sendmail` without a ledger", 3.5, " ×"),
        Row("postgres", "the same on PostgreSQL against SQLite", 0.9, " ×"),
        Row(
            "workers",
            f"two workers on PostgreSQL against one, over {link}, {sizes.lanes_of_two} connections each,"
            " so that waiting is what limits",
            1.7,
            " ×",
        ),
        Row("cpu", "CPU a message, ledger included, without DKIM", 220, " µs", at_most=True, digits=0),
        Row("vault", "opening the sealed addresses, of a message's CPU", 5, " %", at_most=True, digits=1),
        Row("dkim", "with DKIM, against the same loop signing with dkimpy", 10, " ×", digits=1),
        Row(
            "round-trip",
            f"over {link}, {lanes} connections, against one round trip a message ({sizes.bound:,.0f}/s)",
            0.85,
            " ×",
        ),
        Row("rate", f"rate at {audiences}", 0.9, " ×"),
        Row("memory", f"memory at {audiences} (peak)", 20, " MB", at_most=True, digits=1),
        Row(
            "freeze",
            f"freezing an audience of {sizes.large:,}, one transaction, the slower database",
            10,
            " s",
            at_most=True,
            digits=1,
        ),
        Row(
            "import",
            f"importing a list of {sizes.large:,} rows, sealed, with blind index and dedupe, the slower database",
            20_000,
            "/s",
            digits=0,
        ),
        Row("sign-ups", "sign-ups a second, sustained on one process, SQLite, each durable", 300, "/s", digits=0),
        Row("sign-ups-p99", "99th percentile of their answers, from when they were due", 50, " ms", at_most=True),
        Row(
            "told-apart",
            f"p of the difference in time between a reader and somebody new, {sizes.pairs:,} requests each",
            0.01,
            "",
            digits=3,
        ),
    )
