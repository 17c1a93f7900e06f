"""How the rows are measured. An experiment runs a round of things side by side and finds figures for its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from benchmarks.ground import Ground, environment, make_ground, new_database, postgres
from benchmarks.imports import import_rate, write_list
from benchmarks.issue import Frozen
from benchmarks.opening import open_all
from benchmarks.rows import Measured
from benchmarks.signing import CannotMeasure, can_sign, check, write_key
from benchmarks.signups import serving, sustained, told_apart
from benchmarks.sizes import Sizes
from benchmarks.stopwatch import Took, race
from benchmarks.tools import Tools, generate, proxy, sink
from digest.demo.catcher import Catcher
from subscribers.db import Database

Found = Mapping[str, Measured]
"""By the names of rows."""
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Sent:
    """One issue, sent to all of its readers; that the equation closed has been checked."""

    messages: int
    seconds: float
    cpu: float
    peak: float
    frozen: Frozen

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds


@dataclass
class Bench:
    """What the experiments share; things are made when they are first asked for and go with `stack`."""

    tools: Tools
    sizes: Sizes
    folder: Path
    stack: ExitStack
    grounds: dict[str, Ground] = field(default_factory=dict)

    @cached_property
    def server(self) -> Database:
        """A PostgreSQL server."""
        return self.stack.enter_context(postgres(self.folder))

    def sqlite(self, readers: int) -> Ground:
        """A newsroom on SQLite."""
        return self._ground(f"sqlite_{readers}", readers)

    def postgres(self, readers: int) -> Ground:
        """A newsroom on PostgreSQL."""
        return self._ground(f"postgres_{readers}", readers)

    @cached_property
    def signing(self) -> Ground:
        """A newsroom on SQLite that signs: this has been seen. Raises `CannotMeasure`."""
        if not can_sign():
            raise CannotMeasure("this version cannot sign with DKIM")
        with Catcher() as catcher:
            self.send(self._ground("dkim_once", 1, dkim_key=self.dkim_key), catcher.smtp_port)
        check(catcher.caught[0].raw, self.dkim_key)
        return self._ground("dkim", self.sizes.audience, dkim_key=self.dkim_key)

    @cached_property
    def dkim_key(self) -> Path:
        """The file of an RSA-2048 key."""
        file = self.folder / "dkim.pem"
        write_key(file)
        return file

    def _ground(self, name: str, readers: int, *, dkim_key: Path | None = None) -> Ground:
        if name not in self.grounds:
            folder = self.folder / name
            on_server = name.startswith("postgres")
            url = new_database(self.server, name) if on_server else f"sqlite:///{folder / 'digest.db'}"
            self.grounds[name] = make_ground(folder, url, readers, dkim_key=dkim_key)
            self.stack.callback(self.grounds[name].house.database.close)
        return self.grounds[name]

    def send(self, ground: Ground, port: int, *, processes: int = 1, connections: int | None = None) -> Sent:
        """Freeze an issue and let so many processes send it to that port. Raises `Failed`."""
        frozen = ground.freeze()
        arguments = ["benchmarks.sender", str(ground.settings), str(frozen.issue_id)]
        environ = environment(port, connections or self.sizes.connections, self.sizes.reuse)
        took = race([arguments] * processes, environ)
        ground.check(frozen)
        cpu = sum(one.cpu for one in took)
        return Sent(frozen.audience, _span(took), cpu, max(one.peak for one in took), frozen)

    def warm(self, ground: Ground, port: int) -> None:
        """See to it that the newsroom has sent an issue before it is measured."""
        if ground.issues == 0:
            self.send(ground, port)

    def loop(self, ground: Ground, port: int, messages: int, *, signed: bool = False) -> float:
        """Let the plain loop send copies of the newsroom's last issue; returns messages a second. Raises `Failed`."""
        key = [str(self.dkim_key)] if signed else []
        arguments = ["benchmarks.loop", str(ground.settings), str(ground.issues), str(messages), *key]
        return messages / _span(race([arguments], environment(port, self.sizes.connections, self.sizes.reuse)))

    def generator(self, port: int, octets: int, *, kept: bool) -> float:
        """Let `smtp-source` send; returns messages a second. Raises `Failed`."""
        count, lanes = self.sizes.audience, self.sizes.connections
        took = generate(self.tools, port, messages=count, connections=lanes, octets=octets, kept=kept)
        return count / took


