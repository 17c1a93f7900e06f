"""Commands about the readers."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from digest.cli.context import Failed, Json, NewsletterName, app, house, newsletters, operator
from digest.cli.printing import counted, print_json, print_table, say
from digest.issues import log
from digest.wiring import House
from subscribers import by_hand
from subscribers.erasing import Mark
from subscribers.forms import Address, BadAddress, parse_address
from subscribers.lifecycle import State
from subscribers.service import Outcome, Refused

subscribers = typer.Typer(help="The readers: how many, one by hand, and whole lists in and out.", no_args_is_help=True)
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
    built = house(makes=True)
    newsletters(built, newsletter)
    if not confirmed or not evidence.strip():
        raise Failed(
            "A reader who has not agreed is never mailed. Give --confirmed and --evidence with the reason, "
            "or let them use the form."
        )
    entered = built.service.enter(newsletter, _typed(address), evidence, built.clock())
    if isinstance(entered, Refused):
        raise Failed(entered.reason)
    was = "was confirmed already" if entered.already else "is confirmed"
    say(f"subscription {entered.subscription_id} to {newsletter} {was}")


Whom = Annotated[
    str,
    typer.Argument(metavar="ADDRESS", help="The address; `-` reads it from standard input, where no list shows it."),
]


@subscribers.command()
def leave(
    whom: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS",
            help="The address, `-` to read it from standard input, or the token behind `unsubscribe` in a mail.",
        ),
    ],
    newsletter: NewsletterName = None,
) -> None:
    """Let somebody go who wrote or telephoned: from all newsletters, or from one. Is logged."""
    built = house()
    if newsletter:
        newsletters(built, newsletter)
    text = _typed(whom)
    if "@" not in text:
        if built.service.leave(text, built.clock()) is not Outcome.DONE:
            raise Failed("That is no address and no token of ours; nothing was changed.")
        _note(built, "leave", "one subscription", "by the token in a mail")
        say("they have left")
        return
    address = _address(text)
    _check_known(built, address)
    _note(built, "leave", newsletter or "all newsletters", "by hand")
    count = by_hand.leave(built.service, address, built.clock(), newsletter)
    if not count:
        raise Failed("They have no such subscription; nothing was changed.")
    say(f"they have left: {counted(count, 'subscription')}")


@subscribers.command()
def never(whom: Whom) -> None:
    """Never mail an address again, whether it is known here or not, and end all of its subscriptions. Is logged."""
    built = house(makes=True)
    address = _address(_typed(whom))
    _note(built, "never", "an address", "by hand")
    by_hand.never(built.service, address, built.clock())
    say("this address is never mailed again; its owner alone can take that back, by a mail from it (docs/inbound.md)")


@subscribers.command()
def erase(
    whom: Whom,
    no_mark: Annotated[
        bool, typer.Option("--no-mark", help="Keep not even the keyed mark by which an old list would be noticed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete all that is kept of somebody who asked for it. Cannot be undone; is logged."""
    built = house()
    address = _address(_typed(whom))
    _check_known(built, address)
    if not yes and not (sys.stdin.isatty() and typer.confirm("Everything that is kept of them is deleted. Go on?")):
        raise Failed("Nothing was changed. Where there is no terminal to ask, say it with --yes.")
    _note(built, "erase", "a person", "by hand" + (", without a mark" if no_mark else ""))
    mark = by_hand.forget(built.service, address, built.clock(), keeps_mark=not no_mark)
    say(f"they are erased; {_MARKS[mark] if mark else 'somebody else was faster'}")


_MARKS = {
    Mark.KEPT: "a keyed mark of the address stays, so that no list brings it back",
    Mark.GONE: "no mark of the address is left",
    Mark.UNKNOWN: "these keys could make no mark of the address: run `digest subscribers never` where the sender runs",
}


def _typed(text: str) -> str:
    return sys.stdin.readline().strip() if text == "-" else text


def _address(text: str) -> Address:
    """Raises `Failed`."""
    address = parse_address(text)
    if isinstance(address, BadAddress):
        raise Failed(address.reason)
    return address


def _check_known(built: House, address: Address) -> None:
    """Raises `Failed`."""
    if not by_hand.is_known(built.service, address):
        raise Failed("Nobody of that address is known here; nothing was changed. (Is it the address they get it at?)")


def _note(built: House, action: str, about: str, detail: str) -> None:
    """Write down who did it, before it is done; never the address."""
    with built.database.write() as session:
        log.append(session, at=built.clock(), who=operator(), action=action, about=about, detail=detail)
