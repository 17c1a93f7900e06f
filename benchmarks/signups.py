"""Sign-ups: a web process that is sent so many a second, and whether known addresses can be told from new ones.

The load is sent open-loop: each request has its instant, whether the one before it was answered or not, and its time is
counted from that instant. So a process that falls behind cannot hide it. The generator has the same cores as the web
process; what it takes of them is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import http.client
import itertools
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import sqlalchemy as sa

from benchmarks.evenness import Compared, measure
from benchmarks.ground import Ground, environment
from benchmarks.issue import SLUG
from benchmarks.tools import LOOPBACK, ROOT, STARTS_WITHIN, Failed, free_port
from subscribers.models import Subscription
from subscribers.networks import prefix_of
from subscribers.tokens import fill_stamp

LANES = 24
"""Connections that the load comes by; a browser keeps its own open too."""
FILLED_IN = dt.timedelta(minutes=1)
"""How long ago the form was handed out."""
WARM = 2.0
"""Seconds of the same load before anything is counted."""
BUDGETS = (
    "PER_HOUR",
    "PREFIX_PER_HOUR",
    "DOMAIN_PER_HOUR",
    "UNPROVEN_PER_HOUR",
    "UNPROVEN_PREFIX_PER_HOUR",
    "HARD_AT",
    "PAUSE_AT",
)
"""All that would ask more of whoever comes so often from one address of loopback."""


@dataclass(frozen=True)
class Web:
    """A web process."""

    port: int
    pid: int


@dataclass(frozen=True)
class Load:
    """What came of a load: answers a second, the 99th percentile, and CPU of both sides in seconds a second."""

    rate: float
    p99: float
    median: float
    server_cpu: float
    own_cpu: float


@contextmanager
def serving(ground: Ground) -> Iterator[Web]:
    """One web process on the ground's database, without budgets that would stop the load. Raises `Failed`."""
    port = free_port()
    without = {f"DIGEST_FORM_{name}": str(10**9) for name in BUDGETS}
    base = {"DIGEST_WEB_PORT": str(port), "DIGEST_WEB_BASE_URL": f"http://{LOOPBACK}:{port}"}
    command = [sys.executable, "-m", "digest", "--config", str(ground.settings), "web"]
    environ = {**environment(1, 1, 1), **without, **base}
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield Web(port, process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
            return
        time.sleep(0.05)
    raise Failed("the web process did not start")


def sustained(ground: Ground, web: Web, rate: int, seconds: float) -> Load:
    """Send so many sign-ups a second for so long, and count what became durable. Raises `Failed`."""
    before = _count(ground)
    numbers = itertools.count(before)
    asyncio.run(_send(ground, web.port, rate, WARM, numbers))
    warm, server, own = _count(ground), _cpu_of(web.pid), time.process_time()
    begun = time.monotonic()
    times = asyncio.run(_send(ground, web.port, rate, seconds, numbers))
    took = time.monotonic() - begun
    stored = _count(ground) - warm
    if stored != len(times):
        raise Failed(f"{len(times)} sign-ups were answered, and {stored} stored")
    p99 = statistics.quantiles(times, n=100)[98]
    server, own = _cpu_of(web.pid) - server, time.process_time() - own
    return Load(len(times) / took, p99, statistics.median(times), server / took, own / took)


async def _send(ground: Ground, port: int, rate: int, seconds: float, numbers: Iterator[int]) -> list[float]:
    """Let the lanes share the instants; returns how long each answer took from its instant on."""
    times: list[float] = []
    loop = asyncio.get_running_loop()
    begun = loop.time() + 0.1
    due = iter([begun + number / rate for number in range(int(rate * seconds))])

    async def lane() -> None:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        for at in due:
            await asyncio.sleep(max(0.0, at - loop.time()))
            writer.write(_request(ground, port, next(numbers)))
            await _answer(reader)
            times.append(loop.time() - at)
        writer.close()

    await asyncio.gather(*(lane() for _ in range(LANES)))
    return times


def _request(ground: Ground, port: int, number: int) -> bytes:
    body = urlencode(_fields(ground, f"signup-{number}@new{number % 50}.example")).encode()
    head = (
        f"POST /subscribe HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    )
    return head.encode() + body


def _fields(ground: Ground, address: str) -> dict[str, str]:
    stamp = fill_stamp(ground.house.keys.token, ground.house.clock() - FILLED_IN, prefix_of(LOOPBACK))
    return {"newsletter": SLUG, "email": address, "filled": stamp, "website": ""}


async def _answer(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise Failed(f"a sign-up was answered with {head[:30]!r}")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))


def told_apart(ground: Ground, web: Web, pairs: int, turn: int) -> Compared:
    """Ask for a reader who is subscribed and for somebody new, in pairs, over one connection."""
    known = (f"reader-{number % 200 + 1}@readers{(number % 200 + 1) % 50}.example" for number in itertools.count())
    new = (f"told-{turn}-{number}@new.example" for number in itertools.count())
    connection = http.client.HTTPConnection(LOOPBACK, web.port)

    def ask(addresses: Iterator[str]) -> Callable[[], object]:
        return lambda: _post(connection, urlencode(_fields(ground, next(addresses))))

    try:
        measure(ask(new), ask(known), 100, random.Random(turn))
        return measure(ask(new), ask(known), pairs, random.Random(turn + 1))
    finally:
        connection.close()


def _post(connection: http.client.HTTPConnection, body: str) -> None:
    connection.request("POST", "/subscribe", body, {"Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    if answer.status != http.HTTPStatus.OK:
        raise Failed(f"a sign-up was answered with {answer.status}")
    answer.read()


def _count(ground: Ground) -> int:
    with ground.house.database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Subscription)) or 0


def _cpu_of(pid: int) -> float:
    """Seconds, user and system, that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
