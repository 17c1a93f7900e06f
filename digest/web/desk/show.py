"""What the issue page shows, gathered from the database into frozen values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload

from digest.issues.control import WAITING, approvals
from digest.issues.edit import OPEN
from digest.issues.outcomes import Finding
from digest.issues.revisions import Within, within
from digest.issues.select import PREHEADER_LIMITS, SUBJECT_AIM, SUBJECT_LIMIT
from digest.mail.ledger import Equation
from digest.mail.report_data import books
from digest.models import Issue, Item, LogEntry
from digest.settings import Newsletter
from digest.web.accounts import publishers
from digest.web.desk.page import local_time, span, until, utc_time
from digest.web.desk.save import standing_texts
from digest.web.desk.stories import Group, groups, sections_of
from digest.web.desk.typed import Field, fields
from digest.web.desk.words import action, state_word
from digest.web.form import Form
from digest.weeks import Week

LOG_LENGTH = 30


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
    approvals: tuple[str, ...]
    """Who has approved it as it stands, where that is not enough yet."""
    approvals_needed: int
    revision: int
    can_edit: bool
    """Whether the one who looks at it can change it now."""
    is_open: bool
    """Whether it can be changed at all: nothing of it has left."""
    is_out: bool
    """Whether its audience is frozen: sending, paused or over."""
    window: str
    send_local: str
    send_utc: str
    send_until: str
    send_at: str
    """The hour it leaves, in UTC, as scripts read it."""
    now: str
    """When the page was made, written the same way."""
    sender: str
    """Who in-boxes say it is from."""
    subject: Field
    preheader: Field
    introduction: Field
    limits: dict[str, int]
    groups: tuple[Group, ...]
    sections: tuple[str, ...]
    included: int
    total: int
    findings: tuple[Finding, ...]
    is_checked: bool
    """Whether the findings are about what stands; they come a moment later where they are not."""
    equation: Equation
    log: tuple[Logged, ...]
    within: Within
    """Whose change can be undone, and whose done again."""
    publishers: tuple[str, ...]
    """Who may approve and send, by name."""

    @property
    def is_ahead(self) -> bool:
        """Whether its hour is still to come."""
        return self.now <= self.send_at

    @property
    def blocks(self) -> int:
        """How many findings block it."""
        return sum(finding.level == "blocks" for finding in self.findings)

    @property
    def clashes(self) -> bool:
        """Whether something typed differs from what somebody else has saved meanwhile."""
        rows = [field for group in self.groups for row in (*group.rows, *group.left_out) for field in row.fields]
        return any(field.clash for field in (self.subject, self.preheader, self.introduction, *rows))


def find_issue(session: Session, newsletter: str, week: str, *, locked: bool = False) -> Issue | None:
    """The issue with this name, its items and their posts; locked, nobody else changes it in this transaction."""
    query = (
        sa.select(Issue)
        .options(selectinload(Issue.items).joinedload(Item.post))
        .where(Issue.newsletter == newsletter, Issue.week == week)
    )
    return session.scalar(query.with_for_update() if locked else query)


def issue_page(
    session: Session,
    issue: Issue,
    newsletter: Newsletter,
    findings: Sequence[Finding] | None,
    now: dt.datetime,
    form: Form | None = None,
    *,
    may_edit: bool = True,
) -> IssuePage:
    """The page's values; `form` is what was typed and could not be saved, which is shown instead of what stands."""
    zone = newsletter.timezone
    shown = fields(standing_texts(issue), form)
    return IssuePage(
        name=issue.name,
        path=f"/desk/issues/{issue.name}",
        title=newsletter.title,
        week=Week.parse(issue.week).number,
        language=newsletter.language,
        direction=newsletter.direction,
        date=f"{issue.send_at.astimezone(zone):%A, %-d %B %Y}",
        state=issue.state.value,
        state_word=state_word(issue),
        hold_reason=issue.hold_reason,
        approved_by=issue.approved_by or "",
        approvals=tuple(approvals(session, issue)) if issue.state in WAITING else (),
        approvals_needed=newsletter.approvals,
        revision=issue.revision,
        can_edit=may_edit and is_open(issue),
        is_open=is_open(issue),
        is_out=issue.frozen_at is not None,
        window=span(issue.window_start, issue.window_end, zone),
        send_local=local_time(issue.send_at, zone),
        send_utc=utc_time(issue.send_at),
        send_until=until(issue.send_at, now),
        send_at=_for_scripts(issue.send_at),
        now=_for_scripts(now),
        sender=newsletter.sender.name or newsletter.title,
        subject=shown["subject"],
        preheader=shown["preheader"],
        introduction=shown["introduction"],
        limits={"subject": SUBJECT_LIMIT, "subject_aim": SUBJECT_AIM, "preheader": PREHEADER_LIMITS[1]},
        groups=groups(issue, newsletter, shown),
        sections=sections_of(issue, newsletter),
        included=sum(item.included for item in issue.items),
        total=len(issue.items),
        findings=tuple(findings or ()),
        is_checked=findings is not None,
        equation=books(session, issue.id),
        log=_history(session, issue, newsletter),
        within=within(session, issue),
        publishers=publishers(session),
    )


def _for_scripts(instant: dt.datetime) -> str:
    return f"{instant.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


def is_open(issue: Issue) -> bool:
    """Whether the issue can still be changed."""
    return issue.state in OPEN


def _history(session: Session, issue: Issue, newsletter: Newsletter) -> tuple[Logged, ...]:
    entries = session.scalars(
        sa.select(LogEntry).where(LogEntry.object == issue.name).order_by(LogEntry.id.desc()).limit(LOG_LENGTH)
    )
    return tuple(
        Logged(local_time(entry.at, newsletter.timezone), entry.who, action(entry), entry.detail) for entry in entries
    )
