"""A blog page read as HTML: a listing with links, or a flow of whole posts that must be told apart. Pure.

Posts are told apart by headlines that link to articles, each with a container of its own or in one long row; where no
headline survives, as `flow` says.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

import structlog
from lxml import etree
from lxml.html import HtmlElement

from digest.gather import flow, junk
from digest.gather.article import HAS, with_dateline
from digest.gather.blocks import HEADINGS, Block, Picture, parse_html, to_blocks
from digest.gather.entry import Entry, Unreadable
from digest.gather.links import article_key, article_number, canonical, tidy, web_link, wide_image
from digest.gather.story import body_html, is_debris, paragraphs, tell
from digest.gather.text import headline, opening, plain

_DATED_PAGE = re.compile(r"/(\d{4})/(\d{1,2})/(\d{1,2})/?$")
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+){2,}|\d{4}")
_log = structlog.get_logger(__name__)
WHOLE = 500
"""Characters of prose, in two paragraphs or more, that make a post whole and not a teaser."""


def read_page(text: str, url: str) -> list[Entry]:
    """The posts of a blog page, in its order. Raises `Unreadable` when there are none.

    A post whose headline did not survive comes without a title if it has a link of its own (its page knows the
    headline), else with one made of its first sentence.
    """
    tree = parse_html(text)
    main = _main(tree)
    entries = _by_headline(main, url) or _without_headlines(main, url)
    if not entries:
        raise Unreadable("No posts could be found on the page: neither links to articles nor whole posts.")
    language = (tree.get("lang") or "").strip()
    return [replace(one, language=language if re.fullmatch(r"[A-Za-z0-9-]{2,35}", language) else "") for one in entries]


def _main(tree: HtmlElement) -> HtmlElement:
    for path in ("//*[@id='content']", "//main", "//*[@role='main']", "//body"):
        found: list[HtmlElement] = tree.xpath(path)
        if found:
            return found[0]
    return tree


def _by_headline(main: HtmlElement, url: str) -> list[Entry]:
    """Posts that begin with a headline which is a link to an article."""
    headlines = [(one, link) for one in _headings(main) if (link := _headline_link(one, url))]
    containers = _containers(main, headlines)
    row = _Row(to_blocks([main], with_pictures=True) if None in containers else [], url)
    entries: dict[str, Entry] = {}
    seen: set[tuple[str, HtmlElement | None]] = set()
    for (element, link), box in zip(headlines, containers, strict=True):
        place = (link if box is None else _key(link), box)
        known = entries.get(_key(link))
        # The same stretch of the page says the same thing, however many headlines in it lead to the article.
        if place in seen or (known and known.body):
            continue
        seen.add(place)
        part = to_blocks([box], with_pictures=True) if box is not None else row.stretch(link)
        entry = _entry(part, link, url, title=_title_of(element))
        if entry and (known is None or entry.body):
            entries[_key(link)] = entry
    return list(entries.values())


def _without_headlines(main: HtmlElement, url: str) -> list[Entry]:
    entries = []
    for part in flow.parts(main):
        link = _permalink(part.blocks, url)
        entry = _entry(part.blocks, link, url, is_marked=part.is_marked)
        # A part with an address has a page of its own, which tells the rest.
        if entry and (entry.body or link):
            entries.append(entry)
        elif entry:
            _log.warning("a short piece of a page was taken for no post", url=url, begins=entry.title)
    return entries


def _headings(main: HtmlElement) -> Iterator[HtmlElement]:
    """The headings that are not in a box which is no part of a story. Each element is looked at once."""
    boxes = {main} if any(junk.is_box(up) for up in main.iterancestors()) else set()
    for element in main.iter(etree.Element):
        if element.getparent() in boxes or junk.is_box(element):
            boxes.add(element)
        elif element not in boxes and (element.tag in HEADINGS or "pg-title" in _classes(element)):
            yield element


def _headline_link(element: HtmlElement, url: str) -> str:
    """The article that a heading links to; empty for other links."""
    for anchor in (*element.iterancestors("a"), *element.iter("a")):
        link = tidy(web_link(anchor.get("href"), url))
        if link and _is_article(link, url):
            return link
    return ""


def _is_article(link: str, url: str) -> bool:
    """An address of an article: one with a number, or on other systems a page of the same site that lies deeper."""
    if article_number(link):
        return True
    here, there = urlsplit(url), urlsplit(link)
    if re.match(r"/(?:z|p|author|api|tag|category|page)/", there.path) or there.hostname != here.hostname:
        return False
    is_deeper = there.path.strip("/").count("/") >= 1 or bool(_SLUG.search(there.path))
    return is_deeper and canonical(link) != canonical(url)


def _containers(main: HtmlElement, headlines: Sequence[tuple[HtmlElement, str]]) -> list[HtmlElement | None]:
    """For each headline the widest element that holds no other article's; none where that is but the headline."""
    held: dict[HtmlElement, set[str]] = {}
    for element, link in headlines:
        for up in element.iterancestors():
            held.setdefault(up, set()).add(_key(link))
    sections = _section_headings(main)
    return [_container(main, element, held, sections) for element, _ in headlines]


