"""When: weeks, cut-offs, windows and send instants, in a newsletter's own time zone. Pure: the time is an argument.

A *slot* ("thu 10:00") is a local wall-clock time that comes every week, a *moment* ("2026-12-22 10:00") one that comes
once. Where the clock jumps over it, the instant is as far after the jump as it was after its start (02:30 becomes
03:30); where the hour comes twice, the first one counts. All instants that leave this module are in UTC.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
REACH = dt.timedelta(hours=80)
"""How far one week's sending may be moved, by the local clock: for a Thursday at ten from Monday morning to Sunday
evening. Less than half a week, so that the weeks always follow each other in their order, whatever is moved."""


@dataclass(frozen=True, order=True)
class Week:
    """An ISO 8601 week, written `2026-W47`; it names an issue of a newsletter."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Week:
        """Read `2026-W47`. Raises `ValueError` for anything else, week 53 of a year with 52 weeks included."""
        match = re.fullmatch(r"([12][0-9]{3})-[Ww]([0-9]{2})", text)
        if not match:
            raise ValueError(f"{text!r} is not a week; write it like 2026-W47")
        week = cls(int(match[1]), int(match[2]))
        try:
            week.day(0)
        except ValueError:
            raise ValueError(f"{text!r} is not a week: {match[1]} has no week {match[2]}") from None
        return week

    @classmethod
    def of(cls, day: dt.date) -> Week:
        """The week that a date is in."""
        year, number, _ = day.isocalendar()
        return cls(year, number)

    def day(self, weekday: int) -> dt.date:
        """The date of a weekday of this week; Monday is 0."""
        return dt.date.fromisocalendar(self.year, self.number, weekday + 1)

    def shift(self, weeks: int) -> Week:
        """The week so many weeks later (or earlier)."""
        return Week.of(self.day(0) + dt.timedelta(weeks=weeks))

    def __str__(self) -> str:
        return f"{self.year:04d}-W{self.number:02d}"


@dataclass(frozen=True)
class Slot:
    """A weekday and a wall-clock time, written `thu 10:00`; Monday is 0."""

    weekday: int
    time: dt.time

    @classmethod
    def parse(cls, text: str) -> Slot:
        """Read `thu 10:00` or `Thursday 10:00`. Raises `ValueError` for anything else."""
        match = re.fullmatch(r"\s*([a-z]{3,9})\s+([01]?[0-9]|2[0-3]):([0-5][0-9])\s*", text.lower())
        days = [number for number, name in enumerate(DAY_NAMES) if match and name.startswith(match[1])]
        if not match or not days:
            raise ValueError(f"{text!r} is not a weekday and a time; write it like 'thu 10:00'")
        return cls(days[0], dt.time(int(match[2]), int(match[3])))

    def __str__(self) -> str:
        return f"{DAYS[self.weekday]} {self.time:%H:%M}"


