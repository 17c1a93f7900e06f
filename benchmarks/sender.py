"""One sender as a process of its own: the real worker with the whole durable ledger sends one issue.

`python -m benchmarks.sender SETTINGS ISSUE_ID`; the relay is told by the environment, as to every `digest worker`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.stopwatch import timed
from digest.cli.logs import set_up_logs
from digest.configuration import load
from digest.models import Issue, IssueState
from digest.wiring import House, build

LOOK_EVERY = 0.02
"""Seconds between two looks at whether the issue is sent."""
AT_MOST = 3600.0
"""Seconds after which a sender is given up: a relay that is away is tried again for ever."""


async def drive(house: House, work: Callable[[asyncio.Event], Coroutine[Any, Any, None]], issue_id: int) -> float:
    """Be a worker until the issue is sent, alone or beside others: they share it out among themselves.

    `work` is a worker's loop, which ends when it is told to. Returns the instant at which the issue was sent: how
    long a worker then takes to stop is its own affair. Raises `TimeoutError`, or whatever ended the worker.
    """
    stopping = asyncio.Event()
    async with asyncio.timeout(AT_MOST), asyncio.TaskGroup() as group:
        group.create_task(work(stopping))
        while await asyncio.to_thread(_is_sending, house, issue_id):  # noqa: ASYNC110 -- a database sets no event.
            await asyncio.sleep(LOOK_EVERY)
        sent = time.monotonic()
        stopping.set()
    return sent


def _is_sending(house: House, issue_id: int) -> bool:
    with house.database.read() as session:
        return session.scalar(sa.select(Issue.state).where(Issue.id == issue_id)) is IssueState.SENDING


def main() -> None:
    settings, issue_id = Path(sys.argv[1]), int(sys.argv[2])
    set_up_logs(quiet=True)
    house = build(load(settings, os.environ))
    worker = house.worker()
    timed(lambda: asyncio.run(drive(house, worker.run, issue_id)))


if __name__ == "__main__":
    main()
