"""The account of an issue: who got it, what became of the others, how fast it went. Pure: counts in, values out.

The database counts (`report_data`), this adds up, and the result becomes JSON (`digest report --json`) that stays when
the deliveries themselves are purged (O-55). There are numbers, classes and codes in it, and nobody.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pydantic import TypeAdapter

from digest.mail.ledger import Equation
from digest.mail.providers import Provider
from digest.mail.replies import Scope, Stage
from digest.models import DeliveryState, IssueState

VERSION = 1
"""The shape of the JSON. A later one may have more fields; one that means something else gets another number."""
NOT_TRIED = "not tried"
"""The provider of whoever was not tried yet, or left before: only a try opens the address (E-07)."""
NO_SCOPE = "none"
"""The scope of a failure of which none was recorded: there was never a try."""
MOST_CAUSES = 40
"""Codes and reasons that are listed one by one; the rarer ones are added up, whatever a relay thinks of."""
MOST_BUCKETS = 96
"""Columns of the plot of the rate."""
MAIN_PART = 0.95
"""When so much of an issue has been accepted, the rest may be a tail of readers who were tried again for days."""
A_MINUTE = 60
SHORT_TAIL = 60
"""Seconds of a tail that is never cut off the plot."""
NO_GAP = 0.05
"""A pause shorter than this part of the run does not end it."""
MOST_LONGER = 1.5
"""So many times as long as its main part the plot may become until the run has ended."""
WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
"""Seconds a column may stand for."""


@dataclass(frozen=True)
class Cell:
    """So many deliveries that have all of this in common: what the database is asked for, however many there are."""

    state: DeliveryState
    provider: str | None
    scope: str | None
    attempts: int
    is_resolved: bool
    said: str
    """How the relay's last answer begins, or our own reason; empty where it tells nothing more."""
    count: int


@dataclass(frozen=True)
class Cause:
    """Why deliveries were rejected, or wait to be tried again."""

    scope: str
    """Whom it was about (S-22): `recipient`, `message`, `sender`, `relay`, or `none`."""
    code: str
    """`550 5.1.1`, or `550` where there was no enhanced code; a few words where there was no answer at all."""
    count: int


@dataclass(frozen=True)
class Reason:
    """Why deliveries were excluded."""

    reason: str
    count: int


@dataclass(frozen=True)
class Outcomes:
    """What became of an issue's deliveries, each counted once."""

    accepted: int
    rejected: int
    rejected_by_scope: dict[str, int]
    rejected_by_code: tuple[Cause, ...]
    excluded: int
    excluded_by_reason: tuple[Reason, ...]
    unknown: int
    unknown_open: int
    """Nobody has decided about them yet (`digest resolve`)."""
    unknown_resolved: int
    """A person decided to leave them as they are."""
    deferred: int
    deferred_by_code: tuple[Cause, ...]
    queued: int
    committing: int

    @property
    def total(self) -> int:
        """All deliveries."""
        settled = self.accepted + self.rejected + self.excluded + self.unknown
        return settled + self.deferred + self.queued + self.committing


@dataclass(frozen=True)
class ProviderLine:
    """The outcomes at one class of mailbox providers."""

    provider: str
    """One of `Provider`, or `not tried`."""
    readers: int
    accepted: int
    rejected: int
    excluded: int
    unknown: int
    waiting: int
    """Queued, deferred and committing."""


@dataclass(frozen=True)
class Tries:
    """How many deliveries took so many attempts."""

    attempts: int
    count: int


@dataclass(frozen=True)
class Rate:
    """Acceptances over time, in columns of one width; `sum(counts) + later` are all that were accepted."""

    start: dt.datetime | None
    """When the first column begins; none where nothing was accepted."""
    seconds: int
    """How much time a column stands for."""
    counts: tuple[int, ...]
    later: int
    """Accepted after the last column: the few who were tried again for long."""
    peak: float
    """Messages a minute in the highest column."""
    mean: float
    """Messages a minute over all columns."""


@dataclass(frozen=True)
class Unknown:
    """A delivery whose outcome is unknown, and what is known of it. No reader is named."""

    delivery: int
    at: dt.datetime | None
    known: str
    resolved_at: dt.datetime | None


@dataclass(frozen=True)
class Event:
    """Something that was done to the issue while it went out, from the log."""

    at: dt.datetime
    who: str
    action: str
    detail: str


