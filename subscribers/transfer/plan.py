"""What becomes of a row of the file, and how often each came up. Pure (N-23, O-52)."""

from __future__ import annotations

import datetime as dt
import enum
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from subscribers.lifecycle import State, entered
from subscribers.suppression import BOUNCE, COMPLAINT, LEFT_ELSEWHERE
from subscribers.transfer.systems import Standing

REASONS = {Standing.LEFT: LEFT_ELSEWHERE, Standing.BOUNCED: BOUNCE, Standing.COMPLAINED: COMPLAINT}
"""Why somebody is suppressed here, by how they ended there."""


class Fate(enum.Enum):
    """What becomes of a row; its value is the line of the table that the operator reads."""

    # They are counted for every row, and an enumeration's own hash is a function of Python's.
    __hash__ = object.__hash__

    NEW = "new readers"
    WAITED = "asked here already, not confirmed: confirmed by this list"
    ALREADY = "subscribed here already: nothing changes"
    LEFT_HERE = "have left here: not brought back"
    SUPPRESSED_HERE = "must never be mailed, as is known here: stays so"
    LEFT = "have left there: never mailed from here"
    BOUNCED = "bounced there: never mailed from here"
    COMPLAINED = "complained there: never mailed from here"
    STAYS = "have ended there, but confirmed here themselves: stay"
    UNCONFIRMED = "had not confirmed there: not taken in"
    OTHER = "were no readers there: not taken in"
    UNPROVEN = "nothing shows that they agreed: not taken in"
    REPEATED = "stand in the file more than once"
    BAD = "rows that cannot be read"


ENDED = {Standing.LEFT: Fate.LEFT, Standing.BOUNCED: Fate.BOUNCED, Standing.COMPLAINED: Fate.COMPLAINED}
CHANGES = frozenset({Fate.NEW, Fate.WAITED, Fate.LEFT, Fate.BOUNCED, Fate.COMPLAINED})
"""What the database is written for."""


class Here(NamedTuple):
    """How things stand with somebody in this database."""

    subscriber_id: int
    state: State | None
    """With the newsletter that is imported into; none where they have nothing to do with it."""
    left_at: dt.datetime | None
    own_confirmation: dt.datetime | None
    """When they last confirmed here by themselves (`lifecycle.OWN_METHODS`), in any subscription that still stands."""


def decide(standing: Standing, ended_at: dt.datetime | None, here: Here | None, *, is_suppressed: bool) -> Fate:
    """What becomes of somebody whose consent is shown, or who has ended there."""
    if standing in ENDED:
        if is_suppressed:
            return Fate.SUPPRESSED_HERE
        return Fate.STAYS if here and _came_here_since(here, standing, ended_at) else ENDED[standing]
    if is_suppressed:
        return Fate.SUPPRESSED_HERE
    if here and here.state is State.CONFIRMED:
        return Fate.ALREADY
    if entered(here.state if here else None, here.left_at if here else None) is None:
        return Fate.LEFT_HERE
    return Fate.WAITED if here and here.state else Fate.NEW


def _came_here_since(here: Here, standing: Standing, ended_at: dt.datetime | None) -> bool:
    """Whether somebody's own confirmation here is worth more than how they ended elsewhere (N-23).

    It is where it is the later of the two. Where the export does not say when they ended, it is as well, since they
    spoke to us and not to that system; not so after a complaint (N-20).
    """
    if here.own_confirmation is None:
        return False
    return here.own_confirmation > ended_at if ended_at else standing is not Standing.COMPLAINED


@dataclass
class Tally:
    """How many rows came to what so far."""

    fates: Counter[Fate] = field(default_factory=Counter)
    bad: dict[str, list[int]] = field(default_factory=dict)
    """The first lines of each kind of row that cannot be read, by the reason."""
    bad_counts: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """How many rows were looked at."""
        return self.fates.total()

    @property
    def changes(self) -> int:
        """How many people something changes for."""
        return sum(self.fates[fate] for fate in CHANGES)

    def add_bad(self, line: int, reason: str) -> None:
        """Count a row that cannot be read, or not taken in for want of evidence."""
        self.bad_counts[reason] += 1
        lines = self.bad.setdefault(reason, [])
        if len(lines) < LINES_SHOWN:
            lines.append(line)


LINES_SHOWN = 5
"""So many lines of each kind are named."""
