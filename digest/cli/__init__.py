"""The command line: a signpost. Each command calls one function of a room below."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

import sqlalchemy as sa
import typer

from digest.cli.context import app, expected
from digest.cli.printing import plain

COMMANDS = {
    "issues": ("gather", "draft", "show", "preview", "test-send", "add", "approve"),
    "checks": ("check",),
    "sending": ("send", "pause", "resume", "cancel", "overdue", "status"),
    "report": ("report", "resolve"),
    "people": ("subscribers",),
    "users": ("users",),
    "roles": ("up", "web", "scheduler", "lmtp", "worker", "demo"),
    "setup": ("init",),
    "keys": ("keys",),
    "dkim": ("dkim",),
    "doctor": ("doctor",),
    "inbound": ("inbound",),
    "transfer": ("subscribers",),
    "form": ("form",),
    "calendar": ("schedule",),
    "search": ("search",),
    "audit": ("log",),
}
"""The modules here, in the order of `digest --help`, and which commands and groups of commands each is read for."""
WITH_VALUE = ("--config", "-c")
"""The options before the command that are followed by a value."""


def main() -> None:
    """Run a command. Exit codes: 0 done, 1 refused or failed with a clear line, 2 wrong usage."""
    command = with_commands(meant(sys.argv[1:]))
    try:
        command()
    except SystemExit:
        raise
    # Worked out only where something was raised that is no end of a command.
    except expected() as error:
        _fail(str(error))
    except sa.exc.OperationalError as error:
        _fail(f"The database cannot be worked with: {error.orig}")


def with_commands(modules: Iterable[str] = COMMANDS) -> typer.Typer:
    """The command line with the commands of some modules, at least."""
    for module in modules:
        importlib.import_module(f"{__name__}.{module}")
    return app


def meant(words: Sequence[str]) -> tuple[str, ...]:
    """The modules that what was typed needs: those of its command, and all where help is asked for or none is named.

    An operator waits for what is read, and all of it takes longer than most commands.
    """
    left = iter(words)
    for word in left:
        if word in WITH_VALUE:
            next(left, None)
        elif not word.startswith("-"):
            return tuple(module for module, commands in COMMANDS.items() if word in commands) or tuple(COMMANDS)
        elif word == "--help":
            break
    return tuple(COMMANDS)


def _fail(why: str) -> NoReturn:
    sys.stderr.write(f"{plain(why).rstrip()}\n")
    sys.exit(1)
