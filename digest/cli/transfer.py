"""Moving readers in from another system, and out of this one."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from digest.cli.context import Failed, house, newsletters, operator
from digest.cli.people import subscribers
from digest.cli.printing import counted, one_line, out, print_table, say
from digest.issues import log
from digest.settings import Newsletter
from digest.wiring import House
from subscribers.forms import mentions_address
from subscribers.transfer.bringing import UNKNOWN_WORD, Bringing, HelperEnded, Request
from subscribers.transfer.leaving import count_readers, export
from subscribers.transfer.plan import Fate, Tally
from subscribers.transfer.rejects import rejected_path
from subscribers.transfer.sheet import BadSheet, check_file
from subscribers.transfer.systems import KNOWN_WORDS, MAPPED

_MEANINGS = "|".join(MAPPED)
_COLUMN = re.compile(rf"\s*({_MEANINGS})\s*=(.*?)(?=,\s*(?:{_MEANINGS})\s*=|\Z)", re.DOTALL)

_ENCODINGS = {"utf-8-sig": "UTF-8", "cp1252": "Windows-1252"}

OneNewsletter = Annotated[str, typer.Option("--newsletter", "-n", help="Which newsletter.")]


@subscribers.command("import")
def bring_in(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The export, as the other system gave it.")],
    newsletter: OneNewsletter,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without this, only what would happen is shown.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would happen; so it is anyway.")] = False,
    evidence: Annotated[
        str,
        typer.Option(
            metavar="SENTENCE",
            help="Why these people may be mailed; kept with each. Needed where the export itself does not show it.",
        ),
    ] = "",
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="email=COLUMN,...",
            help="For a CSV of any other system: which column is what. Known: "
            "email, status, subscribed_at, confirmed_at, left_at, source.",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE", help="Only rows that have this value there, like 'List=Weekly'; may be repeated."
        ),
    ] = None,
) -> None:
    """Bring readers in from another system: first look, then again with --yes.

    Reads the exports of Mailchimp, Substack, Ghost, Buttondown, listmonk, MailPoet, phpList and Mailman, and our own,
    by their own columns; anything else with --map. Whoever has left, bounced or complained there is never mailed from
    here; whoever left here is not brought back; whoever had not confirmed there is not taken in. It can be stopped at
    any point, and run again.
    """
    if yes and dry_run:
        raise typer.BadParameter("--yes and --dry-run contradict each other.")
    built = house(makes=True)
    (target,) = newsletters(built, newsletter)
    request = Request(file, target.slug, target.language, _checked(evidence), _columns(columns), _pairs(only))
    run = Bringing(built.database, built.vault, request, built.clock(), built.keys)
    with _reading(file):
        _go(built, run, request, yes=yes)


def _go(built: House, run: Bringing, request: Request, *, yes: bool) -> None:
    check_file(request.path)
    rejected = rejected_path(request.path)
    try:
        with _bar(run, "taking in" if yes else "looking") as on_batch:
            run.bring(rejected, on_batch) if yes else run.survey(on_batch)
    except KeyboardInterrupt:
        if yes:
            _record(built, run, request, "stopped")
        if run.tally.rows:
            _show(run)
        raise Failed("Stopped. What is in stays in, nothing is half done; the same command goes on with it.") from None
    except (BadSheet, HelperEnded, OSError):
        if yes and run.tally.rows:
            _record(built, run, request, "failed")
        raise
    if yes:
        _record(built, run, request, "done")
    if not run.tally.rows and run.passed_by:
        wanted = " and ".join(f"{value!r} in {name}" for name, value in request.only.items())
        raise Failed(f"None of the {counted(run.passed_by, 'row')} has {wanted}; nothing was changed.")
    _show(run)
    _conclude(run, rejected, yes=yes)


def _show(run: Bringing) -> None:
    tally = run.tally
    # Where nothing could be read, it is no system's file, whatever its first line seemed to be.
    system = run.system if tally.fates[Fate.BAD] < tally.rows else "no list that is known here"
    say(f"{system}, {_ENCODINGS.get(run.encoding, run.encoding)}: {counted(tally.rows, 'row')}" + _passed(run))
    if not run.is_encoding_certain:
        say("  This is not UTF-8; it was read as Windows-1252 (cp1252). Look whether names outside ASCII are right.")
    print_table(
        ("rows", "what becomes of them"), [(f"{tally.fates[one]:,}", one.value) for one in Fate if tally.fates[one]]
    )
    if tally.bad_counts:
        rows = [(f"{count:,}", reason, _lines(tally, reason)) for reason, count in tally.bad_counts.most_common()]
        print_table(("rows", "why not", "lines"), rows)


def _passed(run: Bringing) -> str:
    return f", {run.passed_by:,} others passed by" if run.passed_by else ""


def _lines(tally: Tally, reason: str) -> str:
    first = tally.bad.get(reason, [])
    return ", ".join(map(str, first)) + (", …" if tally.bad_counts[reason] > len(first) else "")


def _conclude(run: Bringing, rejected: Path, *, yes: bool) -> None:
    tally = run.tally
    if any(reason.startswith(UNKNOWN_WORD) for reason in tally.bad_counts):
        say(f"Known words for where they stand: {', '.join(KNOWN_WORDS)}.")
    if not tally.rows or tally.fates[Fate.BAD] == tally.rows:
        raise Failed("Not one row could be read: this is no list of readers, or not in the form that it seems to be.")
    if tally.fates[Fate.UNPROVEN]:
        say(
            "Where the file does not show that they agreed, you have to say it: --evidence 'Confirmed by e-mail in our"
            " list on lists.example.org; its log is kept.' It is kept with each subscription."
        )
    if yes and tally.bad_counts:
        say(f"The rows that were not taken in are in {rejected}, with addresses, for you alone; delete it when done.")
    changed = counted(tally.changes, "person", "people")
    if yes:
        say(f"done: {changed} changed")
    else:
        say(f"Nothing was changed. To do it: the same command with --yes. It changes {changed}.")


def _record(built: House, run: Bringing, request: Request, how: str) -> None:
    """Who imported how many, for the log: counts, no address, and no name of a file, which may hold one."""
    fates = run.tally.fates
    detail = ", ".join(f"{one.name.lower()} {fates[one]}" for one in Fate if fates[one])
    with built.database.write() as session:
        log.append(
            session,
            at=built.clock(),
            who=operator(),
            action="import",
            about=request.newsletter,
            detail=f"{how}; {run.system or 'unknown'}: {detail or 'nothing'}",
        )


@subscribers.command("export")
def send_out(
    newsletter: OneNewsletter,
    output: Annotated[Path, typer.Option("--output", "-o", help="The new file to write.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Write the confirmed readers of a newsletter to a file, addresses and all. Needs the private key; is logged.

    `digest subscribers import` reads it again. Who has left is not in it.
    """
    built = house()
    (target,) = newsletters(built, newsletter)
    if built.keys.private is None:
        raise Failed("These keys have no private key, so the list cannot be read here; run it where the sender runs.")
    built.vault.check()
    if output.exists():
        raise Failed(f"{output} is there already; it is not written over.")
    count = count_readers(built.database, target.slug)
    if not yes:
        _ask(target, count, output)
    _export(built, target, output)


