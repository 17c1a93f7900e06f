"""The command line: a signpost. Each command calls one function of a room below."""

from __future__ import annotations

import sys
from typing import NoReturn

import sqlalchemy as sa

from digest.cli import (
    audit,
    calendar,
    checks,
    dkim,
    doctor,
    form,
    inbound,
    issues,
    keys,
    people,
    report,
    roles,
    search,
    sending,
    setup,
    transfer,
    users,
)
from digest.cli.context import EXPECTED, app
from digest.cli.printing import plain

__all__ = ["app", "main"]

REGISTERED = (
    *(issues, checks, sending, report, people, users, roles, setup, keys, dkim),
    *(doctor, inbound, transfer, form, calendar, search, audit),
)


def main() -> None:
    """Run a command. Exit codes: 0 done, 1 refused or failed with a clear line, 2 wrong usage."""
    try:
        app()
    except EXPECTED as error:
        _fail(str(error))
    except sa.exc.OperationalError as error:
        _fail(f"The database cannot be worked with: {error.orig}")


def _fail(why: str) -> NoReturn:
    sys.stderr.write(f"{plain(why).rstrip()}\n")
    sys.exit(1)
