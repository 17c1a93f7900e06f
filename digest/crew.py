"""Several worker processes on one machine, so that all its cores send: started, watched and ended together."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from digest.queue.sending import sleep

log = structlog.get_logger()

AGAIN = (1.0, 5.0, 30.0)
"""Seconds before a process is started again that died, the first time, the second, …"""
STEADY = 60.0
"""After so many seconds of work a process's earlier deaths are forgotten."""


def worker_command(config: Path | None) -> tuple[str, ...]:
    """How one worker is started, with the configuration that this process was given."""
    chosen = () if config is None else ("--config", str(config))
    return (sys.executable, "-m", "digest", *chosen, "worker")


async def run_crew(size: int, stopping: asyncio.Event, command: Sequence[str]) -> None:
    """Keep so many processes at work until `stopping` is set; each then finishes what is under way (S-14)."""
    async with asyncio.TaskGroup() as group:
        for number in range(1, size + 1):
            group.create_task(_keep_one(number, stopping, command))


async def _keep_one(number: int, stopping: asyncio.Event, command: Sequence[str]) -> None:
    loop = asyncio.get_running_loop()
    deaths = 0
    while not stopping.is_set():
        began = loop.time()
        code = await _run_one(number, stopping, command)
        if stopping.is_set():
            return
        deaths = 1 if loop.time() - began > STEADY else deaths + 1
        wait = AGAIN[min(deaths, len(AGAIN)) - 1]
        log.error("a worker died; another takes its place", worker=number, code=code, seconds=wait)
        await sleep(wait, stopping)


async def _run_one(number: int, stopping: asyncio.Event, command: Sequence[str]) -> int:
    """One process from its start to its end; returns its exit code."""
    try:
        process = await asyncio.create_subprocess_exec(*command)
    except OSError as error:
        # The machine has no room for another process just now; those that run must go on.
        return error.errno or 1
    log.info("a worker starts", worker=number, pid=process.pid)
    stop = asyncio.create_task(stopping.wait())
    ended = asyncio.create_task(process.wait())
    await asyncio.wait((stop, ended), return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not ended.done():
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
    return await ended
