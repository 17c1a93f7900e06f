"""Slices in one process: shared connections, and control within a second while they go out."""

import asyncio
import threading
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from digest.issues import control
from digest.issues.outcomes import Done
from digest.mail.course import Run
from digest.mail.send import Sender
from digest.mail.slices import Slice
from digest.models import IssueState
from digest.queue import jobs
from digest.queue.local import Slices
from digest.queue.sending import Sending
from subscribers.db import Database
from tests.house import House
from tests.smtp_server import Moment, ScriptedServer

SOON = 30.0


@pytest.fixture
def house(database: Database) -> House:
    jobs.prepare(database)
    return House(database)


class Brake:
    """A relay that lets so many dots through and then waits until it is let go."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, moment: Moment) -> None:
        if moment.command != "DOT":
            return
        with self._lock:
            self.free -= 1
            held = self.free < 0
        if held:
            self.reached.set()
            assert self.go_on.wait(SOON)


async def until(check: Callable[[], bool]) -> float:
    """Wait for something to be so; returns how many seconds it took."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    async with asyncio.timeout(SOON):
        while not await asyncio.to_thread(check):  # noqa: ASYNC110 -- the database tells nobody.
            await asyncio.sleep(0.02)
    return loop.time() - begin


def step(house: House, act: Callable[..., object], issue: int) -> None:
    with house.database.write() as session:
        assert isinstance(act(session, issue, who="an editor", now=house.now), Done)


def test_slices_of_an_issue_share_the_connections(house: House) -> None:
    readers = house.readers(60)
    issue = house.issue(slice_of=4)
    with ScriptedServer() as relay:
        asyncio.run(house.worker(relay.port).send_issue(issue, asyncio.Event()))
        connections = relay.connections
    assert sorted(relay.accepted) == sorted(readers)
    assert connections <= 3


def test_pause_and_resume_while_it_runs_take_effect_within_a_second(house: House) -> None:
    readers = house.readers(40)
    issue = house.issue(slice_of=7)

    async def story(port: int) -> None:
        stopping = asyncio.Event()
        worker = asyncio.create_task(house.worker(port, dot=SOON).run(stopping))
        await asyncio.to_thread(brake.reached.wait, SOON)
        await asyncio.to_thread(step, house, control.pause, issue)
        brake.go_on.set()
        # Those whose dot had left come to an end; nothing else is begun.
        assert await until(lambda: house.books(issue).committing == 0) < 1
        paused = len(relay.accepted)
        assert paused <= 10 + 3
        assert house.books(issue).queued == 40 - paused
        # Two looks at the database later it still stands still.
        await asyncio.sleep(1.2)
        assert len(relay.accepted) == paused
        await asyncio.to_thread(step, house, control.resume, issue)
        assert await until(lambda: len(relay.accepted) > paused) < 1
        await until(lambda: house.issue_state(issue) is IssueState.SENT)
        stopping.set()
        await worker

    brake = Brake(10)
    with ScriptedServer(brake) as relay:
        asyncio.run(story(relay.port))
    assert sorted(relay.accepted) == sorted(readers)
    assert house.books(issue).closes


def test_cancel_while_it_runs_stops_what_has_not_left_and_closes_the_books(house: House) -> None:
    house.readers(40)
    issue = house.issue(slice_of=7)

    async def story(port: int) -> None:
        stopping = asyncio.Event()
        worker = asyncio.create_task(house.worker(port, dot=SOON).run(stopping))
        await asyncio.to_thread(brake.reached.wait, SOON)
        await asyncio.to_thread(step, house, control.cancel, issue)
        brake.go_on.set()
        assert await until(lambda: house.books(issue).closes) < 1
        stopping.set()
        await worker

    brake = Brake(10)
    with ScriptedServer(brake) as relay:
        asyncio.run(story(relay.port))
    books = house.books(issue)
    assert books.accepted == len(relay.accepted) <= 13
    assert books.excluded == 40 - books.accepted


def test_a_worker_that_is_asked_to_end_finishes_what_is_under_way_and_another_goes_on(house: House) -> None:
    readers = house.readers(40)
    issue = house.issue(slice_of=7)

    async def story(port: int) -> None:
        stopping = asyncio.Event()
        worker = asyncio.create_task(house.worker(port, dot=SOON).run(stopping))
        await asyncio.to_thread(brake.reached.wait, SOON)
        stopping.set()
        brake.go_on.set()
        async with asyncio.timeout(SOON):
            await worker

    brake = Brake(10)
    with ScriptedServer(brake) as relay:
        asyncio.run(story(relay.port))
        books = house.books(issue)
        assert (books.committing, books.unknown) == (0, 0)
        assert books.accepted == len(relay.accepted) <= 13
        asyncio.run(house.worker(relay.port).send_issue(issue, asyncio.Event()))
    assert sorted(relay.accepted) == sorted(readers)
    assert house.books(issue).closes


def test_being_asked_to_end_in_the_moment_when_nothing_is_under_way_is_no_fault(sqlite_database: Database) -> None:
    house = House(sqlite_database)

    async def story() -> None:
        stopping = asyncio.Event()
        async with Sender(house.engine(1)) as sender:
            slices = Slices(Sending(house.kit, sender), stopping)
            stopping.set()
            await slices.step()

    asyncio.run(story())


class Faulty(Sending):
    """Sending in which one slice meets a database that is away, while its sister waits for an answer."""

    def __init__(self, house: House, sender: Sender, brake: Brake) -> None:
        super().__init__(house.kit, sender)
        self.brake = brake

    async def slice(self, slice_: Slice, stopping: asyncio.Event) -> Run | None:
        if slice_.number != 1:
            return await super().slice(slice_, stopping)
        await asyncio.to_thread(self.brake.reached.wait, SOON)
        asyncio.get_running_loop().call_later(0.2, self.brake.go_on.set)
        raise sa.exc.OperationalError("a statement", None, OSError("the database is away"))


def test_a_fault_of_one_slice_does_not_cut_the_answers_to_another(sqlite_database: Database) -> None:
    house = House(sqlite_database)
    readers = house.readers(4)
    issue = house.issue(slice_of=2)

    async def story(port: int) -> None:
        async with Sender(house.engine(port)) as sender:
            with pytest.raises(ExceptionGroup, match="slices failed"):
                await Slices(Faulty(house, sender, brake), asyncio.Event(), issue).until_done()

    brake = Brake(0)
    with ScriptedServer(brake) as relay:
        asyncio.run(story(relay.port))
        books = house.books(issue)
        assert (books.committing, books.unknown, books.accepted) == (0, 0, len(relay.accepted))
        assert books.accepted > 0
        asyncio.run(house.worker(relay.port).send_issue(issue, asyncio.Event()))
    assert sorted(relay.accepted) == sorted(readers)
