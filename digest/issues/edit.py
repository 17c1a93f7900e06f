"""The editor's hand: every change to an issue's stories and texts.

Each function works in the caller's transaction with the issue's row locked, and answers `Done` or `Refused`. A change
counts the revision up, marks the issue as touched (F-33), and takes back an approval that it had: that was of another
revision. A call that would change nothing is `Done` and does none of this. `expected_revision` is the revision that
the person had before their eyes; none means that they take whatever stands.

Stories stand in *reading order*: section by section, by position within a section. `sections` is the newsletter's
order of headings; without it the order in which they first appear, the main part ("") before all. The positions are
always 0 to n-1, and after a move they are the reading order.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.issues import log
from digest.issues.control import STANDING, locked, stale
from digest.issues.outcomes import Done, Refused
from digest.issues.select import PREHEADER_LIMITS, SUBJECT_LIMIT, preheader, subject
from digest.issues.text import one_line, paragraphs
from digest.models import Issue, IssueState, Item

HEADLINE_LIMIT = 300
SUMMARY_LIMIT = 2000
INTRODUCTION_LIMIT = 5000
SECTION_LIMIT = 80

OPEN = frozenset({IssueState.DRAFT, IssueState.HELD, IssueState.APPROVED})
"""The states in which an issue can be edited."""


@dataclass(frozen=True)
class Asked:
    """By whom a change is asked for, in which transaction, and from which revision."""

    session: Session
    issue_id: int
    expected_revision: int | None
    who: str
    now: dt.datetime


Change = Callable[[Issue, list[Item]], "str | Refused"]
"""Makes the change and says what it was, for the log; an empty string where there was nothing to do."""


def include(
    session: Session, issue_id: int, item_id: int, *, expected_revision: int | None = None, who: str, now: dt.datetime
) -> Done | Refused:
    """Put a story into the issue."""
    return _set_included(Asked(session, issue_id, expected_revision, who, now), item_id, wanted=True)


def leave_out(
    session: Session, issue_id: int, item_id: int, *, expected_revision: int | None = None, who: str, now: dt.datetime
) -> Done | Refused:
    """Take a story out of the issue; it stays on the desk and keeps its place."""
    return _set_included(Asked(session, issue_id, expected_revision, who, now), item_id, wanted=False)


def move(
    session: Session,
    issue_id: int,
    item_id: int,
    direction: Literal["up", "down"],
    *,
    sections: Sequence[str] = (),
    expected_revision: int | None = None,
    who: str,
    now: dt.datetime,
) -> Done | Refused:
    """Move a story one place up or down; at its section's edge it goes over into the neighbouring section."""

    def change(_: Issue, items: list[Item]) -> str | Refused:
        order = reading_order(items, sections)
        item = _find(order, item_id)
        if isinstance(item, Refused):
            return item
        said = step(order, item, -1 if direction == "up" else 1, _ranked(items, sections))
        if said:
            number(order)
        return said and f"{direction}: {item.headline}"

    return change_issue(Asked(session, issue_id, expected_revision, who, now), "move", change)


def move_to_section(
    session: Session,
    issue_id: int,
    item_id: int,
    section: str,
    *,
    sections: Sequence[str] = (),
    expected_revision: int | None = None,
    who: str,
    now: dt.datetime,
) -> Done | Refused:
    """Put a story under another heading, at its end; the empty string is the main part."""
    heading = one_line(section)

    def change(_: Issue, items: list[Item]) -> str | Refused:
        item = _find(items, item_id)
        if isinstance(item, Refused):
            return item
        if sections and heading not in sections:
            return Refused(f"There is no section {heading!r}; the sections are {', '.join(filter(None, sections))}.")
        if len(heading) > SECTION_LIMIT:
            return Refused(f"A section's heading has at most {SECTION_LIMIT} characters.")
        if item.section == heading:
            return ""
        item.section, item.position = heading, len(items)
        number(reading_order(items, sections))
        return f"to {heading or 'the main part'}: {item.headline}"

    return change_issue(Asked(session, issue_id, expected_revision, who, now), "move", change)


def edit_item(
    session: Session,
    issue_id: int,
    item_id: int,
    *,
    headline: str | None = None,
    summary: str | None = None,
    expected_revision: int | None = None,
    who: str,
    now: dt.datetime,
) -> Done | Refused:
    """Write a story's headline or summary, or both; what is not given stays."""

    def change(_: Issue, items: list[Item]) -> str | Refused:
        item = _find(items, item_id)
        if isinstance(item, Refused):
            return item
        new_headline = item.headline if headline is None else one_line(headline)
        new_summary = item.summary if summary is None else one_line(summary)
        refused = (
            _too_long("headline", new_headline, HEADLINE_LIMIT) or _too_long("summary", new_summary, SUMMARY_LIMIT)
        ) or (None if new_headline else Refused("A story needs a headline."))
        if refused:
            return refused
        said = _written([("headline", item.headline, new_headline), ("summary", item.summary, new_summary)])
        item.headline, item.summary = new_headline, new_summary
        return said and f"{said}: {item.headline}"

    return change_issue(Asked(session, issue_id, expected_revision, who, now), "edit", change)


