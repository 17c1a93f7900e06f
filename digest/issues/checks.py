"""What has to be said about an issue before it goes out: what blocks it, and what an editor should look at.

Each `checks_…` beside this file looks at one side of it; `codes` has their names. What takes time (asking for links, a
spam filter) is done in the background (`watch`), and only what came of it is read here: a page never waits for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload

from digest.issues import links, overrides
from digest.issues.checks_links import Asked, asked, of_links
from digest.issues.checks_mail import of_mails, of_score
from digest.issues.checks_posts import of_posts
from digest.issues.checks_stories import Told, of_earlier, of_stories
from digest.issues.checks_texts import of_texts
from digest.issues.codes import CHECKS, Check
from digest.issues.order import reading_order
from digest.issues.outcomes import Finding
from digest.issues.view import view
from digest.mail.kinds import ORDINARY, Kind
from digest.mail.render import BadTemplate, IssueView, Rendered, stories_of
from digest.mail.spam import Score
from digest.models import Issue, Item, MailScore
from digest.settings import Newsletter
from subscribers.lifecycle import Format

_NOTHING = Asked(0, 0, 0, None, ())


class IssueRenderer(Protocol):
    """What is asked of `digest.mail.render.Renderer`."""

    def renderings(self, view: IssueView) -> Mapping[Kind, Rendered]:
        """The mails of an issue for all kinds of readers. Raises `BadTemplate`."""


@dataclass(frozen=True)
class Examined:
    """An issue at one revision, as it would be sent, with what there is to say about it."""

    revision: int
    renderings: Mapping[Kind, Rendered]
    """For each kind of reader; none where the templates could not be used, and a finding says why."""
    findings: tuple[Finding, ...]
    """Those that block first, then those that block no more, then what is to be looked at."""
    addresses: tuple[str, ...] = ()
    """The web addresses that it links to, away from our own pages."""
    asked: Asked = field(default=_NOTHING)
    """How far the asking for them has come."""

    @property
    def rendered(self) -> Rendered | None:
        """What most readers will be sent."""
        return self.renderings.get(ORDINARY)

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """The findings that keep it from going out."""
        return tuple(finding for finding in self.findings if finding.level == "blocks")

    @property
    def passed(self) -> tuple[Check, ...]:
        """The checks that found nothing; that of the links is one only where all were asked."""
        codes = {finding.code for finding in self.findings} | ({"link-dead"} if self.asked.unknown else set())
        return tuple(check for check in CHECKS if not codes.intersection(check.codes))


def check(
    session: Session, issue_id: int, newsletter: Newsletter, renderer: IssueRenderer, base_url: str
) -> tuple[Finding, ...]:
    """All findings about an issue as it stands, those that block first."""
    return examine(session, issue_id, newsletter, renderer, base_url=base_url).findings


def examine(
    session: Session, issue_id: int, newsletter: Newsletter, renderer: IssueRenderer, *, base_url: str
) -> Examined:
    """Render the issue as it stands and look at it with every check. Raises `NoResultFound` if there is none."""
    issue = session.execute(
        sa.select(Issue).where(Issue.id == issue_id).options(selectinload(Issue.items).selectinload(Item.post))
    ).scalar_one()
    shown = view(session, issue_id, newsletter, base_url)
    told = _told(issue, shown, newsletter)
    found = [*of_texts(issue, shown), *of_stories(told, newsletter)]
    found += [*of_posts(session, told, issue), *of_earlier(session, told, issue)]
    given = overrides.standing(session, issue_id)
    try:
        renderings = renderer.renderings(shown)
    except BadTemplate as error:
        fix = "Have whoever looks after the templates put it right."
        found.append(Finding("blocks", "template", str(error), fix, "template"))
        return Examined(issue.revision, {}, _sorted(overrides.applied(found, given), told))
    found += of_mails(renderings, shown, newsletter, base_url)
    if score := score_of(session, renderings):
        found += of_score(score)
    addresses = links.outward((renderings[kind].html for kind in (ORDINARY, Kind(Format.FULL))), base_url)
    answers = links.answers(session, addresses)
    found += of_links(told, addresses, answers, newsletter)
    findings = _sorted(overrides.applied(found, given), told)
    return Examined(issue.revision, renderings, findings, addresses, asked(addresses, answers))


def scored_as(rendered: Rendered) -> bytes:
    """What a mail is known by where a spam filter's opinion of it is kept."""
    return hashlib.sha256("\0".join((rendered.subject, rendered.text, rendered.html)).encode()).digest()


def score_of(session: Session, renderings: Mapping[Kind, Rendered]) -> Score | None:
    """What a spam filter said of the mail that most readers get; none where it was not asked."""
    kept = session.get(MailScore, scored_as(renderings[ORDINARY]))
    return Score(kept.score, kept.required, tuple(kept.said.splitlines())) if kept else None


def _told(issue: Issue, shown: IssueView, newsletter: Newsletter) -> tuple[Told, ...]:
    included = [item for item in reading_order(issue.items, newsletter.sections) if item.included]
    pairs = zip(included, stories_of(shown), strict=True)
    return tuple(Told(item, story, number) for number, (item, story) in enumerate(pairs, 1))


def _sorted(found: Sequence[Finding], told: Sequence[Told]) -> tuple[Finding, ...]:
    """Each once: by their levels, and then as one reads, what is of the whole before the stories in their order."""
    place = {str(one.item.id): one.number for one in told}
    rank = {"blocks": 0, "overridden": 1, "warns": 2}
    once: dict[tuple[str, str], Finding] = {}
    for finding in found:
        once.setdefault((finding.key, finding.where), finding)
    return tuple(sorted(once.values(), key=lambda one: (rank[one.level], place.get(one.field.rpartition("-")[2], 0))))
