"""Slices as jobs of procrastinate, on PostgreSQL: spread over any number of workers, woken by NOTIFY (DESIGN 4.1).

The queue only says who could do what next. That a copy leaves once is the ledger's doing: a job that is doubled, late
or lost costs time and nothing else, and a sweep makes the jobs that ought to be there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import psycopg
import sqlalchemy as sa
import structlog
from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import DeleteJobCondition, Job, Status
from procrastinate.schema import SchemaManager
from sqlalchemy.orm import Session

from digest.mail.slices import Slice
from digest.queue.local import guarded
from digest.queue.sending import AT_ONCE, Rest, Sending, sleep
from subscribers import wake
from subscribers.db import Database

log = structlog.get_logger()

SLICES = "slices"
LETTERS = "letters"
FIRST = 10
"""The priority of letters; a slice has none."""
SWEEP_EVERY = 10.0
"""Seconds between two looks for work that has no job: what is due by now, and what a dead worker had."""
LISTEN_FOR = 1.0
"""Seconds between two looks whether this process is to end."""
STALLED_AFTER = 30.0
"""Seconds without a heartbeat after which a worker's jobs are another's."""
AGAIN = 5.0
"""Seconds before workers are started again that lost their database."""

_ours = sa.table("queue_schema", sa.column("step"))


def enqueue(session: Session, slices: Sequence[Slice]) -> None:
    """Make a job for each slice, in the caller's transaction; on SQLite the one process finds them by itself."""
    if session.get_bind().dialect.name == "postgresql":
        _defer(session, [_slice_job(one) for one in slices])


def _defer(session: Session, jobs: list[Job]) -> None:
    """Make those of the jobs that do not wait already."""
    locks = [job.queueing_lock for job in jobs]
    query = sa.text(
        "SELECT queueing_lock FROM procrastinate_jobs WHERE status = 'todo' AND queueing_lock = ANY(:locks)"
    )
    known = set(session.scalars(query, {"locks": locks}))
    missing = [job for job in jobs if job.queueing_lock not in known]
    if not missing:
        return
    connection = session.connection().connection.driver_connection
    # Another may have made the same ones in this moment: the database lets one of us have them.
    with contextlib.suppress(AlreadyEnqueued), session.begin_nested():
        App(connector=SyncPsycopgConnector()).job_manager.batch_defer_jobs(missing, connection=connection)


def _slice_job(one: Slice) -> Job:
    words = {"issue_id": one.issue_id, "number": one.number}
    return Job(
        id=None, task_name=SLICES, queue=SLICES, lock=None, queueing_lock=one.lease, task_kwargs=dict(words), priority=0
    )


def _letters_job() -> Job:
    return Job(
        id=None, task_name=LETTERS, queue=LETTERS, lock=None, queueing_lock=LETTERS, task_kwargs={}, priority=FIRST
    )


def prepare(database: Database) -> None:
    """Make procrastinate's tables, or bring them up to date; several processes may do so at once. SQLite needs none.

    Its own steps are followed from the last one that was taken here, which we keep beside them.
    """
    if database.is_sqlite:
        return
    with database.write() as session:
        session.execute(sa.text("SELECT pg_advisory_xact_lock(1685349234)"))
        session.execute(sa.text("CREATE TABLE IF NOT EXISTS queue_schema (step text PRIMARY KEY)"))
        taken = session.scalar(sa.select(sa.func.max(_ours.c.step)))
        steps = [step for step in _steps() if taken is not None and step > taken]
        for text in [_migration(step) for step in steps] if taken is not None else [SchemaManager.get_schema()]:
            _execute(session, text)
        if taken is None or steps:
            session.execute(sa.delete(_ours))
            session.execute(sa.insert(_ours).values(step=_steps()[-1]))


def _steps() -> list[str]:
    """The names of procrastinate's own migrations, in order."""
    return sorted(path.name for path in Path(SchemaManager.get_migrations_path()).glob("*.sql"))


def _migration(step: str) -> str:
    return (Path(SchemaManager.get_migrations_path()) / step).read_text(encoding="utf-8")


def _execute(session: Session, text: str) -> None:
    """Run a script of several statements, which the database's driver takes whole only without parameters."""
    cursor = session.connection().connection.cursor()
    cursor.execute(text)
    cursor.close()


