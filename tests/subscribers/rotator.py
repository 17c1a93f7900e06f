"""A process that rotates keys and says each durable step on its standard output, to be killed at one of them.

It stops after each step until it is told to go on, so that a kill finds it exactly there.
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

from subscribers.db import Database
from subscribers.keys import read_keys
from subscribers.rotation import begin, close, finish, forget, reseal


def utc_now() -> dt.datetime:
    """The machine's clock."""
    return dt.datetime.now(dt.UTC)


def tell(step: str, _count: int) -> None:
    """Say a step, and wait for a line."""
    sys.stdout.write(f"{step}\n")
    sys.stdout.flush()
    sys.stdin.readline()


def main(url: str, path: Path) -> None:
    """Begin or go on, and finish as far as the clock allows."""
    database, keys = Database(url), read_keys(path)
    if not keys.previous:
        keys = begin(database, path, utc_now(), tell)
    close(database, keys, utc_now(), tell)
    reseal(database, keys, utc_now, tell)
    forget(database, utc_now(), tell)
    finish(database, path, utc_now(), tell)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