def _container(
    main: HtmlElement,
    element: HtmlElement,
    held: dict[HtmlElement, set[str]],
    sections: dict[HtmlElement, list[HtmlElement]],
) -> HtmlElement | None:
    box = element
    for up in element.iterancestors():
        if len(held[up]) > 1 or any(one is not element for one in sections.get(up, ())):
            break
        box = up
        if up is main:
            break
    # A headline alone says nothing of where its post ends; nor does its link, or a header around both.
    is_bare = box is element or box.tag in ("a", "header", *HEADINGS)
    return None if is_bare else box


def _section_headings(main: HtmlElement) -> dict[HtmlElement, list[HtmlElement]]:
    """The headings of sections ("Load more", "About This Blog") that each element takes in."""
    found: dict[HtmlElement, list[HtmlElement]] = {}
    for heading in main.iter(*HEADINGS):
        if junk.is_end(" ".join(str(heading.text_content()).split())):
            for up in (heading, *heading.iterancestors()):
                found.setdefault(up, []).append(heading)
    return found


class _Row:
    """One long row of blocks, in which each headline that links to an article begins a post."""

    def __init__(self, blocks: list[Block], url: str) -> None:
        self._blocks = blocks
        links = (tidy(web_link(block.link, url)) if block.level and block.link else "" for block in blocks)
        self._starts = [(at, link) for at, link in enumerate(links) if link and _is_article(link, url)]
        self._places = {link: n for n, (_, link) in reversed(list(enumerate(self._starts)))}
        first = next((block for block in blocks if block.level or block.picture), None)
        # Where pictures come first on a page, the one before a headline is that post's.
        self._pictures_first = first is not None and first.picture is not None

    def stretch(self, link: str) -> list[Block]:
        """From a headline to the next one that links to another article; nothing, if it is not in the row."""
        if link not in self._places:
            return []
        n = self._places[link]
        following = (at for at, other in self._starts[n + 1 :] if other != link)
        return self._blocks[self._edge(self._starts[n][0]) : self._edge(next(following, len(self._blocks)))]

    def _edge(self, at: int) -> int:
        is_early = self._pictures_first and 0 < at < len(self._blocks)
        return at - 1 if is_early and self._blocks[at - 1].picture else at


def _entry(blocks: Sequence[Block], link: str, url: str, title: str = "", *, is_marked: bool = False) -> Entry | None:
    """One post out of its blocks; none where they say nothing. `is_marked`: it is whole, however short."""
    story = with_dateline(tell([one for one in blocks if not (one.level and one.text == title)], link))
    prose = paragraphs(story)
    if not (link or prose):
        return None
    is_whole = bool(prose) and (is_marked or (len(prose) > 1 and sum(map(len, prose)) >= WHOLE))
    picture = _cover(blocks, link, url)
    return Entry(
        link=link or url,
        guid="" if link else _made_guid(url, prose),
        title=title if title or link else headline(flow.after_dateline(prose[0])),
        published=next((one.date for one in blocks if one.date), None) or _date_of_page(url),
        summary=opening(prose),
        body=body_html(story, url) if is_whole else "",
        image_url=wide_image(web_link(picture.url, url)) if picture else "",
        image_alt=picture.alt if picture else "",
        image_caption=picture.caption if picture else "",
    )


def _cover(blocks: Iterable[Block], link: str, url: str) -> Picture | None:
    """The post's picture: its cover, else the one that links to it, else the first before its second paragraph."""
    early: list[Picture] = []
    prose = 0
    for block in blocks:
        prose += block.tag == "p"
        if block.picture and (block.picture.is_cover or prose <= 1):
            early.append(block.picture)
    covers = [one for one in early if one.is_cover]
    linked = [one for one in early if one.link and _key(web_link(one.link, url)) == _key(link)]
    return next(iter([*covers, *linked, *(one for one in early if not one.link)]), None)


def _permalink(part: Sequence[Block], url: str) -> str:
    """A post's link to itself: that of its date or its picture, or of a line that is nothing but a link."""
    for block in part:
        if block.tag in ("date", "figure") and block.element.getparent() is not None:
            anchors = [*block.element.iterancestors("a"), *block.element.iter("a")]
        else:
            anchors = list(block.element.iter("a")) if is_debris(block) else []
        for anchor in anchors:
            link = tidy(web_link(anchor.get("href"), url))
            if article_number(link):
                return link
    return ""


def _made_guid(url: str, prose: Sequence[str]) -> str:
    """A name for a post that has no address: its page and its beginning."""
    beginning = " ".join(prose)[:200].casefold()
    name = f"{canonical(url)} {beginning}"
    return f"urn:digest:{hashlib.sha256(name.encode()).hexdigest()}"


def _date_of_page(url: str) -> dt.datetime | None:
    """The day that a page of a blog's archive is of (`/Watchdog/2021/7/20`)."""
    found = _DATED_PAGE.search(urlsplit(url).path)
    try:
        return dt.datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=dt.UTC) if found else None
    except ValueError:
        return None


def _title_of(element: HtmlElement) -> str:
    titles: list[HtmlElement] = element.xpath(f".//*[{HAS.format('title')}]")
    return plain(str((titles[0] if titles else element).text_content()))


def _key(link: str) -> str:
    return article_key(link) or canonical(link)


def _classes(element: HtmlElement) -> list[str]:
    return (element.get("class") or "").split()
