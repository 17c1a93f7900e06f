"""Rate limits per second, hour and day, kept by all senders together (S-46), with a clock that the test sets."""

import asyncio
import datetime as dt
from dataclasses import replace

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from digest.mail.pace import Rates, charge, reserve
from digest.models import IssueState, Quota
from digest.queue.worker import Worker
from digest.settings import Smtp
from subscribers.db import Base, Database
from tests.house import NOW, House
from tests.smtp_server import ScriptedServer

HOUR = dt.timedelta(hours=1)


def take(database: Database, rates: Rates, wanted: int, now: dt.datetime) -> int:
    with database.write() as session:
        return reserve(session, rates, wanted, now).count


def test_an_hour_gives_out_what_it_has_and_the_next_one_begins_anew(database: Database) -> None:
    rates = Rates(per_hour=100)
    assert [take(database, rates, 64, NOW) for _ in range(3)] == [64, 36, 0]
    with database.write() as session:
        assert reserve(session, rates, 64, NOW + HOUR / 2).again_at == NOW + HOUR
    assert take(database, rates, 64, NOW + HOUR) == 64


def test_the_narrower_of_hour_and_day_counts(database: Database) -> None:
    rates = Rates(per_hour=50, per_day=80)
    assert take(database, rates, 64, NOW) == 50
    assert take(database, rates, 64, NOW + HOUR) == 30
    with database.write() as session:
        grant = reserve(session, rates, 64, NOW + 2 * HOUR)
    assert (grant.count, grant.again_at) == (0, NOW + dt.timedelta(days=1))


def test_letters_are_counted_and_do_not_wait(database: Database) -> None:
    rates = Rates(per_hour=10)
    with database.write() as session:
        charge(session, rates, 15, NOW)
    assert take(database, rates, 1, NOW) == 0


def test_two_senders_share_one_second(database: Database) -> None:
    rates = Rates(per_second=10)
    with database.write() as session:
        first = reserve(session, rates, 20, NOW)
        second = reserve(session, rates, 20, NOW)
    assert (first.wait, first.spacing) == (0.0, 0.1)
    assert second.wait == 2.0


def test_a_clock_that_went_back_does_not_stop_the_sending_for_ever(database: Database) -> None:
    with database.write() as session:
        session.add(Quota(name="second", since=NOW + dt.timedelta(days=3), used=0))
        session.add(Quota(name="hour", since=NOW + dt.timedelta(days=3), used=999))
        session.flush()
        grant = reserve(session, Rates(per_second=10, per_hour=10), 5, NOW)
    assert grant.count == 5
    assert grant.wait <= 60


@given(
    st.integers(1, 200),
    st.lists(st.tuples(st.integers(1, 64), st.integers(0, 3600)), min_size=1, max_size=40),
)
def test_no_hour_window_gives_out_more_than_it_has(limit: int, asks: list[tuple[int, int]]) -> None:
    database = Database("sqlite://")
    Base.metadata.create_all(database.engine)
    now = NOW
    given_out: dict[dt.datetime, int] = {}
    for wanted, seconds in asks:
        now += dt.timedelta(seconds=seconds)
        count = take(database, Rates(per_hour=limit), wanted, now)
        with database.read() as session:
            since = session.scalars(sa.select(Quota.since)).one()
        given_out[since] = given_out.get(since, 0) + count
    assert max(given_out.values()) <= limit
    assert all(later - earlier >= HOUR for earlier, later in zip(given_out, list(given_out)[1:], strict=False))
    database.close()


def limited(house: House, port: int, **rates: float) -> Worker:
    worker = house.worker(port)
    smtp = Smtp.model_validate({"url": f"smtp+plain://127.0.0.1:{port}", "connections": 3, **rates})
    return replace(worker, engine=replace(worker.engine, smtp=smtp))


def test_an_issue_waits_for_the_next_hour_and_goes_on_by_itself(database: Database) -> None:
    house = House(database)
    readers = house.readers(25)
    issue = house.issue(slice_of=10)

    async def hour(port: int, expected: int) -> None:
        """Send until the hour is used up; the wait for the next one is cut short."""
        stopping = asyncio.Event()
        sending = asyncio.create_task(limited(house, port, per_hour=10).send_issue(issue, stopping))
        async with asyncio.timeout(60):
            while len(relay.accepted) < expected or house.books(issue).committing:  # noqa: ASYNC110 -- nobody tells.
                await asyncio.sleep(0.05)
        stopping.set()
        await sending

    with ScriptedServer() as relay:
        for expected in (10, 20, 25):
            asyncio.run(hour(relay.port, expected))
            assert len(relay.accepted) == expected
            house.now += HOUR
    assert sorted(relay.accepted) == sorted(readers)
    assert house.issue_state(issue) is IssueState.SENT


def test_messages_follow_each_other_at_the_rate(database: Database) -> None:
    house = House(database)
    house.readers(11)
    issue = house.issue()
    with ScriptedServer() as relay:
        begun = asyncio.run(_timed(limited(house, relay.port, per_second=20), issue))
    assert len(relay.accepted) == 11
    # Ten spaces of a twentieth of a second lie between eleven messages.
    assert begun >= 0.5


async def _timed(worker: Worker, issue: int) -> float:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await worker.send_issue(issue, asyncio.Event())
    return loop.time() - begin
