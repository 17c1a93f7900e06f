"""A sender in a process of its own, to be killed: `python -m tests.mail.crash_sender DATABASE ISSUE PORT MINUTES`."""

import asyncio
import datetime as dt
import sys
from pathlib import Path

from subscribers.db import Database
from subscribers.keys import read_keys
from subscribers.vault import Vault
from tests.house import NOW, House


def main(url: str, issue: str, port: str, minutes: str, keys_file: str) -> None:
    """Send what is due, at NOW and so many minutes."""
    database = Database(url)
    house = House(database, NOW + dt.timedelta(minutes=int(minutes)))
    keys = read_keys(Path(keys_file))
    house.vault = Vault(database, keys)
    engine = house.engine(int(port), owner=f"process {minutes}")
    asyncio.run(engine.run(house.work(int(issue)), asyncio.Event()))


if __name__ == "__main__":
    main(*sys.argv[1:])
