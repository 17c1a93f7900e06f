"""The editor's hand: every change to an issue's stories and texts.

Each function works in the caller's transaction with the issue's row locked, and answers `Done` or `Refused`. A change
counts the revision up, marks the issue as touched (F-33), and takes back an approval that it had: that was of another
revision. A call that would change nothing is `Done` and does none of this. `expected_revision` is the revision that
the person had before their eyes; none means that they take whatever stands. What the issue says after each change is
kept (`record`), so that it can be gone back to (`revisions`).

`sections` is the newsletter's order of headings (`order`). The positions are always 0 to n-1, and after a move they are
the reading order.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.issues import log, record
from digest.issues.control import STANDING, locked, stale
from digest.issues.order import number, placed, ranked, reading_order, step
from digest.issues.outcomes import Done, Refused
from digest.issues.record import Links
from digest.issues.select import PREHEADER_LIMITS, SUBJECT_LIMIT, preheader, subject
from digest.issues.snapshot import Snapshot, snapshot
from digest.issues.text import cut, one_line, paragraphs
from digest.models import Issue, IssueState, Item

HEADLINE_LIMIT = 300
SUMMARY_LIMIT = 2000
IMAGE_ALT_LIMIT = 500
INTRODUCTION_LIMIT = 5000
SECTION_LIMIT = 80
QUOTED = 60
"""Characters of a headline that are enough to know a story by."""

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


@dataclass(frozen=True)
class Went:
    """An issue says again what an older revision said."""

    said: str
    note: str
    """For the person who asked."""
    links: Links


Change = Callable[[Issue, list[Item]], "str | Went | Refused"]
"""Makes the change and says what was changed, as the object of a sentence; an empty string where nothing was."""
_VERBS = {
    "include": "put in",
    "leave out": "left out",
    "move": "moved",
    "edit": "wrote",
    "add": "added",
    "undo": "undid",
    "redo": "did again",
    "restore": "went back",
}


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
        said = step(order, item, -1 if direction == "up" else 1, ranked(items, sections))
        if said:
            number(order)
        return said and f"{quoted(item)} {direction}"

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
        if refused := no_section(heading, sections):
            return refused
        if item.section == heading:
            return ""
        item.section, item.position = heading, len(items)
        number(reading_order(items, sections))
        return f"{quoted(item)} to {named(heading)}"

    return change_issue(Asked(session, issue_id, expected_revision, who, now), "move", change)


def place(
    session: Session,
    issue_id: int,
    item_id: int,
    section: str,
    before: int | None,
    *,
    sections: Sequence[str] = (),
    expected_revision: int | None = None,
    who: str,
    now: dt.datetime,
) -> Done | Refused:
    """Put a story under a heading in front of another one that stands there; none puts it at the end."""
    heading = one_line(section)

    def change(_: Issue, items: list[Item]) -> str | Refused:
        item = _find(items, item_id)
        if isinstance(item, Refused):
            return item
        if refused := no_section(heading, sections):
            return refused
        follower = None if before is None else _find(items, before)
        if isinstance(follower, Refused):
            return follower
        if follower is not None and follower.section != heading:
            return Refused(f"{quoted(follower)} no longer stands under {named(heading)}. Look at the new order first.")
        order = reading_order(items, sections)
        wanted = placed(order, item, heading, follower, ranked(items, [*sections, heading]))
        is_elsewhere, stood = item.section != heading, order.index(item)
        if wanted == order and not is_elsewhere:
            return ""
        item.section = heading
        number(wanted)
        return f"{quoted(item)} {f'to {named(heading)}' if is_elsewhere else 'up' if item.position < stood else 'down'}"

    return change_issue(Asked(session, issue_id, expected_revision, who, now), "move", change)


def edit_item(
    session: Session,
    issue_id: int,
    item_id: int,
    *,
    headline: str | None = None,
    summary: str | None = None,
    image_alt: str | None = None,
    expected_revision: int | None = None,
    who: str,
    now: dt.datetime,
) -> Done | Refused:
    """Write a story's headline, its summary, or what is to be seen in its picture; what is not given stays.

    An empty `image_alt`, or the post's own, lets the post's own words stand.
    """

    def change(_: Issue, items: list[Item]) -> str | Refused:
        item = _find(items, item_id)
        if isinstance(item, Refused):
            return item
        new_headline = item.headline if headline is None else one_line(headline)
        new_summary = item.summary if summary is None else one_line(summary)
        new_alt = item.image_alt if image_alt is None else one_line(image_alt)
        if new_alt and new_alt == one_line(item.post.image_alt):
            new_alt = ""
        refused = (
            _too_long("headline", new_headline, HEADLINE_LIMIT)
            or _too_long("summary", new_summary, SUMMARY_LIMIT)
            or _too_long("picture's description", new_alt, IMAGE_ALT_LIMIT)
        ) or (None if new_headline else Refused("A story needs a headline."))
        if refused:
            return refused
        texts = [("headline", item.headline, new_headline), ("summary", item.summary, new_summary)]
        said = _written([*texts, ("picture’s description", item.image_alt, new_alt)])
        item.headline, item.summary, item.image_alt = new_headline, new_summary, new_alt
        return said and f"the {said} of {quoted(item)}"

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
    """Write the subject, the preheader or the introduction (`issues.text.paragraphs`), or several."""

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
        return said and f"the {said}"

    return change_issue(Asked(session, issue_id, expected_revision, who, now), "edit", change)


def items_of(session: Session, issue_id: int) -> list[Item]:
    """All items of an issue by position, as they stand now."""
    query = sa.select(Item).where(Item.issue_id == issue_id).order_by(Item.position, Item.id)
    return list(session.scalars(query.execution_options(populate_existing=True)))


def _set_included(asked: Asked, item_id: int, *, wanted: bool) -> Done | Refused:
    def change(_: Issue, items: list[Item]) -> str | Refused:
        item = _find(items, item_id)
        if isinstance(item, Refused):
            return item
        if item.included is wanted:
            return ""
        item.included = wanted
        return quoted(item)

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
    before = snapshot(issue, items)
    follows = (issue.subject == subject(items), issue.preheader == preheader(items))
    made = change(issue, items)
    if isinstance(made, Refused):
        return made
    if not made:
        return Done(issue.id, issue.revision, issue.state)
    record.keep_before(session, issue, before, asked.now)
    if isinstance(made, str):
        _follow(issue, items, before, follows)
        made = Went(made, "", Links(undo_to=issue.revision))
    return _done(asked, issue, items, action, made)


def _done(asked: Asked, issue: Issue, items: list[Item], action: str, made: Went) -> Done:
    """Count the change, record it and log it."""
    session, note = asked.session, _touch(issue)
    said = f"{_VERBS[action]} {made.said}"
    record.keep_after(session, issue, items, made.links, said=said, who=asked.who, now=asked.now)
    detail = f"revision {issue.revision}: {made.said}"
    log.append(session, at=asked.now, who=asked.who, action=action, about=issue.name, detail=detail)
    session.flush()
    return Done(issue.id, issue.revision, issue.state, " ".join(filter(None, (made.note, note))))


def _follow(issue: Issue, items: list[Item], stood: Snapshot, follows: tuple[bool, bool]) -> None:
    """Subject and preheader go with the first stories until somebody writes their own."""
    told = sorted(items, key=lambda item: item.position)
    if follows[0] and issue.subject == stood.subject:
        issue.subject = subject(told)
    if follows[1] and issue.preheader == stood.preheader:
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


def quoted(item: Item) -> str:
    """A story by its headline, as sentences about it have it."""
    return f"“{cut(item.headline, QUOTED)}”"


def named(section: str) -> str:
    """A section by its heading, as sentences have it."""
    return section or "the main part"


def no_section(heading: str, sections: Sequence[str]) -> Refused | None:
    """The refusal where there is no such heading."""
    if sections and heading not in sections:
        return Refused(f"There is no section {heading!r}; the sections are {', '.join(filter(None, sections))}.")
    if len(heading) > SECTION_LIMIT:
        return Refused(f"A section's heading has at most {SECTION_LIMIT} characters.")
    return None


def _written(texts: Sequence[tuple[str, str, str]]) -> str:
    *most, last = [name for name, old, new in texts if old != new] or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _too_long(name: str, text: str, limit: int) -> Refused | None:
    if len(text) <= limit:
        return None
    return Refused(f"The {name} has {len(text)} characters; at most {limit} are possible.")
