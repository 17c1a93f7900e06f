"""What the calendar page shows of a month, gathered from the database into frozen values."""

from __future__ import annotations

import calendar as gregorian
import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.calendar import UNCHANGED, Change, changes_of, united
from digest.issues.edit import OPEN
from digest.issues.reschedule import REASON_LIMIT
from digest.mail.report_data import books
from digest.models import Issue, IssueState
from digest.settings import Newsletter
from digest.web.desk.page import count_of, local_time, until, utc_time
from digest.web.desk.words import STATES
from digest.web.form import Form
from digest.weeks import REACH, Calendar, Week

COLOURS = 6
"""Newsletters that have a colour of their own; a seventh shares the first one's, and its word tells them apart."""
FIRST_YEAR, LAST_YEAR = 2000, 2100
MONTHS = 12


@dataclass(frozen=True, order=True)
class Month:
    """A month of the calendar, written `2026-11`."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Month | None:
        """Read `2026-11`; none for anything else, and beyond the years that the calendar shows."""
        match = re.fullmatch(r"([0-9]{4})-([0-9]{2})", text)
        if not match or not 1 <= int(match[2]) <= MONTHS:
            return None
        return cls(int(match[1]), int(match[2])) if FIRST_YEAR <= int(match[1]) <= LAST_YEAR else None

    @classmethod
    def of(cls, day: dt.date) -> Month:
        """The month that a date is in."""
        return cls(day.year, day.month)

    def shift(self, months: int) -> Month | None:
        """The month so many later; none beyond the years that the calendar shows."""
        year, number = divmod(self.year * MONTHS + self.number - 1 + months, MONTHS)
        return Month(year, number + 1) if FIRST_YEAR <= year <= LAST_YEAR else None

    @property
    def first(self) -> dt.date:
        """Its first day."""
        return dt.date(self.year, self.number, 1)

    @property
    def last(self) -> dt.date:
        """Its last day."""
        return self.first.replace(day=gregorian.monthrange(self.year, self.number)[1])

    @property
    def title(self) -> str:
        """In words."""
        return f"{self.first:%B %Y}"

    @property
    def short(self) -> str:
        """In words, for a button."""
        return f"{self.first:%b %Y}"

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"


@dataclass(frozen=True)
class Paper:
    """A newsletter as the calendar tells it from the others."""

    slug: str
    title: str
    language: str
    direction: str
    colour: int


@dataclass(frozen=True)
class MoveForm:
    """What a publisher chooses from to move a sending."""

    days: tuple[tuple[str, str, bool], ...]
    """Each a date, its words, and whether it is chosen."""
    time: str


@dataclass(frozen=True)
class Sending:
    """One week of one newsletter."""

    paper: Paper
    week: str
    day: dt.date
    """On the newsletter's own calendar."""
    hour: str
    state: str
    """An issue's, or `planned`, `skipped`, `missing`."""
    state_word: str
    local: str
    utc: str
    cutoff: str
    until: str
    """How far ahead it is; empty where it is over."""
    moved_from: str
    change: str
    """Who changed the week, and when."""
    reason: str
    path: str
    """The issue's page; empty where there is none."""
    subject: str
    reached: str
    """What it reached, once it is out."""
    mark: str
    can_skip: bool
    can_restore: bool
    move: MoveForm | None
    """None where it cannot be moved."""
    typed_reason: str
    """What was typed where it could not be taken."""
    refused: str
    """Which of its forms was refused; empty where none was."""

    @property
    def anchor(self) -> str:
        """Its place on the page."""
        return f"{self.paper.slug}-{self.week}"


@dataclass(frozen=True)
class Day:
    """A day of the grid."""

    date: dt.date
    is_today: bool
    is_inside: bool
    """Whether it belongs to the month, and not to one beside it."""
    sendings: tuple[Sending, ...]


@dataclass(frozen=True)
class MonthPage:
    """All that `desk/calendar.html` uses."""

    month: Month
    before: Month | None
    after: Month | None
    is_now: bool
    papers: tuple[Paper, ...]
    weeks: tuple[tuple[Week, tuple[Day, ...]], ...]
    sendings: tuple[Sending, ...]
    """Those of the month itself, in their order."""
    reason_limit: int = REASON_LIMIT


@dataclass(frozen=True)
class Refusal:
    """A change that was refused: of which week, by which form, with what was typed."""

    newsletter: str
    week: str
    act: str
    form: Form


def month_page(
    session: Session,
    newsletters: Mapping[str, Newsletter],
    month: Month,
    now: dt.datetime,
    refusal: Refusal | None = None,
) -> MonthPage:
    """The month, with the days around it that fill its first and last week."""
    first, last = month.first, month.last
    start, end = first - dt.timedelta(days=first.weekday()), last + dt.timedelta(days=6 - last.weekday())
    papers = {
        slug: Paper(slug, one.title, one.language, one.direction, number % COLOURS)
        for number, (slug, one) in enumerate(newsletters.items())
    }
    found = [
        sending
        for slug, newsletter in newsletters.items()
        for sending in _Rhythm(session, newsletter, papers[slug], now, refusal).between(start, end)
    ]
    found.sort(key=lambda one: (one.day, one.hour))
    today = now.astimezone(next(iter(newsletters.values())).timezone).date()
    days = [
        Day(day, day == today, first <= day <= last, tuple(one for one in found if one.day == day))
        for day in (start + dt.timedelta(days=by) for by in range((end - start).days + 1))
    ]
    return MonthPage(
        month=month,
        before=month.shift(-1),
        after=month.shift(1),
        is_now=month == Month.of(today),
        papers=tuple(papers.values()),
        weeks=tuple((Week.of(days[at].date), tuple(days[at : at + 7])) for at in range(0, len(days), 7)),
        sendings=tuple(one for one in found if first <= one.day <= last),
    )