@dataclass(frozen=True)
class IssueReport:
    """The account of one issue. Its fields are the keys of the JSON; instants are UTC."""

    version: int
    issue: str
    state: IssueState
    made_at: dt.datetime
    is_kept: bool
    """Whether the deliveries it was counted from are purged."""
    equation: Equation
    closes: bool
    reached: bool
    """Whether a copy has left, or may have. `archive` looks for it in the kept JSON."""
    outcomes: Outcomes
    providers: tuple[ProviderLine, ...]
    attempts: tuple[Tries, ...]
    frozen_at: dt.datetime | None
    first_accepted_at: dt.datetime | None
    last_accepted_at: dt.datetime | None
    finished_at: dt.datetime | None
    rate: Rate
    unknown: tuple[Unknown, ...] = ()
    """The first few of them (`outcomes` counts them all); none once the deliveries are purged."""
    events: tuple[Event, ...] = ()
    """Pauses, resumes, slowed lanes, by people and by the sender; they stay in the log and are read from there."""

    @property
    def duration(self) -> dt.timedelta | None:
        """From the first acceptance to the last."""
        if self.first_accepted_at is None or self.last_accepted_at is None:
            return None
        return self.last_accepted_at - self.first_accepted_at


Key = TypeVar("Key", str, tuple[str, str])
_FORM = TypeAdapter(IssueReport)


def to_json(report: IssueReport) -> str:
    """The report as compact JSON."""
    return _FORM.dump_json(report).decode()


def from_json(data: str) -> IssueReport:
    """A report that was kept. Raises `pydantic.ValidationError` for what is none."""
    return _FORM.validate_json(data)


def for_ever(report: IssueReport) -> IssueReport:
    """What stays of a report when the deliveries are purged: no line of it is about a single copy (O-55)."""
    return replace(report, is_kept=True, unknown=(), events=())


def equation_of(audience: int, cells: Iterable[Cell]) -> Equation:
    """The closing equation."""
    counts = _by_state(cells)
    return Equation(audience=audience, **{state.value: counts[state] for state in DeliveryState})


def outcomes_of(cells: Sequence[Cell]) -> Outcomes:
    """The outcomes by class."""
    counts = _by_state(cells)
    rejected, deferred = (_in(cells, state) for state in (DeliveryState.REJECTED, DeliveryState.DEFERRED))
    scopes: Counter[str] = Counter({scope.value: 0 for scope in Scope})
    for cell in rejected:
        scopes[cell.scope or NO_SCOPE] += cell.count
    resolved = sum(cell.count for cell in _in(cells, DeliveryState.UNKNOWN) if cell.is_resolved)
    return Outcomes(
        accepted=counts[DeliveryState.ACCEPTED],
        rejected=counts[DeliveryState.REJECTED],
        rejected_by_scope=dict(scopes),
        rejected_by_code=_causes(rejected),
        excluded=counts[DeliveryState.EXCLUDED],
        excluded_by_reason=_reasons(_in(cells, DeliveryState.EXCLUDED)),
        unknown=counts[DeliveryState.UNKNOWN],
        unknown_open=counts[DeliveryState.UNKNOWN] - resolved,
        unknown_resolved=resolved,
        deferred=counts[DeliveryState.DEFERRED],
        deferred_by_code=_causes(deferred),
        queued=counts[DeliveryState.QUEUED],
        committing=counts[DeliveryState.COMMITTING],
    )


def providers_of(cells: Iterable[Cell]) -> tuple[ProviderLine, ...]:
    """The outcomes by provider, in the order of `Provider`; those with nobody are left out."""
    by_provider: dict[str, list[Cell]] = {}
    for cell in cells:
        by_provider.setdefault(cell.provider or NOT_TRIED, []).append(cell)
    order = [*(provider.value for provider in Provider), NOT_TRIED]
    order += sorted(set(by_provider) - set(order))
    return tuple(_line(name, by_provider[name]) for name in order if name in by_provider)


def attempts_of(cells: Iterable[Cell]) -> tuple[Tries, ...]:
    """How many attempts the deliveries took, fewest first."""
    counts: Counter[int] = Counter()
    for cell in cells:
        counts[cell.attempts] += cell.count
    return tuple(Tries(attempts, count) for attempts, count in sorted(counts.items()))


