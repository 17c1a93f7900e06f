"""Connections and lanes under strain: found in a review of the whole."""

import asyncio
import datetime as dt

from digest.mail.lanes import REST, Lanes
from digest.mail.pool import Pool
from digest.mail.providers import Provider
from digest.mail.replies import Reply, Stage
from digest.mail.smtp import Refused, Session
from tests.house import NOW

GOOGLE = Provider.GOOGLE


def test_what_was_under_way_when_a_provider_asked_for_rest_does_not_end_its_rest() -> None:
    """One of twenty connections is told "too fast"; that the other nineteen are accepted meanwhile means nothing."""
    lanes = Lanes(20)
    for _ in range(20):
        lanes.enter(GOOGLE)
    lanes.slow_down(GOOGLE, NOW + REST)
    lanes.leave(GOOGLE, accepted=False)
    for _ in range(19):
        lanes.leave(GOOGLE, accepted=True)
    assert not lanes.has_room(GOOGLE, NOW + dt.timedelta(seconds=1))
    assert lanes.has_room(GOOGLE, NOW + REST)
    lanes.enter(GOOGLE)
    assert not lanes.has_room(GOOGLE, NOW + REST)


def test_one_connection_refused_among_many_that_are_made_does_not_narrow_the_pool_to_one() -> None:
    class Fake:
        usable, is_spent = True, False

        async def close(self) -> None:
            return

    async def story() -> int:
        calls = 0

        async def open_one() -> Session:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise Refused(Stage.CONNECT, Reply(421, "4.7.0 too many at once"))
            await asyncio.sleep(0)
            return Fake()  # type: ignore[return-value]

        pool = Pool(open_one, 20)
        await asyncio.gather(*(pool.take() for _ in range(20)), return_exceptions=True)
        return pool._room()

    assert asyncio.run(story()) == 19
