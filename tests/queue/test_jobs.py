"""Slices as jobs on PostgreSQL: made with the freeze, shared by workers, taken over from dead ones."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from procrastinate.schema import SchemaManager

from digest.mail import ledger, steps
from digest.mail.leases import Claim, take_lease
from digest.mail.slices import Slice, slices_of
from digest.models import Delivery, IssueState
from digest.queue import jobs
from digest.queue.worker import Worker
from subscribers.db import Database
from tests.house import House
from tests.smtp_server import Moment, ScriptedServer, Silence

SOON = 30.0


@pytest.fixture
def house(postgres_database: Database) -> House:
    jobs.prepare(postgres_database)
    return House(postgres_database)


def waiting_jobs(database: Database) -> list[str]:
    with database.read() as session:
        query = "SELECT queueing_lock FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id"
        return list(session.scalars(sa.text(query)))


def enqueue(house: House, slices: list[Slice]) -> None:
    with house.database.write() as session:
        jobs.enqueue(session, slices)


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not await asyncio.to_thread(check):  # noqa: ASYNC110 -- the database tells nobody.
            await asyncio.sleep(0.05)


def run_until(
    house: House, workers: list[Worker], check: Callable[[], bool], act: Awaitable[None] | None = None
) -> None:
    """Let workers run until something is so, and then let them end by themselves."""

    async def together() -> None:
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(worker.run(stopping))
            if act:
                await act
            await until(check)
            stopping.set()

    asyncio.run(together())


def is_sent(house: House, issue: int) -> Callable[[], bool]:
    return lambda: house.issue_state(issue) is IssueState.SENT


def test_a_slice_waits_once_however_often_it_is_handed_over(house: House) -> None:
    slices = slices_of(7, 2 * ledger.SLICE + 1)
    assert [one.lease for one in slices] == ["issue 7/0", "issue 7/1", "issue 7/2"]
    enqueue(house, slices[:2])
    enqueue(house, slices)
    assert waiting_jobs(house.database) == ["issue 7/0", "issue 7/1", "issue 7/2"]


def test_jobs_are_made_with_the_transaction_or_not_at_all(house: House) -> None:
    def fail() -> None:
        with house.database.write() as session:
            jobs.enqueue(session, slices_of(7, 10))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert waiting_jobs(house.database) == []


def test_no_job_names_anybody(house: House) -> None:
    house.readers(3)
    enqueue(house, slices_of(house.issue(), 3))
    with house.database.read() as session:
        stored = repr(session.execute(sa.text("SELECT * FROM procrastinate_jobs")).all())
    assert "reader-" not in stored
    assert "example" not in stored


def test_a_worker_sends_what_was_handed_over_and_closes_the_books(house: House) -> None:
    readers = house.readers(23)
    issue = house.issue(slice_of=5)
    enqueue(house, [Slice(issue, number) for number in range(5)])
    with ScriptedServer() as relay:
        run_until(house, [house.worker(relay.port)], is_sent(house, issue))
    assert sorted(relay.accepted) == sorted(readers)
    assert house.books(issue).closes
    assert waiting_jobs(house.database) == []


def test_a_worker_finds_what_nobody_handed_over(house: House) -> None:
    readers = house.readers(4)
    issue = house.issue(slice_of=2)
    with ScriptedServer() as relay:
        run_until(house, [house.worker(relay.port)], is_sent(house, issue))
    assert sorted(relay.accepted) == sorted(readers)


def test_two_workers_share_an_issue_and_every_reader_gets_one(house: House) -> None:
    readers = house.readers(60)
    issue = house.issue(slice_of=5)
    enqueue(house, [Slice(issue, number) for number in range(12)])
    with ScriptedServer() as relay:
        workers = [_owned(house.worker(relay.port), name) for name in ("one", "two")]
        run_until(house, workers, is_sent(house, issue))
    assert sorted(relay.accepted) == sorted(readers)


def test_a_word_wakes_a_worker_that_has_nothing_to_do(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "SWEEP_EVERY", 3600.0)

    async def join() -> None:
        # The first look is over before anybody joins: only the word can bring the second.
        await asyncio.sleep(1)
        await asyncio.to_thread(house.service.join, "watchdog", "somebody@readers.example", house.now)

    with ScriptedServer() as relay:
        run_until(house, [house.worker(relay.port)], lambda: bool(relay.accepted), join())
    assert relay.accepted == ["somebody@readers.example"]


def test_a_letter_does_not_wait_for_slices_that_wait_for_the_relay(house: House) -> None:
    """Every connection for issues hangs at its dot, and a confirmation goes out all the same."""
    readers = house.readers(8)
    issue = house.issue(slice_of=1)

    def plan(moment: Moment) -> Silence | None:
        current[moment.connection] = moment.argument if moment.command == "RCPT" else current.get(moment.connection, "")
        is_issue = any(reader in current[moment.connection] for reader in readers)
        return Silence() if moment.command == "DOT" and is_issue else None

    current: dict[int, str] = {}

    async def join() -> None:
        await until(lambda: house.books(issue).committing == 3)
        await asyncio.to_thread(house.service.join, "watchdog", "somebody@elsewhere.example", house.now)

    with ScriptedServer(plan) as relay:
        worker = house.worker(relay.port, dot=8)
        run_until(house, [worker], lambda: "somebody@elsewhere.example" in relay.accepted, join())
    assert relay.accepted == ["somebody@elsewhere.example"]


def test_what_a_dead_worker_had_is_another_ones_when_its_lease_has_run_out(house: House) -> None:
    readers = house.readers(4)
    issue = house.issue()
    dead = Slice(issue, 0)
    take_lease(house.database, Claim(dead.lease, "dead"), house.now, dt.timedelta(seconds=60))
    enqueue(house, [dead])
    with house.database.write() as session:
        # Its job is "doing", and its worker's heart stopped a minute ago.
        session.execute(
            sa.text("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 minute')")
        )
        dead_worker = "(SELECT max(id) FROM procrastinate_workers)"
        session.execute(sa.text(f"UPDATE procrastinate_jobs SET status = 'doing', worker_id = {dead_worker}"))
    house.now += dt.timedelta(seconds=61)
    with ScriptedServer() as relay:
        run_until(house, [house.worker(relay.port)], is_sent(house, issue))
    assert sorted(relay.accepted) == sorted(readers)
    assert waiting_jobs(house.database) == []


def test_the_queues_tables_are_made_once_and_followed_from_then_on(postgres_database: Database) -> None:
    jobs.prepare(postgres_database)
    jobs.prepare(postgres_database)
    newest = max(path.name for path in Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    with postgres_database.read() as session:
        assert session.scalars(sa.text("SELECT step FROM queue_schema")).all() == [newest]


def test_the_queues_tables_of_an_older_release_are_brought_up_to_date(postgres_database: Database) -> None:
    jobs.prepare(postgres_database)
    older = "03.04.00_01_pre_add_retry_failed_job_procedure.sql"
    trigger = "procrastinate_trigger_status_events_update_v1"
    with postgres_database.write() as session:
        session.execute(sa.text(f"DROP TRIGGER {trigger} ON procrastinate_jobs"))
        session.execute(sa.text("UPDATE queue_schema SET step = :step"), {"step": older})
    jobs.prepare(postgres_database)
    with postgres_database.read() as session:
        assert session.scalar(sa.text("SELECT step FROM queue_schema")) > older
        assert session.scalar(sa.text("SELECT count(*) FROM pg_trigger WHERE tgname = :name"), {"name": trigger}) == 1


def test_an_embedded_database_has_no_queue(sqlite_database: Database) -> None:
    jobs.prepare(sqlite_database)
    with sqlite_database.write() as session:
        jobs.enqueue(session, slices_of(1, 10))
    assert not [name for name in sa.inspect(sqlite_database.engine).get_table_names() if "procrastinate" in name]


def _owned(worker: Worker, name: str) -> Worker:
    return replace(worker, engine=replace(worker.engine, owner=name))


def test_a_process_that_stands_still_in_a_transaction_keeps_nobody_out_for_ever(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen machine kept its row locks, and whoever took its work over waited for them without end."""
    monkeypatch.setattr("subscribers.db.IDLE_IN_TRANSACTION", 1.0)
    jobs.prepare(postgres_database)
    house = House(postgres_database)
    readers = house.readers(4)
    issue = house.issue()
    claim = Claim(Slice(issue, 0).lease, "frozen")
    take_lease(house.database, claim, house.now, dt.timedelta(seconds=60))
    frozen_database = Database(postgres_database.url)
    frozen = frozen_database.writer()
    frozen.begin()
    with postgres_database.read() as session:
        first = session.scalars(sa.select(Delivery.id).order_by(Delivery.id)).first()
    assert first is not None
    assert steps.intend(frozen, [first], claim, house.now) == {first}
    house.now += dt.timedelta(minutes=5)
    with ScriptedServer() as relay:
        run_until(house, [house.worker(relay.port)], is_sent(house, issue))
    # What the frozen one wanted was never committed, so nobody is uncertain.
    assert sorted(relay.accepted) == sorted(readers)
    frozen.invalidate()
    frozen.close()
    frozen_database.close()