def _span(took: list[Took]) -> float:
    return max(one.ended for one in took) - min(one.begun for one in took)


def _both(turn: int, one: Callable[[], T], other: Callable[[], U]) -> tuple[T, U]:
    """Run two things one right after the other, in the other order every second turn."""
    if turn % 2:
        second = other()
        return one(), second
    return one(), other()


def _ratio(one: float, other: float) -> Measured:
    return Measured(one / other, f"{one:,.0f}/s against {other:,.0f}/s")


def generators(bench: Bench, turn: int) -> Found:
    """Our sender between Postfix's two generators, so that it stands next to both."""
    ground = bench.sqlite(bench.sizes.audience)
    with sink(bench.tools) as port:
        bench.warm(ground, port)
        octets = ground.octets()
        first = turn % 2 == 0
        before = bench.generator(port, octets, kept=first)
        ours = bench.send(ground, port)
        after = bench.generator(port, octets, kept=not first)
    kept, each = (before, after) if first else (after, before)
    micros = ours.cpu / ours.messages * 1e6
    return {
        "source-kept": _ratio(ours.rate, kept),
        "source-each": _ratio(ours.rate, each),
        "cpu": Measured(micros, f"{octets:,} octets a message at {ours.rate:,.0f}/s"),
    }


def vault(bench: Bench, turn: int) -> Found:
    """Opening the addresses of the issue's readers, against all that sending it takes."""
    ground = bench.sqlite(bench.sizes.audience)
    with sink(bench.tools) as port:
        bench.warm(ground, port)
        ours, opening = _both(turn, lambda: bench.send(ground, port), lambda: open_all(ground.house))
    whole = ours.cpu / ours.messages
    return {"vault": Measured(opening / whole * 100, f"{opening * 1e6:,.1f} µs of {whole * 1e6:,.0f} µs")}


def sendmail(bench: Bench, turn: int) -> Found:
    """Our sender and the plain loop."""
    ground = bench.sqlite(bench.sizes.audience)
    with sink(bench.tools) as port:
        bench.warm(ground, port)
        ours, theirs = _both(
            turn, lambda: bench.send(ground, port), lambda: bench.loop(ground, port, bench.sizes.sendmail)
        )
    return {"sendmail": _ratio(ours.rate, theirs)}


def databases(bench: Bench, turn: int) -> Found:
    """Our sender on PostgreSQL and on SQLite."""
    large, small = bench.postgres(bench.sizes.audience), bench.sqlite(bench.sizes.audience)
    with sink(bench.tools) as port:
        bench.warm(large, port)
        bench.warm(small, port)
        ours, theirs = _both(turn, lambda: bench.send(large, port), lambda: bench.send(small, port))
    return {"postgres": _ratio(ours.rate, theirs.rate)}


def workers(bench: Bench, turn: int) -> Found:
    """Two processes and one, on PostgreSQL, over a slow link.

    Where one sender, a sink and a server already fill the cores, a second sender could only show that they are full.
    Over the link each worker waits most of the time, as with a relay far away, and what is measured is whether two
    hinder each other.
    """
    ground, lanes = bench.postgres(bench.sizes.shared_audience), bench.sizes.lanes_of_two
    with sink(bench.tools) as port, proxy(port, bench.sizes.round_trip) as far:
        two, one = _both(
            turn,
            lambda: bench.send(ground, far, processes=2, connections=lanes),
            lambda: bench.send(ground, far, connections=lanes),
        )
    return {"workers": _ratio(two.rate, one.rate)}


