"""`digest schedule`: the next sends; and weeks that are skipped, moved, and put back."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from digest.calendar import Change, calendar_of, changes_of, united
from digest.cli.context import Failed, Json, NewsletterName, app, house, newsletters, operator, parse_week, settings
from digest.cli.printing import print_json, print_table, say
from digest.issues import reschedule
from digest.issues.outcomes import Refused
from digest.issues.plan import NextSend, next_sends
from digest.issues.reschedule import Rescheduled
from digest.migrations import NoDatabase
from digest.settings import Newsletter
from digest.weeks import Moment, Week
from digest.wiring import House, utc_now

schedule = typer.Typer(
    help="The next sends, in the newsletter's own time and in UTC; skip a week, move one, put it back.",
    rich_markup_mode=None,
)
app.add_typer(schedule, name="schedule")

WeekName = Annotated[
    str, typer.Argument(metavar="WEEK", help="Like watchdog/2026-W47, or 2026-W47 where there is one newsletter.")
]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why: it stands in the calendar and in the log.")]


@schedule.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    newsletter: NewsletterName = None,
    count: Annotated[int, typer.Option(min=1, max=100, help="How many sends.")] = 5,
    as_json: Json = False,
) -> None:
    """Print the next sends; the commands below change them."""
    if context.invoked_subcommand is not None:
        return
    found = {one.slug: _coming(one, count) for one in newsletters(settings(), newsletter)}
    if as_json:
        print_json({slug: [_as_json(one, changes) for one in sends] for slug, (sends, changes) in found.items()})
        return
    for slug, (sends, changes) in found.items():
        print_table(("issue", "local", "UTC", ""), [_row(one, changes) for one in sends], title=slug)


@schedule.command()
def skip(week: WeekName, reason: Reason = "") -> None:
    """Leave a week without an issue. A draft that stands is put aside; the next issue takes its stories."""
    built = house(makes=True)
    newsletter, which = _week(built, week)
    with built.database.write() as session:
        result = reschedule.skip(session, newsletter, which, reason=reason, who=operator(), now=built.clock())
    _settle(result, f"{newsletter.slug}/{which} is skipped.")


@schedule.command()
def move(
    week: WeekName,
    to: Annotated[str, typer.Argument(help="Like 'tue 10:00' or '2026-12-22 10:00', on the newsletter's clock.")],
    reason: Reason = "",
) -> None:
    """Send a week's issue at another day and hour. An approval that it had is taken back."""
    built = house(makes=True)
    newsletter, which = _week(built, week)
    try:
        moment = Moment.parse(to, which)
    except ValueError as error:
        raise Failed(f"{error}.") from None
    with built.database.write() as session:
        result = reschedule.move(session, newsletter, which, moment, reason=reason, who=operator(), now=built.clock())
    _settle(result, _leaves(newsletter, which, result))


@schedule.command()
def restore(week: WeekName) -> None:
    """Take a skip or a move back: the week is as digest.toml has it."""
    built = house(makes=True)
    newsletter, which = _week(built, week)
    with built.database.write() as session:
        result = reschedule.restore(session, newsletter, which, who=operator(), now=built.clock())
    _settle(result, _leaves(newsletter, which, result))


def _week(built: House, name: str) -> tuple[Newsletter, Week]:
    """The newsletter and the week of a name. Raises `Failed`."""
    slug, _, week = name.rpartition("/")
    if not slug and len(built.settings.newsletters) > 1:
        raise Failed("There are several newsletters; say which one's week is meant, like watchdog/2026-W47.")
    (newsletter, *_) = newsletters(built, slug or None)
    return newsletter, parse_week(week)


def _leaves(newsletter: Newsletter, week: Week, result: Rescheduled | Refused) -> str:
    if isinstance(result, Refused):
        return ""
    local = result.send_at.astimezone(newsletter.timezone)
    return f"{newsletter.slug}/{week} goes out on {local:%A %Y-%m-%d at %H:%M %Z} ({result.send_at:%H:%M} UTC)."


def _settle(result: Rescheduled | Refused, done: str) -> None:
    if isinstance(result, Refused):
        raise Failed(result.reason)
    say(f"{done} {result.note}".strip())


def _coming(newsletter: Newsletter, count: int) -> tuple[tuple[NextSend, ...], dict[Week, Change]]:
    try:
        built = house()
    except NoDatabase:
        # Nobody can have changed anything yet: the settings alone say it.
        return next_sends(united(newsletter), utc_now(), count), {}
    with built.database.read() as session:
        calendar = calendar_of(session, newsletter)
        return next_sends(calendar, built.clock(), count), changes_of(session, newsletter)


def _row(one: NextSend, changes: dict[Week, Change]) -> tuple[str, str, str, str]:
    notes = []
    if one.usual:
        notes.append(f"moved from {one.usual:%a %Y-%m-%d %H:%M}{_why(changes.get(one.week))}")
    if one.skipped:
        notes.append(f"after skipping {', '.join(f'{week}{_why(changes.get(week))}' for week in one.skipped)}")
    return str(one.week), f"{one.local:%a %Y-%m-%d %H:%M %Z}", f"{one.utc:%a %Y-%m-%d %H:%M} UTC", "; ".join(notes)


def _why(change: Change | None) -> str:
    """Who changed a week and why, in brackets; where nobody did, the settings have it so."""
    if change is None:
        return " (digest.toml)"
    return f" ({': '.join(filter(None, (change.who, change.reason)))})"


def _as_json(one: NextSend, changes: dict[Week, Change]) -> dict[str, Any]:
    return {
        "week": str(one.week),
        "local": one.local.isoformat(),
        "utc": one.utc.isoformat(),
        "moved_from": one.usual.isoformat() if one.usual else None,
        "skipped": [str(week) for week in one.skipped],
        "changes": [
            {
                "week": str(week),
                "to": str(changes[week].moment) if changes[week].moment else None,
                "reason": changes[week].reason,
                "who": changes[week].who,
                "at": changes[week].at.isoformat(),
            }
            for week in (*one.skipped, one.week)
            if week in changes
        ],
    }
