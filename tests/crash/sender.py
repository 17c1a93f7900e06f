"""A sender in a process of its own, to be killed: it freezes the issue, sends it, and goes on until its books close."""

from __future__ import annotations

import asyncio
import datetime as dt
import resource
from dataclasses import dataclass, field, replace
from pathlib import Path

import sqlalchemy as sa
import structlog

import digest.mail.send
import tests.house
from digest.issues import control, publish
from digest.issues.publish import Published
from digest.models import IssueState
from digest.queue import Worker
from subscribers.db import Database
from subscribers.keys import Keys
from tests.crash.points import Death, arm
from tests.house import House
from tests.issues.newsroom import BASE_URL, make_newsletter, templates

log = structlog.get_logger()

SEND_AT = dt.datetime(2026, 11, 19, 9, 0, tzinfo=dt.UTC)
STEP = dt.timedelta(minutes=20)
"""How far the clock moves from one run to the next: whoever was put off is due again."""
FAULT = "the database failed"
"""What a sender says of it in its log."""
ROUNDS = 30
"""So many runs a process; ten hours by its clock."""


@dataclass(frozen=True)
class Order:
    """What a sender is told; it is pickled into its process."""

    url: str = field(repr=False)
    keys: Keys = field(repr=False)
    issue_id: int
    port: int
    log: Path
    owner: str
    connections: int = 3
    hours: float = 0.0
    """How long after the issue's hour its clock begins. A dead sender's lease has run out a minute later."""
    dot: float = 60.0
    """Seconds that a final answer is waited for."""
    renew: float = 15.0
    """Seconds between two renewals of the lease."""
    death: Death | None = None
    """Where it kills itself, if it does."""
    patience: float = 0.0
    """Seconds to wait after a fault of the database before it goes on; 0: the fault is the end of the process."""
    rounds: int = ROUNDS
    disk: int | None = None
    """How many octets there are left on its disk, until the first fault; none: as many as the machine gives."""


def send(order: Order) -> None:
    """What the process does. It ends with 0 when it could do all it was to do."""
    with order.log.open("a") as written:
        structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=written))
        if order.death and not order.death.point.is_on_wire:
            arm(order.death)
        digest.mail.send.RENEW = order.renew
        database = Database(order.url)
        asyncio.run(_carry_on(_house(database, order), order))
        database.close()


def _house(database: Database, order: Order) -> House:
    # Every process of an installation reads the same keys; making new ones is what the tests' house would do.
    setattr(tests.house, "keys", lambda: order.keys)  # noqa: B010 -- a type checker rightly minds the plain way.
    return House(database, SEND_AT + dt.timedelta(hours=order.hours), newsletter=make_newsletter())


def _worker(house: House, order: Order) -> Worker:
    worker = house.worker(order.port, dot=order.dot)
    smtp = worker.engine.smtp.model_copy(update={"connections": order.connections})
    return replace(worker, engine=replace(worker.engine, smtp=smtp, owner=order.owner))


async def _carry_on(house: House, order: Order) -> None:
    _freeze(house, order.issue_id)
    worker = _worker(house, order)
    if order.disk is not None:
        _leave_space(_largest(house.database) + order.disk)
    for _ in range(order.rounds):
        try:
            await worker.send_issue(order.issue_id, house.newsletter.slug, asyncio.Event())
            going_out = _resumed(house, order.issue_id)
        except* sa.exc.SQLAlchemyError as faults:
            # What the worker's own loop does with it: wait, and go on.
            if not order.patience:
                raise
            log.warning(FAULT, kind=type(faults.exceptions[0]).__name__)
            going_out = True
            await asyncio.sleep(order.patience)
            _leave_space(resource.RLIM_INFINITY)
        if not going_out:
            return
        house.now += STEP


def _freeze(house: House, issue_id: int) -> None:
    paper, made = house.newsletter, templates()
    # By the module's name for it, so that a death that was armed there is met.
    done = publish.publish(house.database, issue_id, paper, made, BASE_URL, house.now, at_once=True)
    assert isinstance(done, Published), done


def _resumed(house: House, issue_id: int) -> bool:
    """Whether the issue still goes out; where the sender has asked for a person, one comes and says go on."""
    if house.issue_state(issue_id) is IssueState.PAUSED:
        with house.database.write() as session:
            control.resume(session, issue_id, who="Ada", now=house.now)
    return house.issue_state(issue_id) is IssueState.SENDING


def _largest(database: Database) -> int:
    """The size of an SQLite database's largest file: itself, or its write-ahead log."""
    path = Path(database.url.database or "")
    return max(one.stat().st_size for one in path.parent.glob(f"{path.name}*"))


def _leave_space(size: int) -> None:
    """Let no file of this process grow beyond that: Python ignores SIGXFSZ, so a write that does not fit fails.

    That stands in for a full disk, which would need a file system of its own and root. Unlike `max_page_count` it also
    holds for the write-ahead log, which is where a commit is written first.
    """
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
