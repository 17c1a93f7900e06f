"""Which modules a command reads: its own, and all of them where it is not clear which."""

from __future__ import annotations

import pytest
from typer.models import CommandInfo

from digest.cli import COMMANDS, meant, with_commands


def test_the_table_says_where_each_command_is():
    app = with_commands()
    found = {(where(one), one.name or getattr(one.callback, "__name__", "")) for one in app.registered_commands}
    for group in app.registered_groups:
        assert group.typer_instance
        found |= {(where(one), group.name) for one in group.typer_instance.registered_commands}
    assert found == {(module, name) for module, names in COMMANDS.items() for name in names}


def where(command: CommandInfo) -> str:
    assert command.callback
    return command.callback.__module__.rpartition(".")[2]


@pytest.mark.parametrize(
    ("typed", "modules"),
    [
        ("report watchdog/2026-W47 --json", ("report",)),
        ("subscribers import readers.csv", ("people", "transfer")),
        ("-c other.toml check --help", ("checks",)),
        ("--config report search verdict", ("search",)),
        ("", tuple(COMMANDS)),
        ("--help", tuple(COMMANDS)),
        ("--help report", tuple(COMMANDS)),
        ("reprot status", tuple(COMMANDS)),
    ],
)
def test_what_was_typed_says_which_are_read(typed: str, modules: tuple[str, ...]):
    assert meant(typed.split()) == modules
