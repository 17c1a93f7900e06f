"""What all commands share: the configuration, the house, issues by name, and how things are printed."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer
from rich.console import Console
from rich.table import Table

from digest.cli.logs import set_up_logs
from digest.configuration import BadSettings, load
from digest.issues.outcomes import Done, Refused
from digest.migrations import BadDatabase
from digest.models import Issue
from digest.settings import Newsletter, Settings
from digest.web.accounts import BadAccount
from digest.weeks import Week
from digest.wiring import House, NeedsPrivateKey, build
from subscribers.keys import BadKeys
from subscribers.vault import WrongKeys


class Failed(Exception):
    """A command did not do what was asked; the message is the line that the operator reads."""


EXPECTED = (Failed, BadSettings, BadKeys, BadDatabase, BadAccount, NeedsPrivateKey, WrongKeys)
"""What ends a command with exit code 1 and its own words."""

app = typer.Typer(
    name="digest",
    help="A weekly newsletter digest: gather, draft, approve, send, and prove what went to whom.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

out = Console(highlight=False, soft_wrap=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
IssueName = Annotated[
    str | None,
    typer.Argument(metavar="[ISSUE]", help="Like watchdog/2026-W47, or only the newsletter: then its newest issue."),
]
NewsletterName = Annotated[
    str | None, typer.Option("--newsletter", "-n", help="Which newsletter; all of them if not given.")
]


@dataclass
class Chosen:
    """The options that stand before the command."""

    config: Path | None = None


chosen = Chosen()


@app.callback()
def options(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The digest.toml; else DIGEST_CONFIG, else ./digest.toml.")
    ] = None,
) -> None:
    """Remember what was said before the command."""
    chosen.config = config
    set_up_logs()


def settings() -> Settings:
    """The configuration. Raises `BadSettings`."""
    return load(chosen.config, os.environ)


def house() -> House:
    """The house, its database brought up to date. Raises what `EXPECTED` lists."""
    return build(settings())


def operator() -> str:
    """Who acts, for the log."""
    return f"{getpass.getuser()} (command line)"


def newsletters(built: House, slug: str | None) -> list[Newsletter]:
    """The newsletter of that slug, or all. Raises `Failed`."""
    declared = built.settings.newsletters
    if slug is None:
        return list(declared.values())
    if slug not in declared:
        raise Failed(f"There is no newsletter {slug!r}; there are: {', '.join(declared)}.")
    return [declared[slug]]


def find_issue(built: House, name: str | None) -> tuple[Issue, Newsletter]:
    """The issue of that name; the newest one where no week is given. Raises `Failed`."""
    slug, _, week = (name or "").partition("/")
    if not slug:
        if len(built.settings.newsletters) > 1:
            raise Failed("There are several newsletters; say which issue is meant, like watchdog/2026-W47.")
        slug = next(iter(built.settings.newsletters))
    (newsletter,) = newsletters(built, slug)
    query = sa.select(Issue).where(Issue.newsletter == slug)
    if week:
        query = query.where(Issue.week == str(parse_week(week)))
    with built.database.read() as session:
        issue = session.scalars(query.order_by(Issue.week.desc()).limit(1)).one_or_none()
    if issue is None:
        raise Failed(f"There is no issue {name or slug}; `digest draft` opens one.")
    return issue, newsletter


def parse_week(text: str) -> Week:
    """A week. Raises `Failed`."""
    try:
        return Week.parse(text)
    except ValueError as error:
        raise Failed(f"{error}.") from None


def settle(result: Done | Refused, done: str) -> None:
    """Print what was done. Raises `Failed` where it was refused."""
    if isinstance(result, Refused):
        raise Failed(result.reason)
    out.print(f"{done} {result.note}".strip())


def print_json(value: Any) -> None:
    """Print a value for programs."""
    out.print_json(json.dumps(value, default=str), indent=2, highlight=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print rows for people."""
    table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(str(cell) if cell is not None else "" for cell in row))
    # A table in a file or a pipe is as wide as it needs to be.
    (out if out.is_terminal else Console(width=200, highlight=False)).print(table)
