"""What has to be said about an issue before it goes out: what blocks it, and what an editor should look at."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload

from digest.issues.order import reading_order
from digest.issues.outcomes import Finding
from digest.issues.select import PREHEADER_LIMITS, SUBJECT_AIM, SUBJECT_LIMIT
from digest.issues.text import fold
from digest.issues.view import foreign_image, is_home, view
from digest.mail.kinds import ORDINARY, Kind
from digest.mail.lint import lint
from digest.mail.render import BadTemplate, IssueView, Rendered, stories_of
from digest.mail.render_fit import HTML_LIMIT
from digest.models import Issue, Item, Post
from digest.settings import Newsletter

SIZE_WARNING = 80_000
"""Bytes of the HTML part from which an editor is warned (F-43)."""
# What writers put where something is still to come: "TK", "XXX", a template's braces, a bracketed note to oneself.
_PLACEHOLDER = re.compile(r"\bTK\b|\bXXX+\b|\{\{|\}\}|\[(?:TODO|TBC|TBD)\b[^\]]*\]|\blorem ipsum\b")


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

    @property
    def rendered(self) -> Rendered | None:
        """What most readers will be sent."""
        return self.renderings.get(ORDINARY)

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """The findings that keep it from going out."""
        return tuple(finding for finding in self.findings if finding.level == "blocks")


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
    included = [item for item in reading_order(issue.items, newsletter.sections) if item.included]
    found = [*_of_texts(issue, shown), *_of_stories(included, issue, newsletter)]
    try:
        renderings = renderer.renderings(shown)
    except BadTemplate as error:
        fix = "Have whoever looks after the templates put it right."
        return Examined(issue.revision, {}, _sorted([*found, Finding("blocks", "template", str(error), fix)]))
    found.extend(_of_mails(renderings, shown, newsletter, base_url))
    return Examined(issue.revision, renderings, _sorted(found))


def _of_mails(
    renderings: Mapping[Kind, Rendered], shown: IssueView, newsletter: Newsletter, base_url: str
) -> Iterator[Finding]:
    """What the mail side has to say of each rendering; what is so of the summaries is not said of the others again."""
    ordinary = tuple(_of_mail(renderings[ORDINARY], shown, newsletter, base_url))
    yield from ordinary
    for kind, rendered in renderings.items():
        for finding in _of_mail(rendered, shown, newsletter, base_url):
            # How large whole stories may be is decided when they are chosen; an editor need not look after it.
            if finding not in ordinary and finding.level == "blocks":
                yield replace(finding, where=f"{finding.where} ({kind.name})")


def _of_mail(rendered: Rendered, shown: IssueView, newsletter: Newsletter, base_url: str) -> Iterator[Finding]:
    """What there is to say of the rendered parts; pictures may come from the newsletter's homes alone."""
    urls = [base_url, *(one.image_url for one in stories_of(shown) if is_home(one.image_url, newsletter))]
    hosts = frozenset(host for host in (urlsplit(url).hostname for url in urls) if host)
    for fault in lint(rendered, allowed_hosts=hosts):
        # A subject that is missing or too long has been named already, in an editor's words.
        if fault.code != "F-16" or 0 < len(shown.subject) <= SUBJECT_LIMIT:
            yield Finding("blocks", fault.where, _sentence(fault.why), _sentence(fault.fix))
    size = len(rendered.html.encode())
    if size > SIZE_WARNING:
        why = f"The mail has {size:,} bytes; beyond {HTML_LIMIT:,} it is not sent."
        yield Finding("warns", "size", why, "Leave out some stories, or shorten their summaries.")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _of_texts(issue: Issue, shown: IssueView) -> Iterator[Finding]:
    low, high = PREHEADER_LIMITS
    if not stories_of(shown):
        yield Finding("blocks", "issue", "There is no story in it.", "Include at least one.")
    if not shown.subject:
        yield Finding("blocks", "subject", "There is none.", "Write one; the lead's headline is a good start.")
    elif len(shown.subject) > SUBJECT_LIMIT:
        yield Finding("blocks", "subject", _long(shown.subject, SUBJECT_LIMIT), "Shorten it.")
    elif len(shown.subject) > SUBJECT_AIM:
        yield Finding("warns", "subject", _long(shown.subject, SUBJECT_AIM), "In-boxes cut it; shorten it if you can.")
    if len(shown.preheader) < low:
        why = f"It has {len(shown.preheader)} characters, so that in-boxes fill up with other text."
        yield Finding("warns", "preheader", why, f"Name other stories of the issue in {low} to {high} characters.")
    elif len(shown.preheader) > high:
        yield Finding("warns", "preheader", _long(shown.preheader, high), "Shorten it.")
    for where in ("subject", "preheader", "introduction"):
        yield from _placeholders(where, getattr(issue, where))


def _of_stories(included: Sequence[Item], issue: Issue, newsletter: Newsletter) -> Iterator[Finding]:
    repeated = Counter(fold(item.headline) for item in included)
    lead = next((item for item in included if item.section == ""), None)
    for number, item in enumerate(included, 1):
        where = f"story {number}: {item.headline}"
        yield from _of_story(where, item, issue, newsletter)
        if repeated[fold(item.headline)] > 1:
            why = "Another story has the same headline."
            yield Finding("warns", where, why, "Leave one of them out, or tell them apart.")
        if item is lead and item.post.image_url and not (item.image_alt or item.post.image_alt):
            why = "The picture has no description for readers who do not see it."
            yield Finding(
                "warns", where, why, "Say in a few words what is to be seen in it, in the story’s “Picture in words”."
            )


def _of_story(where: str, item: Item, issue: Issue, newsletter: Newsletter) -> Iterator[Finding]:
    post = item.post
    if not item.summary:
        yield Finding("warns", where, "It has no summary.", "Write a sentence or two, or leave it out.")
    if post.withdrawn_at:
        why = f"The post was taken down at its source; we saw it on {post.withdrawn_at:%Y-%m-%d at %H:%M} UTC."
        yield Finding("blocks", where, why, "Leave it out.")
    elif post.edited_at and post.edited_at > issue.created_at:
        why = (
            f"The post was changed at its source after this draft; we saw it on {post.edited_at:%Y-%m-%d at %H:%M} UTC."
        )
        yield Finding("warns", where, why, "Compare headline and summary with the post as it is now.")
    if host := foreign_image(post, newsletter):
        why = f"Its picture is on {host}, which would learn who reads; the issue goes out without it."
        yield Finding("warns", where, why, "Use a picture on the site's own host.")
    yield from _placeholders(where, item.headline, post)
    yield from _placeholders(where, item.summary, post)


def _placeholders(where: str, text: str, post: Post | None = None) -> Iterator[Finding]:
    """What was left to be filled in; where the post itself has the same letters, it may be its own."""
    for marker in dict.fromkeys(match[0] for match in _PLACEHOLDER.finditer(text)):
        own = post is not None and any(marker in part for part in (post.title, post.summary, post.body))
        why = f"It has {marker!r} in it, which looks like a place to be filled in."
        yield Finding("warns" if own else "blocks", where, why, "Fill it in or take it out.")


def _long(text: str, limit: int) -> str:
    return f"It has {len(text)} characters; {limit} are the limit."


def _sorted(found: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(dict.fromkeys(found), key=lambda finding: finding.level != "blocks"))
