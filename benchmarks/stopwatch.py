"""What a measured process does: get ready, wait for the word, act, and say what it took, in one line of JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tools import ROOT, Failed

READY = "ready"


@dataclass(frozen=True)
class Took:
    """What one process took, from the word on. Instants are of the system's one monotonic clock."""

    begun: float
    ended: float
    cpu: float
    """Seconds, user and system, of all threads."""
    peak: float
    """The most memory it ever held, in MB (10^6 octets)."""


def timed(act: Callable[[], float]) -> None:
    """Wait for the word, act, and print what it took: for the measured process.

    `act` returns the instant, of the monotonic clock, at which its work was done.
    """
    print(READY, flush=True)
    sys.stdin.readline()
    begun, cpu = time.monotonic(), time.process_time()
    ended = act()
    cpu = time.process_time() - cpu
    print(json.dumps({"begun": begun, "ended": ended, "cpu": cpu, "peak": _peak()}), flush=True)


def _peak() -> float:
    # Not `ru_maxrss`: that is inherited from whoever started the process, at the size they had.
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def race(arguments: Sequence[Sequence[str]], environ: Mapping[str, str]) -> list[Took]:
    """Run modules of ours at once, each as a process; the word is given when all are ready. Raises `Failed`."""
    processes = [_start(one, environ) for one in arguments]
    try:
        for process in processes:
            _expect(process, READY)
        for process in processes:
            _say_go(process)
        return [_took(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _start(arguments: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _expect(process: subprocess.Popen[str], word: str) -> None:
    line = process.stdout.readline() if process.stdout else ""
    if line.strip() != word:
        raise Failed("a measured process did not get ready")


def _say_go(process: subprocess.Popen[str]) -> None:
    if process.stdin:
        process.stdin.write("go\n")
        process.stdin.flush()


def _took(process: subprocess.Popen[str]) -> Took:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise Failed("a measured process ended without a result")
    return Took(**json.loads(line))