def _ask(newsletter: Newsletter, count: int, output: Path) -> None:
    """Let the operator type what they are about to give away. Raises `Failed`."""
    if not sys.stdin.isatty():
        raise Failed("This writes every address in plain text; there is no terminal to ask, so say it with --yes.")
    say(f"This writes {counted(count, 'address', 'addresses')} of {newsletter.slug} to {output} in plain text.")
    if typer.prompt(f"Type {newsletter.slug} to go on", default="", show_default=False) != newsletter.slug:
        raise Failed("Nothing was written.")


def _export(built: House, newsletter: Newsletter, output: Path) -> None:
    # First the entry, then the file: nobody gets the list unnoticed because their disk was full at the end.
    count = count_readers(built.database, newsletter.slug)
    with built.database.write() as session:
        log.append(
            session,
            at=built.clock(),
            who=operator(),
            action="export",
            about=newsletter.slug,
            detail=f"{counted(count, 'address', 'addresses')} in plain text",
        )
    try:
        written = export(built.database, built.vault, newsletter.slug, output)
    except FileExistsError:
        raise Failed(f"{output} is there already; it is not written over.") from None
    except OSError as error:
        raise Failed(f"{output} cannot be written: {error.strerror}.") from error
    say(f"wrote {counted(written, 'reader')} to {output}, for you alone (mode 0600); the log says that you did")


def _checked(evidence: str) -> str:
    """The sentence, as it may be kept. Raises `Failed`."""
    if mentions_address(evidence):
        raise Failed("Say where the consent comes from, not an address: this sentence is stored as it stands.")
    return one_line(evidence)


def _columns(given: list[str] | None) -> dict[str, str]:
    """`email=Column, source=Where from`: a column's own name may have commas in it. Raises `Failed`."""
    found: dict[str, str] = {}
    for text in given or ():
        matches = list(_COLUMN.finditer(text))
        if not matches or "".join(match[0] for match in matches).replace(",", "") != text.replace(",", ""):
            raise typer.BadParameter(f"--map is like email=Column,confirmed_at=Other; it knows {', '.join(MAPPED)}.")
        found |= {match[1]: match[2].strip() for match in matches}
    if given and "email" not in found:
        raise typer.BadParameter("--map needs email=… at least.")
    return found


def _pairs(given: list[str] | None) -> dict[str, str]:
    pairs = [text.partition("=") for text in given or ()]
    if any(not sign for _, sign, _ in pairs):
        raise typer.BadParameter("--only is like COLUMN=VALUE.")
    return {name: value for name, _, value in pairs}


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raises `Failed` with what is wrong with the file."""
    try:
        yield
    except (BadSheet, HelperEnded) as error:
        raise Failed(str(error)) from error
    except OSError as error:
        raise Failed(f"{error.filename or path} cannot be read or written: {error.strerror}.") from error


@contextmanager
def _bar(run: Bringing, what: str) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True, console=out, disable=not out.is_terminal) as bar:
        task = bar.add_task(what)

        def on_batch() -> None:
            bar.update(task, completed=run.position, total=run.size, description=f"{what} {run.tally.rows:,}")

        yield on_batch