def edit_issue(
    session: Session,
    issue_id: int,
    *,
    subject: str | None = None,
    preheader: str | None = None,
    introduction: str | None = None,
    expected_revision: int | None = None,
    who: str,
    now: dt.datetime,
) -> Done | Refused:
    """Write the subject, the preheader or the introduction (plain text, blank lines part paragraphs), or several."""

    def change(issue: Issue, _: list[Item]) -> str | Refused:
        new_subject = issue.subject if subject is None else one_line(subject)
        new_preheader = issue.preheader if preheader is None else one_line(preheader)
        new_text = issue.introduction if introduction is None else "\n\n".join(paragraphs(introduction))
        refused = (
            _too_long("subject", new_subject, SUBJECT_LIMIT)
            or _too_long("preheader", new_preheader, PREHEADER_LIMITS[1])
            or _too_long("introduction", new_text, INTRODUCTION_LIMIT)
        )
        if refused:
            return refused
        texts = [("subject", issue.subject, new_subject), ("preheader", issue.preheader, new_preheader)]
        said = _written([*texts, ("introduction", issue.introduction, new_text)])
        issue.subject, issue.preheader, issue.introduction = new_subject, new_preheader, new_text
        return said

    return change_issue(Asked(session, issue_id, expected_revision, who, now), "edit", change)


def items_of(session: Session, issue_id: int) -> list[Item]:
    """All items of an issue by position, as they stand now."""
    query = sa.select(Item).where(Item.issue_id == issue_id).order_by(Item.position, Item.id)
    return list(session.scalars(query.execution_options(populate_existing=True)))


def reading_order(items: Sequence[Item], sections: Sequence[str] = ()) -> list[Item]:
    """The items as a reader meets them: section by section, by position within each."""
    rank = {section: place for place, section in enumerate(_ranked(items, sections))}
    return sorted(items, key=lambda item: (rank[item.section], item.position))


def _ranked(items: Sequence[Item], sections: Sequence[str]) -> list[str]:
    appearing = [item.section for item in sorted(items, key=lambda item: item.position)]
    return list(dict.fromkeys(["", *sections, *appearing]))


def _set_included(asked: Asked, item_id: int, *, wanted: bool) -> Done | Refused:
    def change(_: Issue, items: list[Item]) -> str | Refused:
        item = _find(items, item_id)
        if isinstance(item, Refused):
            return item
        if item.included is wanted:
            return ""
        item.included = wanted
        return item.headline

    return change_issue(asked, "include" if wanted else "leave out", change)


def change_issue(asked: Asked, action: str, change: Change) -> Done | Refused:
    """Do what every change has in common; `change` is given the locked issue and its items by position."""
    session = asked.session
    issue = locked(session, asked.issue_id)
    if isinstance(issue, Refused):
        return issue
    if issue.state not in OPEN:
        return Refused(f"{issue.name} {STANDING[issue.state]}: it can no longer be changed.")
    if refused := stale(issue, asked.expected_revision):
        return refused
    items = items_of(session, issue.id)
    stood = (issue.subject, issue.preheader)
    follows = (stood[0] == subject(items), stood[1] == preheader(items))
    said = change(issue, items)
    if isinstance(said, Refused):
        return said
    if not said:
        return Done(issue.id, issue.revision, issue.state)
    _follow(issue, items, stood, follows)
    note = _touch(issue)
    detail = f"revision {issue.revision}: {said}"
    log.append(session, at=asked.now, who=asked.who, action=action, about=issue.name, detail=detail)
    session.flush()
    return Done(issue.id, issue.revision, issue.state, note)


def _follow(issue: Issue, items: list[Item], stood: tuple[str, str], follows: tuple[bool, bool]) -> None:
    """Subject and preheader go with the first stories until somebody writes their own."""
    told = sorted(items, key=lambda item: item.position)
    if follows[0] and issue.subject == stood[0]:
        issue.subject = subject(told)
    if follows[1] and issue.preheader == stood[1]:
        issue.preheader = preheader(told)


def _touch(issue: Issue) -> str:
    issue.revision += 1
    issue.touched = True
    if issue.state is not IssueState.APPROVED:
        return ""
    by = issue.approved_by
    issue.state = IssueState.DRAFT
    issue.approved_at = issue.approved_by = None
    return f"This took back the approval by {by}, which was of the text before; approve the issue again."


def _find(items: Sequence[Item], item_id: int) -> Item | Refused:
    found = next((item for item in items if item.id == item_id), None)
    return found or Refused("That story is not in this issue.")


def step(order: list[Item], item: Item, by: int, ranked: Sequence[str]) -> str:
    """Move an item by one place within a reading order, in place; says `moved` where it did. Pure."""
    at = order.index(item)
    neighbour = order[at + by] if 0 <= at + by < len(order) else None
    if neighbour is not None and neighbour.section == item.section:
        order[at], order[at + by] = neighbour, item
        return "moved"
    # At the edge of its section it keeps its place in the order and stands under the next heading instead.
    rank = ranked.index(item.section) + by
    if 0 <= rank < len(ranked):
        item.section = ranked[rank]
        return "moved"
    return ""


def number(order: Sequence[Item]) -> None:
    """Give the items the positions in which they stand. Pure."""
    for position, item in enumerate(order):
        item.position = position


def _written(texts: Sequence[tuple[str, str, str]]) -> str:
    return ", ".join(name for name, old, new in texts if old != new)


def _too_long(name: str, text: str, limit: int) -> Refused | None:
    if len(text) <= limit:
        return None
    return Refused(f"The {name} has {len(text)} characters; at most {limit} are possible.")
