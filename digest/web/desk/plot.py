"""Small drawings as plain numbers, for SVG in a page: the rate over time, and bars of shares. Pure.

Along, everything is a percentage, so that a drawing is as wide as its place and its words stay readable; no style
attribute is needed, which the policy of our pages would not allow.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from digest.mail.report import Event, ProviderLine, Rate, Tries

HEIGHT = 168
"""Pixels of the plot's field."""
FEWEST = 3
"""Columns below which a plot shows nothing that its figures do not say."""
GAP = 0.14
"""The part of a column that stays empty."""
A_MINUTE = 60
A_DAY = 86400
_ONE = {1: "second", A_MINUTE: "minute", 3600: "hour", A_DAY: "day"}


@dataclass(frozen=True)
class Column:
    """One column of the plot, and its line of the table."""

    x: str
    width: str
    y: float
    height: float
    time: str
    count: int
    per_minute: float


@dataclass(frozen=True)
class Mark:
    """A line across or along the plot, with its words."""

    at: str
    words: str
    anchor: str = "start"


@dataclass(frozen=True)
class Plot:
    """The rate over time, ready to be drawn."""

    columns: tuple[Column, ...]
    levels: tuple[Mark, ...]
    """Lines across: how many a minute."""
    ticks: tuple[Mark, ...]
    """Times below."""
    pauses: tuple[Mark, ...]
    """Where it was stopped, and why."""
    mean_y: float
    every: str
    """What a column stands for."""
    height: int = HEIGHT


@dataclass(frozen=True)
class Share:
    """A piece of a bar."""

    kind: str
    """Its class in the style sheet: an outcome."""
    x: str
    width: str
    count: int


def plot_of(rate: Rate, events: Iterable[Event], zone: ZoneInfo) -> Plot | None:
    """The plot of a rate; none where there is too little to be seen."""
    if rate.start is None or len(rate.counts) < FEWEST:
        return None
    start, step = rate.start, 100 / len(rate.counts)
    top = ceiling(rate.peak)
    span = rate.seconds * len(rate.counts)
    columns = tuple(
        _column(place * step, step, count, rate, top, _clock(_after(start, place * rate.seconds), zone, rate, span))
        for place, count in enumerate(rate.counts)
    )
    ticks = (("start", 0.0), ("middle", 0.5), ("end", 1.0))
    return Plot(
        columns=columns,
        levels=tuple(Mark(f"{_y(part * top, top):g}", figure(part * top)) for part in (0.0, 0.5, 1.0)),
        ticks=tuple(
            Mark(f"{part * 100:g}%", _clock(_after(start, span * part), zone, rate, span), anchor)
            for anchor, part in ticks
        ),
        pauses=tuple(_pauses(events, start, span, zone)),
        mean_y=_y(rate.mean, top),
        every=_ONE.get(rate.seconds) or spoken(dt.timedelta(seconds=rate.seconds)),
    )


def shares(counts: Sequence[tuple[str, int]], whole: int) -> tuple[Share, ...]:
    """The pieces of a bar, one behind the other; what is empty is left out."""
    found, so_far = [], 0
    for kind, count in counts:
        if count:
            found.append(Share(kind, percent(100 * so_far / whole), percent(100 * count / whole), count))
        so_far += count
    return tuple(found)


def provider_shares(line: ProviderLine, largest: int) -> tuple[Share, ...]:
    """A provider's bar, as long as its readers are many."""
    outcomes = ("accepted", "rejected", "excluded", "unknown", "waiting")
    return shares([(name, getattr(line, name)) for name in outcomes], largest)


def tries_share(tries: Tries, largest: int) -> str:
    """How long the bar of a number of tries is."""
    return percent(100 * tries.count / largest)


def spoken(length: dt.timedelta) -> str:
    """A length of time in the two largest units that say something: `3 min 5 s`, `2 days 4 h`."""
    seconds = int(length.total_seconds())
    if seconds < 1:
        return "less than a second"
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    units = ((days, "day" if days == 1 else "days"), (hours, "h"), (minutes, "min"), (seconds % 60, "s"))
    said = [f"{number} {unit}" for number, unit in units if number]
    return " ".join(said[:2]).replace(" ", "\u00a0")


def _column(x: float, step: float, count: int, rate: Rate, top: float, time: str) -> Column:
    per_minute = count * A_MINUTE / rate.seconds
    y = _y(per_minute, top)
    gap = step * GAP
    return Column(percent(x + gap / 2), percent(step - gap), y, round(HEIGHT - y, 1), time, count, per_minute)


def _pauses(events: Iterable[Event], start: dt.datetime, span: int, zone: ZoneInfo) -> Iterable[Mark]:
    for event in events:
        part = (event.at - start).total_seconds() / span
        if event.action == "pause" and 0 <= part <= 1:
            yield Mark(percent(100 * part), f"{event.at.astimezone(zone):%H:%M:%S}, {event.who}: {event.detail}")


def _y(value: float, top: float) -> float:
    return round(HEIGHT * (1 - value / top), 1)


def ceiling(value: float) -> float:
    """The next round number above: 1, 2, 2.5 or 5 and zeros."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next(power * part for part in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if power * part >= value)


def figure(value: float) -> str:
    """A number beside a line of a plot: whole from ten on, two digits below."""
    return f"{value:,.0f}" if value >= 10 or value.is_integer() else f"{value:.2g}"  # noqa: PLR2004 -- two digits tell enough.


def _after(start: dt.datetime, seconds: float) -> dt.datetime:
    return start + dt.timedelta(seconds=seconds)


def _clock(at: dt.datetime, zone: ZoneInfo, rate: Rate, span: int) -> str:
    """A time on the newsroom's clock, as exact as the columns are."""
    if span > A_DAY:
        return f"{at.astimezone(zone):%a %H:%M}"
    return f"{at.astimezone(zone):%H:%M:%S}" if rate.seconds < A_MINUTE else f"{at.astimezone(zone):%H:%M}"


def percent(value: float) -> str:
    """A share of a drawing's width, as an attribute of SVG: `12.5%`."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "%"
