"""How large and how often: the full measurement, and the quick one that ends within two minutes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """The numbers of a measurement."""

    rounds: int
    long_rounds: int
    """Rounds of what takes long: the two workers, and the large audience."""
    audience: int
    """Readers of the issue that is sent over and over."""
    slow_audience: int
    """Readers where a slow link limits."""
    shared_audience: int
    """Readers that two workers share: enough for each to get many slices of them."""
    sendmail: int
    """Messages of the loop over `sendmail`."""
    dkimpy: int
    """Messages of the loop that signs with dkimpy."""
    small: int
    large: int
    sign_up_seconds: float
    pairs: int
    """Of a request for somebody known and one for somebody new."""
    connections: int = 20
    lanes_of_two: int = 10
    """Connections of each of two workers: few, so that even both together leave a core to the sink."""
    round_trip: float = 0.02
    """Seconds there and back on the slow link."""
    sign_ups: int = 303
    """So many a second are sent, a little more than have to be answered."""
    reuse: int = 1_000_000
    """Messages a connection carries: as many as there are, as `smtp-source -d` does it. The default is 100."""

    @property
    def bound(self) -> float:
        """Messages a second when each costs a connection one round trip."""
        return self.connections / self.round_trip


FULL = Sizes(
    rounds=5,
    long_rounds=5,
    audience=20_000,
    slow_audience=8_000,
    shared_audience=24_000,
    sendmail=5_000,
    dkimpy=1_000,
    small=10_000,
    large=500_000,
    sign_up_seconds=20,
    pairs=2_000,
)
QUICK = Sizes(
    rounds=2,
    long_rounds=1,
    audience=3_000,
    slow_audience=1_200,
    shared_audience=4_000,
    sendmail=1_000,
    dkimpy=250,
    small=10_000,
    large=30_000,
    sign_up_seconds=5,
    pairs=300,
)
