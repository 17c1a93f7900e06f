"""A small newsroom for the tests of the issue room: a newsletter, its sources, posts and readers."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, undefer

from digest.issues.draft import Drafted, draft
from digest.issues.edit import items_of
from digest.mail.render import Renderer
from digest.models import Issue, Item, LogEntry, Post, SourceState
from digest.settings import Newsletter
from subscribers.db import Database, UTCDateTime
from subscribers.lifecycle import State
from subscribers.models import Subscriber, Subscription

MAIN = "https://news.example/feed"
TROUBLE = "https://news.example/trouble"
BASE_URL = "https://digest.example"
THURSDAY = dt.datetime(2026, 11, 19, 5, 30, tzinfo=dt.UTC)
"""Half an hour after the cut-off of 2026-W47 in Prague, and three and a half before its send."""
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


def make_newsletter(**changes: object) -> Newsletter:
    values: dict[str, object] = {
        "slug": "watchdog",
        "title": "Watchdog",
        "language": "en",
        "timezone": "Europe/Prague",
        "sender": "Watchdog <digest@example.org>",
        "publisher": "The Example Newsroom, 1 Example Street",
        "sources": [{"feed": MAIN}, {"feed": TROUBLE, "section": "Journalists in Trouble"}],
    }
    return Newsletter.model_validate(values | changes)


@dataclass
class House:
    """The database with a newsletter, and short ways to put things into it."""

    database: Database
    newsletter: Newsletter = field(default_factory=make_newsletter)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def source(self, url: str, **values: object) -> None:
        """Say how a source was read last; well and just now unless told otherwise."""
        state = {"checked_at": THURSDAY, "succeeded_at": THURSDAY} | values
        with self.database.write() as session:
            session.execute(sa.delete(SourceState).where(SourceState.url == url))
            session.add(SourceState(newsletter=self.newsletter.slug, url=url, **state))

    def post(self, title: str = "", *, ago: dt.timedelta = DAY, source: str = MAIN, **values: object) -> int:
        """Add a post that was published so long before `THURSDAY`; returns its id."""
        number = next(self._numbers)
        title = title or f"Headline number {number}"
        kept: dict[str, object] = {
            "newsletter": self.newsletter.slug,
            "source_url": source,
            "identity": str(number),
            "link": f"https://news.example/a/{number}.html",
            "title": title,
            "published_at": THURSDAY - ago,
            "summary": f"What happened in the matter of story number {number}, told in one plain sentence.",
            "fingerprint": "0" * 64,
            "gathered_at": THURSDAY - ago,
        }
        with self.database.write() as session:
            post = Post(**(kept | values))
            session.add(post)
            session.flush()
            return post.id

    def change_post(self, post_id: int, **values: object) -> None:
        with self.database.write() as session:
            session.execute(sa.update(Post).where(Post.id == post_id).values(**values))

    def set(self, issue_id: int, **values: object) -> None:
        with self.database.write() as session:
            session.execute(sa.update(Issue).where(Issue.id == issue_id).values(**values))

    def well(self) -> None:
        """Two sources that were read well and have posts: the state of an ordinary Thursday."""
        self.source(MAIN)
        self.source(TROUBLE)
        self.post("A court orders a station off the air", ago=DAY)
        self.post("Parliament passes a law on foreign agents", ago=2 * DAY)
        self.post("Police search the flat of an activist", ago=3 * DAY)
        self.post("A reporter is held for a third week", ago=2 * DAY, source=TROUBLE)

    def draft(self, now: dt.datetime = THURSDAY) -> Drafted:
        return draft(self.database, self.newsletter, now)

    def issue(self, issue_id: int) -> Issue:
        with self.database.read() as session:
            issue = session.get_one(Issue, issue_id, options=[undefer(Issue.rendered_html)])
            session.expunge_all()
            return issue

    def items(self, issue_id: int) -> list[Item]:
        with self.database.read() as session:
            items = items_of(session, issue_id)
            session.expunge_all()
            return items

    def log(self) -> list[LogEntry]:
        with self.database.read() as session:
            entries = list(session.scalars(sa.select(LogEntry).order_by(LogEntry.id)))
            session.expunge_all()
            return entries

    def readers(self, count: int, state: State = State.CONFIRMED, newsletter: str = "watchdog") -> None:
        with self.database.write() as session:
            add_readers(session, count, state, newsletter)


def add_readers(session: Session, count: int, state: State, newsletter: str) -> None:
    """Readers in bulk, made by the database itself; nothing here opens their addresses."""
    first = (session.scalar(sa.select(sa.func.max(Subscriber.id))) or 0) + 1
    start = sa.select(sa.literal(first).label("n")).cte("numbers", recursive=True)
    numbers = start.union_all(sa.select(start.c.n + 1).where(start.c.n < first + count - 1))
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    random = sa.func.randomblob(16) if is_sqlite else sa.func.uuid_send(sa.func.gen_random_uuid())
    at = sa.literal(THURSDAY, UTCDateTime())
    person = {"id": numbers.c.n, "public_id": random, "address_sealed": sa.literal(b"sealed"), "blind_index": random}
    session.execute(_made_of(Subscriber, person | {"created_at": at}, numbers))
    tie = {"public_id": random, "subscriber_id": numbers.c.n, "newsletter": sa.literal(newsletter)}
    tie |= {"state": sa.literal(state, Subscription.__table__.c.state.type), "language": sa.literal("en")}
    tie |= {"requested_at": at, "method": sa.literal("form"), "evidence": sa.literal("")}
    session.execute(_made_of(Subscription, tie, numbers))


def _made_of(table: type, row: Mapping[str, sa.ColumnElement[Any]], numbers: sa.CTE) -> sa.Insert:
    return sa.insert(table).from_select(list(row), sa.select(*row.values()).select_from(numbers))


TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "email"


@cache
def templates(*before: Path) -> Renderer:
    """The real templates, after those of the folders given."""
    return Renderer([*before, TEMPLATES])
