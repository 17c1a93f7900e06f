"""An issue's rows become the values that its templates use, and nothing that could tell on a reader."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload

from digest.gather.links import site
from digest.issues.order import reading_order
from digest.issues.text import one_line, paragraphs
from digest.mail.render import IssueView, SectionView, StoryView
from digest.models import Issue, Item, Post
from digest.settings import Newsletter


def view(session: Session, issue_id: int, newsletter: Newsletter, base_url: str) -> IssueView:
    """The issue as readers will see it, dates in the newsletter's zone. Raises `NoResultFound` if there is none."""
    issue = session.execute(
        sa.select(Issue)
        .where(Issue.id == issue_id)
        .options(selectinload(Issue.items).selectinload(Item.post))
        .execution_options(populate_existing=True)
    ).scalar_one()
    included = [item for item in reading_order(issue.items, newsletter.sections) if item.included]
    lead = next((item for item in included if item.section == ""), None)
    return IssueView(
        name=issue.name,
        newsletter_title=_safe(newsletter.title),
        description=_safe(newsletter.description),
        publisher=newsletter.publisher,
        language=newsletter.language,
        direction=newsletter.direction,
        date=issue.send_at.astimezone(newsletter.timezone).date(),
        subject=_safe(issue.subject),
        preheader=_safe(issue.preheader),
        introduction=tuple(_safe_lines(part) for part in paragraphs(issue.introduction)),
        lead=_story(lead, newsletter) if lead else None,
        sections=_sections([item for item in included if item is not lead], newsletter),
        archive_url=f"{base_url}/issues/{issue.name}",
        home_url=f"{base_url}/",
        issues_url=f"{base_url}/issues/",
        feed_url=f"{base_url}/feed.xml",
    )


def foreign_image(post: Post, newsletter: Newsletter) -> str | None:
    """The host of a post's picture where it may not be loaded from; none where it may, or there is no picture.

    Loading it would tell a third party who reads (F-40), so such a picture is left out.
    """
    if not post.image_url or is_home(post.image_url, newsletter):
        return None
    return urlsplit(post.image_url).hostname or "no host"


def has_picture(post: Post, newsletter: Newsletter) -> bool:
    """Whether the mail shows a post's picture."""
    return bool(post.image_url) and foreign_image(post, newsletter) is None


def is_home(url: str, newsletter: Newsletter) -> bool:
    """Whether a picture may be loaded from there: the site of a source, or a host that the settings name.

    Where a post says it is from does not count: a feed may say anything.
    """
    parts = urlsplit(url)
    sources = [urlsplit(source.url) for source in newsletter.sources]
    if not parts.hostname or parts.scheme not in {"https", *(source.scheme for source in sources)}:
        return False
    if parts.hostname in newsletter.image_hosts:
        return True
    return site(parts.hostname) in {site(source.hostname) for source in sources if source.hostname}


def _sections(items: Sequence[Item], newsletter: Newsletter) -> tuple[SectionView, ...]:
    headings = dict.fromkeys(item.section for item in items)
    return tuple(
        SectionView(_safe(heading), tuple(_story(item, newsletter) for item in items if item.section == heading))
        for heading in headings
    )


def _story(item: Item, newsletter: Newsletter) -> StoryView:
    post = item.post
    has_image = has_picture(post, newsletter)
    return StoryView(
        headline=_safe(item.headline),
        summary=_safe(item.summary),
        link=_safe_link(post.link),
        published=_local(post.published_at, newsletter),
        byline=_safe(post.byline),
        language=post.language if post.language != newsletter.language else "",
        image_url=_safe_link(post.image_url) if has_image else "",
        image_alt=_safe(item.image_alt or post.image_alt) if has_image else "",
        image_caption=_safe(post.image_caption) if has_image else "",
        body=post.body,
    )


def _local(instant: dt.datetime, newsletter: Newsletter) -> dt.datetime:
    return instant.astimezone(newsletter.timezone)


def _safe(text: str) -> str:
    """One clean line that no reader's link can be written into.

    The slots of the rendered mail begin and end with two at-signs; a headline that has them must not become one.
    """
    return re.sub("@(?=@)", "@ ", one_line(text))


def _safe_lines(text: str) -> str:
    return "\n".join(map(_safe, text.split("\n")))


def _safe_link(url: str) -> str:
    return url.replace("@@", "%40%40")
