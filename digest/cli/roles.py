"""Commands that run until they are stopped: everything at once, or one role a process."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated

import typer

from digest.cli.context import Failed, app, chosen, settings
from digest.cli.printing import say
from digest.crew import run_crew, worker_command
from digest.mail import selftest
from digest.run import Roles, listen, on_signals, serve
from digest.web.access.people import first_link
from digest.wiring import build


@app.command()
def up() -> None:
    """Run everything in this process: pages, schedule, sending, and the door for mail if [inbound] listen is set."""
    _serve(web=True, scheduler=True, worker=True, lmtp=True)


@app.command()
def web() -> None:
    """Run the pages only. The keys file may lack `private` here."""
    _serve(web=True)


@app.command()
def scheduler() -> None:
    """Run the schedule only: gather, draft, remind, and hand issues over to the workers at their hour."""
    _serve(scheduler=True)


@app.command()
def lmtp() -> None:
    """Run the door only at which a mail server hands bounces over. The keys file may lack `private` here."""
    if settings().inbound.listen is None:
        raise Failed("There is nowhere to listen; set [inbound] listen (docs/inbound.md).")
    _serve(lmtp=True)


@app.command()
def worker(
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="So many processes, to use the machine's cores; PostgreSQL only.")
    ] = 1,
) -> None:
    """Run the sending only."""
    if processes == 1:
        _serve(worker=True)
        return
    _check_mail()
    built = build(settings())
    built.worker()
    if built.database.is_sqlite:
        raise Failed("SQLite is for one sending process. Move to PostgreSQL to send with several (docs/sending.md).")
    # Every process opens its own; what is open here must not be shared with them.
    built.database.close()
    asyncio.run(_crew(processes))


async def _crew(processes: int) -> None:
    stopping = asyncio.Event()
    on_signals(stopping.set)
    await run_crew(processes, stopping, worker_command(chosen.config))


def _check_mail() -> None:
    if problems := selftest.problems():
        raise Failed("This process cannot write mail correctly and does not start:\n  " + "\n  ".join(problems))


def _serve(*, web: bool = False, scheduler: bool = False, worker: bool = False, lmtp: bool = False) -> None:
    found = settings()
    if worker:
        _check_mail()
    with contextlib.ExitStack() as stack:
        # The port comes first: where it is taken, the database is not so much as looked at.
        door = stack.enter_context(listen(found.web.host, found.web.port)) if web else None
        built = build(found)
        if worker:
            built.worker()
        if web:
            say(f"{found.web.base_url}/ (the form), /desk/ (for editors), /issues/ (the archive)")
            if link := first_link(built.database, built.clock(), found.web.base_url):
                say(f"Nobody can log in yet. Make the first account here, within a day: {link}")
        asyncio.run(serve(built, Roles(web=web, scheduler=scheduler, worker=worker, lmtp=lmtp), door=door))


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End when every reader has got their issue.")] = False,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="For the pages; 0 is any that is free. Not given: 8000, or another if it is taken."
        ),
    ] = None,
) -> None:
    """Show the whole Thursday on this machine: a sample blog, readers, an issue, and the mail that they get."""
    from digest.demo import run_demo

    if not run_demo(once=once, port=port, say=say):
        raise Failed("Not every reader got exactly one issue.")
