"""Everything twice: two schedulers at the hour, two editors who say `digest send --now`, on one installation."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from digest.models import LogEntry
from tests.crash.accounts import audit
from tests.crash.installation import command, install, tick_and_send
from tests.crash.stage import Scene, forks
from tests.smtp_server import Act, Moment, Say, ScriptedServer

READERS = 24
NAMES = [f"reader-{number}@readers.example" for number in range(1, READERS + 1)]


@dataclass(frozen=True)
class Installed:
    """An installation and its relay."""

    scene: Scene
    relay: ScriptedServer

    @property
    def folder(self) -> Path:
        return self.scene.folder

    def sound(self) -> None:
        """It was frozen once, and everybody has one copy."""
        with self.scene.database.read() as session:
            frozen = session.scalars(sa.select(LogEntry.detail).where(LogEntry.action == "publish")).all()
        assert frozen == [f"revision 1 to {READERS} readers"]
        assert not audit(self.scene, self.relay, NAMES, doubtful=()).wrong
        assert sorted(self.relay.accepted) == sorted(NAMES)


@pytest.fixture
def installed(database_url: str, tmp_path: Path) -> Iterator[Installed]:
    with _installed(database_url, tmp_path) as made:
        yield made


@contextmanager
def _installed(url: str, folder: Path) -> Iterator[Installed]:
    with ScriptedServer(_slowly) as relay:
        database = install(folder, url, relay.port, READERS)
        yield Installed(Scene(database, 1, folder), relay)
        database.close()


def _slowly(moment: Moment) -> Act | None:
    """So that the other one comes while it is being sent."""
    return Say(delay=0.02) if moment.command == "DOT" else None


def test_two_editors_send_it_now(installed: Installed) -> None:
    both = [command(installed.folder, "send", "--now") for _ in range(2)]
    said = [one.communicate(timeout=120)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    installed.sound()


def test_two_schedulers_wake_at_the_hour(installed: Installed) -> None:
    together = forks.Barrier(2)
    words = (installed.folder / "digest.toml", together)
    both = [forks.Process(target=tick_and_send, args=words, daemon=True) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(120)
    assert [one.exitcode for one in both] == [0, 0]
    installed.sound()
