"""Where runs are played: databases with an approved issue and its readers, made once and copied, and processes that
start at once because they are forked from one that has imported everything.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from digest.issues import control
from digest.issues.outcomes import Done
from subscribers.db import Base, Database
from subscribers.models import Subscription
from tests.crash.sender import SEND_AT, Order, send
from tests.house import House, keys
from tests.issues.newsroom import THURSDAY, make_newsletter
from tests.issues.newsroom import House as Newsroom

MOST = 48
"""Readers of the template; a run takes the first so many of them."""
DATABASES = ("sqlite", "postgres")
PATIENCE = 90.0
"""Seconds that a process has. A whole run takes one or two."""

forks = multiprocessing.get_context("forkserver")
"""Makes processes."""
# pytest's own main module is imported in each child; here it is there already.
forks.set_forkserver_preload(["pytest", "tests.crash.sender"])


@dataclass(frozen=True)
class Scene:
    """A database with an issue that may go out, for one run."""

    database: Database
    issue_id: int
    folder: Path
    """For what the processes write beside it."""

    @property
    def log(self) -> Path:
        """What its senders have logged."""
        return self.folder / "log.txt"

    @property
    def house(self) -> House:
        """To look at the books with."""
        return House(self.database, SEND_AT, newsletter=make_newsletter())

    def order(self, port: int, owner: str, **more: Any) -> Order:
        """What a sender of this scene is told; `more` are fields of `Order`."""
        url = self.database.url.render_as_string(hide_password=False)
        order = Order(url, keys(), self.issue_id, port, self.log, owner)
        return replace(order, **more)


@dataclass
class Player:
    """A sender's process."""

    order: Order
    _process: multiprocessing.context.ForkServerProcess = field(init=False)

    def __post_init__(self) -> None:
        self._process = forks.Process(target=send, args=(self.order,), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process.pid is not None
        return self._process.pid

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def freeze(self) -> None:
        """Stop it where it is, with all it has open, until it is thawed."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def wait(self) -> int:
        """Its exit code, negative for a signal. Raises `AssertionError` where it does not end."""
        self._process.join(PATIENCE)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
            self._process.join()
        self._process.close()
        assert code is not None, f"the sender {self.order.owner} hangs"
        return code


class Stage:
    """Makes scenes. `postgres_url` is asked for when the first scene on PostgreSQL is made."""

    def __init__(self, folder: Path, postgres_url: Callable[[], str]) -> None:
        self._folder = folder
        self._postgres_url = postgres_url

    @contextmanager
    def scene(self, kind: str, readers: int) -> Iterator[Scene]:
        """A scene on a database of that kind, gone after it."""
        with self._sqlite() if kind == "sqlite" else self._postgres() as database:
            with database.write() as session:
                session.execute(sa.delete(Subscription).where(Subscription.id > readers))
            folder = self._folder / uuid.uuid4().hex
            folder.mkdir()
            yield Scene(database, 1, folder)
            database.close()

    @contextmanager
    def _sqlite(self) -> Iterator[Database]:
        path = self._folder / f"{uuid.uuid4().hex}.db"
        shutil.copy(self._sqlite_template, path)
        yield Database(f"sqlite:///{path}")
        for left in path.parent.glob(f"{path.name}*"):
            left.unlink()

    @contextmanager
    def _postgres(self) -> Iterator[Database]:
        name = f"run_{uuid.uuid4().hex}"
        self._server(f"CREATE DATABASE {name} TEMPLATE {self._postgres_template}")
        yield Database(Database(self._postgres_url()).url.set(database=name))
        self._server(f"DROP DATABASE {name} WITH (FORCE)")

    @cached_property
    def _sqlite_template(self) -> Path:
        path = self._folder / "template.db"
        _prepared(f"sqlite:///{path}")
        return path

    @cached_property
    def _postgres_template(self) -> str:
        name = f"template_{uuid.uuid4().hex}"
        self._server(f"CREATE DATABASE {name}")
        _prepared(Database(self._postgres_url()).url.set(database=name))
        return name

    def _server(self, command: str) -> None:
        server = Database(self._postgres_url())
        with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text(command))
        server.close()


def _prepared(url: str | sa.URL) -> None:
    database = Database(url)
    Base.metadata.create_all(database.engine)
    approved_issue(database, MOST)
    database.close()


def approved_issue(database: Database, readers: int) -> None:
    """Put an approved issue, and readers for it, into a database with tables."""
    newsroom = Newsroom(database)
    newsroom.well()
    drafted = newsroom.draft()
    with database.write() as session:
        assert isinstance(control.approve(session, drafted.issue_id, who="Ada", now=THURSDAY), Done)
    House(database, THURSDAY, newsletter=make_newsletter()).readers(readers)