@dataclass(frozen=True, order=True)
class Moment:
    """A date and a wall-clock time, written `2026-12-22 10:00`."""

    day: dt.date
    time: dt.time

    @classmethod
    def parse(cls, text: str, week: Week) -> Moment:
        """Read `2026-12-22 10:00`, or `tue 10:00` for that day of the week. Raises `ValueError` for anything else."""
        match = re.fullmatch(r"\s*([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]+([01]?[0-9]|2[0-3]):([0-5][0-9])\s*", text)
        try:
            if match:
                return cls(dt.date.fromisoformat(match[1]), dt.time(int(match[2]), int(match[3])))
            slot = Slot.parse(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a time; write it like '2026-12-22 10:00' or 'tue 10:00'") from None
        return cls(week.day(slot.weekday), slot.time)

    def shift(self, by: dt.timedelta) -> Moment:
        """The moment so much later, by the clock on the wall."""
        then = dt.datetime.combine(self.day, self.time) + by
        return Moment(then.date(), then.time())

    def since(self, other: Moment) -> dt.timedelta:
        """How much later than another one it is, by the clock on the wall."""
        return dt.datetime.combine(self.day, self.time) - dt.datetime.combine(other.day, other.time)

    def __str__(self) -> str:
        return f"{self.day} {self.time:%H:%M}"


@dataclass(frozen=True)
class Window:
    """The half-open span `[start, end)` whose posts belong to one issue; both ends in UTC."""

    start: dt.datetime
    end: dt.datetime

    def __contains__(self, instant: dt.datetime) -> bool:
        return self.start <= instant < self.end


@dataclass(frozen=True)
class Calendar:
    """A newsletter's rhythm: its zone, its two slots, the dates on which nothing is sent; and single weeks' exceptions.

    The cut-off goes with its sending: it keeps its distance by the clock on the wall.
    """

    zone: ZoneInfo
    send: Slot
    cutoff: Slot
    skip: frozenset[dt.date] = field(default_factory=frozenset)
    skipped: frozenset[Week] = field(default_factory=frozenset)
    """Weeks without an issue, whatever their date."""
    moves: Mapping[Week, Moment] = field(default_factory=dict)
    """Weeks whose issue goes out at another moment; one further off than `REACH` does not count."""

    def usual(self, week: Week) -> Moment:
        """The local moment at which the week's issue goes out unless it is moved."""
        return Moment(week.day(self.send.weekday), self.send.time)

    def usual_at(self, week: Week) -> dt.datetime:
        """The instant of that moment."""
        return self._instant(self.usual(week))

    def is_moved(self, week: Week) -> bool:
        """Whether the week's issue goes out at another moment than usual."""
        return self.sending(week) != self.usual(week)

    def sending(self, week: Week) -> Moment:
        """The local moment at which the week's issue goes out."""
        usual = self.usual(week)
        moved = self.moves.get(week, usual)
        # The settings may have changed since it was moved: out of order, windows would overlap.
        return moved if abs(moved.since(usual)) <= REACH else usual

    def send_date(self, week: Week) -> dt.date:
        """The local date on which the week's issue goes out."""
        return self.sending(week).day

    def send_at(self, week: Week) -> dt.datetime:
        """The instant at which the week's issue goes out."""
        return self._instant(self.sending(week))

    def cutoff_at(self, week: Week) -> dt.datetime:
        """The instant at which the week's window ends: the last cut-off slot that is not after the send slot."""
        # A slot that the clock jumps over can move past the send slot; a window never ends after its issue goes out.
        return min(self._instant(self.sending(week).shift(-self.lead)), self.send_at(week))

    @property
    def lead(self) -> dt.timedelta:
        """From the cut-off to the sending, by the clock on the wall: less than a week."""
        any_week = Week(2026, 1)
        before = Moment(any_week.day(self.cutoff.weekday), self.cutoff.time)
        return self.usual(any_week).since(before) % dt.timedelta(weeks=1)

    def is_skipped(self, week: Week) -> bool:
        """Whether the week has no issue."""
        return week in self.skipped or self.send_date(week) in self.skip

    def window(self, week: Week) -> Window:
        """The week's window. After skipped weeks it reaches back over them, so that no post is lost."""
        before = week.shift(-1)
        while self.is_skipped(before):
            before = before.shift(-1)
        return Window(self.cutoff_at(before), self.cutoff_at(week))

    def drafting(self, now: dt.datetime) -> Week:
        """The latest week, not skipped, whose window has ended: the issue that should stand as a draft now."""
        week = self._week_around(now).shift(3)
        while self.cutoff_at(week) > now or self.is_skipped(week):
            week = week.shift(-1)
        return week

    def gathering(self, now: dt.datetime) -> Week:
        """The week, not skipped, whose window is open now."""
        week = self.drafting(now).shift(1)
        while self.is_skipped(week):
            week = week.shift(1)
        return week

    def upcoming(self, now: dt.datetime) -> Iterator[Week]:
        """The weeks, not skipped, whose send instant is still ahead, soonest first; without end."""
        week = self._week_around(now).shift(-2)
        while True:
            if self.send_at(week) > now and not self.is_skipped(week):
                yield week
            week = week.shift(1)

    def _week_around(self, now: dt.datetime) -> Week:
        return Week.of(now.astimezone(self.zone).date())

    def _instant(self, moment: Moment) -> dt.datetime:
        return dt.datetime.combine(moment.day, moment.time, tzinfo=self.zone).astimezone(dt.UTC)


def parse_duration(text: str) -> dt.timedelta:
    """Read `90 s`, `30 min`, `12 h` or `3 d`. Raises `ValueError` for anything else."""
    match = re.fullmatch(r"\s*([0-9]{1,9})\s*(s|min|m|h|d)\s*", text.lower())
    if not match:
        raise ValueError(f"{text!r} is not a length of time; write it like '12 h', '30 min' or '3 d'")
    unit = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days"}[match[2]]
    return dt.timedelta(**{unit: int(match[1])})
