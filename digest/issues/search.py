"""Search over everything that issues have said, sent and not: one room, the same answer from both databases.

SQLite looks in its FTS5 table, PostgreSQL in its `tsvector`s; what a word is, and what is marked, is decided for both
in `digest.folding` and `search_terms`. How they weigh places differs a little, and so the order may.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from digest.issues.archive import public_among
from digest.issues.search_terms import Passage, Term, for_fts5, for_tsquery, marked, snippet, terms_of
from digest.models import Issue, IssueState, Item, SearchEntry

PAGE = 20
MOST = 1000
"""Places that are weighed against each other, the newest. Whoever finds more is better helped by another word."""


@dataclass(frozen=True)
class Hit:
    """A place where it was said: a story, or an issue's own subject and introduction."""

    newsletter: str
    week: str
    state: IssueState
    is_out: bool
    """Whether it has begun to go out: what it says is then what was sent."""
    is_public: bool
    """Whether it can be read in the archive."""
    send_at: dt.datetime
    subject: str
    """The issue's, whatever the place."""
    item_id: int | None
    """The story; none for the issue's own texts."""
    section: str
    """The heading that the story stands under; empty for the main part."""
    is_lead: bool
    head: Passage
    """The headline, or the subject."""
    body: Passage
    """The summary, or the introduction, around what was found."""

    @property
    def name(self) -> str:
        """The issue's name, `watchdog/2026-W47`."""
        return f"{self.newsletter}/{self.week}"


@dataclass(frozen=True)
class Found:
    """A page of what was found."""

    terms: tuple[Term, ...]
    """What was looked for; empty where there was no word in the text."""
    hits: tuple[Hit, ...]
    total: int
    is_more: bool
    """Whether there are more than could be weighed: only the newest `MOST` are among them."""
    page: int
    pages: int


