"""Nobody is bombed by our letters, and nobody who reads is shut out (O-24, O-26).

Whoever asks for a newsletter is counted under their network, the address's domain, and all together. Where one of these
budgets is used up, nobody is sent away: a proof of work is asked for, and buys ten times as much. Without scripts a
small reserve is left. Nothing of this knows whether an address is in the database, so nothing of it can tell (O-20).

Networks live in this process's memory alone, as an HMAC whose key is thrown away every day (O-54).
"""

from __future__ import annotations

import datetime as dt
import enum
import hmac
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
import structlog

from subscribers.budgets import PROVEN_TIMES, Bucket, FormRules, Pressure, pressure_of
from subscribers.counts import Counts
from subscribers.db import Database
from subscribers.lifecycle import State
from subscribers.models import ASKED_HERE, Subscription
from subscribers.proof import Proofs

log = structlog.get_logger("subscribers.guard")

MOST_NETWORKS = 50_000
LOOK_EVERY = dt.timedelta(seconds=15)
"""How often the last hour's requests are looked at."""
WINDOW = dt.timedelta(hours=1)
DOMAIN_BUCKETS = 4096
"""Two domains may share one: then a proof is asked for a little sooner."""
FREE, UNPROVEN, PROVEN = 0, 1, 2
"""Kinds of budgets, and the numbers of the buckets that all share; a domain's follow."""
_FIRST_DOMAIN = 16


class Verdict(enum.Enum):
    """What becomes of a request."""

    TAKE = "take"
    ASK = "ask"
    """The form is shown again, with a challenge."""
    REST = "rest"
    """Nobody's request is taken now."""


@dataclass(frozen=True)
class Knock:
    """Somebody asks: from which network, for an address of which domain, with which answer to a challenge."""

    prefix: str = field(repr=False)
    domain: str = field(repr=False)
    proof: str = field(repr=False, default="")
    is_ours: bool = True
    """Whether the request has the stamp of a page that we have shown to that network.

    A form on another site, and a program, has none; without a proof these share the reserve.
    """


class Networks:
    """Buckets by network. Keys are an HMAC with a key of the day; neither is written down (O-54)."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[bytes, Bucket] = OrderedDict()
        self._key = secrets.token_bytes(32)
        self._day: dt.date | None = None

    def left(self, kind: int, prefix: str, size: float, now: dt.datetime) -> float:
        """How full a network's bucket of a kind is."""
        return self._buckets.get(self._name(kind, prefix, now), Bucket()).left(size, now.timestamp())

    def add(self, kind: int, prefix: str, size: float, now: dt.datetime) -> None:
        """Put one into it. Where there are too many, those that were used longest ago are forgotten."""
        name = self._name(kind, prefix, now)
        self._buckets[name] = self._buckets.get(name, Bucket()).with_more(1, size, now.timestamp())
        self._buckets.move_to_end(name)
        while len(self._buckets) > MOST_NETWORKS:
            self._buckets.popitem(last=False)

    def _name(self, kind: int, prefix: str, now: dt.datetime) -> bytes:
        if self._day != now.date():
            self._day, self._key = now.date(), secrets.token_bytes(32)
            self._buckets.clear()
        return hmac.digest(self._key, f"{kind} {prefix}".encode(), "sha256")


