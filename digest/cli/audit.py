"""The command that shows who did what, and whether the log is what was written."""

from __future__ import annotations

from typing import Annotated

import typer

from digest.cli.context import Failed, Json, app, house
from digest.cli.printing import print_json, print_table, say
from digest.issues import audit
from digest.issues.audit import Asked, Broken
from digest.web.desk.words import ACTIONS
from digest.wiring import House


@app.command("log")
def show_log(
    who: Annotated[str, typer.Option("--who", help="Only what this person did.")] = "",
    action: Annotated[str, typer.Option("--action", help="Only this: approve, edit, logged-in, …")] = "",
    about: Annotated[str, typer.Option("--about", help="Only what is about this: watchdog/2026-W47.")] = "",
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many entries, the newest first.")] = 30,
    verify: Annotated[
        bool, typer.Option("--verify", help="Go through the whole chain instead, and print its end.")
    ] = False,
    noted: Annotated[
        str, typer.Option("--noted", help="An end that was printed once; it has to be in the chain.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Print the log of who did what, or verify that nobody changed it. Exit code 1 where somebody did."""
    built = house()
    if verify or noted:
        _verify(built, noted)
        return
    with built.database.read() as session:
        entries = audit.page(session, Asked(who, action, about), count)
        rows = [(f"{one.at:%Y-%m-%d %H:%M:%S}", one.who, one.action, one.object, one.detail) for one in entries]
    if as_json:
        print_json([dict(zip(("at", "who", "action", "about", "detail"), row, strict=True)) for row in rows])
        return
    if not rows:
        say("The log has no such entry.")
        return
    shown = [(at, who, ACTIONS.get(did, did), about, detail) for at, who, did, about, detail in rows]
    print_table(("UTC", "who", "did", "about", "detail"), shown)


def _verify(built: House, noted: str) -> None:
    audit.link(built.database, built.keys.token)
    with built.database.read() as session:
        try:
            found = audit.verify(session, built.keys.token, noted)
        except ValueError as error:
            raise Failed(f"{error}.") from None
    if isinstance(found, Broken):
        raise Failed(
            f"Entry {found.number} of the log does not hold: {found.why}. Compare with a backup of the database, and "
            "ask who could write to it."
        )
    say(f"{found.entries} entries, none changed, none missing.")
    if found.head:
        say(f"The end of the chain is {found.head}; note it down elsewhere, and give it to --noted the next time.")
