"""The import of a large list, from the file to the last row, into a fresh database."""

from __future__ import annotations

import datetime as dt
import random
import time
from pathlib import Path

from benchmarks.tools import Failed
from digest import migrations
from digest.wiring import utc_now
from subscribers.db import Database
from subscribers.transfer.bringing import Bringing, Request
from subscribers.transfer.plan import Fate
from subscribers.vault import Vault, make_keys

HEADER = (
    "Email Address,First Name,Last Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,"
    "GMTOFF,DSTOFF,TIMEZONE,CC,REGION,LAST_CHANGED,LEID,EUID,NOTES\n"
)
REPEATED = 100
"""Every so many rows, one about somebody of before."""
OWN_DOMAIN = 10
"""Every so many people have a domain that nobody else has; the others share fifty."""
FIRST = dt.datetime(2021, 3, 1, 10)  # noqa: DTZ001 -- an export names no zone.
YEARS, APART = 5 * 365 * 24 * 3600, 7_919_003
"""They have asked at any second of so many years, in no order."""


def write_list(path: Path, rows: int) -> None:
    """A Mailchimp export of so many rows, in no order."""
    numbers = [number - number % REPEATED if number % REPEATED == 1 else number for number in range(rows)]
    random.Random(rows).shuffle(numbers)
    with path.open("w", encoding="utf-8") as file:
        file.write(HEADER)
        file.writelines(_row(number) for number in numbers)


def _row(number: int) -> str:
    domain = f"own{number}.example.net" if number % OWN_DOMAIN == 0 else f"readers{number % 50}.example.com"
    asked = FIRST + dt.timedelta(seconds=number * APART % YEARS)
    confirmed = asked + dt.timedelta(seconds=number % 900)
    return (
        f"reader.{number}@{domain},Ann,Person,2,{asked},192.0.2.1,{confirmed},192.0.2.1,"
        f"2,2,Europe/Prague,cz,10,2026-05-05 10:00:00,{number},{number:010x},\n"
    )


def import_rate(url: str, path: Path, rows: int) -> float:
    """Rows a second into an empty database. Raises `Failed` where not all of them came in."""
    database = Database(url)
    try:
        migrations.upgrade(database)
        keys = make_keys()
        run = Bringing(database, Vault(database, keys), Request(path, "watchdog", "en"), utc_now(), keys)
        begun = time.perf_counter()
        tally = run.bring(path.with_suffix(".rejected"))
        took = time.perf_counter() - begun
    finally:
        database.close()
    if tally.rows != rows or tally.fates[Fate.NEW] + tally.fates[Fate.REPEATED] != rows:
        raise Failed(f"of {rows} rows, {tally.fates[Fate.NEW]} came in and {tally.fates[Fate.REPEATED]} were repeated")
    return rows / took
