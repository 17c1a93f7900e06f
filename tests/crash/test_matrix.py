"""kill -9 at every labelled point: nobody is doubled, nobody skipped, what is uncertain is named, the books close."""

import pytest

from tests.crash.matrix import Script, play
from tests.crash.points import POINTS
from tests.crash.stage import DATABASES, Stage


@pytest.mark.parametrize("seed", range(len(POINTS)))
def test_killed_anywhere_it_skips_nobody_and_doubles_nobody(stage: Stage, seed: int) -> None:
    """`make crash SEED=…` plays one again, by itself; `make crash` plays two hundred."""
    played = play(stage, seed)
    assert not played.wrong, f"{played.script}: {played.wrong}"


def test_two_rounds_of_seeds_meet_each_point_on_both_databases() -> None:
    scripts = [Script.of(seed) for seed in range(2 * len(POINTS))]
    met = {(script.deaths[0].point.label, script.database) for script in scripts}
    assert met == {(point.label, kind) for point in POINTS for kind in DATABASES}
    assert len(POINTS) >= 30  # S-12 asks for as many.


def test_a_seed_always_means_the_same() -> None:
    assert str(Script.of(17)) == str(Script.of(17)) != str(Script.of(18))