class Guard:
    """The form's budgets for one process; safe to use from several threads."""

    def __init__(self, database: Database, key: bytes, rules: FormRules) -> None:
        self.rules = rules
        self.proofs = Proofs(database, key)
        self._database = database
        self._domain_key = hmac.digest(key, b"form budgets of domains", "sha256")
        self._counts = Counts(database)
        self._networks = Networks()
        self._lock = threading.Lock()
        self._pressure = Pressure.CALM
        self._looked_at: dt.datetime | None = None

    def pressure(self, prefix: str, now: dt.datetime) -> Pressure:
        """How hard the form is pressed for somebody from there. Takes nothing from any budget."""
        self._keep_up(now)
        with self._lock:
            has_room = self._has_room(FREE, Knock(prefix, ""), now)
        return self._pressure if self._pressure or has_room else Pressure.PROOF

    def judge(self, knock: Knock, now: dt.datetime) -> Verdict:
        """Whether a request is taken; what it takes is then gone from its budgets."""
        self._keep_up(now, to_add=True)
        if self._pressure is Pressure.PAUSED:
            return Verdict.REST
        if knock.is_ours and self._pressure is Pressure.CALM and self._take(FREE, knock, now):
            return Verdict.TAKE
        is_hard = self._pressure is Pressure.HARD
        if knock.proof and self.proofs.spend(knock.proof, now, hard=is_hard) and self._take(PROVEN, knock, now):
            return Verdict.TAKE
        return Verdict.TAKE if self._take(UNPROVEN, knock, now) else Verdict.ASK

    def challenge(self, pressure: Pressure, now: dt.datetime) -> dict[str, Any]:
        """A new challenge, as hard as the pressure asks."""
        return self.proofs.challenge(now, hard=pressure is Pressure.HARD)

    def trouble(self, now: dt.datetime) -> str | None:
        """What whoever runs this should know of the form, in a sentence; none while it is calm."""
        self._keep_up(now)
        return _SAID.get(self._pressure)

    def _take(self, kind: int, knock: Knock, now: dt.datetime) -> bool:
        with self._lock:
            if not self._has_room(kind, knock, now):
                return False
            self._networks.add(kind, knock.prefix, self._network_size(kind), now)
            self._counts.add(self._shared(kind, knock), now)
            return True

    def _has_room(self, kind: int, knock: Knock, now: dt.datetime) -> bool:
        size = self._network_size(kind)
        # Every bucket is looked at, whatever the first ones say.
        full = [self._networks.left(kind, knock.prefix, size, now) + 1 > size]
        full += [self._counts.left(number, size, now) + 1 > size for number, size in self._shared(kind, knock).items()]
        return not any(full)

    def _network_size(self, kind: int) -> float:
        rules = self.rules
        return (rules.prefix_per_hour, rules.unproven_prefix_per_hour, PROVEN_TIMES * rules.prefix_per_hour)[kind]

    def _shared(self, kind: int, knock: Knock) -> dict[int, float]:
        """The buckets that all processes fill, with their sizes."""
        rules = self.rules
        size: float = (rules.per_hour, rules.unproven_per_hour, PROVEN_TIMES * rules.per_hour)[kind]
        times = PROVEN_TIMES if kind == PROVEN else 1
        number = int.from_bytes(hmac.digest(self._domain_key, knock.domain.encode(), "sha256")[:2], "big")
        domain = _FIRST_DOMAIN + kind * DOMAIN_BUCKETS + number % DOMAIN_BUCKETS
        return {kind: size} | ({domain: times * rules.domain_per_hour} if knock.domain else {})

    def _keep_up(self, now: dt.datetime, *, to_add: bool = False) -> None:
        """Hear of the other processes, and look at the last hour, when it is time; one thread does so, nobody waits.

        Only a request that is counted adds to the database: a page that is looked at changes nothing (DESIGN 6.3).
        """
        if not self._counts.is_due(now, to_add=to_add):
            return
        try:
            if to_add:
                self._counts.meet(now)
            else:
                self._counts.look()
            if self._looked_at is None or abs(now - self._looked_at) >= LOOK_EVERY:
                self._looked_at = now
                self._turn_to(self._look(now))
        except sa.exc.SQLAlchemyError as error:
            # The request itself will say so if the database is gone; the budgets of this process hold on.
            log.warning("the form's budgets could not be shared", error=type(error).__name__)

    def _look(self, now: dt.datetime) -> Pressure:
        rules = self.rules
        with self._database.read() as session:
            counts = {
                state: session.scalar(
                    sa.select(sa.func.count()).select_from(
                        sa.select(Subscription.id)
                        .where(Subscription.requested_at > now - WINDOW, Subscription.state == state)
                        .where(sa.text(ASKED_HERE))
                        .limit(2 * rules.pause_at)
                        .subquery()
                    )
                )
                for state in (State.PENDING, State.CONFIRMED)
            }
        return pressure_of(counts[State.PENDING] or 0, counts[State.CONFIRMED] or 0, rules)

    def _turn_to(self, pressure: Pressure) -> None:
        if pressure is self._pressure:
            return
        before, self._pressure = self._pressure, pressure
        if pressure is Pressure.PAUSED:
            log.error("the sign-up form rests", why=_SAID[pressure])
        elif pressure > before:
            log.warning("the sign-up form is pressed", why=_SAID[pressure])
        else:
            log.info("the sign-up form is less pressed", now=pressure.name.lower())


_SAID = {
    Pressure.PROOF: "many ask for newsletters and hardly anybody confirms: the form asks for a proof of work",
    Pressure.HARD: "very many ask for newsletters: the form asks for a harder proof of work",
    Pressure.PAUSED: (
        "so many ask for newsletters, and so few confirm, that somebody must be misusing the form: it rests until "
        "fewer requests of the last hour are open ([form] pause_at)"
    ),
}