def rate_of(moments: Iterable[tuple[int, int]], step: int = 1) -> Rate:
    """The rate over time, from (second since 1970, how many were accepted in it), counted every `step` seconds.

    The columns are as narrow as `MOST_BUCKETS` of them allow. A long thin tail is left out and counted as `later`:
    with it, an issue that left in three minutes would be one column among days of nothing.
    """
    counts = Counter[int]()
    for second, count in moments:
        counts[second] += count
    if not counts:
        return Rate(None, 1, (), 0, 0.0, 0.0)
    first, end = min(counts), _end_of_main_part(counts)
    width = _width(end - first + 1, step)
    start = first - first % width
    columns = [0] * ((end - start) // width + 1)
    # The last column is counted to its end.
    end = start + len(columns) * width
    for second, count in counts.items():
        if second < end:
            columns[(second - start) // width] += count
    shown = sum(columns)
    return Rate(
        start=dt.datetime.fromtimestamp(start, dt.UTC),
        seconds=width,
        counts=tuple(columns),
        later=counts.total() - shown,
        peak=max(columns) * A_MINUTE / width,
        mean=shown * A_MINUTE / (width * len(columns)),
    )


def plot_ends(minutes: Iterable[tuple[int, int]]) -> int:
    """Up to which second a plot may reach, from the counts of whole minutes: the start of a minute.

    As far as that, the counts are worth having second by second.
    """
    counts = Counter(dict(minutes))
    first, main = min(counts), _end_of_main_part(counts) + A_MINUTE
    return int(first + MOST_LONGER * (main - first)) // A_MINUTE * A_MINUTE + A_MINUTE


def _by_state(cells: Iterable[Cell]) -> Counter[DeliveryState]:
    counts: Counter[DeliveryState] = Counter()
    for cell in cells:
        counts[cell.state] += cell.count
    return counts


def _in(cells: Iterable[Cell], *states: DeliveryState) -> list[Cell]:
    return [cell for cell in cells if cell.state in states]


def _line(name: str, cells: list[Cell]) -> ProviderLine:
    counts = _by_state(cells)
    return ProviderLine(
        provider=name,
        readers=counts.total(),
        accepted=counts[DeliveryState.ACCEPTED],
        rejected=counts[DeliveryState.REJECTED],
        excluded=counts[DeliveryState.EXCLUDED],
        unknown=counts[DeliveryState.UNKNOWN],
        waiting=sum(
            counts[state] for state in (DeliveryState.QUEUED, DeliveryState.DEFERRED, DeliveryState.COMMITTING)
        ),
    )


def _causes(cells: Iterable[Cell]) -> tuple[Cause, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    for cell in cells:
        counts[cell.scope or NO_SCOPE, code_of(cell.said)] += cell.count
    common = _commonest(counts)
    rest = counts.total() - sum(count for _, count in common)
    others = (Cause(NO_SCOPE, "others", rest),) if rest else ()
    return (*(Cause(scope, code, count) for (scope, code), count in common), *others)


def _reasons(cells: Iterable[Cell]) -> tuple[Reason, ...]:
    counts: Counter[str] = Counter()
    for cell in cells:
        counts[cell.said or "no reason was recorded"] += cell.count
    common = _commonest(counts)
    rest = counts.total() - sum(count for _, count in common)
    others = (Reason("others", rest),) if rest else ()
    return (*(Reason(reason, count) for reason, count in common), *others)


def _commonest(counts: Counter[Key]) -> list[tuple[Key, int]]:
    """The most frequent ones; where two are as frequent, in the order of the alphabet."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_CAUSES]


def code_of(said: str) -> str:
    """The basic and the enhanced code that an answer begins with, or what kind of failure of ours it was."""
    if match := _CODE.match(said):
        basic, enhanced = match.groups()
        return f"{basic} {enhanced}" if enhanced else basic
    return next((words for start, words in _OURS if said.startswith(start)), "no code")


_CODE = re.compile(r"([245]\d\d)\b(?:[ -]([245]\.\d{1,3}\.\d{1,3})(?![\d.]))?")
SAID_LENGTH = len("550 5.123.123")
"""So many characters of an answer hold its codes, and tell our own reasons apart."""
_OURS = (
    ("the address", "the address cannot be used"),
    ("it cannot be", "the copy cannot be made"),
    ("(given up", "no time was left to try"),
    *((f"{stage}: "[:SAID_LENGTH], "the connection failed") for stage in Stage),
)


def _end_of_main_part(counts: Counter[int]) -> int:
    """The last second to be shown."""
    seconds = sorted(counts)
    first, last, main = seconds[0], seconds[-1], _when_mainly_done(counts, seconds)
    if last - main <= max(main - first, SHORT_TAIL):
        return last
    end, latest = main, first + MOST_LONGER * (main - first)
    for second in seconds:
        # The run goes on to its own end, which is where a gap follows.
        if end < second <= min(latest, end + max(1, NO_GAP * (main - first))):
            end = second
    return end


def _when_mainly_done(counts: Counter[int], seconds: list[int]) -> int:
    needed, so_far = MAIN_PART * counts.total(), 0
    for second in seconds:
        so_far += counts[second]
        if so_far >= needed:
            return second
    return seconds[-1]


def _width(span: int, step: int) -> int:
    """The narrowest column with which so many seconds fit, one more for where the first one is cut."""
    fitting = (width for width in WIDTHS if width >= step and span / width <= MOST_BUCKETS - 1)
    return next(fitting, -(-span // (MOST_BUCKETS - 1)))
