"""Commands about an issue that has gone out: its account, and settling what nobody knows the outcome of."""

from __future__ import annotations

import json
import re
import sys
from typing import Annotated

import typer

from digest.cli.context import Failed, IssueName, Json, app, find_issue, house, operator, settle
from digest.cli.printing import one_line, print_json, print_table, say
from digest.issues.outcomes import Done, Refused
from digest.issues.resolve import OpenOne, leave, open_ones, resend
from digest.mail.report import Cause, IssueReport, to_json
from digest.mail.report_data import UNKNOWN_LISTED, report_of
from digest.models import Issue
from digest.settings import Newsletter
from digest.wiring import House

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ISSUE] [DELIVERY]...",
        help="Which issue, like watchdog/2026-W47, and which of its deliveries; all that are open if none is given.",
    ),
]


@app.command()
def report(issue: IssueName = None, as_json: Json = False) -> None:
    """Print the account of an issue: who got it, what became of the others, how fast it went."""
    built = house()
    found, _ = find_issue(built, issue)
    with built.database.read() as session:
        account = report_of(session, found.id, built.clock())
    if as_json:
        print_json(json.loads(to_json(account)))
        return
    _print_sums(account)
    _print_providers(account)
    _print_causes("rejected", account.outcomes.rejected_by_code)
    _print_causes("to be tried again", account.outcomes.deferred_by_code)
    for reason in account.outcomes.excluded_by_reason:
        say(f"excluded, {reason.count:,}: {one_line(reason.reason)}")
    _print_time(account)
    _print_events(account)
    _print_unknown(account)


def _print_sums(account: IssueReport) -> None:
    sums = account.equation
    kept = f", as counted on {account.made_at:%Y-%m-%d}; its copies are purged" if account.is_kept else ""
    say(f"{account.issue}: {account.state.value}{kept}")
    sides = f"{sums.accepted:,} accepted + {sums.rejected:,} rejected + {sums.excluded:,} excluded"
    sign = "=" if account.closes else "≠"
    say(f"  audience {sums.audience:,} {sign} {sides} + {sums.unknown:,} unknown")
    if not account.closes:
        say(f"  under way: {sums.queued:,} queued, {sums.deferred:,} deferred, {sums.committing:,} committing")


def _print_providers(account: IssueReport) -> None:
    heads = ("provider", "readers", "accepted", "rejected", "excluded", "unknown", "waiting")
    rows = [
        (line.provider, line.readers, line.accepted, line.rejected, line.excluded, line.unknown, line.waiting)
        for line in account.providers
    ]
    print_table(heads, rows, title="by provider")


def _print_causes(title: str, causes: tuple[Cause, ...]) -> None:
    if causes:
        print_table(
            ("about", "answer", "readers"), [(one.scope, one.code, one.count) for one in causes], title=f"{title}, why"
        )


def _print_time(account: IssueReport) -> None:
    rate = account.rate
    if account.first_accepted_at and account.last_accepted_at:
        say(f"first accepted {account.first_accepted_at:%Y-%m-%d %H:%M:%S} UTC")
        say(f"last accepted  {account.last_accepted_at:%Y-%m-%d %H:%M:%S} UTC, {account.duration} later")
        say(f"messages a minute: {rate.mean:,.0f} on average, {rate.peak:,.0f} at the most")
        if rate.later:
            say(f"  without the last {rate.later:,}, which were tried again for long")
    tries = ", ".join(f"{one.attempts}: {one.count:,}" for one in account.attempts)
    say(f"readers by number of tries: {tries or 'none'}")


def _print_events(account: IssueReport) -> None:
    if account.events:
        rows = [(f"{one.at:%Y-%m-%d %H:%M:%S}", one.who, one.action, one.detail) for one in account.events]
        print_table(("at (UTC)", "who", "did", "why"), rows, title="what was done")