def signatures(bench: Bench, turn: int) -> Found:
    """Our sender signing, and the plain loop with dkimpy. Raises `CannotMeasure`."""
    ground = bench.signing
    with sink(bench.tools) as port:
        bench.warm(ground, port)
        ours, theirs = _both(
            turn,
            lambda: bench.send(ground, port),
            lambda: bench.loop(ground, port, bench.sizes.dkimpy, signed=True),
        )
    return {"dkim": _ratio(ours.rate, theirs)}


def slow_link(bench: Bench, turn: int) -> Found:  # noqa: ARG001 -- there is nothing to take turns with.
    """Our sender over a slow link, against the bound that the round trip sets."""
    with sink(bench.tools) as port, proxy(port, bench.sizes.round_trip) as far:
        ours = bench.send(bench.sqlite(bench.sizes.slow_audience), far)
    return {"round-trip": _ratio(ours.rate, bench.sizes.bound)}


def audiences(bench: Bench, turn: int) -> Found:
    """Our sender with a large audience and with a small one; and the freeze of the large one on both databases."""
    many, few = bench.sqlite(bench.sizes.large), bench.sqlite(bench.sizes.small)
    # Nobody sends this one: only how long a freeze takes there is asked.
    on_server = bench.postgres(bench.sizes.large).freeze().seconds
    with sink(bench.tools) as port:
        large, small = _both(turn, lambda: bench.send(many, port), lambda: bench.send(few, port))
    embedded = large.frozen.seconds
    return {
        "rate": _ratio(large.rate, small.rate),
        "memory": Measured(large.peak - small.peak, f"{large.peak:,.1f} MB against {small.peak:,.1f} MB"),
        "freeze": Measured(max(embedded, on_server), f"SQLite {embedded:,.1f} s, PostgreSQL {on_server:,.1f} s"),
    }


def imports(bench: Bench, turn: int) -> Found:
    """A large list from another system, into empty databases of both kinds."""
    path = bench.folder / "list.csv"
    if not path.exists():
        write_list(path, bench.sizes.large)
    urls = f"sqlite:///{bench.folder / f'import_{turn}.db'}", new_database(bench.server, f"import_{turn}")
    embedded, on_server = (import_rate(url, path, bench.sizes.large) for url in urls)
    return {"import": Measured(min(embedded, on_server), f"SQLite {embedded:,.0f}/s, PostgreSQL {on_server:,.0f}/s")}


def sign_ups(bench: Bench, turn: int) -> Found:
    """A web process that is sent sign-ups, and whether readers can be told from people who are new."""
    ground = bench.sqlite(bench.sizes.small)
    with serving(ground) as web:
        told = told_apart(ground, web, bench.sizes.pairs, turn)
        load = sustained(ground, web, bench.sizes.sign_ups, bench.sizes.sign_up_seconds)
    cpu = f"CPU of the web process {load.server_cpu:.0%}, of the generator beside it {load.own_cpu:.0%} of a core"
    return {
        "sign-ups": Measured(load.rate, f"median {load.median * 1000:.0f} ms; {cpu}"),
        "sign-ups-p99": Measured(load.p99 * 1000, f"at {load.rate:,.0f}/s; median {load.median * 1000:.0f} ms"),
        "told-apart": Measured(
            told.p,
            f"{told.pairs:,} pairs; median difference {told.difference * 1e6:+,.0f} µs of {told.first * 1000:,.1f} ms",
        ),
    }


EXPERIMENTS: Mapping[Callable[[Bench, int], Found], tuple[str, ...]] = {
    generators: ("source-kept", "source-each", "cpu"),
    vault: ("vault",),
    sendmail: ("sendmail",),
    databases: ("postgres",),
    workers: ("workers",),
    signatures: ("dkim",),
    slow_link: ("round-trip",),
    audiences: ("rate", "memory", "freeze"),
    imports: ("import",),
    sign_ups: ("sign-ups", "sign-ups-p99", "told-apart"),
}
"""What finds which rows."""
LONG = (workers, audiences, imports)
"""What takes minutes where the others take seconds."""
