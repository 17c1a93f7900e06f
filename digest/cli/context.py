"""What all commands share: the configuration, the house, issues by name, and how things are printed."""

from __future__ import annotations

import getpass
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer

from digest.cli.logs import set_up_logs
from digest.cli.printing import say
from digest.configuration import load, path_of
from digest.issues.outcomes import Done, Refused
from digest.models import Issue
from digest.settings import Newsletter, Settings
from digest.weeks import Week
from digest.wiring import House, build


class Failed(Exception):
    """A command did not do what was asked; the message is the line that the operator reads."""


def expected() -> tuple[type[Exception], ...]:
    """What ends a command with exit code 1 and its own words: all that rooms raise for an operator to read."""
    # Their rooms are read where something was raised, and not for each command.
    from digest.cli.failures import EXPECTED

    return EXPECTED


app = typer.Typer(
    name="digest",
    help="A weekly newsletter digest: gather, draft, approve, send, and prove what went to whom.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ROLES = frozenset({"up", "web", "scheduler", "worker", "lmtp"})
"""The commands that run until they are stopped: what they do by the way is written to their log."""

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


def _version(wanted: bool) -> None:
    if wanted:
        say(f"digest {version()}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The digest.toml; else DIGEST_CONFIG, else ./digest.toml.")
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version, and end.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Remember what was said before the command."""
    chosen.config = config
    set_up_logs(quiet=context.invoked_subcommand not in ROLES)


def version() -> str:
    """The version of this program, also where it runs from a checkout that was never installed."""
    try:
        return metadata.version("watchdog-digest")
    except metadata.PackageNotFoundError:
        project = Path(__file__).resolve().parents[2] / "pyproject.toml"
        found: str = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
        return found


def settings() -> Settings:
    """The configuration. Raises `BadSettings`."""
    return load(chosen.config, os.environ)


def settings_file() -> Path:
    """The file that the configuration is read from."""
    return path_of(chosen.config, os.environ)


def house(*, makes: bool = False) -> House:
    """The house, its database brought up to date. Raises what `expected` lists.

    Only where something is first put into it is one made: an answer about a database that nobody has made would be
    about nothing, as where a command is given in the wrong folder.
    """
    return build(settings(), makes=makes)


def operator() -> str:
    """Who acts, for the log."""
    return f"{user()} (command line)"


def user() -> str:
    """Whom the operating system takes us for: a name, or the number of one who has none, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.geteuid()}"


def newsletters(built: House | Settings, slug: str | None) -> list[Newsletter]:
    """The newsletter of that slug, or all. Raises `Failed`."""
    declared = (built if isinstance(built, Settings) else built.settings).newsletters
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
        newest = session.scalar(sa.select(Issue.week).where(Issue.newsletter == slug).order_by(Issue.week.desc()))
    if issue is not None:
        return issue, newsletter
    if newest is None:
        raise Failed(f"{slug} has no issue yet; `digest draft` opens one.")
    raise Failed(f"There is no issue {slug}/{week}; the newest is {slug}/{newest}.")


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
    say(f"{done} {result.note}".strip())


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A block that writes there. Raises `Failed` where that cannot be done."""
    try:
        yield
    except OSError as error:
        raise Failed(f"{path} cannot be written: {error.strerror}.") from error
