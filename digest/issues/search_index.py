"""The index of what issues say is kept in the very transaction that changes an issue, whoever changes it.

It is not the editing functions that keep it, where a new one could forget to: a database that is followed notices which
issues and stories a transaction has touched, and rewrites their entries just before it commits. It does not notice
statements that go past the session's objects (`sa.update(Item)`); the project has none that change these texts, and
removed rows take their entries with them. `rebuild` makes everything anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session, UOWTransaction

from digest.folding import words
from digest.models import Issue, Item, SearchEntry
from subscribers.db import Database

_TOUCHED = "issues whose entries are to be written"
_TEXTS: dict[type, tuple[str, ...]] = {
    Issue: ("subject", "introduction"),
    Item: ("headline", "summary", "included"),
}
BATCH = 50
"""Issues that are rebuilt in one transaction: a writer that waits for it waits a moment."""


def follow(database: Database) -> None:
    """Keep the index beside this database's issues from now on. Called once, where the database is opened."""
    database.on("after_flush", _notice)
    database.on("before_commit", _write)
    database.on("after_rollback", _forget)


def index(session: Session, issue_ids: Sequence[int]) -> int:
    """Write the entries of some issues anew, in the caller's transaction; returns how many there are now."""
    issues = session.execute(
        sa.select(Issue.id, Issue.newsletter, Issue.week, Issue.subject, Issue.introduction)
        .where(Issue.id.in_(issue_ids))
        .order_by(Issue.send_at, Issue.id)
    ).all()
    items = session.execute(
        sa.select(Item.issue_id, Item.id, Item.headline, Item.summary)
        .where(Item.issue_id.in_(issue_ids), Item.included)
        .order_by(Item.position, Item.id)
    ).all()
    session.execute(sa.delete(SearchEntry).where(SearchEntry.issue_id.in_(issue_ids)), execution_options=_APART)
    rows = []
    for issue_id, newsletter, week, subject, introduction in issues:
        where = {"issue_id": issue_id, "newsletter": newsletter, "week": week}
        rows.append({**where, "item_id": None, "head": words(subject), "body": words(introduction)})
        rows += [
            {**where, "item_id": item_id, "head": words(headline), "body": words(summary)}
            for of_issue, item_id, headline, summary in items
            if of_issue == issue_id
        ]
    if rows:
        session.execute(sa.insert(SearchEntry), rows)
    return len(rows)


def rebuild(database: Database) -> int:
    """Make the whole index anew, some issues at a time, oldest first; returns how many entries it has.

    People can go on working and searching meanwhile.
    """
    with database.read() as session:
        ids = session.scalars(sa.select(Issue.id).order_by(Issue.send_at, Issue.id)).all()
    made = 0
    for first in range(0, len(ids), BATCH):
        with database.write() as session:
            made += index(session, ids[first : first + BATCH])
    return made


_APART = {"synchronize_session": False}


def _notice(session: Session, _flush: UOWTransaction) -> None:
    """Remember which issues a flush has changed; what their texts were is known until it has ended."""
    touched: set[int] = session.info.setdefault(_TOUCHED, set())
    for changed in (*session.new, *session.deleted, *(one for one in session.dirty if _is_changed(one))):
        if isinstance(changed, Issue):
            touched.add(changed.id)
        elif isinstance(changed, Item):
            touched.add(changed.issue_id)


def _is_changed(one: object) -> bool:
    state = sa.inspect(one)
    return any(state.attrs[name].history.has_changes() for name in _TEXTS.get(type(one), ()))


def _write(session: Session) -> None:
    session.flush()
    if touched := session.info.pop(_TOUCHED, None):
        index(session, sorted(touched))


def _forget(session: Session) -> None:
    session.info.pop(_TOUCHED, None)
