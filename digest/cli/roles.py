"""Commands that run until they are stopped: everything at once, or one role a process."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from digest.cli.context import Failed, app, house, out
from digest.cli.logs import set_up_logs
from digest.mail import selftest


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
    from digest.run import Roles, serve

    built = house()
    if worker and (problems := selftest.problems()):
        raise Failed("This process cannot write mail correctly and does not start:\n  " + "\n  ".join(problems))
    if worker:
        built.worker()
    if web:
        out.print(f"{built.settings.web.base_url}/ (the form), /desk/ (for editors), /issues/ (the archive)")
    asyncio.run(serve(built, Roles(web=web, scheduler=scheduler, worker=worker)))


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End when every reader has got their issue.")] = False,
    port: Annotated[int, typer.Option(help="For the pages; 0 takes any that is free.")] = 8000,
) -> None:
    """Show the whole Thursday on this machine: a sample blog, readers, an issue, and the mail that they get."""
    from digest.demo import run_demo

    set_up_logs(quiet=True)
    if not run_demo(once=once, port=port, say=out.print):
        raise Failed("Not every reader got exactly one issue.")
