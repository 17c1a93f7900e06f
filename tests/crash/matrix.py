"""The crash matrix (Q-03): a seed chooses where a sender is killed, under which faults of the relay, on which database.

Consecutive seeds walk through all points, on both databases; everything else is drawn.
"""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass
from threading import Event

from digest.models import DeliveryState
from tests.crash.accounts import Audit, audit, books
from tests.crash.faults import KINDS, Faults, killing
from tests.crash.points import POINTS, Death, Often
from tests.crash.sender import Order
from tests.crash.stage import DATABASES, PATIENCE, Player, Scene, Stage
from tests.smtp_server import ScriptedServer

HOURS = 10.5
"""From one sender's beginning to its successor's; by then the first one's lease has run out, whenever it died."""
SHORT = 3.0
"""Seconds to wait for the dot's answer where the relay will be silent."""


@dataclass(frozen=True)
class Script:
    """What a seed stands for."""

    seed: int
    database: str
    readers: int
    connections: int
    kinds: tuple[str, ...]
    deaths: tuple[Death, ...]
    """One for each sender that dies; the last sender lives."""

    @classmethod
    def of(cls, seed: int) -> Script:
        """The same for the same seed, always."""
        rng = random.Random(seed)
        turn, place = divmod(seed, len(POINTS))
        readers, connections = rng.choice((5, 12, 24, 48)), rng.randint(1, 4)
        kinds = tuple(rng.sample(list(KINDS), rng.choice((1, 1, 2, 3))))
        first = Death.at(POINTS[place], rng, readers, connections)
        # Whoever goes on may die as well; of what is left for it less is certain, so it may also live.
        more = [Death.at(rng.choice(POINTS), rng, 3, 3) for _ in range(rng.choice((0, 0, 1, 2)))]
        return cls(seed, DATABASES[(turn + place) % 2], readers, connections, kinds, (first, *more))

    def __str__(self) -> str:
        deaths = "; then ".join(str(death) for death in self.deaths)
        size = f"{self.readers} readers, {self.connections} connections"
        return f"seed {self.seed}: {self.database}, {size}, {' + '.join(self.kinds)}, killed at {deaths}"


@dataclass(frozen=True)
class Played:
    """What came of a seed."""

    script: Script
    kills: int
    most_unknown: int
    """The most copies that one crash left uncertain."""
    audit: Audit
    wrong: tuple[str, ...]
    """What is not as it has to be, a sentence each."""


def play(stage: Stage, seed: int) -> Played:
    """Play a seed to its end, and compare the accounts."""
    script = Script.of(seed)
    readers = [f"reader-{number}@readers.example" for number in range(1, script.readers + 1)]
    relay = ScriptedServer()
    faults = Faults(random.Random(seed), readers, script.kinds, relay)
    relay.extensions = faults.extensions
    crashes: list[set[str]] = []
    with stage.scene(script.database, script.readers) as scene:
        with relay:
            for number, death in enumerate([*script.deaths, None]):
                if not _is_killed(scene, faults, script, death, number):
                    break
                crashes.append({who for who, state in books(scene).items() if state is DeliveryState.COMMITTING})
        found = audit(scene, relay, readers, faults.doubtful.union(*crashes))
    most = max((len(crash) for crash in crashes), default=0)
    wrong = list(found.wrong) if crashes else [f"{script.deaths[0]} did not come", *found.wrong]
    if most > script.connections:
        wrong.append(f"a crash left {most} uncertain over {script.connections} connections")
    return Played(script, len(crashes), most, found, tuple(wrong))


def _is_killed(scene: Scene, faults: Faults, script: Script, death: Death | None, number: int) -> bool:
    """Let one sender play its part. False where it came to the end of its work, alive."""
    victim = Victim()
    faults.relay.plan = faults
    if death and death.point.is_on_wire:
        point = death.point
        faults.relay.plan = killing(faults, point.where, death.turn, victim.kill, after=point.after)
    order = scene.order(
        faults.relay.port,
        f"sender {number}",
        connections=script.connections,
        hours=number * HOURS,
        dot=SHORT if faults.is_silent else 60.0,
        renew=0.002 if death and death.point.often is Often.RENEWED else 15.0,
        death=death,
    )
    code = victim.starts(order)
    assert code in (0, -signal.SIGKILL), f"{script}: sender {number} ended with {code}: {order.log.read_text()[-3000:]}"
    return code != 0


class Victim:
    """A sender that the relay may kill from its own thread, as soon as there is one."""

    def __init__(self) -> None:
        self._player: Player | None = None
        self._there = Event()

    def starts(self, order: Order) -> int:
        """Start it; returns how it ended."""
        self._player = Player(order)
        self._there.set()
        return self._player.wait()

    def kill(self) -> None:
        """End it at once."""
        self._there.wait(PATIENCE)
        assert self._player is not None
        self._player.kill()
