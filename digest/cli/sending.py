"""Commands about an issue that goes out: send, pause, resume, cancel, overdue, status."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import sqlalchemy as sa
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from digest.cli.context import Failed, IssueName, Json, app, find_issue, house, operator, settle
from digest.cli.printing import indented, out, print_json, print_table, say
from digest.issues import control
from digest.issues.outcomes import Done, Refused
from digest.issues.overdue import away
from digest.issues.overdue import overdue as late_one
from digest.issues.publish import publish
from digest.mail import selftest
from digest.mail.course import Run
from digest.mail.ledger import Equation
from digest.mail.report_data import books as books_of
from digest.models import Delivery, DeliveryState, Issue, IssueState
from digest.queue import jobs
from digest.queue.worker import Worker
from digest.run import on_signals
from digest.wiring import House

UNKNOWN_SHOWN = 50
LOOKS = 20
"""A look at how it goes takes at most one part in so many of the time."""


@app.command()
def send(
    issue: IssueName = None,
    now: Annotated[bool, typer.Option("--now", help="At once, not at its hour.")] = False,
) -> None:
    """Send an approved issue from this process, and watch it. Called again, it goes on where it was."""
    built = house()
    found, newsletter = find_issue(built, issue)
    if problems := selftest.problems():
        raise Failed(f"This process cannot write mail correctly, and sends none: {'; '.join(problems)}")
    worker = built.worker()
    published = publish(
        built.database,
        found.id,
        newsletter,
        built.renderer,
        built.settings.web.base_url,
        built.clock(),
        who=operator(),
        at_once=now,
        enqueue=jobs.enqueue,
    )
    if isinstance(published, Refused):
        raise Failed(published.reason)
    if published.already and _state(built, found.id) is IssueState.SENT:
        say(f"{found.name} was sent before; nothing was done")
        _print_equation(found.name, IssueState.SENT, _books(built, found.id))
        return
    say(f"{found.name}: {published.audience} readers")
    run = asyncio.run(_send_and_watch(built, worker, found.id))
    books = _books(built, found.id)
    _print_equation(found.name, _state(built, found.id), books)
    if run is None and not books.closes:
        say("Another process is sending it; `digest status` shows how it goes.")
    if run is not None and run.stopped:
        raise Failed(f"Sending stopped: {run.stopped}. Call `digest send` again, or let `digest up` go on with it.")
    if books.deferred:
        say("Deferred readers are tried again by `digest up` or `digest worker`, or by calling this again later.")


async def _send_and_watch(built: House, worker: Worker, issue_id: int) -> Run | None:
    """Send, and show how it goes. Ctrl+C and SIGTERM finish what is under way first (S-14)."""
    stopping = asyncio.Event()
    on_signals(stopping.set)
    watcher = asyncio.create_task(_watch(built, issue_id))
    try:
        return await worker.send_issue(issue_id, stopping)
    finally:
        watcher.cancel()
        if not out.is_terminal:
            say(_progress(await asyncio.to_thread(_books, built, issue_id)))


async def _watch(built: House, issue_id: int) -> None:
    """A bar on a terminal, a line every ten seconds elsewhere."""
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True, console=out, disable=not out.is_terminal) as bar:
        task = bar.add_task("sending")
        while True:
            begin = asyncio.get_running_loop().time()
            books = await asyncio.to_thread(_books, built, issue_id)
            took = asyncio.get_running_loop().time() - begin
            bar.update(task, total=books.audience, completed=_settled(books))
            if not out.is_terminal:
                say(_progress(books))
            # Half a million rows take a while to count: looking must not cost more than a little of the sending.
            await asyncio.sleep(max(0.5 if out.is_terminal else 10, LOOKS * took))


def _settled(books: Equation) -> int:
    return books.accepted + books.rejected + books.excluded + books.unknown


def _progress(books: Equation) -> str:
    return f"{_settled(books)} of {books.audience} readers settled"


@app.command()
def pause(issue: IssueName = None) -> None:
    """Stop an issue that is being sent, for now."""
    _step(issue, control.pause, "is paused; `digest resume` goes on")


@app.command()
def resume(issue: IssueName = None) -> None:
    """Go on sending a paused issue, where it stopped."""
    _step(issue, control.resume, "goes on")


@app.command()
def cancel(
    issue: IssueName = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the log and for whoever comes next.")] = "",
) -> None:
    """End an issue for good; of one that is going out this is the recall: what has not left does not leave."""
    _step(issue, partial(control.cancel, reason=reason), "is cancelled")


def _step(name: str | None, act: Any, done: str) -> None:
    built = house()
    found, _ = find_issue(built, name)
    with built.database.write() as session:
        result: Done | Refused = act(session, found.id, who=operator(), now=built.clock())
    settle(result, f"{found.name} {done}.")


@app.command()
def overdue() -> None:
    """Say whether an issue should have left by now and has not, and whether somebody is at work. Exit code 1 if so."""
    built = house()
    now = built.clock()
    with built.database.read() as session:
        found = ((one, late_one(session, one, now)) for one in built.settings.newsletters.values())
        said = [*(late.sentence(newsletter) for newsletter, late in found if late), *away(session, now)]
    if said:
        raise Failed("\n".join(said))
    say("All that was due has left.")


@app.command()
def status(issue: IssueName = None, as_json: Json = False) -> None:
    """Print an issue's closing equation, and the deliveries whose outcome is unknown."""
    built = house()
    found, _ = find_issue(built, issue)
    books = _books(built, found.id)
    if as_json:
        print_json({"name": found.name, **asdict(books), "state": found.state.value, "closes": books.closes})
        return
    _print_equation(found.name, found.state, books)
    if found.hold_reason:
        say(f"why: {indented(found.hold_reason)}")
    _print_unknown(built, found.id, found.name)


def _books(built: House, issue_id: int) -> Equation:
    with built.database.read() as session:
        return books_of(session, issue_id)


def _state(built: House, issue_id: int) -> IssueState:
    with built.database.read() as session:
        return session.get_one(Issue, issue_id).state


def _print_equation(name: str, state: IssueState, books: Equation) -> None:
    say(f"{name}: {state.value}")
    sides = (
        f"{books.accepted} accepted + {books.rejected} rejected + {books.excluded} excluded + {books.unknown} unknown"
    )
    sign = "=" if books.closes else "≠"
    say(f"  audience {books.audience} {sign} {sides}")
    if books.queued or books.deferred or books.committing:
        say(f"  under way: {books.queued} queued, {books.deferred} deferred, {books.committing} committing")


def _print_unknown(built: House, issue_id: int, name: str) -> None:
    which = (Delivery.issue_id == issue_id, Delivery.letter == "issue", Delivery.state == DeliveryState.UNKNOWN)
    columns = (Delivery.id, Delivery.subscriber_id, Delivery.settled_at, Delivery.reply)
    standing = sa.select(*columns).where(*which, Delivery.resolved_at.is_(None))
    resolved = sa.select(sa.func.count()).where(*which, Delivery.resolved_at.is_not(None))
    with built.database.read() as session:
        rows = session.execute(standing.order_by(Delivery.id).limit(UNKNOWN_SHOWN)).all()
        left = session.scalar(resolved)
    if left:
        say(f"{left} unknown left as they are, by a person's decision")
    if rows:
        print_table(
            ("delivery", "subscriber", "at", "what is known"), rows, title="unknown; never sent again by itself"
        )
        say(f"`digest resolve {name}` settles them.")