async def serve(sending: Sending, stopping: asyncio.Event) -> None:
    """Do jobs until `stopping` is set; what is under way is then finished."""

    async def sweep() -> None:
        await _sweep_when_woken(sending, stopping)

    async def work() -> None:
        await _work(sending, stopping)

    async with asyncio.TaskGroup() as group:
        group.create_task(_for_ever("sweep", sweep, stopping))
        group.create_task(_for_ever("jobs", work, stopping))


async def _for_ever(what: str, act: Callable[[], Awaitable[None]], stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        await guarded(what, act, stopping)


async def _sweep_when_woken(sending: Sending, stopping: asyncio.Event) -> None:
    """Look for work whenever somebody says that there is some, and every few seconds in any case."""
    loop = asyncio.get_running_loop()
    async with await psycopg.AsyncConnection.connect(_conninfo(sending.kit.database), autocommit=True) as connection:
        await connection.execute(f"LISTEN {wake.CHANNEL}".encode())
        while not stopping.is_set():
            await asyncio.to_thread(_sweep, sending)
            until = loop.time() + SWEEP_EVERY
            while not stopping.is_set() and loop.time() < until:
                if [one async for one in connection.notifies(timeout=LISTEN_FOR, stop_after=1)]:
                    break


def _sweep(sending: Sending) -> None:
    """Make the jobs that are missing."""
    jobs = [_slice_job(one) for one in sending.due()]
    if sending.letters_due():
        jobs.append(_letters_job())
    if jobs:
        with sending.kit.database.write() as session:
            _defer(session, jobs)


class _Ending(asyncio.Event):
    """Set when these workers are to end; it counts as set as soon as the whole process is to."""

    def __init__(self, stopping: asyncio.Event) -> None:
        super().__init__()
        self._stopping = stopping

    def is_set(self) -> bool:
        """Whether no other message is to be begun: not a turn of the loop later than that is known."""
        return super().is_set() or self._stopping.is_set()


async def _work(sending: Sending, stopping: asyncio.Event) -> None:
    """Two workers in this process: one does letters alone, so that no number of slices keeps a letter waiting."""
    ending = _Ending(stopping)
    async with _make_app(sending, ending).open_async() as app:
        tasks = [
            asyncio.create_task(_worker(app, LETTERS, 1)),
            asyncio.create_task(_worker(app, SLICES, AT_ONCE)),
            asyncio.create_task(_clear_stalled(app)),
        ]
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        ending.set()
        for task in tasks:
            # A worker that is cancelled lets its jobs come to an end, which the event above tells them to.
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    if not stopping.is_set():
        log.warning("the workers lost their database", why=[type(end).__name__ for end in ends])
        await sleep(AGAIN, stopping)


async def _worker(app: App, queue: str, concurrency: int) -> None:
    await app.run_worker_async(
        queues=[queue],
        name=queue,
        concurrency=concurrency,
        install_signal_handlers=False,
        # The ledger keeps what was done; a job that is over tells nothing.
        delete_jobs=DeleteJobCondition.ALWAYS.value,
        stalled_worker_timeout=STALLED_AFTER,
    )


async def _clear_stalled(app: App) -> None:
    """Remove the jobs of workers that died: what is left of them is due, and the sweep makes a job of it."""
    while True:
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_AFTER):
            log.warning("a worker died with a job", job=job.queueing_lock)
            await app.job_manager.finish_job(job, Status.FAILED, delete_job=True)
        await asyncio.sleep(STALLED_AFTER / 2)


def _make_app(sending: Sending, stopping: asyncio.Event) -> App:
    """The two tasks, bound to what this process sends with."""
    conninfo = _conninfo(sending.kit.database)
    app = App(connector=PsycopgConnector(conninfo=conninfo, min_size=1, max_size=AT_ONCE + 4))
    rest = Rest(after_any_stop=True)

    @app.task(name=SLICES)
    async def slices(issue_id: int, number: int) -> None:
        await sleep(sending.rest.seconds, stopping)
        if not stopping.is_set():
            await sending.slice(Slice(issue_id, number), stopping)

    @app.task(name=LETTERS)
    async def letters() -> None:
        await sleep(rest.seconds, stopping)
        if not stopping.is_set():
            rest.after(await sending.letters(stopping), sending.now)

    return app


def _conninfo(database: Database) -> str:
    """The database's address as the driver itself reads it."""
    return database.url.set(drivername="postgresql").render_as_string(hide_password=False)
