"""Commands about an issue that is being made, from `gather` to `approve`, and the schedule."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from sqlalchemy.orm import Session

from digest.cli.context import (
    Failed,
    IssueName,
    Json,
    NewsletterName,
    app,
    find_issue,
    house,
    newsletters,
    operator,
    parse_week,
    settle,
    writing,
)
from digest.cli.printing import indented, one_line, out, print_json, print_table, say
from digest.gather.refresh import SourceReport, refresh
from digest.issues import checks, control, log
from digest.issues.draft import draft as open_draft
from digest.issues.edit import items_of
from digest.issues.outcomes import Finding
from digest.issues.plan import next_sends
from digest.mail.kinds import Kind
from digest.mail.outbox import TEST
from digest.mail.render import Rendered, of_kind
from digest.models import Issue, Item, User
from digest.settings import Newsletter
from digest.web.accounts import clean_name
from digest.wiring import House
from subscribers.lifecycle import Format

FormatName = Annotated[Format, typer.Option("--format", help="The kind of reader: how much of the stories they want.")]
Neutral = Annotated[bool, typer.Option("--neutral", help="For readers whose subject line gives nothing away.")]


@app.command()
def gather(newsletter: NewsletterName = None, as_json: Json = False) -> None:
    """Read every source and store what is new or changed."""
    built = house()
    reports = {one.slug: _gather(built, one, quiet=as_json) for one in newsletters(built, newsletter)}
    if as_json:
        print_json({slug: [asdict(report) for report in found] for slug, found in reports.items()})
        return
    for slug, found in reports.items():
        columns = ("source", "section", "entries", "new", "edited", "withdrawn", "what to know")
        rows = [
            (one.url, one.section or "–", one.entries, one.new, one.edited, one.withdrawn, one.reason or "fine")
            for one in found
        ]
        print_table(columns, rows, title=slug)


def _gather(built: House, newsletter: Newsletter, *, quiet: bool) -> list[SourceReport]:
    def said(report: SourceReport) -> None:
        if not quiet and not out.is_terminal:
            say(f"read {report.url}: {report.reason or 'fine'}")

    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), transient=True, console=out
    ) as bar:
        task = bar.add_task(f"reading the sources of {newsletter.slug}", total=len(newsletter.sources))
        bar.disable = quiet or not out.is_terminal

        def on_source(report: SourceReport) -> None:
            bar.advance(task)
            said(report)

        return refresh(built.database, newsletter, built.settings.fetch, built.clock(), on_source=on_source)


@app.command()
def draft(
    newsletter: NewsletterName = None,
    week: Annotated[str | None, typer.Option(help="Another week than the one whose window has just ended.")] = None,
    as_json: Json = False,
) -> None:
    """Open the week's issue with its stories, once; a second call shows the one that stands."""
    built = house()
    wanted = parse_week(week) if week else None
    done = [
        open_draft(built.database, one, built.clock(), wanted, who=operator()) for one in newsletters(built, newsletter)
    ]
    if as_json:
        print_json([{**asdict(one), "state": one.state.value} for one in done])
        return
    for one in done:
        say(f"{one.name}: {'opened' if one.created else 'stands'} with {one.items} stories, {one.state.value}")
        for reason in one.reasons:
            say(f"  held: {one_line(reason)}")


@app.command()
def show(issue: IssueName = None, as_json: Json = False) -> None:
    """Show an issue: where it stands, and its stories in order."""
    built = house()
    found, newsletter = find_issue(built, issue)
    with built.database.read() as session:
        items = items_of(session, found.id)
        shown = _shown(session.get_one(Issue, found.id), items, newsletter)
    if as_json:
        print_json(shown)
        return
    for key in ("name", "state", "hold_reason", "send_at", "subject", "preheader", "introduction"):
        if shown[key]:
            say(f"{key.replace('_', ' ')}: {indented(shown[key])}")
    columns = ("#", "id", "in", "section", "headline")
    rows = [
        (number, one["id"], "yes" if one["included"] else "no", one["section"] or "–", one["headline"])
        for number, one in enumerate(shown["items"], 1)
    ]
    print_table(columns, rows)


def _shown(issue: Issue, items: Sequence[Item], newsletter: Newsletter) -> dict[str, Any]:
    return {
        "name": issue.name,
        "state": issue.state.value,
        "hold_reason": issue.hold_reason,
        "window": [issue.window_start.isoformat(), issue.window_end.isoformat()],
        "send_at": _local_and_utc(issue.send_at, newsletter),
        "revision": issue.revision,
        "approved_by": issue.approved_by,
        "subject": issue.subject,
        "preheader": issue.preheader,
        "introduction": issue.introduction,
        "items": [
            {
                "id": item.id,
                "included": item.included,
                "section": item.section,
                "headline": item.headline,
                "summary": item.summary,
                "link": item.post.link,
            }
            for item in items
        ],
    }


def _local_and_utc(at: dt.datetime, newsletter: Newsletter) -> str:
    local = at.astimezone(newsletter.timezone)
    in_utc = "" if local.tzname() == "UTC" else f" ({at:%Y-%m-%d %H:%M} UTC)"
    return f"{local:%Y-%m-%d %H:%M %Z}{in_utc}"


