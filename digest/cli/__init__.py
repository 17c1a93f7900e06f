"""The command line: a signpost. Each command calls one function of a room below."""

from __future__ import annotations

import sys

from digest.cli import issues, people, roles, sending, setup
from digest.cli.context import EXPECTED, app

__all__ = ["app", "main"]

REGISTERED = (issues, sending, people, roles, setup)


def main() -> None:
    """Run a command. Exit codes: 0 done, 1 refused or failed with a clear line, 2 wrong usage."""
    try:
        app()
    except EXPECTED as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
