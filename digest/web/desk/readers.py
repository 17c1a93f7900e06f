"""The readers at a glance: how many, how the list grows, what comes back. Counts alone, and no address, ever.

Viewers see totals; who came and went week by week, what readers chose and what came back is for those who make the
issue. Looking somebody up is `reader`'s.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.orm import Session

from digest.inbound.returned import Returned, is_known, returned
from digest.mail.kinds import Kind
from digest.models import Issue
from digest.settings import Newsletter
from digest.web.accounts import Role
from digest.web.desk.growth import Growth, WeekLine, growth_of, lines_of, weeks_until
from digest.web.desk.page import desk_page
from digest.web.desk.plot import Share, shares
from digest.web.door import Door, rule, visitor_of
from digest.web.parts import Parts
from digest.weeks import Week
from subscribers.headcount import FEWEST, Choices, Span, Standing, headcount, kept_apart, moves
from subscribers.lifecycle import Format

HOME = "/desk/readers"
SPANS = (12, 52)
"""So many weeks the page can go back."""


@dataclass(frozen=True)
class Line:
    """Readers who have chosen the same."""

    words: str
    count: int
    bar: tuple[Share, ...]


@dataclass(frozen=True)
class Chosen:
    """One thing that readers choose, and how many chose what."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Details:
    """What is not for viewers."""

    chosen: tuple[Chosen, ...]
    back: tuple[tuple[WeekLine, Returned], ...]
    """What came back in each week of which all is known, the newest first."""


@dataclass(frozen=True)
class ReadersPage:
    """All that `desk/readers.html` uses."""

    newsletter: Newsletter
    newsletters: tuple[Newsletter, ...]
    standing: Standing
    whole: tuple[Share, ...]
    weeks: int
    spans: tuple[int, ...]
    lines: tuple[WeekLine, ...]
    """The oldest week first."""
    growth: Growth | None
    details: Details | None
    """None for viewers."""
    fewest: int

    @property
    def is_empty(self) -> bool:
        """Whether nobody has ever asked for this newsletter."""
        return self.standing == Standing() and not self.lines


def readers_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The page, for everybody at the desk."""

    @get(HOME, opt=rule(Door.DESK), media_type="text/html", sync_to_thread=True)
    def look(request: Request[Any, Any, Any]) -> Response[Any]:
        visitor, newsletter = visitor_of(request), asked_for(parts, request)
        weeks = next((span for span in SPANS if str(span) == request.query_params.get("weeks")), SPANS[0])
        with parts.database.read() as session:
            page = readers_page(session, parts, newsletter, weeks, with_details=visitor.role.covers(Role.EDITOR))
        return desk_page(parts, visitor, "readers", page=page, path=HOME)

    return [look]


def asked_for(parts: Parts, request: Request[Any, Any, Any]) -> Newsletter:
    """The newsletter that is looked at; the first, where none is named. Raises `NotFoundException`."""
    slug = request.query_params.get("newsletter")
    newsletter = parts.newsletter(slug) if slug else next(iter(parts.settings.newsletters.values()))
    if newsletter is None:
        raise NotFoundException
    return newsletter


def readers_page(
    session: Session, parts: Parts, newsletter: Newsletter, weeks: int, *, with_details: bool
) -> ReadersPage:
    """The page's values."""
    now = parts.clock()
    found = headcount(session, newsletter.slug, now)
    past = weeks_until(now, newsletter.timezone, weeks)
    named = [week for week, _ in past]
    moved = moves(session, newsletter.slug, [span for _, span in past])
    lines = lines_of(named, moved, found.standing.confirmed, _issues(session, newsletter, named))
    standing = found.standing
    return ReadersPage(
        newsletter=newsletter,
        newsletters=tuple(parts.settings.newsletters.values()),
        standing=standing,
        whole=shares(
            [("reading", standing.reading), ("paused", standing.paused), ("barred", standing.barred)],
            max(standing.confirmed, 1),
        ),
        weeks=weeks,
        spans=SPANS,
        lines=lines,
        growth=growth_of(lines, with_moves=with_details),
        details=_details(session, newsletter, found.choices, dict(past), lines, now) if with_details else None,
        fewest=FEWEST,
    )


def _details(
    session: Session,
    newsletter: Newsletter,
    choices: Choices,
    spans: Mapping[Week, Span],
    lines: Sequence[WeekLine],
    now: dt.datetime,
) -> Details:
    known = [line for line in reversed(lines) if is_known(spans[line.week][0], now)]
    back = returned(session, newsletter.slug, [spans[line.week] for line in known])
    return Details(tuple(_chosen(choices)), tuple(zip(known, back, strict=True)))


def _chosen(choices: Choices) -> list[Chosen]:
    whole = sum(choices.formats.values())
    asked: list[tuple[str, list[tuple[str, int]]]] = [
        ("Format", [(Kind(one).name.capitalize(), choices.formats.get(one, 0)) for one in Format]),
        ("Subject line", [("The issue’s own", whole - choices.neutral), ("Gives nothing away", choices.neutral)]),
    ]
    if len(choices.languages) > 1:
        asked.append(("Language", list(choices.languages.items())))
    found = []
    for title, counts in asked:
        shown, others = kept_apart(counts)
        # What is left where nothing else is shown would say no more than the total does.
        if shown:
            rest = [("Anything else", others)] if others else []
            found.append(Chosen(title, tuple(_line(words, count, whole) for words, count in [*shown, *rest])))
    return found


def _line(words: str, count: int, whole: int) -> Line:
    return Line(words, count, shares([("share", count)], whole))


def _issues(session: Session, newsletter: Newsletter, weeks: Sequence[Week]) -> dict[str, tuple[str, int]]:
    """The issues of some weeks that went out, by week, each with its name and to how many it went."""
    query = sa.select(Issue.week, Issue.audience).where(
        Issue.newsletter == newsletter.slug, Issue.week.in_(map(str, weeks)), Issue.frozen_at.is_not(None)
    )
    return {week: (f"{newsletter.slug}/{week}", audience) for week, audience in session.execute(query)}
