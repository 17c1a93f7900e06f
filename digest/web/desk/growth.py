"""Week by week: how many readers a list had, how many came and went; as values, and as a drawing for SVG. Pure.

Along, everything is a percentage, like in `plot`; the style sheet has the colours.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from digest.web.desk.page import count_of
from digest.web.desk.plot import FEWEST, GAP, Mark, ceiling, figure, percent
from digest.weeks import Week
from subscribers.headcount import Moves, Span, levels

READERS_HEIGHT = 150
"""Pixels of the field that shows how many readers there were."""
MOVES_HEIGHT = 96
"""Pixels of the field below, of those who came (up) and went (down)."""
BETWEEN = 34
MOST_TICKS = 3
"""So many dates fit below the drawing side by side also on the narrowest phone."""


@dataclass(frozen=True)
class WeekLine:
    """A week of a list, and its line of the table."""

    week: Week
    words: str
    """`9 Nov`: its Monday, with the year where that is another one."""
    is_now: bool
    """Whether it is not over."""
    readers: int
    """How many were on the list at its end, or are now."""
    moves: Moves
    issue: tuple[str, int] | None
    """The name of the issue that went out, and to how many; none where none did."""


@dataclass(frozen=True)
class Column:
    """A week of the drawing."""

    x: str
    width: str
    words: str
    """All that it shows, in a sentence."""
    y: float
    height: float
    came_y: float
    came_height: float
    went_y: float
    went_height: float


@dataclass(frozen=True)
class Growth:
    """A list's weeks, ready to be drawn: the readers, and below them who came and went, around a line of their own."""

    columns: tuple[Column, ...]
    levels: tuple[Mark, ...]
    """Lines across the upper field: how many readers."""
    moves_levels: tuple[Mark, ...]
    """Lines across the lower one: how many came, and how many went."""
    ticks: tuple[Mark, ...]
    ground: float
    """Where the upper field ends."""
    middle: float
    """Where nobody came or went."""
    height: float


def weeks_until(now: dt.datetime, zone: ZoneInfo, count: int) -> tuple[tuple[Week, Span], ...]:
    """The last so many weeks on a newsletter's clock, from Monday to Monday, up to the one that runs."""
    this = Week.of(now.astimezone(zone).date())
    weeks = [this.shift(-back) for back in range(count - 1, -1, -1)]
    return tuple((week, (_monday(week, zone), _monday(week.shift(1), zone))) for week in weeks)


def lines_of(
    weeks: Sequence[Week], moved: Sequence[Moves], readers_now: int, issues: Mapping[str, tuple[str, int]]
) -> tuple[WeekLine, ...]:
    """A line for each week, the oldest first; weeks before anything happened are left out.

    `issues` are those that went out, by the week that they are named for.
    """
    lines = [
        WeekLine(week, _words(week, weeks[-1]), week == weeks[-1], readers, moves, issues.get(str(week)))
        for week, moves, readers in zip(weeks, moved, levels(readers_now, moved), strict=True)
    ]
    begun = [place for place, line in enumerate(lines) if line.readers or line.moves != Moves() or line.issue]
    return tuple(lines[begun[0] :]) if begun else ()


def growth_of(lines: Sequence[WeekLine], *, with_moves: bool) -> Growth | None:
    """The drawing of a list's weeks; none where there are too few to see anything. Without moves, of readers alone."""
    if len(lines) < FEWEST:
        return None
    top = ceiling(max(1, *(line.readers for line in lines)))
    most = max(1, *(max(line.moves.came, line.moves.went) for line in lines))
    half = ceiling(most)
    middle = READERS_HEIGHT + BETWEEN + MOVES_HEIGHT / 2
    step = 100 / len(lines)
    scale = MOVES_HEIGHT / 2 / half
    columns = []
    for place, line in enumerate(lines):
        y = READERS_HEIGHT * (1 - line.readers / top)
        came, went = line.moves.came * scale, line.moves.went * scale
        columns.append(
            Column(
                x=percent((place + GAP / 2) * step),
                width=percent((1 - GAP) * step),
                words=_sentence(line, with_moves=with_moves),
                y=round(y, 1),
                height=round(READERS_HEIGHT - y, 1),
                came_y=round(middle - came, 1),
                came_height=round(came, 1),
                went_y=middle,
                went_height=round(went, 1),
            )
        )
    return Growth(
        columns=tuple(columns),
        levels=tuple(
            Mark(f"{READERS_HEIGHT * (1 - part):g}", figure(top * part))
            for part in (0.0, 0.5, 1.0)
            if float(top * part).is_integer()
        ),
        moves_levels=tuple(
            Mark(f"{middle - sign * half * scale:g}", f"{word}{figure(half)}") for sign, word in ((1, "+"), (-1, "−"))
        )
        if with_moves
        else (),
        ticks=tuple(_ticks(lines, step)),
        ground=READERS_HEIGHT,
        middle=middle,
        height=middle + MOVES_HEIGHT / 2 if with_moves else READERS_HEIGHT,
    )


def _ticks(lines: Sequence[WeekLine], step: float) -> list[Mark]:
    """Mondays below the drawing: the first, the last, and what fits evenly between."""
    last = len(lines) - 1
    parts = min(MOST_TICKS - 1, last)
    found = []
    for place in (round(last * number / parts) for number in range(parts + 1)):
        anchor, part = {0: ("start", 0.0), last: ("end", 1.0)}.get(place, ("middle", 0.5))
        # Without the year, which a phone has no room for: they stand in order, and the table has it.
        found.append(Mark(percent((place + part) * step), f"{lines[place].week.day(0):%-d %b}", anchor))
    return found


def _sentence(line: WeekLine, *, with_moves: bool) -> str:
    said = f"Week of {line.words}: {count_of(line.readers, 'reader', 'readers')}"
    return f"{said}, {line.moves.came:,} came, {line.moves.went:,} went" if with_moves else said


def _words(week: Week, last: Week) -> str:
    monday = week.day(0)
    return f"{monday:%-d %b %Y}" if monday.year != last.day(0).year else f"{monday:%-d %b}"


def _monday(week: Week, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(week.day(0), dt.time(), zone).astimezone(dt.UTC)
