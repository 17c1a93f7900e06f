"""What a relay does to a sender beyond taking its mail: kinds of faults, chosen and spread over readers by a seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tests.smtp_server import Act, HangUp, Moment, Plan, Say, ScriptedServer, Silence

UNREADABLE = (
    b"what?\r\n",
    b"250-two\r\n550 codes\r\n",
    b"\xff\xfe250 ok\r\n",
    b"2" * 9000,
    b"\r\n",
)
LINES = tuple(one for one in UNREADABLE if one.endswith(b"\n"))
"""Those that need no waiting for their end."""
ODD = (
    b"250 2.0.0 \xff\xfe\xfd\r\n",
    b"250-2.0.0 in\r\n250-2.0.0 several\r\n250 2.0.0 lines\r\n",
    b"200\r\n",
    b"250 2.0.0 " + b"long " * 1600 + b"\r\n",
)
"""Answers that mean yes, however they look."""
STEPS = ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "BODY", "DOT")


@dataclass
class Faults:
    """A relay's plan for a whole run, over all connections and all processes that come to it."""

    rng: random.Random
    readers: Sequence[str]
    kinds: tuple[str, ...]
    relay: ScriptedServer
    extensions: tuple[str, ...] = ("PIPELINING", "SIZE 10000000", "8BITMIME", "SMTPUTF8")
    _plans: list[Plan] = field(init=False)
    _reader: dict[int, str] = field(default_factory=dict)
    """Whose transaction a connection is in."""
    _seen: Counter[object] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if "steps one by one" in self.kinds:
            self.extensions = ("SIZE 10000000",)
        self._plans = [KINDS[kind](self) for kind in self.kinds]

    @property
    def is_silent(self) -> bool:
        """Whether somebody will wait in vain: then nobody should wait for long."""
        return "silence at the dot" in self.kinds

    @property
    def doubtful(self) -> set[str]:
        """Whose dot was not answered so that anybody could read it."""
        unread = [caught for caught in self.relay.caught if caught.reply in (b"", *UNREADABLE)]
        return {reader for caught in unread for reader in caught.recipients}

    def __call__(self, moment: Moment) -> Act | None:
        """What is done to a command."""
        if moment.command == "RCPT":
            self._reader[moment.connection] = moment.argument.partition("<")[2].partition(">")[0]
        return next((act for plan in self._plans if (act := plan(moment))), None)

    def some(self, share: float, most: int = 1000) -> frozenset[str]:
        """A share of the readers."""
        return frozenset(self.rng.sample(list(self.readers), min(most, round(share * len(self.readers)) or 1)))

    def at(self, command: str, whom: frozenset[str], times: int, act: Callable[[], Act]) -> Plan:
        """An act at a command, for some readers, the first so many times each."""

        def plan(moment: Moment) -> Act | None:
            reader = self._reader.get(moment.connection, "")
            if moment.command != command or reader not in whom or self._seen[command, reader] >= times:
                return None
            self._seen[command, reader] += 1
            return act()

        return plan

    def now_and_then(self, commands: Sequence[str], times: int, act: Callable[[], Act]) -> Plan:
        """An act at some of these commands, so many times in all, whoever it hits."""
        turns = {(self.rng.choice(commands), self.rng.randint(1, 12)) for _ in range(times)}
        count: Counter[str] = Counter()

        def plan(moment: Moment) -> Act | None:
            count[moment.command] += 1
            return act() if (moment.command, count[moment.command]) in turns else None

        return plan


def _crowded(faults: Faults) -> Plan:
    most = faults.rng.randint(1, 2)
    full = Say(b"421 4.7.0 too many connections\r\n", hang_up=True)
    return lambda moment: full if moment.command == "CONNECT" and faults.relay.open > most else None


def _slow(faults: Faults) -> Plan:
    piece = faults.rng.randint(1, 9)
    slow = faults.rng.sample(STEPS, 2)
    return lambda moment: Say(piece=piece, delay=0.0005) if moment.command in slow else None


def _held(faults: Faults) -> Plan:
    can_hold = "PIPELINING" in faults.extensions
    return lambda moment: Say(hold=True) if can_hold and moment.command in ("MAIL", "RCPT") else None


def _share(messages: int) -> Plan:
    """So many messages a connection, and no more."""
    enough = Say(b"421 4.4.2 enough for one connection\r\n", hang_up=True)
    return lambda moment: enough if moment.command == "MAIL" and moment.message >= messages else None


KINDS: dict[str, Callable[[Faults], Plan]] = {
    "none": lambda _: lambda _: None,
    "steps one by one": lambda _: lambda _: None,
    "4xx at RCPT": lambda f: f.at("RCPT", f.some(0.3), f.rng.randint(1, 2), lambda: Say(b"451 4.2.1 greylisted\r\n")),
    "5xx at RCPT": lambda f: f.at("RCPT", f.some(0.2, 6), 9, lambda: Say(b"550 5.1.1 nobody\r\n")),
    "4xx at the dot": lambda f: f.at("DOT", f.some(0.3), f.rng.randint(1, 2), lambda: Say(b"452 4.3.1 later\r\n")),
    "5xx at the dot": lambda f: f.at("DOT", f.some(0.2, 6), 9, lambda: Say(b"554 5.6.0 not this\r\n")),
    "hang-ups": lambda f: f.now_and_then(STEPS, 4, lambda: HangUp(reset=f.rng.random() < 0.5)),
    "hang-up at the dot": lambda f: f.at("DOT", f.some(0.2), 1, lambda: HangUp(reset=f.rng.random() < 0.5)),
    "silence at the dot": lambda f: f.at("DOT", f.some(0, 1), 1, Silence),
    "garbled at the dot": lambda f: f.at("DOT", f.some(0.2), 1, lambda: Say(f.rng.choice(UNREADABLE))),
    "garbled now and then": lambda f: f.now_and_then(STEPS[:5], 3, lambda: Say(f.rng.choice(LINES))),
    "odd answers": lambda f: f.at("DOT", f.some(0.5), 9, lambda: Say(f.rng.choice(ODD))),
    "421 now and then": lambda f: f.now_and_then(STEPS, 4, lambda: Say(b"421 4.3.2 closing\r\n", hang_up=True)),
    "421 after a few": lambda f: _share(f.rng.randint(1, 4)),
    "half-closed": lambda f: f.now_and_then(("MAIL", "DOT"), 3, lambda: Say(half_close=True)),
    "slow": _slow,
    "answers together": _held,
    "connection limit": _crowded,
}


def killing(plan: Plan, command: str, turn: int, kill: Callable[[], None], *, after: bool) -> Plan:
    """The plan, and a kill when a command comes for the n-th time: before it is answered, or when it was."""
    count = 0

    def with_a_kill(moment: Moment) -> Act | None:
        nonlocal count
        act = plan(moment)
        count += moment.command == command
        if moment.command != command or count != turn:
            return act
        if after and isinstance(act, Say | None):
            return replace(act or Say(), then=kill)
        kill()
        return act

    return with_a_kill
