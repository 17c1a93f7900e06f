"""Postfix's `smtp-sink` (a relay that takes everything) and `smtp-source` (a generator in C), and our own proxy."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""Where the benchmarks' own processes are started, so that they run the code beside them."""
PLACES = "/usr/sbin:/usr/local/sbin"
"""Where Debian keeps Postfix's tools; only an administrator's PATH names it."""
LOOPBACK = "127.0.0.1"
STARTS_WITHIN = 10.0
"""Seconds until a server must answer."""
BACKLOG = 1000
"""Connections that may wait at the sink."""


class Missing(Exception):
    """A tool is not installed; the message says how to get it."""


class Failed(Exception):
    """A run did not do its work, so that its time says nothing."""


@dataclass(frozen=True)
class Tools:
    """Where Postfix's tools are."""

    sink: str
    source: str


def find_tools(places: str) -> Tools:
    """The tools, looked for on PATH and in `places`. Raises `Missing`."""
    path = os.pathsep.join([os.environ.get("PATH", ""), places])
    found = {name: shutil.which(name, path=path) for name in ("smtp-sink", "smtp-source")}
    if lacking := [name for name, where in found.items() if where is None]:
        raise Missing(f"{' and '.join(lacking)} not found: they are in Debian's postfix, `apt-get install postfix`")
    return Tools(sink=str(found["smtp-sink"]), source=str(found["smtp-source"]))


@contextlib.contextmanager
def sink(tools: Tools) -> Iterator[int]:
    """A relay on a free port of loopback that takes every message and throws it away. Raises `Failed`."""
    port = free_port()
    # It refuses to stay an administrator.
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = [tools.sink, *user, f"{LOOPBACK}:{port}", str(BACKLOG)]
    with _stopped(subprocess.Popen(command, stdout=subprocess.DEVNULL, text=True)) as process:
        _wait_for(port, process)
        yield port


@contextlib.contextmanager
def proxy(port: int, round_trip: float) -> Iterator[int]:
    """A way to that port of so many seconds there and back, in a process of its own. Raises `Failed`."""
    command = [sys.executable, "-m", "benchmarks.proxy", str(port), str(round_trip / 2)]
    with _stopped(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)) as process:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise Failed("the delaying proxy did not start")
        yield int(line)


def generate(tools: Tools, port: int, *, messages: int, connections: int, octets: int, kept: bool) -> float:
    """Let `smtp-source` send so many messages of that size; returns the seconds it took.

    `kept`: over connections that stay, otherwise over a new one for each message. Raises `Failed`.
    """
    sizes = ["-s", str(connections), "-m", str(messages), "-l", str(octets)]
    # Where a sink under load drops the first packet of a connection, it is sent again.
    envelope = ["-C", "10", "-f", "digest@example.org", "-t", "reader@readers.example"]
    begun = time.monotonic()
    done = subprocess.run(
        [tools.source, *(["-d"] if kept else []), *sizes, *envelope, f"{LOOPBACK}:{port}"], check=False
    )
    if done.returncode:
        raise Failed(f"smtp-source ended with {done.returncode}")
    return time.monotonic() - begun


@contextlib.contextmanager
def _stopped(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The process, ended with the block."""
    with process:
        try:
            yield process
        finally:
            process.terminate()


def free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as one:
        port: int = one.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    """Wait for a server's greeting. Raises `Failed`."""
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1) as one:
            if one.recv(3) == b"220":
                one.sendall(b"QUIT\r\n")
                # The sink complains of guests who do not wait for its goodbye.
                while one.recv(1024):
                    pass
                return
        time.sleep(0.02)
    raise Failed("smtp-sink did not start")
