"""When a group commit waits a moment for others to join, and when it does not."""

from digest.mail.commits import BUSY, LATELY, _Traffic


def told(per_second: float, seconds: float = 1.0) -> _Traffic:
    """The traffic after wishes have come evenly for a while, a few at a time."""
    traffic, step = _Traffic(), 0.001
    for turn in range(int(seconds / step)):
        traffic.note(round(per_second * step * (turn + 1)) - round(per_second * step * turn), 100 + turn * step)
    return traffic


def test_a_ledger_is_busy_from_so_many_wishes_a_second_on() -> None:
    assert told(2 * BUSY).is_heavy
    assert not told(BUSY / 2).is_heavy
    assert not told(0).is_heavy


def test_what_was_long_ago_makes_nobody_wait() -> None:
    traffic = told(2 * BUSY)
    traffic.note(1, 200.0)
    traffic.note(1, 200.0 + 2 * LATELY)
    assert not traffic.is_heavy
