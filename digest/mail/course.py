"""How a sending goes, and when it has to stop: the circuit breakers of S-24."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from digest.mail.replies import Outcome, Scope
from digest.models import DeliveryState

BREAKER = 10
"""So many refusals in a row that are not about the reader stop the sending (S-24)."""
FIRST = 200
BOUNCES = 10
"""More readers than this, of an issue's first 200, refused for good: the list or the relay is at fault (S-24)."""


@dataclass
class Course:
    """One issue's course in one process, whatever slices of it are on their way."""

    stopped: str | None = None
    """Why it ended before its work was done, in a sentence."""
    relay_down: bool = False
    """Whether it stopped because the relay could not be spoken to: worth another try by itself, later."""
    is_told: bool = False
    """Whether why it stopped is in the books: whoever begins after that was resumed by a person, or has waited."""
    is_first: bool = False
    """Whether nobody of this issue had an outcome when it began."""
    runs: int = 0
    """How many slices are on their way."""
    tried: int = 0
    in_a_row: int = 0
    put_off: int = 0
    bounced: int = 0

    def stop(self, why: str, *, relay_down: bool = False) -> None:
        """End it, for the first reason that is given."""
        if self.stopped is None:
            self.stopped, self.relay_down = why, relay_down

    def note(self, result: Outcome) -> None:
        """Take an outcome into account, and stop where the outcomes say that something is wrong with us."""
        self.tried += 1
        about_us = (
            result.state is not DeliveryState.ACCEPTED
            and result.scope is not Scope.RECIPIENT
            # A provider that is slow has a lane of its own and stops nobody else.
            and not result.is_too_fast
        )
        put_off = about_us and result.state is DeliveryState.DEFERRED
        self.in_a_row = self.in_a_row + 1 if about_us and not put_off else 0
        self.put_off = self.put_off + 1 if put_off else 0
        bounced = result.state is DeliveryState.REJECTED and result.scope is Scope.RECIPIENT
        if bounced and self.is_first and self.tried <= FIRST:
            self.bounced += 1
        self._judge(result)

    def _judge(self, result: Outcome) -> None:
        if self.in_a_row >= BREAKER:
            self.stop(f"{self.in_a_row} answers in a row were about us and not about the reader: {result.reply}")
        elif self.bounced > BOUNCES:
            self.stop(f"{self.bounced} of the first {FIRST} readers were refused for good: {result.reply}")
        elif self.put_off >= BREAKER:
            # It wants us to wait, and so we do: by ourselves, and with everybody.
            self.stop(f"{self.put_off} answers in a row put us off: {result.reply}", relay_down=True)


@dataclass
class Run:
    """What one run of a piece of work did."""

    course: Course
    counts: dict[DeliveryState, int] = field(default_factory=dict)
    lost: bool = False
    """Whether another process has the right to send now: then nothing more may be done here, not even tidying."""
    halted: bool = False
    """Whether a person paused or cancelled the issue."""
    faults: list[Exception] = field(default_factory=list)
    """What should not have happened to its connections: no other message is begun, and then it is raised."""
    busy: int = 0
    """How many connections have a message under way."""
    held_until: dt.datetime | None = None
    """Until when a rate limit lets nothing more out; none where it does."""

    @property
    def stopped(self) -> str | None:
        """Why it ended before its work was done, in a sentence; none where it did not, or a person wanted it so."""
        return self.course.stopped

    @property
    def relay_down(self) -> bool:
        """Whether it ended because the relay cannot be used now."""
        return self.course.relay_down

    @property
    def is_over(self) -> bool:
        """Whether no other message is to be begun."""
        return self.lost or self.halted or bool(self.faults) or self.course.stopped is not None

    def note(self, result: Outcome) -> None:
        """Count an outcome."""
        self.counts[result.state] = self.counts.get(result.state, 0) + 1
        self.course.note(result)
