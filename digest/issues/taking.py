"""A story and its post: taking the source's new text, keeping the editor's, and following a link that has moved."""

from __future__ import annotations

import datetime as dt

from sqlalchemy.orm import Session

from digest.issues import links, log
from digest.issues.control import STANDING, locked, stale
from digest.issues.edit import OPEN, Asked, change_issue, edit_item, items_of
from digest.issues.order import reading_order
from digest.issues.outcomes import Done, Refused
from digest.issues.select import Candidate, pick
from digest.models import Issue, Item
from digest.settings import Newsletter


def take(
    session: Session,
    issue_id: int,
    item_id: int,
    newsletter: Newsletter,
    *,
    expected_revision: int | None = None,
    who: str,
    now: dt.datetime,
) -> Done | Refused:
    """Give a story the headline and summary that its post would have now, as a draft would make them."""
    found = _found(session, issue_id, item_id, expected_revision)
    if isinstance(found, Refused):
        return found
    issue, item = found
    order = [one for one in reading_order(items_of(session, issue.id), newsletter.sections) if one.included]
    lead = next((one.id for one in order if one.section == ""), None)
    post = item.post
    candidate = Candidate(post.id, item.section, post.title, post.published_at, post.summary, post.body)
    new = pick(candidate, included=item.included, lead=item.id == lead)
    result = edit_item(
        session,
        issue_id,
        item_id,
        headline=new.headline,
        summary=new.summary,
        expected_revision=expected_revision,
        who=who,
        now=now,
    )
    if isinstance(result, Done):
        item.taken_at = now
        session.flush()
    return result


def keep(
    session: Session,
    issue_id: int,
    item_id: int,
    *,
    expected_revision: int | None = None,
    who: str,
    now: dt.datetime,
) -> Done | Refused:
    """Leave a story as it is: somebody has compared it with its post. Nothing changes that readers see."""
    found = _found(session, issue_id, item_id, expected_revision)
    if isinstance(found, Refused):
        return found
    issue, item = found
    item.taken_at = now
    log.append(session, at=now, who=who, action="keep", about=issue.name, detail=item.headline)
    session.flush()
    return Done(issue.id, issue.revision, issue.state)


def follow(
    session: Session,
    issue_id: int,
    item_id: int,
    *,
    expected_revision: int | None = None,
    who: str,
    now: dt.datetime,
) -> Done | Refused:
    """Link a story to where its link was found to lead. What readers get changes, so it is another revision."""

    def change(_: Issue, items: list[Item]) -> str | Refused:
        item = next((one for one in items if one.id == item_id), None)
        answered = links.answers(session, [item.post.link]).get(item.post.link) if item else None
        if item is None or answered is None or answered.outcome != "moved":
            return Refused("That link leads nowhere else any more. Look at the checks again.")
        item.post.link = answered.final
        return f"the link of “{item.headline}”"

    return change_issue(Asked(session, issue_id, expected_revision, who, now), "edit", change)


def _found(
    session: Session, issue_id: int, item_id: int, expected_revision: int | None
) -> tuple[Issue, Item] | Refused:
    """The issue, locked and open at the revision that the person saw, and its story."""
    issue = locked(session, issue_id)
    if isinstance(issue, Refused):
        return issue
    if issue.state not in OPEN:
        return Refused(f"{issue.name} {STANDING[issue.state]}: it can no longer be changed.")
    if refused := stale(issue, expected_revision):
        return refused
    item = next((one for one in items_of(session, issue_id) if one.id == item_id), None)
    return (issue, item) if item else Refused("That story is not in this issue.")