class _Rhythm:
    """One newsletter's weeks, as they were, are and will be."""

    def __init__(
        self, session: Session, newsletter: Newsletter, paper: Paper, now: dt.datetime, refusal: Refusal | None
    ) -> None:
        self._session, self._newsletter, self._paper, self._now = session, newsletter, paper, now
        self._zone = newsletter.timezone
        self._changes = changes_of(session, newsletter)
        self._calendar: Calendar = united(newsletter, self._changes.values())
        self._refusal = refusal if refusal and refusal.newsletter == newsletter.slug else None
        mine = Issue.newsletter == newsletter.slug
        stands = Issue.state != IssueState.CANCELLED
        self._first = session.scalar(sa.select(sa.func.min(Issue.week)).where(mine)) or ""
        self._last = session.scalar(sa.select(sa.func.max(Issue.week)).where(mine, stands)) or ""

    def between(self, start: dt.date, end: dt.date) -> Iterator[Sending]:
        """The weeks that are sent on these days."""
        weeks = [Week.of(start).shift(-1)]
        while weeks[-1] <= Week.of(end):
            weeks.append(weeks[-1].shift(1))
        query = sa.select(Issue).where(Issue.newsletter == self._newsletter.slug, Issue.week.in_(map(str, weeks)))
        issues = {issue.week: issue for issue in self._session.scalars(query)}
        for week in weeks:
            sending = self._sending(week, issues.get(str(week)))
            if sending is not None and start <= sending.day <= end:
                yield sending

    def _sending(self, week: Week, issue: Issue | None) -> Sending | None:
        calendar, change = self._calendar, self._changes.get(week)
        send_at = calendar.send_at(week) if issue is None else issue.frozen_at or issue.send_at
        is_over = send_at <= self._now
        if issue is None and is_over and not (self._first and str(week) > self._first):
            return None  # There was no such newsletter yet.
        is_skipped = calendar.is_skipped(week) and (issue is None or issue.state is IssueState.CANCELLED)
        state, word = _state(issue, is_skipped=is_skipped, is_over=is_over)
        is_free = str(week) >= self._last and (issue is None or issue.state in OPEN or bool(change and change.shelved))
        local = send_at.astimezone(self._zone)
        refusal = self._refusal if self._refusal and self._refusal.week == str(week) else None
        return Sending(
            paper=self._paper,
            week=str(week),
            day=local.date(),
            hour=f"{local:%H:%M}",
            state=state,
            state_word=word,
            local=f"{local:%H:%M %Z}",
            utc=_in_utc(send_at, local),
            cutoff=f"{calendar.cutoff_at(week).astimezone(self._zone):%a %-d %b, %H:%M}",
            until="" if is_over else until(send_at, self._now),
            moved_from=self._moved_from(week),
            change=self._said(change),
            reason=change.reason if change else "Nothing is sent that day, say the settings." * is_skipped,
            path=f"/desk/issues/{issue.name}" if issue else "",
            subject=issue.subject if issue else "",
            reached=self._reached(issue),
            mark=change.mark if change else UNCHANGED,
            can_skip=is_free and not is_over and not is_skipped,
            can_restore=is_free and change is not None and calendar.usual_at(week) > self._now,
            move=self._move(week, refusal) if is_free and not (change and change.is_skip) else None,
            typed_reason=refusal.form.line("reason") if refusal else "",
            refused=refusal.act if refusal else "",
        )

    def _moved_from(self, week: Week) -> str:
        if not self._calendar.is_moved(week):
            return ""
        return f"{self._calendar.usual_at(week).astimezone(self._zone):%a %-d %b, %H:%M}"

    def _said(self, change: Change | None) -> str:
        return f"{change.who}, {local_time(change.at, self._zone)}" if change else ""

    def _reached(self, issue: Issue | None) -> str:
        if issue is None or issue.frozen_at is None:
            return ""
        return f"{books(self._session, issue.id).accepted:,} of {count_of(issue.audience, 'reader', 'readers')}"

    def _move(self, week: Week, refusal: Refusal | None) -> MoveForm | None:
        """The days from today on that are near enough, and that the settings have nothing against."""
        usual, stands = self._calendar.usual(week), self._calendar.sending(week)
        first, last = usual.shift(-REACH).day, usual.shift(REACH).day
        today = self._now.astimezone(self._zone).date()
        days = [first + dt.timedelta(days=by) for by in range((last - first).days + 1)]
        days = [day for day in days if day >= today and day not in self._newsletter.skip]
        if not days:
            return None
        typed = refusal if refusal and refusal.act == "move" else None
        chosen, time = (typed.form.line("day"), typed.form.line("time")) if typed else (str(stands.day), "")
        return MoveForm(
            tuple((str(day), f"{day:%A, %-d %B}", str(day) == chosen) for day in days), time or f"{stands.time:%H:%M}"
        )


def _in_utc(instant: dt.datetime, local: dt.datetime) -> str:
    """The instant in UTC, with its day where that is another one there."""
    utc = instant.astimezone(dt.UTC)
    return utc_time(instant) if utc.date() == local.date() else f"{utc:%a} {utc_time(instant)}"


def _state(issue: Issue | None, *, is_skipped: bool, is_over: bool) -> tuple[str, str]:
    """What there is to say of a week in one word, and that word's class."""
    if is_skipped:
        return "skipped", "Skipped"
    if issue is not None:
        return issue.state.value, STATES[issue.state]
    return ("missing", "No issue") if is_over else ("planned", "Planned")
