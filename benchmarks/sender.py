"""One sender as a process of its own: the real worker with the whole durable ledger sends one issue.

`python -m benchmarks.sender SETTINGS ISSUE_ID`; the relay is told by the environment, as to every `digest worker`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

from benchmarks.issue import SLUG
from benchmarks.stopwatch import timed
from benchmarks.tools import Failed
from digest.cli.logs import set_up_logs
from digest.configuration import load
from digest.models import Issue, IssueState
from digest.queue import Worker
from digest.wiring import House, build

LOOK_EVERY = 0.05
"""Seconds between two looks at an issue that somebody else sends."""


async def drive(house: House, worker: Worker, issue_id: int) -> None:
    """Send the issue, beside whoever else is at it, until it is sent.

    This is the one place that knows how several workers share an issue: by asking again and again. Raises `Failed`.
    """
    stopping = asyncio.Event()
    while await asyncio.to_thread(_is_sending, house, issue_id):
        run = await worker.send_issue(issue_id, SLUG, stopping)
        if run is None:
            await asyncio.sleep(LOOK_EVERY)
        elif run.stopped:
            raise Failed(run.stopped)


def _is_sending(house: House, issue_id: int) -> bool:
    with house.database.read() as session:
        return session.get_one(Issue, issue_id).state is IssueState.SENDING


def main() -> None:
    settings, issue_id = Path(sys.argv[1]), int(sys.argv[2])
    set_up_logs(quiet=True)
    house = build(load(settings, os.environ))
    act = partial(drive, house, house.worker(), issue_id)
    timed(lambda: asyncio.run(act()))


if __name__ == "__main__":
    main()
