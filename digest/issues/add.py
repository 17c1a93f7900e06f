"""A story that an editor adds to an issue: a post that is stored already, or one at an address."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.gather.answers import Failed
from digest.gather.single import Found, gather_link
from digest.issues.edit import Asked, change_issue, no_section, quoted
from digest.issues.order import number, placed, ranked, reading_order
from digest.issues.outcomes import Done, Refused
from digest.issues.select import Candidate, pick
from digest.issues.text import one_line
from digest.models import Issue, IssueState, Item, Post
from digest.settings import Fetch, Newsletter
from subscribers.db import Database


@dataclass(frozen=True)
class Added(Done):
    """The story is in; the note says what an editor should know of it."""

    item_id: int = 0
    stood: bool = False
    """Whether it was in already."""
    earlier: str = ""
    """The name of another issue that has the story."""
    is_outside: bool = False
    """Whether it was published outside the issue's window."""


def find_link(
    database: Database, newsletter: Newsletter, fetch: Fetch, pasted: str, now: dt.datetime
) -> Found | Refused:
    """The post at an address that somebody pasted, read from its site if need be; never call it in a transaction."""
    found = gather_link(database, newsletter, fetch, pasted, now)
    return Refused(found.reason) if isinstance(found, Failed) else found


def add_post(
    session: Session,
    issue_id: int,
    post_id: int,
    section: str,
    *,
    sections: Sequence[str] = (),
    expected_revision: int | None = None,
    who: str,
    now: dt.datetime,
) -> Added | Refused:
    """Put a post into an issue, at the end of a section. One that is offered there already is put in where it stands.

    A post of another week, or one that was in another issue, is an editor's choice: it is taken, and the note says so.
    """
    heading, stood = one_line(section), False

    def change(issue: Issue, items: list[Item]) -> str | Refused:
        nonlocal stood
        post = session.get(Post, post_id)
        if post is None or post.newsletter != issue.newsletter:
            return Refused("That post is not one of this newsletter’s.")
        if post.withdrawn_at:
            return Refused("That story was taken down at its source.")
        if refused := no_section(heading, sections):
            return refused
        item = next((one for one in items if one.post_id == post_id), None)
        if item is not None:
            stood, item.included = item.included, True
            return "" if stood else quoted(item)
        item = _item(issue, post, heading, len(items), now)
        order = reading_order(items, sections)
        items.append(item)
        number(placed(order, item, heading, None, ranked(items, [*sections, heading])))
        session.add(item)
        return quoted(item)

    done = change_issue(Asked(session, issue_id, expected_revision, who, now), "add", change)
    return done if isinstance(done, Refused) else _added(session, done, post_id, stood=stood)


def _item(issue: Issue, post: Post, section: str, position: int, now: dt.datetime) -> Item:
    candidate = Candidate(post.id, section, post.title, post.published_at, post.summary, post.body)
    one = pick(candidate, included=True, lead=False)
    return Item(
        issue_id=issue.id,
        post_id=post.id,
        section=section,
        position=position,
        included=True,
        headline=one.headline,
        summary=one.summary,
        taken_at=now,
    )


def _added(session: Session, done: Done, post_id: int, *, stood: bool) -> Added:
    """What was done, with what an editor should know: the story is of another week, or another issue has it."""
    issue, post = session.get_one(Issue, done.issue_id), session.get_one(Post, post_id)
    item_id = session.scalars(sa.select(Item.id).where(Item.issue_id == issue.id, Item.post_id == post_id)).one()
    others = (
        sa.select(Issue)
        .join(Item)
        .where(Item.post_id == post_id, Item.included, Issue.id != issue.id, Issue.newsletter == issue.newsletter)
        .where(Issue.state != IssueState.CANCELLED)
        .order_by(Issue.week.desc())
        .limit(1)
    )
    other = session.scalar(others)
    is_outside = not issue.window_start <= post.published_at < issue.window_end
    said = [
        "It was in the issue already." if stood else "",
        f"It is in {other.name} as well." if other else "",
        f"It was published on {post.published_at:%-d %B %Y}, outside this issue’s window." if is_outside else "",
        done.note,
    ]
    note = " ".join(filter(None, said))
    return Added(
        done.issue_id, done.revision, done.state, note, item_id, stood, other.name if other else "", is_outside
    )
