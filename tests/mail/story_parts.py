"""What stories are told with: a database whose process can die, and a relay that has moods."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.mail.ledger import Equation
from subscribers.db import Base, Database
from tests.smtp_server import Act, HangUp, Moment, Say, ScriptedServer

MOODS: dict[str, tuple[str, Act] | None] = {
    "takes it": None,
    "knows nobody of that name": ("RCPT", Say(b"550 5.1.1 nobody\r\n")),
    "wants it later": ("RCPT", Say(b"451 4.2.1 greylisted\r\n")),
    "wants it later, having read it": ("DOT", Say(b"452 4.3.1 full\r\n")),
    "does not like it": ("DOT", Say(b"554 5.6.0 no\r\n")),
    "hangs up on it": ("DOT", HangUp()),
    "hangs up before the text": ("DATA", HangUp(reset=True)),
    "talks nonsense": ("DOT", Say(b"what?\r\n")),
}
"""What the relay does with a reader's mail."""


class Gone(Exception):
    """The process that asks is dead."""


@dataclass(frozen=True)
class End:
    """When a sender dies: at the n-th dot or commit, before or after it."""

    what: str
    turn: int
    after: bool


class Hasty(Database):
    """A database that waits for no disk: here processes die and not machines, and stories are told by the dozen."""

    def __init__(self, url: str | sa.URL) -> None:
        super().__init__(url)
        sa.event.listen(self.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))


class Mortal(Hasty):
    """A database as a process sees it that dies at some moment: nothing that it does later happens."""

    def __init__(self, url: sa.URL, end: End) -> None:
        super().__init__(url)
        self.dead = False
        self._end = end
        self._commits = 0
        self._lock = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Session]:
        self._ask()
        with super().read() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        self._ask()
        with super().write() as session:
            yield session
            is_last = self._is_last_commit()
            self.dead = self.dead or (is_last and not self._end.after)
            self._ask()
        self.dead = self.dead or is_last
        self._ask()

    def writer(self) -> sa.Connection:
        self._ask()
        connection = super().writer()
        begin = connection.begin

        @contextmanager
        def mortal() -> Iterator[sa.RootTransaction]:
            self._ask()
            with begin() as transaction:
                yield transaction
                is_last = self._is_last_commit()
                self.dead = self.dead or (is_last and not self._end.after)
                self._ask()
            self.dead = self.dead or is_last
            self._ask()

        connection.begin = mortal  # type: ignore[method-assign, assignment]
        return connection

    def die(self) -> None:
        """From now on nothing happens."""
        self.dead = True

    def _ask(self) -> None:
        if self.dead:
            raise Gone

    def _is_last_commit(self) -> bool:
        with self._lock:
            self._commits += 1
            return self._end.what == "commit" and self._commits == self._end.turn


@dataclass
class Sent:
    """What the story knows of an issue, beside the books."""

    issue_id: int
    audience: frozenset[str]
    whose: dict[int, str]
    """The reader of each delivery."""
    taken: Counter[str] = field(default_factory=Counter)
    """Dots that were not refused: they may have been taken, answered or not."""
    answered: Counter[str] = field(default_factory=Counter)
    closed: Equation | None = None
    """The books as they were when they closed."""


class Relay:
    """What a scripted relay is told: a mood for each reader, and what else happens while a run lasts."""

    def __init__(self) -> None:
        self.moods: dict[str, str] = {}
        self.server = ScriptedServer(self._plan)
        self.at_dot: tuple[int, bool, Callable[[], None]] | None = None
        """At which dot of this run, whether after its answer, and what then."""
        self.at_data: Callable[[], None] | None = None
        """What happens at the first DATA of this run."""
        self._reader: dict[int, str] = {}
        self._dots = 0

    def begin(self) -> int:
        """A run begins. Returns how many messages there were before it."""
        self._dots, self.at_dot, self.at_data = 0, None, None
        return len(self.server.caught)

    def _plan(self, moment: Moment) -> Act | None:
        if moment.command == "RCPT":
            self._reader[moment.connection] = moment.argument.partition("<")[2].partition(">")[0]
        if moment.command == "DATA" and self.at_data:
            happens, self.at_data = self.at_data, None
            happens()
        mood = MOODS[self.moods.get(self._reader.get(moment.connection, ""), "takes it")]
        act = mood[1] if mood and mood[0] == moment.command else None
        return self._dot(act) if moment.command == "DOT" else act

    def _dot(self, act: Act | None) -> Act | None:
        self._dots += 1
        if self.at_dot is None or self.at_dot[0] != self._dots:
            return act
        _, after, happens = self.at_dot
        if after and isinstance(act, Say | None):
            return replace(act or Say(), then=happens)
        happens()
        return act


@cache
def empty_database() -> bytes:
    """The file of an SQLite database with all tables and nothing in them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        database = Database(f"sqlite:///{path}")
        Base.metadata.create_all(database.engine)
        database.close()
        return path.read_bytes()
