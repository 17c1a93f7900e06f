"""One post by its address: what an editor pastes is read like a source's article, and stored by the same rules.

Only sites that the newsletter reads anyway are read (W-50), within the limits of `fetch`, outside of any transaction.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import sqlalchemy as sa
import structlog

from digest.gather import store
from digest.gather.answers import Failed, Fetched
from digest.gather.article import read_article
from digest.gather.decide import Edited, Intent, Known, New, merged, names_article, rechecked
from digest.gather.decode import html_text
from digest.gather.entry import ArticlePage, Entry
from digest.gather.fetch import Fetcher
from digest.gather.links import identity, site, tidy, web_link
from digest.models import Post
from digest.settings import Fetch, Newsletter, Source
from subscribers.db import Database

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Found:
    """The post at an address."""

    post_id: int
    section: str
    """The heading of its source."""


def gather_link(
    database: Database, newsletter: Newsletter, fetch: Fetch, pasted: str, now: dt.datetime
) -> Found | Failed:
    """Find the post that an address leads to, and store it if it is not known yet. A failure's reason is for an editor.

    A post that is known is taken as it is stored, without asking its site; one that had been withdrawn is asked for.
    """
    link = pasted_link(pasted)
    source = source_of(newsletter, link)
    if isinstance(source, Failed):
        return source
    known = _known(database, newsletter, link)
    if known is None or known.is_withdrawn:
        with Fetcher(fetch) as fetcher:
            page = _page(fetcher, newsletter, source, link)
        if isinstance(page, Failed):
            return page
        # The page may know a better address of its own, by which its post is known.
        known = _known(database, newsletter, page.link) or known
        if known is not None and known.is_withdrawn and not names_article(known.entry, page):
            return Failed("The story was taken down at its source, and something else is at its address now.")
        _store(database, newsletter, source, known, page, now)
        link = page.link
    return _found(database, newsletter, known.identity if known else identity(link, ""))


def pasted_link(text: str) -> str:
    """An address as somebody pasted it, made whole, without what only tracks; empty where it is none."""
    text = text.strip()
    link = web_link(text if "://" in text else f"https://{text}")
    return tidy(link.partition("#")[0])


def source_of(newsletter: Newsletter, link: str) -> Source | Failed:
    """The source whose site an address is on: of several the one that would show it."""
    parts = urlsplit(link)
    host = parts.hostname or ""
    if not host:
        return Failed("That is no web address. Paste the whole address of a story, beginning with https://.")
    near = [one for one in newsletter.sources if site(urlsplit(one.url).hostname or "") == site(host)]
    schemes = {"https", *(urlsplit(one.url).scheme for one in near)}
    if not near:
        known = ", ".join(dict.fromkeys(urlsplit(one.url).hostname or "" for one in newsletter.sources))
        return Failed(f"{host} is none of the newsletter’s sources, and only their sites are read: {known}.")
    if parts.scheme not in schemes:
        return Failed(f"{host} is read by https only.")
    if parts.path.strip("/") == "" and not parts.query:
        return Failed(f"That is the front page of {host}. Paste the address of one story.")
    same = [one for one in near if urlsplit(one.url).hostname == host] or near
    return next((one for one in same if one.match and one.match in link), same[0])


def _page(fetcher: Fetcher, newsletter: Newsletter, source: Source, link: str) -> ArticlePage | Failed:
    answer = fetcher.get_article(link, source.url)
    if isinstance(answer, Failed):
        return Failed(f"The story could not be read: {answer.reason}", gone=answer.gone, status=answer.status)
    if not isinstance(answer, Fetched):
        return Failed("The story could not be read: its site says that nothing has changed.")
    if isinstance(source_of(newsletter, answer.url), Failed):
        there = urlsplit(answer.url).hostname
        return Failed(f"The address leads on to {there}, where no story of this newsletter’s sources is.")
    try:
        page = read_article(html_text(answer.body, answer.charset), answer.url)
    except Exception as error:  # noqa: BLE001 -- a strange page is a sentence for the editor, whatever is wrong with it.
        _log.warning("a pasted page could not be parsed", url=link, error=type(error).__name__)
        return Failed(f"The page could not be made sense of ({type(error).__name__}).")
    if not page.title or not (page.body or page.summary):
        return Failed("There is no story to be found on that page.")
    return page


def _known(database: Database, newsletter: Newsletter, link: str) -> Known | None:
    name = identity(link, "")
    return store.known_posts(database, newsletter.slug, [name]).get(name)


def _store(
    database: Database, newsletter: Newsletter, source: Source, known: Known | None, page: ArticlePage, now: dt.datetime
) -> None:
    intent: Intent = (
        New(identity(page.link, ""), merged(Entry(link=page.link), page)) if known is None else _again(known, page)
    )
    owner = source.url if known is None else known.source_url
    with database.write() as session:
        store.store(session, newsletter.slug, owner, [intent], now)


def _again(known: Known, page: ArticlePage) -> Intent:
    """A post that is there again, or whose page is asked for under another address."""
    decided = rechecked(known, page, is_from_page=known.is_withdrawn)
    return replace(decided, is_quiet=True) if isinstance(decided, Edited) and not known.is_withdrawn else decided


def _found(database: Database, newsletter: Newsletter, name: str) -> Found | Failed:
    query = sa.select(Post).where(Post.newsletter == newsletter.slug, Post.identity == name)
    section = {source.url: source.section or "" for source in newsletter.sources}
    with database.read() as session:
        post = session.scalars(query).one()
        return Found(post.id, section.get(post.source_url, ""))
