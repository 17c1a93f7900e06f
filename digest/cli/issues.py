"""Commands about an issue that is being made, from `gather` to `approve`."""

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
from digest.cli.paint import find_browser, paint
from digest.cli.printing import indented, one_line, out, print_json, print_table, say
from digest.gather.refresh import SourceReport, refresh
from digest.issues import checks, control, log
from digest.issues.add import add_post, find_link
from digest.issues.draft import draft as open_draft
from digest.issues.edit import items_of
from digest.issues.outcomes import Done, Finding, Override, Refused
from digest.issues.seen import rendered_now, source, without_readers
from digest.issues.sheet import sheet, tiles
from digest.mail.kinds import Kind
from digest.mail.outbox import TEST
from digest.mail.render import BadTemplate, Rendered
from digest.models import Issue, IssueState, Item, User
from digest.settings import Newsletter
from digest.web.accounts import clean_name
from digest.wiring import House
from subscribers.lifecycle import Format

FormatName = Annotated[Format, typer.Option("--format", help="The kind of reader: how much of the stories they want.")]
SHEET_WIDTH = 2600
"""Pixels of a painted sheet: room for four looks beside each other."""
Neutral = Annotated[bool, typer.Option("--neutral", help="For readers whose subject line gives nothing away.")]


@app.command()
def gather(newsletter: NewsletterName = None, as_json: Json = False) -> None:
    """Read every source and store what is new or changed."""
    built = house(makes=True)
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
    built = house(makes=True)
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
    sheet_to: Annotated[
        Path | None, typer.Option("--sheet", help="Every look on one picture, a PNG (or, by its name, an HTML) file.")
    ] = None,
    browser: Annotated[str | None, typer.Option("--browser", help="The Chromium that paints the sheet.")] = None,
) -> None:
    """Write an issue as it would be sent now, or as it was sent: HTML, text and the whole message, links unfilled."""
    built = house()
    found, newsletter = find_issue(built, issue)
    kind = Kind(wanted, neutral)
    if sheet_to is not None:
        _write_sheet(built, found, newsletter, kind, sheet_to, browser)
        return
    with built.database.read() as session:
        rendered = _rendered(built, session, found, newsletter, kind)
        octets = source(found, newsletter, rendered, built.service.links, built.clock())
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    stem = "-".join([*found.name.split("/"), *([] if wanted is Format.SUMMARIES else [wanted]), *["neutral"] * neutral])
    for suffix, written in ((".html", rendered.html.encode()), (".txt", rendered.text.encode()), (".eml", octets)):
        path = folder / f"{stem}{suffix}"
        # Who wants text alone is sent no HTML.
        if written:
            with writing(path):
                path.write_bytes(written)
            say(f"wrote {path}")
    say(f"subject: {rendered.subject}")


def _write_sheet(
    built: House, found: Issue, newsletter: Newsletter, kind: Kind, path: Path, browser: str | None
) -> None:
    """Write the contact sheet, painted or as a page."""
    with built.database.read() as session:
        rendered = _rendered(built, session, found, newsletter, kind)
    if not rendered.html:
        raise Failed("Readers of text only are sent no HTML: there is one look, the text itself.")
    seen = without_readers(rendered, f"{built.settings.web.base_url}/example-link")
    heading = f"{newsletter.title}, {found.week}: {kind.name}"
    page = sheet(
        heading, seen.subject, tiles(seen.html), seen.text, language=newsletter.language, direction=newsletter.direction
    )
    with writing(path):
        if path.suffix.lower() in (".html", ".htm"):
            path.write_text(page, encoding="utf-8")
        else:
            paint(page, path, SHEET_WIDTH, find_browser(browser))
    say(f"wrote {path}")


def _rendered(built: House, session: Session, issue: Issue, newsletter: Newsletter, kind: Kind) -> Rendered:
    """An issue for one kind of reader, as it stands or as it was sent. Raises `Failed`."""
    try:
        # A second look at it, within this transaction: what was sent is only loaded where it is asked for.
        standing = session.get_one(Issue, issue.id)
        return rendered_now(session, standing, newsletter, built.renderer, built.settings.web.base_url, kind)
    except BadTemplate as error:
        raise Failed(f"The issue cannot be rendered: {error}.") from None


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
def add(
    issue: Annotated[str, typer.Argument(metavar="ISSUE", help="Like watchdog/2026-W47, or only the newsletter.")],
    link: Annotated[str, typer.Argument(metavar="LINK", help="The address of a story on a site of its sources.")],
    section: Annotated[
        str | None, typer.Option(help="The heading to put it under; else its source's. Empty for the main part.")
    ] = None,
) -> None:
    """Put a story into an issue by its address; its site is read if the story is not known yet."""
    built = house()
    target, newsletter = find_issue(built, issue)
    found = find_link(built.database, newsletter, built.settings.fetch, link, built.clock())
    if isinstance(found, Refused):
        raise Failed(found.reason)
    with built.database.write() as session:
        sections = tuple(dict.fromkeys([*newsletter.sections, *(one.section for one in items_of(session, target.id))]))
        result = add_post(
            session,
            target.id,
            found.post_id,
            found.section if section is None else section,
            sections=sections,
            who=operator(),
            now=built.clock(),
        )
    if isinstance(result, Refused):
        raise Failed(result.reason)
    settle(result, f"{target.name} has the story." if result.stood else f"The story is in {target.name}.")


@app.command()
def approve(
    issue: IssueName = None,
    override: Annotated[
        list[str] | None,
        typer.Option(
            help="Let it out in spite of a finding: KEY=REASON, the key as `digest check` shows it. May come often."
        ),
    ] = None,
) -> None:
    """Approve an issue: it goes out at its hour. For a held one this overrides the hold."""
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
            overrides=[_override(one) for one in override or []],
            expected_revision=found.revision,
            needed=newsletter.approvals,
        )
    if isinstance(result, Done) and result.state is not IssueState.APPROVED:
        say(result.note)
        return
    settle(result, f"{found.name} is approved{when_it_goes(found, newsletter, built.clock())}.")


def _override(text: str) -> Override:
    """What `--override` says. Raises `Failed`."""
    key, sign, reason = text.partition("=")
    if not sign or not reason.strip():
        raise Failed(f"--override takes a finding's key and a reason: {key or 'KEY'}='the reason'.")
    return Override(key.strip(), reason)


def when_it_goes(issue: Issue, newsletter: Newsletter, now: dt.datetime) -> str:
    """What becomes of an approved issue: the end of a sentence. One that is approved late goes out all the same."""
    hour = f"{issue.send_at.astimezone(newsletter.timezone):%A %Y-%m-%d at %H:%M %Z}"
    if now < issue.send_at:
        return f" and goes out on {hour}"
    return f"; its hour was {hour}, so it goes out now, by `digest up` or by `digest send`"