def search(
    session: Session, text: str, *, newsletter: str | None = None, year: int | None = None, page: int = 1
) -> Found:
    """The places that have all of it, best first, `PAGE` on a page. Any text will do; `year` is the ISO week's."""
    terms = terms_of(text)
    page = min(max(page, 1), MOST // PAGE)
    if not terms:
        return Found((), (), total=0, is_more=False, page=1, pages=0)
    places = (_in_postgresql if _is_postgresql(session) else _in_sqlite)(terms, newsletter, year).subquery()
    ranked = (
        sa.select(places.c.id, sa.func.count().over())
        .order_by(places.c.badness, places.c.id.desc())
        .limit(PAGE)
        .offset((page - 1) * PAGE)
    )
    rows = session.execute(ranked).all()
    if not rows and page > 1:
        return search(session, text, newsletter=newsletter, year=year)
    total = rows[0][1] if rows else 0
    hits = _hits(session, [entry_id for entry_id, _ in rows], terms)
    counted = min(total, MOST)
    return Found(terms, hits, counted, total > MOST, page, -(-counted // PAGE))


def years(session: Session) -> tuple[int, ...]:
    """The years that have issues, newest first."""
    year = sa.func.substr(Issue.week, 1, 4).label("year")
    return tuple(int(one) for one in session.scalars(sa.select(year).distinct().order_by(year.desc())))


def _within(newsletter: str | None, year: int | None) -> list[sa.ColumnElement[bool]]:
    where: list[sa.ColumnElement[bool]] = []
    if newsletter is not None:
        where.append(SearchEntry.newsletter == newsletter)
    if year is not None:
        where.append(_in_year(SearchEntry.week, year))
    return where


def _in_year(week: sa.ColumnElement[str] | InstrumentedAttribute[str], year: int) -> sa.ColumnElement[bool]:
    return week.between(f"{year:04d}-W00", f"{year:04d}-W99")


def _in_sqlite(terms: Sequence[Term], newsletter: str | None, year: int | None) -> sa.Select[Any]:
    found = sa.table("search_words", sa.column("rowid"))
    table: sa.ColumnElement[str] = sa.literal_column("search_words")
    # A word in the headline counts four times.
    badness = sa.func.bm25(table, sa.literal_column("4.0"), sa.literal_column("1.0")).label("badness")
    where = _within(newsletter, year)
    if year is not None:
        # A year's entries stand together, give or take a few: FTS5 need not walk through all the others.
        entry = aliased(SearchEntry)
        first, last = (
            sa.select(end(entry.id)).where(_in_year(entry.week, year)).scalar_subquery()
            for end in (sa.func.min, sa.func.max)
        )
        where.append(found.c.rowid.between(first, last))
    return (
        sa.select(found.c.rowid.label("id"), badness)
        .join_from(found, SearchEntry, SearchEntry.id == found.c.rowid)
        .where(table.op("MATCH")(for_fts5(terms)), *where)
        .order_by(found.c.rowid.desc())
        .limit(MOST + 1)
    )


def _in_postgresql(terms: Sequence[Term], newsletter: str | None, year: int | None) -> sa.Select[Any]:
    query = sa.cast(sa.literal(for_tsquery(terms), sa.Text), sa.dialects.postgresql.TSQUERY)
    # As the index has it.
    matches = sa.literal_column("(head || body)").op("@@")(query)
    newest = (
        sa.select(SearchEntry.id, SearchEntry.head, SearchEntry.body)
        .where(matches, *_within(newsletter, year))
        .order_by(SearchEntry.id.desc())
        .limit(MOST + 1)
        .subquery()
    )
    weights: sa.ColumnElement[Any] = sa.literal_column("'{0.1, 0.25, 0.5, 1}'::float4[]")
    # Only these are put together and weighed, however many there are.
    both = newest.c.head.op("||")(newest.c.body)
    return sa.select(newest.c.id, (-sa.func.ts_rank(weights, both, query)).label("badness"))


def _is_postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def _hits(session: Session, ids: Sequence[int], terms: Sequence[Term]) -> tuple[Hit, ...]:
    if not ids:
        return ()
    query = (
        sa.select(SearchEntry.id, Issue, Item)
        .join(Issue, Issue.id == SearchEntry.issue_id)
        .outerjoin(Item, Item.id == SearchEntry.item_id)
        .where(SearchEntry.id.in_(ids))
    )
    rows = {entry_id: (issue, item) for entry_id, issue, item in session.execute(query)}
    issue_ids = {issue.id for issue, _ in rows.values()}
    leads, public = _leads(session, issue_ids), public_among(session, issue_ids)
    return tuple(
        _hit(issue, item, terms, is_lead=item is not None and item.id in leads, is_public=issue.id in public)
        for issue, item in (rows[entry_id] for entry_id in ids)
    )


def _hit(issue: Issue, item: Item | None, terms: Sequence[Term], *, is_lead: bool, is_public: bool) -> Hit:
    return Hit(
        newsletter=issue.newsletter,
        week=issue.week,
        state=issue.state,
        is_out=issue.frozen_at is not None,
        is_public=is_public,
        send_at=issue.send_at,
        subject=issue.subject,
        item_id=item.id if item else None,
        section=item.section if item else "",
        is_lead=is_lead,
        head=marked(item.headline if item else issue.subject, terms),
        body=snippet(item.summary if item else issue.introduction, terms),
    )


def _leads(session: Session, issue_ids: set[int]) -> set[int]:
    """The items that lead their issues: the first of the main part that is in."""
    first = (
        sa.select(Item.issue_id, sa.func.min(Item.position).label("position"))
        .where(Item.issue_id.in_(issue_ids), Item.included, Item.section == "")
        .group_by(Item.issue_id)
        .subquery()
    )
    is_first = sa.and_(Item.issue_id == first.c.issue_id, Item.position == first.c.position)
    return set(session.scalars(sa.select(Item.id).join(first, is_first).where(Item.included, Item.section == "")))
