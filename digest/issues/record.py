"""What an issue said after each of its changes: `edit` and `draft` write this record, `revisions` reads it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.issues.snapshot import Snapshot, pack, snapshot
from digest.issues.text import cut, one_line
from digest.models import Issue, Item, Revision

SAID_LIMIT = 300
BEFORE = "It stood like this when its history began to be kept."


@dataclass(frozen=True)
class Links:
    """How a revision hangs together with older ones; see `digest.models.Revision`."""

    undo_to: int | None = None
    redo_to: int | None = None
    same_as: int | None = None


def begin(session: Session, issue: Issue, items: list[Item], *, said: str, who: str, now: dt.datetime) -> None:
    """Record the state that an issue begins with: nothing before it can be gone back to."""
    _add(session, issue, snapshot(issue, items), Links(), said=said, who=who, now=now)


def keep_before(session: Session, issue: Issue, before: Snapshot, now: dt.datetime) -> None:
    """See to it that the state before a change is on record, as it really stands.

    What was offered since the last change is no revision of its own, and an issue may be older than its record.
    """
    key = (Revision.issue_id == issue.id, Revision.number == issue.revision)
    stored = session.scalar(sa.select(Revision.snapshot).where(*key))
    standing = pack(before)
    if stored is None:
        _add(session, issue, before, Links(), said=BEFORE, who="", now=now)
    elif stored != standing:
        session.execute(
            sa.update(Revision).where(*key).values(snapshot=standing).execution_options(synchronize_session=False)
        )


def keep_after(
    session: Session, issue: Issue, items: list[Item], links: Links, *, said: str, who: str, now: dt.datetime
) -> None:
    """Record what an issue says after a change; its revision has been counted up."""
    _add(session, issue, snapshot(issue, items), links, said=said, who=who, now=now)


def _add(
    session: Session, issue: Issue, value: Snapshot, links: Links, *, said: str, who: str, now: dt.datetime
) -> None:
    session.add(
        Revision(
            issue_id=issue.id,
            number=issue.revision,
            at=now,
            who=one_line(who),
            said=cut(one_line(said), SAID_LIMIT),
            same_as=links.same_as or issue.revision,
            undo_to=links.undo_to,
            redo_to=links.redo_to,
            snapshot=pack(value),
        )
    )
