"""What several senders, or one that is asked twice, must not do to an issue: found in a review of the whole."""

import asyncio
import datetime as dt
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa
from procrastinate import PsycopgConnector

from digest.mail import ledger, pace
from digest.mail.commits import Commits
from digest.mail.leases import Claim, take_lease
from digest.mail.ledger import Verdict
from digest.mail.pace import Rates
from digest.mail.providers import Provider
from digest.mail.send import Sender
from digest.mail.slices import Slice, due_slices
from digest.models import Delivery, DeliveryState, Issue, IssueState
from digest.queue import jobs
from digest.queue.sending import Sending
from subscribers.db import Database
from tests.house import House
from tests.smtp_server import Moment, Say, ScriptedServer

SOON = 30.0


@pytest.fixture
def house(database: Database) -> House:
    jobs.prepare(database)
    return House(database)


@pytest.fixture
def many(postgres_database: Database) -> House:
    """A house on the database that several processes share."""
    jobs.prepare(postgres_database)
    return House(postgres_database)


def away(database: Database, seconds: float) -> None:
    """Let nobody use a database for a while, as if its server were started anew."""
    name = database.url.database
    server = Database(database.url.set(database="postgres"))
    with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        connection.execute(
            sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
        )
        time.sleep(seconds)
        connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    server.close()


def deliveries(house: House) -> list[int]:
    with house.database.read() as session:
        return list(session.scalars(sa.select(Delivery.id).order_by(Delivery.id)))


async def until(check: Callable[[], bool], soon: float = SOON) -> None:
    async with asyncio.timeout(soon):
        while not await asyncio.to_thread(check):  # noqa: ASYNC110 -- the database tells nobody.
            await asyncio.sleep(0.05)


def test_of_two_wishes_for_one_dot_in_the_same_commit_one_is_granted(house: House) -> None:
    house.readers(1)
    claim = Claim(Slice(house.issue(), 0).lease, "test")
    take_lease(house.database, claim, house.now, dt.timedelta(seconds=60))
    delivery = deliveries(house)[0]

    async def both() -> list[Verdict]:
        async with Commits(house.database, lambda: house.now) as commits:
            return list(await asyncio.gather(commits.intend(delivery, claim), commits.intend(delivery, claim)))

    assert sorted(verdict.value for verdict in asyncio.run(both())) == ["go", "stop"]


def test_a_connection_whose_answer_was_lost_is_granted_no_further_dot(house: House) -> None:
    """Else it would have two uncertain messages: the one whose answer was lost, and the one it had meant to send."""
    house.readers(2)
    claim = Claim(Slice(house.issue(), 0).lease, "test")
    take_lease(house.database, claim, house.now, dt.timedelta(seconds=60))
    first, second = deliveries(house)

    async def story() -> None:
        async with Commits(house.database, lambda: house.now) as commits:
            assert await commits.intend(first, claim) is Verdict.GO
            lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            lost.set_exception(OSError("the disk is full"))
            with pytest.raises(OSError, match="full"):
                await commits.intend(second, claim, lost)

    asyncio.run(story())
    with house.database.read() as session:
        states = session.scalars(sa.select(Delivery.state).order_by(Delivery.id)).all()
    assert states == [DeliveryState.COMMITTING, DeliveryState.QUEUED]


def test_a_process_that_is_given_a_slice_twice_sends_it_once(house: House) -> None:
    readers = house.readers(1)
    issue = house.issue()

    async def twice(port: int) -> list[object]:
        async with Sender(house.engine(port)) as sender:
            sending = Sending(house.kit, sender)
            runs = (sending.slice(Slice(issue, 0), asyncio.Event()) for _ in range(2))
            return await asyncio.gather(*runs)

    with ScriptedServer() as relay:
        runs = asyncio.run(twice(relay.port))
    assert relay.dotted == readers
    assert [run is None for run in runs].count(True) == 1


def test_jobs_that_pile_up_while_the_relay_is_left_alone_double_nobody(
    many: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "SWEEP_EVERY", 0.2)
    monkeypatch.setattr(jobs, "LISTEN_FOR", 0.1)
    monkeypatch.setattr("digest.queue.sending.RELAY_WAIT", (3.0,))
    readers = many.readers(2)
    issue = many.issue()
    refusals = []

    def plan(moment: Moment) -> Say | None:
        if moment.command == "CONNECT" and moment.connection <= len(readers):
            refusals.append(moment)
            return Say(b"421 4.3.2 not now\r\n", hang_up=True)
        return Say(delay=0.2) if moment.command == "DATA" else None

    async def story(port: int) -> None:
        stopping = asyncio.Event()
        worker = asyncio.create_task(many.worker(port).run(stopping))
        await until(lambda: many.issue_state(issue) is IssueState.SENT)
        stopping.set()
        await worker

    with ScriptedServer(plan) as relay:
        asyncio.run(story(relay.port))
    assert refusals
    assert sorted(relay.dotted) == sorted(readers)


def test_two_processes_that_are_told_too_fast_at_once_lose_no_outcome(many: House) -> None:
    """Whoever comes second must not fail: a whole group commit of answers, twenty readers', would be lost with it."""
    many.readers(2)
    many.issue()
    delivery = deliveries(many)[0]
    rest = many.now + dt.timedelta(minutes=10)

    def slow(database: Database) -> None:
        with database.write() as session:
            ledger.slow_down(session, delivery, Provider.GOOGLE, rest, "421 4.7.28", many.now)

    failed: list[BaseException] = []

    def second() -> None:
        try:
            slow(many.database)
        except sa.exc.SQLAlchemyError as error:
            failed.append(error)

    other = threading.Thread(target=second)
    with many.database.write() as session:
        ledger.slow_down(session, delivery, Provider.GOOGLE, rest, "421 4.7.28", many.now)
        session.flush()
        other.start()
        other.join(0.5)
    other.join(10)
    assert not failed


