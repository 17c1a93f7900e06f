"""An issue's revisions: undoing the last change of anybody, doing it again, going back to any of them, and the list.

Going back is a change like every other: bound to the revision that stands, refused once the issue is out, taking an
approval back. It makes a new revision, and so can be undone itself.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session, undefer

from digest.issues.edit import Asked, Went, change_issue
from digest.issues.outcomes import Done, Refused
from digest.issues.record import Links
from digest.issues.snapshot import Snapshot, put_back, snapshot, unpack
from digest.models import Issue, Item, Post, Revision


@dataclass(frozen=True)
class RevisionLine:
    """One revision in the list."""

    number: int
    at: dt.datetime
    who: str
    said: str
    """What was done: the rest of a sentence that begins with the name."""


@dataclass(frozen=True)
class Within:
    """What can be undone and done again now; none where nothing can."""

    undo: RevisionLine | None = None
    redo: RevisionLine | None = None


def undo(
    session: Session, issue_id: int, *, expected_revision: int | None = None, who: str, now: dt.datetime
) -> Done | Refused:
    """Take back the last change, whoever made it; the note says whose it was. What was undone can be done again."""

    def change(issue: Issue, items: list[Item]) -> str | Went | Refused:
        standing = _row(session, issue.id, issue.revision)
        target = standing and _row(session, issue.id, standing.undo_to)
        if standing is None or target is None:
            return Refused("There is nothing to undo.")
        _put_back(session, issue, items, target)
        undone = _line(_row(session, issue.id, standing.same_as) or standing)
        links = Links(undo_to=target.undo_to, redo_to=standing.number, same_as=target.same_as)
        return Went(f"what {undone.who} did: {undone.said}", f"Undone: {undone.who} {undone.said}.", links)

    return change_issue(Asked(session, issue_id, expected_revision, who, now), "undo", change)


def redo(
    session: Session, issue_id: int, *, expected_revision: int | None = None, who: str, now: dt.datetime
) -> Done | Refused:
    """Do again what was undone last, unless somebody has changed something else since."""

    def change(issue: Issue, items: list[Item]) -> str | Went | Refused:
        standing = _row(session, issue.id, issue.revision)
        target = standing and _row(session, issue.id, standing.redo_to)
        if target is None:
            return Refused("There is nothing to do again.")
        _put_back(session, issue, items, target)
        done = _line(_row(session, issue.id, target.same_as) or target)
        links = Links(undo_to=target.undo_to, redo_to=target.redo_to, same_as=target.same_as)
        return Went(f"what {done.who} did: {done.said}", f"Done again: {done.who} {done.said}.", links)

    return change_issue(Asked(session, issue_id, expected_revision, who, now), "redo", change)


def restore(
    session: Session, issue_id: int, number: int, *, expected_revision: int | None = None, who: str, now: dt.datetime
) -> Done | Refused:
    """Make the issue say what it said at a revision; stories that came in since stay, left out."""

    def change(issue: Issue, items: list[Item]) -> str | Went | Refused:
        target = _row(session, issue.id, number)
        if target is None:
            return Refused(f"There is no revision {number} of {issue.name} to go back to.")
        before = snapshot(issue, items)
        _put_back(session, issue, items, target)
        if snapshot(issue, items) == before:
            return ""
        return Went(f"to revision {number}", "", Links(undo_to=issue.revision))

    return change_issue(Asked(session, issue_id, expected_revision, who, now), "restore", change)


def within(session: Session, issue: Issue) -> Within:
    """What a person can undo and do again now. Two small reads: no snapshot is loaded."""
    standing = _row(session, issue.id, issue.revision)
    if standing is None:
        return Within()
    undone, again = standing.undo_to and standing.same_as, standing.redo_to
    origin = again and _row(session, issue.id, again)
    return Within(_of(session, issue.id, undone), _of(session, issue.id, origin.same_as if origin else None))


def history(session: Session, issue: Issue) -> tuple[RevisionLine, ...]:
    """All revisions that are kept, the newest first."""
    rows = session.scalars(sa.select(Revision).where(Revision.issue_id == issue.id).order_by(Revision.number.desc()))
    return tuple(map(_line, rows))


def kept(session: Session, issue: Issue, *, before: int | None, count: int) -> list[tuple[RevisionLine, Snapshot]]:
    """So many revisions with what the issue said at them, the newest first; only those `before` a number, if given."""
    query = sa.select(Revision).where(Revision.issue_id == issue.id).options(undefer(Revision.snapshot))
    if before is not None:
        query = query.where(Revision.number < before)
    rows = session.scalars(query.order_by(Revision.number.desc()).limit(count))
    return [(_line(row), unpack(row.snapshot)) for row in rows]


def stood(session: Session, issue: Issue, number: int) -> Snapshot | None:
    """What the issue said at a revision; none where it is not kept."""
    stored = session.scalar(
        sa.select(Revision.snapshot).where(Revision.issue_id == issue.id, Revision.number == number)
    )
    return None if stored is None else unpack(stored)


def _put_back(session: Session, issue: Issue, items: list[Item], target: Revision) -> None:
    standing = {item.post_id for item in items}
    wanted = unpack(target.snapshot)
    missing = {story.post_id for story in wanted.stories} - standing
    there = set(session.scalars(sa.select(Post.id).where(Post.id.in_(missing)))) if missing else set()
    put_back(issue, items, wanted.of(standing | there))
    session.add_all(item for item in items if item.post_id in there)


def _row(session: Session, issue_id: int, number: int | None) -> Revision | None:
    return None if number is None else session.get(Revision, (issue_id, number))


def _of(session: Session, issue_id: int, number: int | None) -> RevisionLine | None:
    row = _row(session, issue_id, number)
    return None if row is None else _line(row)


def _line(row: Revision) -> RevisionLine:
    return RevisionLine(row.number, row.at, row.who, row.said)