@app.command()
def preview(
    issue: IssueName = None,
    folder: Annotated[Path, typer.Option("--to", help="The folder to write to.")] = Path(),
    wanted: FormatName = Format.SUMMARIES,
    neutral: Neutral = False,
) -> None:
    """Write an issue as it would be sent now: an HTML and a text file, the readers' links unfilled."""
    built = house()
    found, newsletter = find_issue(built, issue)
    with built.database.read() as session:
        rendered = _rendered(built, session, found, newsletter, Kind(wanted, neutral))
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    stem = "-".join([*found.name.split("/"), *([] if wanted is Format.SUMMARIES else [wanted]), *["neutral"] * neutral])
    for suffix, text in ((".html", rendered.html), (".txt", rendered.text)):
        path = folder / f"{stem}{suffix}"
        # Who wants text alone is sent no HTML.
        if text:
            with writing(path):
                path.write_text(text, encoding="utf-8")
            say(f"wrote {path}")
    say(f"subject: {rendered.subject}")


def _rendered(built: House, session: Session, issue: Issue, newsletter: Newsletter, kind: Kind) -> Rendered:
    """An issue as it stands, for one kind of reader. Raises `Failed`."""
    examined = checks.examine(session, issue.id, newsletter, built.renderer, base_url=built.settings.web.base_url)
    if not examined.renderings:
        raise Failed("; ".join(finding.why for finding in examined.blocking))
    return of_kind(examined.renderings, kind)


@app.command()
def check(issue: IssueName = None, as_json: Json = False) -> None:
    """Look an issue over; exit code 1 where something keeps it from going out."""
    built = house()
    found, newsletter = find_issue(built, issue)
    findings = _findings(built, found, newsletter)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    elif findings:
        print_table(("", "where", "why", "what to do"), [(f.level, f.where, f.why, f.fix) for f in findings])
    else:
        say(f"{found.name}: nothing to say against it")
    if any(finding.level == "blocks" for finding in findings):
        raise Failed(f"{found.name} cannot go out like this.")


def _findings(built: House, issue: Issue, newsletter: Newsletter) -> tuple[Finding, ...]:
    with built.database.read() as session:
        return checks.check(session, issue.id, newsletter, built.renderer, built.settings.web.base_url)


@app.command("test-send")
def send_test(
    to: Annotated[str, typer.Option("--to", help="The name of a desk user; it goes to their own address.")],
    issue: IssueName = None,
    wanted: FormatName = Format.SUMMARIES,
    neutral: Neutral = False,
) -> None:
    """Send an issue as it stands to somebody of the desk. A worker (or `digest up`) sends it."""
    built = house()
    found, newsletter = find_issue(built, issue)
    built.vault.prepare()
    with built.database.write() as session:
        user = session.scalars(sa.select(User).where(User.name == clean_name(to))).one_or_none()
        if user is None or user.address_sealed is None or user.address_verified_at is None:
            raise Failed(f"There is no desk user {to!r} with a confirmed address; `digest users add` makes one.")
        rendered = _rendered(built, session, found, newsletter, Kind(wanted, neutral))
        built.outbox.post_rendered(
            session,
            kind=TEST,
            newsletter=newsletter.slug,
            issue_id=found.id,
            user_id=user.id,
            rendered=replace(rendered, subject=f"[Test] {rendered.subject}"),
            now=built.clock(),
        )
        log.append(session, at=built.clock(), who=operator(), action="test-send", about=found.name)
    say(f"{found.name} waits in the outbox for {to}; a worker sends it")


@app.command()
def approve(issue: IssueName = None) -> None:
    """Approve an issue: it goes out at its hour. For a held one this is the override."""
    built = house()
    found, newsletter = find_issue(built, issue)
    findings = _findings(built, found, newsletter)
    with built.database.write() as session:
        result = control.approve(
            session,
            found.id,
            who=operator(),
            now=built.clock(),
            findings=findings,
            expected_revision=found.revision,
        )
    settle(result, f"{found.name} is approved{when_it_goes(found, newsletter, built.clock())}.")


def when_it_goes(issue: Issue, newsletter: Newsletter, now: dt.datetime) -> str:
    """What becomes of an approved issue: the end of a sentence. One that is approved late goes out all the same."""
    hour = f"{issue.send_at.astimezone(newsletter.timezone):%A %Y-%m-%d at %H:%M %Z}"
    if now < issue.send_at:
        return f" and goes out on {hour}"
    return f"; its hour was {hour}, so it goes out now, by `digest up` or by `digest send`"


@app.command()
def schedule(
    newsletter: NewsletterName = None,
    count: Annotated[int, typer.Option(min=1, max=100, help="How many sends.")] = 5,
    as_json: Json = False,
) -> None:
    """Print the next sends, in the newsletter's own time and in UTC."""
    built = house()
    found = {one.slug: next_sends(one, built.clock(), count) for one in newsletters(built, newsletter)}
    if as_json:
        print_json({slug: [_send_as_json(one) for one in sends] for slug, sends in found.items()})
        return
    for slug, sends in found.items():
        rows = [
            (
                str(one.week),
                f"{one.local:%a %Y-%m-%d %H:%M %Z}",
                f"{one.utc:%a %Y-%m-%d %H:%M} UTC",
                f"after skipping {', '.join(map(str, one.skipped))}" if one.skipped else "",
            )
            for one in sends
        ]
        print_table(("issue", "local", "UTC", ""), rows, title=slug)


def _send_as_json(one: Any) -> dict[str, Any]:
    return {
        "week": str(one.week),
        "local": one.local.isoformat(),
        "utc": one.utc.isoformat(),
        "skipped": [str(week) for week in one.skipped],
    }
