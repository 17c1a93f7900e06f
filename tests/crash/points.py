"""Where a sender is killed: what the relay sees of it, and what it does inside, named by the function that does it.

The product has no hooks for this. The inner points are its own functions, which the child program wraps so that the
process kills itself before or after one of their calls.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import itertools
import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn


class Often(enum.Enum):
    """How often a point comes for certain, in a run of so many readers over so many connections."""

    ONCE = "once"
    RENEWED = "renewed"
    """Again and again while the run lasts."""
    CONNECTION = "connection"
    BATCH = "batch"
    """At least for each handful of as many readers as there are connections."""
    READER = "reader"

    def most(self, readers: int, connections: int) -> int:
        """The last time that comes for certain, though some readers may be refused before it."""
        match self:
            case Often.ONCE:
                return 1
            case Often.RENEWED:
                return 3
            case Often.CONNECTION:
                return min(readers, connections)
            case Often.BATCH:
                return max(1, readers // (3 * connections))
            case Often.READER:
                return max(1, readers // 3)


@dataclass(frozen=True)
class Point:
    """A labelled point: a command that the relay sees, or `module:function` of the sender, before it or after it."""

    label: str
    where: str
    often: Often
    after: bool = False

    @property
    def is_on_wire(self) -> bool:
        """Whether the relay sees it."""
        return ":" not in self.where


@dataclass(frozen=True)
class Death:
    """A point, the time it comes for the n-th time."""

    point: Point
    turn: int

    @classmethod
    def at(cls, point: Point, rng: random.Random, readers: int, connections: int) -> Death:
        """One that comes for certain."""
        return cls(point, rng.randint(1, point.often.most(readers, connections)))

    def __str__(self) -> str:
        return f"{self.point.label}, {self.turn}."


_LEDGER = "digest.mail.ledger:"
_WORK = "digest.mail.work:"
_SEND = "digest.mail.send:"
_FREEZE = "digest.issues.publish:"
_COMMIT = "sqlalchemy.engine.default:DefaultDialect.do_commit"

POINTS = (
    Point("relay: connected", "CONNECT", Often.CONNECTION),
    Point("relay: EHLO", "EHLO", Often.CONNECTION),
    Point("relay: MAIL", "MAIL", Often.READER),
    Point("relay: RCPT", "RCPT", Often.READER),
    Point("relay: DATA", "DATA", Often.READER),
    Point("relay: in the text", "BODY", Often.READER),
    Point("relay: dot, unanswered", "DOT", Often.READER),
    Point("relay: dot, answered", "DOT", Often.READER, after=True),
    Point("wire: before a connection", _SEND + "open_session", Often.CONNECTION),
    Point("wire: connection open", _SEND + "open_session", Often.ONCE, after=True),
    Point("wire: before the envelope", "digest.mail.smtp:Session.accepted", Often.READER),
    Point("wire: before the text", "digest.mail.smtp:Session.body", Often.READER),
    Point("wire: text handed over", "digest.mail.smtp:Session.body", Often.READER, after=True),
    Point("wire: before the dot", "digest.mail.smtp:Session.dot", Often.READER),
    Point("wire: dot's answer read", "digest.mail.smtp:Session.dot", Often.READER, after=True),
    Point("ledger: before a group commit", _LEDGER + "Ledger._write", Often.BATCH),
    Point("ledger: before the intents", _LEDGER + "intend", Often.BATCH),
    Point("ledger: intents uncommitted", _LEDGER + "intend", Often.BATCH, after=True),
    Point("ledger: before the outcomes", _LEDGER + "settle", Often.BATCH),
    Point("ledger: outcomes uncommitted", _LEDGER + "settle", Often.BATCH, after=True),
    Point("ledger: after a group commit", _LEDGER + "Ledger._write", Often.BATCH, after=True),
    Point("ledger: outcome handed over", _LEDGER + "Ledger.record", Often.READER, after=True),
    Point("copies: before a load", _WORK + "_Batches._load", Often.ONCE),
    Point("copies: loaded", _WORK + "_Batches._load", Often.ONCE, after=True),
    Point("lease: before it is taken", _LEDGER + "take_lease", Often.ONCE),
    Point("lease: taken", _LEDGER + "take_lease", Often.ONCE, after=True),
    Point("lease: renewed", _LEDGER + "take_lease", Often.RENEWED, after=True),
    Point("lease: before it is dropped", _LEDGER + "drop_lease", Often.ONCE),
    Point("lease: dropped", _LEDGER + "drop_lease", Often.ONCE, after=True),
    Point("begin: before", _WORK + "IssueWork.begin", Often.ONCE),
    Point("begin: recovered, uncommitted", _LEDGER + "recover", Often.ONCE, after=True),
    Point("begin: done", _WORK + "IssueWork.begin", Often.ONCE, after=True),
    Point("end: before", _WORK + "IssueWork.end", Often.ONCE),
    Point("end: finished, uncommitted", _LEDGER + "finish", Often.ONCE, after=True),
    Point("end: done", _WORK + "IssueWork.end", Often.ONCE, after=True),
    Point("freeze: before", _FREEZE + "publish", Often.ONCE),
    Point("freeze: step uncommitted", _FREEZE + "_freeze", Often.ONCE, after=True),
    Point("freeze: copies uncommitted", _FREEZE + "_fill", Often.ONCE, after=True),
    Point("freeze: done", _FREEZE + "publish", Often.ONCE, after=True),
    Point("database: before a commit", _COMMIT, Often.BATCH),
    Point("database: after a commit", _COMMIT, Often.BATCH, after=True),
)


def arm(death: Death) -> None:
    """Let this process kill itself at an inner point. Raises `AttributeError` where the product has it no more."""
    module, _, path = death.point.where.partition(":")
    *outer, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for part in outer:
        owner = getattr(owner, part)
    setattr(owner, name, _mortal(getattr(owner, name), death))


def _mortal(act: Callable[..., Any], death: Death) -> Callable[..., Any]:
    turns = itertools.count(1)

    def step(*, after: bool) -> None:
        # What failed has not come to its end, so it does not count as a call that was survived.
        if after is death.point.after and next(turns) == death.turn:
            die()

    def called(*args: object, **kwargs: object) -> object:
        step(after=False)
        result = act(*args, **kwargs)
        step(after=True)
        return result

    async def awaited(*args: object, **kwargs: object) -> object:
        step(after=False)
        result = await act(*args, **kwargs)
        step(after=True)
        return result

    return awaited if inspect.iscoroutinefunction(act) else called


def die() -> NoReturn:
    """End as a process ends that is killed: at once, and nothing is tidied."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody survives SIGKILL")
