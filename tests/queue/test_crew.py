"""Several worker processes on one machine: they share the work, a dead one is replaced, and they end together."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from digest.crew import run_crew
from digest.models import IssueState
from digest.queue import jobs
from digest.wiring import utc_now
from subscribers.db import Database
from subscribers.keys import write_keys
from tests.house import House, keys
from tests.smtp_server import ScriptedServer

CONFIG = """
keys = "keys"
[web]
base_url = "https://digest.example.org"
[smtp]
url = "smtp+plain://127.0.0.1:{port}"
[database]
url = "{url}"
[newsletters.watchdog]
title = "Watchdog"
sender = "Watchdog <digest@example.org>"
sources = [{{ feed = "https://www.example.org/api/" }}]
"""
SOON = 60.0


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DIGEST_")}
    with (folder / "log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "digest", *words], cwd=folder, env=environ, stderr=log, text=True
        )


def wait_until(check: object, folder: Path) -> None:
    assert callable(check)
    deadline = time.monotonic() + SOON
    while not check():
        assert time.monotonic() < deadline, (folder / "log").read_text()
        # Other processes tell nobody; a short rest leaves them the machine.
        time.sleep(0.05)


def pids(folder: Path) -> list[int]:
    lines = [line for line in (folder / "log").read_text().splitlines() if "a worker starts" in line]
    return [int(line.partition('"pid": ')[2].partition(",")[0].rstrip("}")) for line in lines]


def installation(folder: Path, url: str, port: int) -> None:
    (folder / "digest.toml").write_text(CONFIG.format(port=port, url=url))
    write_keys(folder / "keys", keys())


def test_two_processes_send_one_issue_and_a_dead_one_is_replaced(postgres_empty_url: str, tmp_path: Path) -> None:
    from digest import migrations

    database = Database(postgres_empty_url)
    migrations.upgrade(database)
    jobs.prepare(database)
    house = House(database, utc_now())
    readers = house.readers(40)
    with ScriptedServer() as relay:
        installation(tmp_path, postgres_empty_url, relay.port)
        # The configuration that the parent was given is the children's too.
        (tmp_path / "digest.toml").rename(tmp_path / "other.toml")
        crew = start(tmp_path, "--config", "other.toml", "worker", "--processes", "2")
        try:
            wait_until(lambda: len(pids(tmp_path)) == 2, tmp_path)
            os.kill(pids(tmp_path)[0], signal.SIGKILL)
            wait_until(lambda: len(pids(tmp_path)) == 3, tmp_path)
            issue = house.issue(slice_of=4)
            wait_until(lambda: house.issue_state(issue) is IssueState.SENT, tmp_path)
        finally:
            crew.send_signal(signal.SIGTERM)
            assert crew.wait(SOON) == 0
    assert sorted(relay.accepted) == sorted(readers)
    assert house.books(issue).closes
    database.close()
    for pid in pids(tmp_path):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_an_embedded_database_has_one_sending_process(sqlite_url: str, tmp_path: Path) -> None:
    installation(tmp_path, sqlite_url, 1)
    refused = start(tmp_path, "worker", "--processes", "2")
    assert refused.wait(SOON) == 1
    assert "SQLite is for one sending process" in (tmp_path / "log").read_text()


def test_a_process_that_dies_again_and_again_is_waited_for_longer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    monkeypatch.setattr("digest.crew.AGAIN", (0.01, 0.05))

    async def run() -> None:
        stopping = asyncio.Event()
        code = f"open({str(marks)!r}, 'a').write('x'); raise SystemExit(3)"
        crew = asyncio.create_task(run_crew(1, stopping, (sys.executable, "-c", code)))
        async with asyncio.timeout(SOON):
            while not (marks.exists() and len(marks.read_text()) >= 3):  # noqa: ASYNC110 -- a file tells nobody.
                await asyncio.sleep(0.02)
        stopping.set()
        await crew

    asyncio.run(run())
