"""Commands about the readers."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from digest.cli.context import Failed, Json, NewsletterName, app, house, newsletters
from digest.cli.printing import print_json, print_table, say
from subscribers.lifecycle import State
from subscribers.service import Outcome, Refused

subscribers = typer.Typer(help="The readers: counts, and entering or removing one by hand.", no_args_is_help=True)
app.add_typer(subscribers, name="subscribers")


@subscribers.command()
def count(newsletter: NewsletterName = None, as_json: Json = False) -> None:
    """Print how many readers each newsletter has, by state."""
    built = house()
    counts = {one.slug: built.service.count(one.slug) for one in newsletters(built, newsletter)}
    if as_json:
        print_json({slug: {state.value: found.get(state, 0) for state in State} for slug, found in counts.items()})
        return
    rows = [(slug, *(found.get(state, 0) for state in State)) for slug, found in counts.items()]
    print_table(("newsletter", *(state.value for state in State)), rows)


@subscribers.command()
def add(
    address: Annotated[str, typer.Argument(help="The address; `-` reads it from standard input.")],
    newsletter: Annotated[str, typer.Option("--newsletter", "-n", help="Which newsletter.")],
    confirmed: Annotated[bool, typer.Option("--confirmed", help="Yes, they have agreed already.")] = False,
    evidence: Annotated[str, typer.Option(help="Why no confirmation is needed; kept with the subscription.")] = "",
) -> None:
    """Enter one reader by hand, with the reason why no confirmation is needed."""
    built = house()
    newsletters(built, newsletter)
    if not confirmed or not evidence.strip():
        raise Failed(
            "A reader who has not agreed is never mailed. Give --confirmed and --evidence with the reason, "
            "or let them use the form."
        )
    text = sys.stdin.readline().strip() if address == "-" else address
    entered = built.service.enter(newsletter, text, evidence, built.clock())
    if isinstance(entered, Refused):
        raise Failed(entered.reason)
    was = "was confirmed already" if entered.already else "is confirmed"
    say(f"subscription {entered.subscription_id} to {newsletter} {was}")


@subscribers.command()
def leave(
    token: Annotated[str, typer.Argument(help="The token behind `unsubscribe` in the subject of their mail.")],
) -> None:
    """Let one go who wrote to the sender's mailbox instead of pressing the link."""
    built = house()
    if built.service.leave(token, built.clock()) is not Outcome.DONE:
        raise Failed("That is no token of ours; nothing was changed.")
    say("they have left")
