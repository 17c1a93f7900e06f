"""Mail that comes in: the pipe of a mail server that has no LMTP, and what is kept for a person."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Annotated

import sqlalchemy as sa
import typer
from sqlalchemy.orm import undefer

from digest.cli.context import Failed, Json, app, expected, house, operator
from digest.cli.printing import plain, print_json, print_table, say
from digest.inbound import arrivals, keeping
from digest.inbound.posted import LARGEST, Posted, from_fields, unpacked
from digest.models import Arrival, ArrivalState, LogEntry
from digest.wiring import House
from subscribers.vault import CannotOpen

BAD_DATA, NO_USER, TRY_AGAIN = 65, 67, 75
"""What a mail server understands of an exit code (sysexits.h): give up, or hand it over again later."""
WHAT_TO_DO = """
(If they want to leave, never to be mailed again or to be erased: `digest subscribers leave|never|erase -`, and type the
address. When it is dealt with: `digest inbound done {}`.)"""
Numbers = Annotated[list[str], typer.Argument(metavar="NUMBER...", help="As `digest inbound list` numbers them.")]
SHOWN = 20_000
"""Characters of a mail that are shown."""

inbound = typer.Typer(help="Mail that comes in: take one in from a pipe, and look at what waits for a person.")
app.add_typer(inbound, name="inbound")


@inbound.callback(invoke_without_command=True)
def take(
    context: typer.Context,
    recipient: Annotated[
        str | None, typer.Option(help="The envelope's recipient; without it the mail's own fields say.")
    ] = None,
    sender: Annotated[str | None, typer.Option(help="The envelope's sender; empty for a bounce.")] = None,
) -> None:
    """Take in the mail on standard input, as a mail server's pipe gives it. Exit code 75: try again later."""
    if context.invoked_subcommand is not None:
        return
    octets = sys.stdin.buffer.read(LARGEST + 1)
    if not octets.strip() or len(octets) > LARGEST:
        sys.stderr.write("a mail is expected on standard input, of at most 256 KB\n")
        raise typer.Exit(BAD_DATA)
    try:
        code, why = _keep(house(), octets, recipient, sender)
    except Exception as error:
        if not isinstance(error, (*expected(), sa.exc.SQLAlchemyError, OSError)):
            raise
        # Whatever is wrong here can be mended, and the mail server keeps the mail until then.
        code, why = TRY_AGAIN, f"the database ({type(error).__name__})" if _is_database(error) else str(error)
    if code:
        sys.stderr.write(f"it cannot be kept{' just now' if code == TRY_AGAIN else ''}: {plain(why)}\n")
        raise typer.Exit(code)


def _is_database(error: Exception) -> bool:
    return isinstance(error, sa.exc.SQLAlchemyError)


def _keep(built: House, octets: bytes, recipient: str | None, sender: str | None) -> tuple[int, str]:
    """Keep a mail; the code to end with, and why it is another than 0."""
    # Without an envelope nobody can tell whom it was for: a copy may go to a mailbox that its fields do not name.
    if recipient is not None and not built.mailboxes().has(recipient):
        return NO_USER, "there is no such mailbox here"
    told = from_fields(octets)
    if sender is not None and "@" not in sender:
        sender = ""  # Postfix's pipe writes MAILER-DAEMON for the null return path.
    mail = Posted(octets, recipient or told.recipient, told.sender if sender is None else sender)
    is_kept = built.doorkeeper().keep(mail)
    return (0, "") if is_kept else (TRY_AGAIN, "too much waits to be read; does the worker run?")


@inbound.command("list")
def list_kept(as_json: Json = False) -> None:
    """Print what waits for a person: it could not be read, or changes nothing by itself."""
    built = house()
    query = sa.select(Arrival).where(Arrival.state == ArrivalState.KEPT).order_by(Arrival.id)
    with built.database.read() as session:
        kept = session.scalars(query).all()
        waiting = session.scalar(sa.select(sa.func.count()).where(Arrival.state == ArrivalState.WAITING)) or 0
    if as_json:
        rows = [{"id": one.id, "from": one.source, "arrived": one.arrived_at, "why": one.outcome} for one in kept]
        print_json({"kept": rows, "waiting": waiting})
        return
    print_table(
        ("id", "from", "arrived", "why"), [(o.id, o.source, f"{o.arrived_at:%F %H:%M}", o.outcome) for o in kept]
    )
    if waiting:
        say(f"{waiting} more wait to be read by the worker")
    if trouble := keeping.trouble(built.database):
        say(trouble)


@inbound.command()
def show(text: Annotated[str, typer.Argument(metavar="NUMBER", help="As `digest inbound list` numbers it.")]) -> None:
    """Print one as plain text. It may hold an address, so this needs the private key."""
    number = _number(text)
    built = house()
    with built.database.read() as session:
        arrival = session.get(Arrival, number, options=[undefer(Arrival.sealed)])
    if arrival is None or arrival.sealed is None:
        raise Failed(f"There is nothing of number {number} to show.")
    try:
        raw = arrivals.opened(built.vault, arrival)
    except CannotOpen as error:
        raise Failed(f"It cannot be opened: {error}.") from error
    if arrival.source == arrivals.MAIL:
        with suppress(ValueError, KeyError):
            mail = unpacked(raw)
            say(f"to {mail.recipient or '(nobody said)'}")
            raw = mail.octets
    say(raw.decode("utf-8", "replace").replace("\r\n", "\n")[:SHOWN])
    say(WHAT_TO_DO.format(number))


@inbound.command()
def done(numbers: Numbers) -> None:
    """Remove what a person has dealt with; all of them, or none where one is wrong."""
    built = house()
    now, wanted = built.clock(), [_number(text) for text in dict.fromkeys(numbers)]
    with built.database.write() as session:
        for number in sorted(wanted):
            arrival = session.get(Arrival, number, with_for_update=True)
            if arrival is None or arrival.state is not ArrivalState.KEPT:
                raise Failed(f"Nothing of number {number} waits for a person; nothing was removed.")
            arrivals.finish(arrival, f"dealt with: {arrival.outcome}", now)
            session.add(LogEntry(at=now, who=operator(), action="inbound", object=f"arrival {number}", detail="done"))
    say("it is removed" if len(wanted) == 1 else f"{len(wanted)} are removed")


def _number(text: str) -> int:
    """Raises `Failed`."""
    if not text.isascii() or not text.isdigit():
        raise Failed(f"{text!r} is no number; `digest inbound list` says which there are.")
    return int(text)
