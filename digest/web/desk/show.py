"""What the issue page shows, gathered from the database into frozen values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload

from digest.issues.edit import OPEN, reading_order
from digest.issues.outcomes import Finding
from digest.issues.select import PREHEADER_LIMITS, SUBJECT_AIM, SUBJECT_LIMIT
from digest.mail.ledger import Equation
from digest.mail.report_data import books
from digest.models import Issue, Item, LogEntry
from digest.settings import Newsletter
from digest.web.accounts import publishers
from digest.web.desk.page import local_time, span, until, utc_time
from digest.web.desk.typed import ISSUE_FIELDS, ITEM_FIELDS, Field, fields
from digest.web.desk.words import STATES, action
from digest.web.form import Form
from digest.weeks import Week

LOG_LENGTH = 30


@dataclass(frozen=True)
class Row:
    """A story on the desk."""

    id: int
    number: int | None
    """Its place among the stories that are in; none for one that is left out."""
    is_lead: bool
    headline: Field
    summary: Field
    section: Field
    link: str
    host: str
    published: str
    note: str
    """What the editor should know of its post: edited or withdrawn at the source."""
    first: bool
    last: bool

    @property
    def typed(self) -> bool:
        """Whether something is typed in it that does not stand: its fields are then shown open."""
        return any(field.stands is not None for field in (self.headline, self.summary, self.section))


@dataclass(frozen=True)
class Group:
    """A heading with the stories under it; the main part's heading is empty."""

    heading: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Logged:
    """One line of the issue's history."""

    when: str
    who: str
    did: str
    detail: str


@dataclass(frozen=True)
class IssuePage:
    """All that `desk/issue.html` uses of an issue."""

    name: str
    path: str
    title: str
    week: int
    language: str
    direction: str
    date: str
    state: str
    state_word: str
    hold_reason: str
    approved_by: str
    revision: int
    can_edit: bool
    is_out: bool
    """Whether its audience is frozen: sending, paused or over."""
    window: str
    send_local: str
    send_utc: str
    send_until: str
    subject: Field
    preheader: Field
    introduction: Field
    limits: dict[str, int]
    groups: tuple[Group, ...]
    sections: tuple[str, ...]
    included: int
    total: int
    findings: tuple[Finding, ...]
    equation: Equation
    log: tuple[Logged, ...]
    publishers: tuple[str, ...]
    """Who may approve and send, by name."""

    @property
    def blocks(self) -> int:
        """How many findings block it."""
        return sum(finding.level == "blocks" for finding in self.findings)

    @property
    def clashes(self) -> bool:
        """Whether something typed differs from what somebody else has saved meanwhile."""
        rows = [
            field for group in self.groups for row in group.rows for field in (row.headline, row.summary, row.section)
        ]
        return any(field.clash for field in (self.subject, self.preheader, self.introduction, *rows))


def find_issue(session: Session, newsletter: str, week: str) -> Issue | None:
    """The issue with this name, its items and their posts."""
    return session.scalar(
        sa.select(Issue)
        .options(selectinload(Issue.items).joinedload(Item.post))
        .where(Issue.newsletter == newsletter, Issue.week == week)
    )


def issue_page(
    session: Session,
    issue: Issue,
    newsletter: Newsletter,
    findings: Sequence[Finding],
    now: dt.datetime,
    form: Form | None = None,
) -> IssuePage:
    """The page's values; `form` is what was typed and could not be saved, which is shown instead of what stands."""
    zone = newsletter.timezone
    shown = fields(_standing(issue), form)
    rows = _rows(issue, newsletter, shown)
    return IssuePage(
        name=issue.name,
        path=f"/desk/issues/{issue.name}",
        title=newsletter.title,
        week=Week.parse(issue.week).number,
        language=newsletter.language,
        direction=newsletter.direction,
        date=f"{issue.send_at.astimezone(zone):%A, %-d %B %Y}",
        state=issue.state.value,
        state_word=STATES[issue.state],
        hold_reason=issue.hold_reason,
        approved_by=issue.approved_by or "",
        revision=issue.revision,
        can_edit=issue.state in OPEN,
        is_out=issue.frozen_at is not None,
        window=span(issue.window_start, issue.window_end, zone),
        send_local=local_time(issue.send_at, zone),
        send_utc=utc_time(issue.send_at),
        send_until=until(issue.send_at, now),
        subject=shown["subject"],
        preheader=shown["preheader"],
        introduction=shown["introduction"],
        limits={"subject": SUBJECT_LIMIT, "subject_aim": SUBJECT_AIM, "preheader": PREHEADER_LIMITS[1]},
        groups=rows,
        sections=tuple(dict.fromkeys([*newsletter.sections, *(item.section for item in issue.items)])),
        included=sum(item.included for item in issue.items),
        total=len(issue.items),
        findings=tuple(findings),
        equation=books(session, issue.id),
        log=_history(session, issue, newsletter),
        publishers=publishers(session),
    )


def is_open(issue: Issue) -> bool:
    """Whether the issue can still be changed."""
    return issue.state in OPEN


def _standing(issue: Issue) -> dict[str, str]:
    texts = {name: str(getattr(issue, name)) for name in ISSUE_FIELDS}
    for item in issue.items:
        texts.update({f"{name}-{item.id}": str(getattr(item, name)) for name in ITEM_FIELDS})
    return texts


def _rows(issue: Issue, newsletter: Newsletter, shown: dict[str, Field]) -> tuple[Group, ...]:
    order = reading_order(issue.items, newsletter.sections)
    lead = next((item.id for item in order if item.included and item.section == ""), None)
    groups: dict[str, list[Row]] = {}
    number = 0
    for place, item in enumerate(order):
        number += item.included
        groups.setdefault(item.section, []).append(
            Row(
                id=item.id,
                number=number if item.included else None,
                is_lead=item.id == lead,
                headline=shown[f"headline-{item.id}"],
                summary=shown[f"summary-{item.id}"],
                section=shown[f"section-{item.id}"],
                link=item.post.link,
                host=urlsplit(item.post.link).hostname or item.post.link,
                published=local_time(item.post.published_at, newsletter.timezone),
                note=_note(item, newsletter),
                first=place == 0,
                last=place == len(order) - 1,
            )
        )
    return tuple(Group(heading, tuple(rows)) for heading, rows in groups.items())


def _note(item: Item, newsletter: Newsletter) -> str:
    post = item.post
    if post.withdrawn_at:
        return f"Gone from its site since {local_time(post.withdrawn_at, newsletter.timezone)}."
    if item.is_edited and post.edited_at:
        return (
            f"Edited at its source; seen {local_time(post.edited_at, newsletter.timezone)}. Compare before it goes out."
        )
    return ""


def _history(session: Session, issue: Issue, newsletter: Newsletter) -> tuple[Logged, ...]:
    entries = session.scalars(
        sa.select(LogEntry).where(LogEntry.object == issue.name).order_by(LogEntry.id.desc()).limit(LOG_LENGTH)
    )
    return tuple(
        Logged(local_time(entry.at, newsletter.timezone), entry.who, action(entry), entry.detail) for entry in entries
    )
