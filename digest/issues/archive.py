"""Issues that have gone out, for everybody: the list, one issue, and the feed's entries; no reader's data in any."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from lxml.html import document_fromstring, tostring
from sqlalchemy.orm import Session, undefer

from digest.issues.publish import LETTER
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT
from digest.mail.report_data import reached
from digest.models import Delivery, DeliveryState, Issue, IssueState

# An issue is public from its freeze on: the first reader may follow its link while the last is still being sent to.
PUBLIC = (IssueState.SENDING, IssueState.PAUSED, IssueState.SENT)
# And one that was stopped stays so where a copy has left, or may have: it has a link to this page.
OUT = (DeliveryState.ACCEPTED, DeliveryState.UNKNOWN)


@dataclass(frozen=True)
class Published:
    """An issue in the archive."""

    newsletter: str
    week: str
    subject: str
    preheader: str
    published_at: dt.datetime
    """The instant of the freeze, in UTC."""
    updated_at: dt.datetime

    @property
    def name(self) -> str:
        """Its name, `watchdog/2026-W47`."""
        return f"{self.newsletter}/{self.week}"

    @property
    def path(self) -> str:
        """Its address below the site's."""
        return f"/issues/{self.name}"


@dataclass(frozen=True)
class Entry:
    """An issue with all its text, as the archive's page and the feed show it."""

    issue: Published
    html: str
    text: str


def published(session: Session, newsletter: str | None = None, limit: int | None = None) -> tuple[Published, ...]:
    """The issues that have gone out, newest first; of all newsletters if none is named."""
    return tuple(_published(issue) for issue in session.scalars(_newest(newsletter, limit)))


def one(session: Session, newsletter: str, week: str, home_url: str = "/") -> Entry | None:
    """One issue that has gone out; none where it does not exist or has not."""
    query = _with_texts(_public(newsletter).where(Issue.week == week))
    issue = session.scalars(query).one_or_none()
    return _entry(issue, home_url) if issue else None


def feed(session: Session, newsletter: str | None = None, limit: int = 20, home_url: str = "/") -> tuple[Entry, ...]:
    """The newest issues with their texts, for the Atom feed."""
    return tuple(_entry(issue, home_url) for issue in session.scalars(_with_texts(_newest(newsletter, limit))))


def public_among(session: Session, issue_ids: Collection[int]) -> set[int]:
    """Which of some issues everybody can read."""
    return set(session.scalars(_public(None).where(Issue.id.in_(issue_ids)).with_only_columns(Issue.id)))


def public_html(issue: Issue, home_url: str = "/") -> str:
    """The issue's HTML for everybody: without what concerns a reader of the mail alone.

    Where a newsroom's own template has a reader's link outside that, a link to the form stands in its place. Call it in
    the session that the issue belongs to: the rendered text is loaded when asked for.
    """
    if not issue.rendered_html:
        return ""
    filled = html.escape(home_url)
    page = document_fromstring(issue.rendered_html.replace(UNSUBSCRIBE_SLOT, filled).replace(MANAGE_SLOT, filled))
    for part in page.find_class("mail-only"):
        part.drop_tree()
    shown: str = tostring(page, doctype="<!doctype html>", encoding="unicode")
    return shown


def public_text(issue: Issue, home_url: str = "/") -> str:
    """The issue's text part for everybody, like `public_html`."""
    return (issue.rendered_text or "").replace(UNSUBSCRIBE_SLOT, home_url).replace(MANAGE_SLOT, home_url)


def _public(newsletter: str | None) -> sa.Select[Issue]:
    # Test copies are of the issue too, but went to editors.
    left = sa.exists().where(Delivery.issue_id == Issue.id, Delivery.letter == LETTER, Delivery.state.in_(OUT))
    stopped = sa.and_(Issue.state == IssueState.CANCELLED, sa.or_(left, reached()))
    query = sa.select(Issue).where(sa.or_(Issue.state.in_(PUBLIC), stopped), Issue.frozen_at.is_not(None))
    return query.where(Issue.newsletter == newsletter) if newsletter else query


def _newest(newsletter: str | None, limit: int | None) -> sa.Select[Issue]:
    query = _public(newsletter).order_by(Issue.send_at.desc(), Issue.id.desc()).limit(limit)
    return query.options(undefer(Issue.rendered_subject))


def _with_texts(query: sa.Select[Issue]) -> sa.Select[Issue]:
    return query.options(undefer(Issue.rendered_html), undefer(Issue.rendered_text), undefer(Issue.rendered_subject))


def _entry(issue: Issue, home_url: str) -> Entry:
    return Entry(_published(issue), public_html(issue, home_url), public_text(issue, home_url))


def _published(issue: Issue) -> Published:
    at = issue.frozen_at or issue.send_at
    subject = issue.rendered_subject or issue.subject
    return Published(issue.newsletter, issue.week, subject, issue.preheader, at, issue.finished_at or at)
