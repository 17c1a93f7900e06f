"""kill -9 at every step of a transaction: nobody is doubled, nobody skipped, what is uncertain is named."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from subscribers.db import Database
from subscribers.keys import write_keys
from tests.house import House, keys
from tests.smtp_server import HangUp, Moment, ScriptedServer

READERS = 12
CONNECTIONS = 3


class Killer:
    """A plan that kills the sender when a command comes for the n-th time, before or after it is answered."""

    def __init__(self, command: str, turn: int) -> None:
        self.command, self.turn, self.seen = command, turn, 0
        self.victim: subprocess.Popen[bytes] | None = None
        self.started = threading.Event()
        self.killed = False

    def aim(self, victim: subprocess.Popen[bytes]) -> None:
        self.victim = victim
        self.started.set()

    def __call__(self, moment: Moment) -> HangUp | None:
        if self.killed:
            return HangUp()
        if moment.command == self.command:
            self.seen += 1
            if self.seen == self.turn:
                self.started.wait(30)
                assert self.victim is not None
                self.victim.kill()
                self.killed = True
        return None


def start(database: Database, issue: int, port: int, minutes: int, keys_file: Path) -> subprocess.Popen[bytes]:
    url = database.url.render_as_string(hide_password=False)
    words = [url, str(issue), str(port), str(minutes), str(keys_file)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.mail.crash_sender", *words], cwd=Path(__file__).resolve().parents[2]
    )


@pytest.mark.parametrize(
    ("command", "turn"), [("CONNECT", 2), ("MAIL", 5), ("DATA", 4), ("BODY", 6), ("DOT", 1), ("DOT", 7)]
)
def test_killed_at_any_step(database: Database, tmp_path: Path, command: str, turn: int) -> None:
    house = House(database)
    readers = house.readers(READERS)
    issue = house.issue()
    keys_file = tmp_path / "keys"
    write_keys(keys_file, keys())
    killer = Killer(command, turn)
    with ScriptedServer(killer) as relay:
        first = start(database, issue, relay.port, 0, keys_file)
        killer.aim(first)
        assert first.wait(60) == -signal.SIGKILL
    after_crash = house.books(issue)
    assert after_crash.committing <= CONNECTIONS
    with ScriptedServer() as second_relay:
        assert start(database, issue, second_relay.port, 5, keys_file).wait(60) == 0
    books = house.books(issue)
    assert books.closes
    assert books.unknown == after_crash.committing
    assert books.accepted + books.unknown == READERS
    dotted = relay.dotted + second_relay.dotted
    assert len(dotted) == len(set(dotted))
    # Whoever is missing on the wire is one of those that are named as unknown.
    assert len({*readers} - {*dotted}) <= books.unknown