def test_the_first_use_of_a_quota_by_two_at_once_fails_for_neither(many: House) -> None:
    rates = Rates(per_hour=100)
    failed: list[BaseException] = []

    def second() -> None:
        try:
            with many.database.write() as session:
                pace.reserve(session, rates, 3, many.now)
        except sa.exc.SQLAlchemyError as error:
            failed.append(error)

    other = threading.Thread(target=second)
    with many.database.write() as session:
        pace.reserve(session, rates, 3, many.now)
        other.start()
        other.join(0.5)
    other.join(10)
    assert not failed
    with many.database.write() as session:
        assert pace.reserve(session, rates, 1000, many.now).count == 94


def test_a_lease_from_a_clock_that_was_wrong_keeps_no_slice_from_being_found(house: House) -> None:
    house.readers(1)
    issue = house.issue()
    dead = Slice(issue, 0)
    take_lease(house.database, Claim(dead.lease, "dead"), house.now + dt.timedelta(days=365), dt.timedelta(seconds=60))
    with house.database.read() as session:
        assert due_slices(session, house.now) == [dead]


def test_a_lost_connection_to_the_database_does_not_keep_letters_back_while_slices_rest(
    many: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slices that wait for a quota until tomorrow must not keep the process's letters until tomorrow."""
    monkeypatch.setattr(jobs, "AGAIN", 0.1)
    monkeypatch.setattr("digest.queue.local.AFTER_A_FAULT", 0.1)
    monkeypatch.setattr(jobs, "SWEEP_EVERY", 0.5)
    many.readers(1)
    issue = many.issue()
    with many.database.write() as session:
        jobs.enqueue(session, [Slice(issue, 0)])

    monkeypatch.setattr(jobs, "STALLED_AFTER", 2.0)
    connector = PsycopgConnector
    monkeypatch.setattr(jobs, "PsycopgConnector", lambda **words: connector(**words, timeout=1.0))

    def doing() -> int:
        with many.database.read() as session:
            query = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'"
            return session.scalar(sa.text(query)) or 0

    async def story(port: int) -> None:
        stopping = asyncio.Event()
        async with Sender(many.engine(port)) as sender:
            sending = Sending(many.kit, sender)
            sending.rest.until = asyncio.get_running_loop().time() + 3600
            serving = asyncio.create_task(jobs.serve(sending, stopping))
            try:
                await until(lambda: doing() > 0)
                await asyncio.to_thread(away, many.database, 4.0)
                await asyncio.to_thread(many.service.join, "watchdog", "somebody@readers.example", many.now)
                await until(lambda: bool(relay.accepted), 12)
            finally:
                stopping.set()
                await serving

    with ScriptedServer() as relay:
        asyncio.run(story(relay.port))
    assert relay.accepted == ["somebody@readers.example"]


def test_a_letter_that_a_dead_sender_left_uncertain_is_named_without_waiting_for_another(house: House) -> None:
    house.service.join("watchdog", "somebody@readers.example", house.now)
    with house.database.write() as session:
        session.execute(sa.update(Delivery).values(state=DeliveryState.COMMITTING))

    with ScriptedServer() as relay:
        asyncio.run(house.worker(relay.port).send_letters(asyncio.Event()))
    assert relay.dotted == []
    assert house.states() == {"unknown": 1}


def test_a_paused_issue_costs_nothing_to_look_at(house: House) -> None:
    house.readers(2)
    issue = house.issue()
    with house.database.write() as session:
        session.execute(sa.update(Issue).where(Issue.id == issue).values(state=IssueState.PAUSED))
    asked: list[str] = []
    sa.event.listen(house.database.engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
    with house.database.read() as session:
        assert due_slices(session, house.now) == []
    assert not [text for text in asked if "deliveries" in text]


def test_a_cancelled_issue_of_a_newsletter_that_is_gone_is_closed_and_not_looked_at_for_ever(house: House) -> None:
    house.readers(1)
    issue = house.issue()
    with house.database.write() as session:
        session.execute(sa.update(Delivery).values(state=DeliveryState.COMMITTING))
        session.execute(sa.update(Issue).values(state=IssueState.CANCELLED))
    kit = replace(house.kit, newsletters={})

    async def story() -> list[Slice]:
        async with Sender(house.engine(1)) as sender:
            sending = Sending(kit, sender)
            await sending.slice(Slice(issue, 0), asyncio.Event())
            return sending.due()

    assert asyncio.run(story()) == []


def test_a_relay_that_refuses_our_letters_is_not_given_all_of_them_at_once(house: House) -> None:
    """The breaker ends a run of letters after ten; the next run must not follow at once and lose the next ten."""
    for number in range(25):
        house.service.join("watchdog", f"somebody-{number}@readers.example", house.now)

    def plan(moment: Moment) -> Say | None:
        return Say(b"554 5.7.1 we do not know you\r\n") if moment.command == "DATA" else None

    async def story(port: int) -> None:
        stopping = asyncio.Event()
        worker = asyncio.create_task(house.worker(port).run(stopping))
        await until(lambda: house.states().get("rejected", 0) >= 10)
        await asyncio.sleep(2)
        stopping.set()
        await worker

    with ScriptedServer(plan) as relay:
        asyncio.run(story(relay.port))
    assert house.states()["queued"] >= 10
