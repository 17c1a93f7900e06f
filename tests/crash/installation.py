"""A whole installation in a folder: digest.toml, keys, a database with an approved issue and its readers.

What runs on it are the real commands, or processes that are wired as those are.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import subprocess
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path

from digest import configuration, migrations
from digest.issues.plan import URGENT
from digest.schedule import tick_once
from digest.wiring import build
from subscribers.db import Database
from subscribers.keys import write_keys
from tests.crash.sender import SEND_AT
from tests.crash.stage import approved_issue
from tests.house import keys
from tests.issues.newsroom import MAIN, TROUBLE

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """\
[newsletters.watchdog]
title = "Watchdog"
timezone = "Europe/Prague"
sender = "Watchdog <digest@example.org>"
publisher = "The Example Newsroom, 1 Example Street"
sources = [{{ feed = "{main}" }}, {{ feed = "{trouble}", section = "Journalists in Trouble" }}]

[database]
url = "{database}"

[smtp]
url = "smtp+plain://127.0.0.1:{port}"
"""


def install(folder: Path, url: str, port: int, readers: int) -> Database:
    """Make one; returns its database."""
    config = CONFIG.format(main=MAIN, trouble=TROUBLE, database=url, port=port)
    (folder / "digest.toml").write_text(config)
    write_keys(folder / "digest.keys", keys())
    database = Database(url)
    migrations.upgrade(database)
    approved_issue(database, readers)
    return database


def command(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start `digest …` there."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DIGEST_")}
    return subprocess.Popen(
        [sys.executable, "-m", "digest", *words],
        cwd=folder,
        env={**environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def tick_and_send(config: Path, together: Barrier) -> None:
    """What a process does that is a scheduler and a worker, at the issue's hour, in the same moment as another."""
    now = SEND_AT
    house = build(configuration.load(config, {}), lambda: now)
    newsletter = house.newsletter("watchdog")
    together.wait(60)
    tick_once(house, newsletter, URGENT)
    together.wait(60)
    asyncio.run(house.worker().send_issue(1, newsletter.slug, asyncio.Event()))
    now += dt.timedelta(minutes=10)
    asyncio.run(house.worker().send_issue(1, newsletter.slug, asyncio.Event()))
    house.database.close()
