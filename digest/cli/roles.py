"""Commands that run until they are stopped: everything at once, or one role a process."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated

import typer

from digest.cli.context import Failed, app, settings
from digest.cli.printing import say
from digest.mail import selftest
from digest.run import Roles, listen, serve
from digest.wiring import build


@app.command()
def up() -> None:
    """Run everything in this process: pages, schedule and sending."""
    _serve(web=True, scheduler=True, worker=True)


@app.command()
def web() -> None:
    """Run the pages only. The keys file may lack `private` here."""
    _serve(web=True)


@app.command()
def scheduler() -> None:
    """Run the schedule only: gather, draft, remind, and hand issues over to the workers at their hour."""
    _serve(scheduler=True)


@app.command()
def worker() -> None:
    """Run the sending only."""
    _serve(worker=True)


def _serve(*, web: bool = False, scheduler: bool = False, worker: bool = False) -> None:
    found = settings()
    if worker and (problems := selftest.problems()):
        raise Failed("This process cannot write mail correctly and does not start:\n  " + "\n  ".join(problems))
    with contextlib.ExitStack() as stack:
        # The port comes first: where it is taken, the database is not so much as looked at.
        door = stack.enter_context(listen(found.web.host, found.web.port)) if web else None
        built = build(found)
        if worker:
            built.worker()
        if web:
            say(f"{found.web.base_url}/ (the form), /desk/ (for editors), /issues/ (the archive)")
        asyncio.run(serve(built, Roles(web=web, scheduler=scheduler, worker=worker), door=door))


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
