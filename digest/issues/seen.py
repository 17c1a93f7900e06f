"""An issue for the newsroom's eyes: as it would leave now, or as it has left, without any reader's links (W-12)."""

from __future__ import annotations

import datetime as dt
import html
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.orm import Session

from digest.issues.view import view
from digest.mail.compose import NOBODY, issue_mailing
from digest.mail.kept import rendering
from digest.mail.kinds import ORDINARY, Kind
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT, IssueView, Rendered
from digest.models import Issue
from digest.settings import Newsletter
from subscribers.tokens import Links

READER = "reader@example.org"
"""Whom the example copy is to."""


@dataclass(frozen=True)
class Seen:
    """A mail without any reader's links."""

    subject: str
    text: str
    html: str

    @property
    def size(self) -> str:
        """How heavy the HTML is; mail programs cut what is over about 100 KB (F-43)."""
        return f"{len(self.html.encode()) / 1024:.0f} KB"

    @property
    def first_line(self) -> str:
        """What in-boxes show behind the subject."""
        return " ".join(self.text.partition("\n\n")[0].split())


class OneRenderer(Protocol):
    """What is asked of `digest.mail.render.Renderer`."""

    def rendering(self, view: IssueView, kind: Kind) -> Rendered:
        """The mail of an issue for one kind of reader. Raises `BadTemplate`."""


def rendered_now(
    session: Session,
    issue: Issue,
    newsletter: Newsletter,
    renderer: OneRenderer,
    base_url: str,
    kind: Kind = ORDINARY,
) -> Rendered:
    """The issue for one kind of reader as it stands, or, once it is out, exactly what was sent; slots unfilled.

    Raises `BadTemplate`.
    """
    if issue.frozen_at and (kept := rendering(issue, kind)):
        return kept
    return renderer.rendering(view(session, issue.id, newsletter, base_url), kind)


def without_readers(rendered: Rendered, link: str) -> Seen:
    """The parts with a harmless link where each reader's own would stand. Pure."""
    text, document = rendered.text, rendered.html
    for slot in (UNSUBSCRIBE_SLOT, MANAGE_SLOT):
        text, document = text.replace(slot, link), document.replace(slot, html.escape(link))
    return Seen(rendered.subject, text, document)


def source(issue: Issue, newsletter: Newsletter, rendered: Rendered, links: Links, now: dt.datetime) -> bytes:
    """The octets of a copy to nobody, header and all: its links answer politely and do nothing.

    Until the freeze the date is `now`; from then on the octets are those that were sent, but for a reader's own places
    and a signature. Raises `NotSendable`.
    """
    mailing = issue_mailing(
        newsletter,
        rendered,
        links,
        week=issue.week,
        made_at=issue.frozen_at or now,
        by_hand=issue.touched or issue.approved_by is not None,
    )
    return b"".join(mailing.copy(READER, NOBODY, NOBODY))
