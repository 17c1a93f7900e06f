"""The command that looks an issue over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer

from digest.cli.context import Failed, IssueName, Json, app, find_issue, house
from digest.cli.printing import print_json, print_table, say
from digest.issues import checks, links, watch
from digest.issues.checks import Examined
from digest.issues.codes import CHECKS
from digest.issues.outcomes import Finding
from digest.models import Issue
from digest.settings import Newsletter
from digest.wiring import House

LEVELS = {"blocks": "BLOCKS", "overridden": "overridden", "warns": "look at"}


@app.command()
def check(
    issue: IssueName = None,
    ask: Annotated[bool, typer.Option("--links", help="Ask for its links first, instead of what is known.")] = False,
    as_json: Json = False,
) -> None:
    """Look an issue over; exit code 1 where something keeps it from going out."""
    built = house()
    found, newsletter = find_issue(built, issue)
    examined = _examined(built, found, newsletter)
    if ask:
        _ask(built, examined, quiet=as_json)
        examined = _examined(built, found, newsletter)
    if as_json:
        print_json([_as_json(finding) for finding in examined.findings])
    else:
        _print(found, examined)
    if examined.blocking:
        raise Failed(f"{found.name} cannot go out like this.{_hint(examined)}")


def _examined(built: House, issue: Issue, newsletter: Newsletter) -> Examined:
    with built.database.read() as session:
        return checks.examine(session, issue.id, newsletter, built.renderer, base_url=built.settings.web.base_url)


def _ask(built: House, examined: Examined, *, quiet: bool) -> None:
    """Ask for the issue's links, and wait for it. Raises `Failed`."""
    if not built.settings.checks.links:
        raise Failed("Links are not asked for here: [checks] links is false.")
    if not quiet:
        say(f"asking for {len(examined.addresses)} links …")
    with built.database.write() as session:
        links.want(session, examined.addresses, built.clock())
    while watch.ask_now(built.eyes()):
        pass  # A round takes some of them; the last one finds none.


def _print(issue: Issue, examined: Examined) -> None:
    findings = examined.findings
    if findings:
        rows = [(LEVELS[one.level], one.where, one.why, _fix(one), _key(one)) for one in findings]
        print_table(("", "where", "why", "what to do", "key"), rows)
    for finding in findings:
        for line in _changes(finding):
            say(line)
    fine = f"{len(examined.passed)} of {len(CHECKS)} checks are fine"
    say(f"{issue.name}: {_count(findings)}{fine}{_links(examined)}.")


def _fix(finding: Finding) -> str:
    given = finding.overridden
    return f"{given.who}, {given.at:%Y-%m-%d %H:%M} UTC: {given.reason}" if given else finding.fix


def _key(finding: Finding) -> str:
    """What `digest approve --override` takes; nothing where there is nothing to be overridden."""
    return finding.key if finding.level == "blocks" and not finding.is_final else ""


def _changes(finding: Finding) -> Iterator[str]:
    marks = {"same": "{}", "gone": "[-{}-]", "new": "{{+{}+}}"}
    if finding.differences:
        yield f"{finding.where}, as its source had it and as it has it now:"
    for one in finding.differences:
        yield f"  {one.label}: {' '.join(marks[kind].format(words) for kind, words in one.pieces)}"


def _count(findings: tuple[Finding, ...]) -> str:
    counts = [(level, sum(one.level == level for one in findings)) for level in LEVELS]
    words = {"blocks": "to put right", "overridden": "overridden", "warns": "to look at"}
    return "".join(f"{count} {words[level]}, " for level, count in counts if count)


def _links(examined: Examined) -> str:
    asked = examined.asked
    said = f"; {asked.unknown} of {asked.links} links have not been asked for (--links does)" if asked.unknown else ""
    return said + (f"; never asked for: {', '.join(asked.unasked)}" if asked.unasked else "")


def _hint(examined: Examined) -> str:
    if any(finding.is_final for finding in examined.blocking):
        return ""
    return " A publisher may override what has a key: `digest approve --override KEY=REASON`."


def _as_json(finding: Finding) -> dict[str, Any]:
    more = {"key": finding.key, "is_final": finding.is_final, "matters": finding.matters}
    return {**asdict(finding), **more}
