"""What should be true of a few people, kept beside the real house: who reads what, and who must never be mailed. Pure.

It knows nothing of tables: each function is what somebody did, and says what follows from it by DESIGN 6.
"""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass, field

from subscribers.lifecycle import BY_MAIL, FORM, HAND, IMPORT, LINK, OWN_METHODS, Format
from subscribers.purging import CONFIRM_WITHIN, KEEP_UNCONFIRMED
from subscribers.suppression import ASKED, BOUNCE, COMPLAINT, ERASED, LEFT_ELSEWHERE
from subscribers.transfer.plan import Fate

GRAVITY = {BOUNCE: 0, LEFT_ELSEWHERE: 1, ERASED: 1, ASKED: 2, COMPLAINT: 2}
FINAL = frozenset({ASKED, COMPLAINT})


class Stand(enum.Enum):
    """Where somebody stands with a newsletter."""

    NOTHING = "nothing"
    WAITS = "waits"
    READS = "reads"
    LEFT = "left"


@dataclass(frozen=True)
class Asked:
    """A confirmation letter that went out, and what its links say."""

    address: str
    newsletter: str
    at: dt.datetime
    confirm: str
    never: str

    def is_good(self, now: dt.datetime) -> bool:
        return now < self.at + CONFIRM_WITHIN


@dataclass
class Wish:
    """How they want it."""

    format: Format = Format.SUMMARIES
    is_neutral: bool = False
    until: dt.datetime | None = None

    def pauses(self, now: dt.datetime) -> bool:
        return self.until is not None and self.until > now


@dataclass
class Tie:
    """One person and one newsletter."""

    stand: Stand = Stand.NOTHING
    method: str = ""
    has_left: bool = False
    """They have left before, and have not come back since by themselves."""
    asked: Asked | None = None
    """The letter whose button confirms."""
    bounced_at: dt.datetime | None = None
    """When a bounce ended what they read, where nothing was said since."""
    wish: Wish = field(default_factory=Wish)

    @property
    def reads(self) -> bool:
        return self.stand is Stand.READS

    def begin(self, method: str) -> None:
        """They read from now on."""
        self.stand, self.method, self.bounced_at = Stand.READS, method, None

    def end(self, now: dt.datetime, reason: str | None) -> None:
        """It ends; a bounce is forgotten as the reason where something else ends it as well."""
        if self.stand in (Stand.READS, Stand.WAITS):
            self.bounced_at = now if reason == BOUNCE and self.reads else None
            self.stand, self.has_left, self.asked, self.wish.until = Stand.LEFT, True, None, None
        elif reason != BOUNCE:
            self.bounced_at = None

    def lapse(self, now: dt.datetime) -> None:
        """Nobody confirmed: it is as it was."""
        if self.stand is Stand.WAITS and self.asked and now >= self.asked.at + KEEP_UNCONFIRMED:
            self.asked = None
            self.stand = Stand.LEFT if self.has_left else Stand.NOTHING
            self.wish = self.wish if self.has_left else Wish()


@dataclass
class Person:
    """Somebody with an address, in one spelling of it."""

    address: str
    mailbox: str
    ties: dict[str, Tie]
    reason: str | None = None
    """Why they must not be mailed."""
    is_mailbox_suppressed: bool = False

    def suppress(self, reason: str, now: dt.datetime, *, speaks_for_mailbox: bool) -> None:
        """They are put on the list, and read nothing any more."""
        if self.reason is None or GRAVITY[reason] > GRAVITY[self.reason]:
            self.reason = reason
        self.is_mailbox_suppressed |= speaks_for_mailbox
        for tie in self.ties.values():
            tie.end(now, None if reason in (ASKED, LEFT_ELSEWHERE) else reason)

    def lift(self) -> None:
        self.reason, self.is_mailbox_suppressed = None, False

    def ask(self, asked: Asked, method: str) -> None:
        """A letter with a button went to them."""
        tie = self.ties[asked.newsletter]
        tie.stand, tie.method, tie.asked, tie.bounced_at = Stand.WAITS, method, asked, None

    def confirm(self, asked: Asked, now: dt.datetime) -> bool:
        """They press the button of a letter; whether it is good."""
        tie = self.ties[asked.newsletter]
        if tie.asked != asked or not asked.is_good(now):
            return False
        if not tie.reads:
            if self.reason and (self.reason not in FINAL or tie.method == BY_MAIL):
                self.lift()
            tie.begin(tie.method)
            tie.has_left = False
        return True

    def enter(self, newsletter: str) -> bool:
        """An operator enters them; whether that is done."""
        tie = self.ties[newsletter]
        if self.reason or (tie.has_left and not tie.reads):
            return False
        if not tie.reads:
            tie.begin(HAND)
            tie.asked = None
        return True

    def join(self, newsletter: str) -> bool:
        """They take a newsletter on their own page; whether that is done."""
        tie = self.ties[newsletter]
        if self.reason:
            return False
        if not tie.reads:
            tie.begin(LINK)
            tie.has_left, tie.asked, tie.wish.until = False, None, None
        return True

    def bring(self, newsletter: str) -> Fate:
        """They stand as a reader in a list."""
        tie = self.ties[newsletter]
        if self.reason:
            return Fate.SUPPRESSED_HERE
        if tie.reads:
            return Fate.ALREADY
        if tie.has_left:
            return Fate.LEFT_HERE
        was = tie.stand
        tie.begin(IMPORT)
        tie.asked = None
        return Fate.WAITED if was is Stand.WAITS else Fate.NEW

    def turn_away(self, reason: str, fate: Fate, now: dt.datetime) -> Fate:
        """They stand in a list as one who has ended there."""
        has_come_themselves = any(tie.reads and tie.method in OWN_METHODS for tie in self.ties.values())
        if self.reason is None and has_come_themselves and reason != COMPLAINT:
            return Fate.STAYS
        before = self.reason
        # What the list says once more is not written once more.
        self.suppress(reason, now, speaks_for_mailbox=reason == COMPLAINT != before)
        return Fate.SUPPRESSED_HERE if before else fate

    def take_back(self, at: dt.datetime) -> None:
        """Their bounce of that instant was the provider's mistake."""
        ended = [tie for tie in self.ties.values() if tie.bounced_at == at and tie.stand is Stand.LEFT]
        if ended and self.reason in (None, BOUNCE):
            self.lift()
            for tie in ended:
                tie.begin(tie.method)
                tie.has_left = False

    def erase(self, *, keeps_mark: bool) -> None:
        """All that is held of them goes; the mark that keeps them off lists may stay."""
        if not keeps_mark:
            self.lift()
        elif self.reason is None or GRAVITY[ERASED] > GRAVITY[self.reason]:
            self.reason = ERASED
        self.ties = {newsletter: Tie() for newsletter in self.ties}

    def may_be_asked(self, method: str) -> bool:
        """Whether a letter with a button may go to this spelling."""
        return self.reason not in FINAL or method != FORM