def _print_unknown(account: IssueReport) -> None:
    outcomes = account.outcomes
    if not outcomes.unknown:
        return
    say(f"unknown: {outcomes.unknown_open:,} open, {outcomes.unknown_resolved:,} left as they are by a person")
    if account.unknown:
        rows = [(one.delivery, one.at, one.known, "left" if one.resolved_at else "open") for one in account.unknown]
        print_table(("delivery", "at", "what is known", ""), rows)
    if outcomes.unknown_open and not account.is_kept:
        say(f"`digest resolve {account.issue}` settles the open ones.")


@app.command()
def resolve(
    words: Words = None,
    leaves: Annotated[
        bool, typer.Option("--leave", help="Leave them as they are: unknown for ever, and not asked about again.")
    ] = False,
    resends: Annotated[
        bool, typer.Option("--resend", help="Send them the very same message once more; who has it gets it twice.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a resend.")] = False,
    as_json: Json = False,
) -> None:
    """List the deliveries whose outcome is unknown, and settle them by hand."""
    name, numbers = _meant(words or [])
    if leaves and resends:
        raise Failed("Say one of --leave and --resend, not both.")
    built = house()
    found, newsletter = find_issue(built, name)
    if not leaves and not resends:
        _list(built, found, newsletter, as_json=as_json)
        return
    if resends and not yes:
        _ask(built, found, newsletter, numbers)
    settle(_decide(built, found, newsletter, numbers, resends=resends), f"{found.name}:")
    if resends:
        say("`digest up` or `digest worker` sends them now; `digest send` does it from here.")


def _meant(words: list[str]) -> tuple[str | None, list[int] | None]:
    """The issue's name and the delivery numbers. Raises `Failed`."""
    first = words[:1] if words and not words[0].isdecimal() else []
    numbers = words[len(first) :]
    for word in numbers:
        if not re.fullmatch(r"\d{1,18}", word, re.ASCII):
            raise Failed(f"{word!r} is no delivery number; `digest resolve` lists them.")
    return (first[0] if first else None), [int(word) for word in numbers] or None


def _list(built: House, issue: Issue, newsletter: Newsletter, *, as_json: bool) -> None:
    standing = _open(built, issue, newsletter)
    if as_json:
        print_json([vars(one) for one in standing])
        return
    if not standing:
        say(f"Nothing of {issue.name} is open.")
        return
    print_table(
        ("delivery", "subscriber", "at", "what is known", "Message-ID"),
        [(one.delivery, one.subscriber, one.at, one.known, one.message_id) for one in standing],
        title=f"{issue.name}: the final dot left, and nobody knows whether the message arrived",
    )
    if len(standing) == UNKNOWN_LISTED:
        say("There may be more; settle these first.")
    say("Look for the Message-ID in the relay's log: where it is, the reader has the message, or will.")
    say(f"  digest resolve {issue.name} [DELIVERY]... --leave    leaves them as they are")
    say(f"  digest resolve {issue.name} [DELIVERY]... --resend   sends the very same message once more")


def _open(built: House, issue: Issue, newsletter: Newsletter) -> tuple[OpenOne, ...]:
    with built.database.read() as session:
        return open_ones(session, issue.id, newsletter, built.service.links)


def _ask(built: House, issue: Issue, newsletter: Newsletter, numbers: list[int] | None) -> None:
    """Let a person think about it once more. Raises `Failed` where there is none, or they do not want it."""
    if not sys.stdin.isatty():
        raise Failed("A resend is asked about, and there is no terminal to ask on: add --yes.")
    which = f"{len(numbers)} deliveries" if numbers else f"all {len(_open(built, issue, newsletter))} open deliveries"
    if not typer.confirm(f"Send {which} of {issue.name} again? A reader who has the message already gets it twice."):
        raise Failed("Nothing was done.")


def _decide(
    built: House, issue: Issue, newsletter: Newsletter, numbers: list[int] | None, *, resends: bool
) -> Done | Refused:
    now, who = built.clock(), operator()
    with built.database.write() as session:
        if resends:
            links = built.service.links
            return resend(session, issue.id, numbers, newsletter=newsletter, links=links, who=who, now=now)
        return leave(session, issue.id, numbers, who=who, now=now)
