"""Connections and lanes under strain: found in a review of the whole."""

import asyncio
import datetime as dt
from collections import Counter
from dataclasses import replace

import pytest
import sqlalchemy as sa

from digest.issues import control
from digest.issues.outcomes import Done
from digest.mail import pace
from digest.mail.issue_work import IssueWork
from digest.mail.lanes import REST, Lanes
from digest.mail.pace import Rates
from digest.mail.pool import Pool
from digest.mail.providers import Provider
from digest.mail.replies import Reply, Stage
from digest.mail.send import Sender
from digest.mail.slices import Slice
from digest.mail.smtp import Refused, Session
from digest.mail.work import Copy
from digest.models import IssueState
from digest.queue.sending import RELAY_WAIT, Sending
from subscribers.db import Database
from tests.house import NOW, House
from tests.smtp_server import Moment, Say, ScriptedServer

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


def test_letters_go_out_where_an_issue_has_all_connections_that_the_relay_allows(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay allows as many connections as are configured; the issue must not have all of them for its whole run."""
    monkeypatch.setattr("digest.queue.sending.RELAY_WAIT", (0.5,))
    house = House(sqlite_database)
    readers = house.readers(60)
    issue = house.issue(slice_of=1000)
    counted: list[int] = []

    def plan(moment: Moment) -> Say | None:
        if moment.command == "CONNECT" and relay.open > 3:
            return Say(b"421 4.7.0 too many connections\r\n", hang_up=True)
        if moment.command == "RCPT" and "somebody" in moment.argument:
            counted.append(len(relay.accepted))
        return Say(delay=0.1) if moment.command == "DOT" else None

    async def story(port: int) -> None:
        stopping = asyncio.Event()
        worker = asyncio.create_task(house.worker(port, dot=5).run(stopping))
        async with asyncio.timeout(40):
            while len(relay.accepted) < 6:  # noqa: ASYNC110 -- the relay tells nobody.
                await asyncio.sleep(0.05)
            await asyncio.to_thread(house.service.join, "watchdog", "somebody@elsewhere.example", house.now)
            while house.issue_state(issue) is not IssueState.SENT or not counted:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        stopping.set()
        await worker

    with ScriptedServer(plan) as relay:
        asyncio.run(story(relay.port))
    assert counted[0] < len(readers)


def test_a_fault_while_a_copy_waits_for_its_instant_leaves_its_lane_free(sqlite_database: Database) -> None:
    """A lane is the whole process's: a copy that nobody gives back would keep a narrow one full for ever."""
    house = House(sqlite_database)
    house.readers(3)
    issue = house.issue()

    async def story(port: int) -> int:
        engine = house.engine(port)
        engine = replace(engine, smtp=engine.smtp.model_copy(update={"per_second": 0.5}))
        async with Sender(engine) as sender:
            sending = Sending(house.kit, sender)
            run = asyncio.create_task(sending.slice(Slice(issue, 0), asyncio.Event()))
            while not relay.accepted:  # noqa: ASYNC110 -- the relay tells nobody.
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
            return sender.gate.lanes._busy.total()

    with ScriptedServer() as relay:
        assert asyncio.run(story(relay.port)) == 0


def test_a_relay_that_fails_is_left_alone_as_for_one_failure_whatever_number_of_slices_learn_it(
    sqlite_database: Database,
) -> None:
    house = House(sqlite_database)
    house.readers(3)
    issue = house.issue(slice_of=1)

    async def story() -> float:
        async with Sender(house.engine(1)) as sender:
            sending = Sending(house.kit, sender)
            await asyncio.gather(*(sending.slice(Slice(issue, number), asyncio.Event()) for number in range(3)))
            return sending.rest.seconds

    assert asyncio.run(story()) <= RELAY_WAIT[0]


def test_an_issue_that_is_resumed_is_not_paused_again_for_the_old_reason(sqlite_database: Database) -> None:
    """One connection still waits for its answer when somebody resumes what the breaker has stopped."""
    house = House(sqlite_database)
    house.readers(2)
    issue = house.issue(slice_of=1)

    def plan(moment: Moment) -> Say | None:
        return Say(delay=1.5) if moment.command == "DOT" and relay.connections == 1 else None

    async def story(port: int) -> None:
        engine = house.engine(port)
        async with Sender(replace(engine, limits=replace(engine.limits, dot=5))) as sender:
            sending = Sending(house.kit, sender)
            hanging = asyncio.create_task(sending.slice(Slice(issue, 0), asyncio.Event()))
            while not any(moment.command == "DOT" for moment in relay.commands):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            # What the breaker does: the course of the issue is stopped, and a person resumes it.
            sender._courses[f"issue {issue}"].stop("10 answers in a row were about us")
            await sending.slice(Slice(issue, 1), asyncio.Event())
            assert house.issue_state(issue) is IssueState.PAUSED
            with house.database.write() as session:
                assert isinstance(control.resume(session, issue, who="an editor", now=house.now), Done)
            await sending.slice(Slice(issue, 1), asyncio.Event())
            await hanging

    with ScriptedServer(plan) as relay:
        asyncio.run(story(relay.port))
    assert len(relay.accepted) == 2


def test_a_fault_of_one_connection_lets_the_others_hear_the_answer_to_their_dot(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database was away for one reading: nobody whose dot has left may become unknown for that."""
    house = House(sqlite_database)
    house.readers(70)
    issue = house.issue()
    load, loads = IssueWork._load, []

    def failing(work: IssueWork, now: dt.datetime, held: Counter[Provider]) -> list[Copy]:
        loads.append(now)
        if len(loads) > 1:
            raise sa.exc.OperationalError("SELECT", {}, Exception("it was away"))
        return load(work, now, held)

    def plan(moment: Moment) -> Say | None:
        return Say(delay=1.0) if moment.command == "DOT" and moment.connection == 1 and moment.message == 1 else None

    async def story(port: int) -> None:
        engine = house.engine(port)
        async with Sender(replace(engine, limits=replace(engine.limits, dot=5))) as sender:
            sending = Sending(house.kit, sender)
            with pytest.raises(ExceptionGroup):
                await sending.slice(Slice(issue, 0), asyncio.Event())

    monkeypatch.setattr(IssueWork, "_load", failing)
    with ScriptedServer(plan) as relay:
        asyncio.run(story(relay.port))
    assert house.books(issue).committing == 0
    assert house.books(issue).accepted == len(relay.dotted)


def test_many_that_ask_at_once_never_get_the_same_instant(sqlite_database: Database) -> None:
    rates = Rates(per_second=0.01)
    with sqlite_database.write() as session:
        waits = [pace.reserve(session, rates, 1, NOW).wait for _ in range(4)]
    assert waits == [0.0, 100.0, 200.0, 300.0]
