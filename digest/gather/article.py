"""An article page: headline, date, byline, lead image, and the whole story. Pure."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from lxml.html import HtmlElement

from digest.gather.blocks import Block, Picture, parse_html, picture_of, to_blocks
from digest.gather.dates import parse_date
from digest.gather.entry import ArticlePage
from digest.gather.links import article_number, tidy, web_link, wide_image
from digest.gather.story import body_html, paragraphs, tell
from digest.gather.text import caption, from_html, opening, plain

HAS = "contains(concat(' ', normalize-space(@class), ' '), ' {} ')"
STORY = f"descendant-or-self::*[{HAS.format('wsw')} or {HAS.format('wordclick')}]"
_TYPES = frozenset({"NewsArticle", "Article", "BlogPosting", "ReportageNewsArticle", "LiveBlogPosting", "ClaimReview",
                    "WebPage", "AnalysisNewsArticle", "OpinionNewsArticle", "ScholarlyArticle"})  # fmt: skip
_BOUNDARY = ("pg-title", "hdr-container", "published", "publishing-details", "section-head")


def read_article(text: str, url: str) -> ArticlePage:
    """What an article page says. `url` is where it was. The body is empty for a page without text (audio, gallery)."""
    tree = parse_html(text)
    data = _linked_data(tree)
    own_link = _own_link(tree, url)
    link = tidy(own_link or url)
    blocks = story_blocks(tree, text, link)
    picture = _picture(tree, data)
    description = plain(_meta(tree, "og:description") or _meta(tree, "description"))
    return ArticlePage(
        link=link,
        title=_title(tree, data),
        published=_published(tree, data),
        byline=_byline(tree, data),
        language=_language(tree, data),
        summary=description or opening(paragraphs(blocks)),
        body=body_html(blocks, url),
        image_url=wide_image(web_link(picture.url, url)) if picture else "",
        image_alt=picture.alt if picture else "",
        image_caption=picture.caption if picture else "",
        own_link=own_link,
        has_story_root=bool(_roots(tree)),
    )


def story_blocks(tree: HtmlElement, text: str, link: str) -> list[Block]:
    """The story's blocks: by the publishing system's own marks where it has them, else by an extraction library."""
    roots = _roots(tree)
    if roots or is_pangea(tree):
        return with_dateline(tell(to_blocks(roots), link))
    # Half of what a command's start would take; only who reads a page needs it.
    import trafilatura

    found = trafilatura.extract(
        text, url=link, output_format="html", include_formatting=True, include_links=True, include_comments=False,
        include_tables=False,
    )  # fmt: skip
    if not found:
        return []
    return tell(to_blocks(parse_html(found).iter("body")), link)


def is_pangea(tree: HtmlElement) -> bool:
    """Whether a page was made by the publishing system of RFE/RL, VOA and their sisters."""
    marks = "//link[contains(@href, '/Content/responsive/')] | //script[contains(@src, 'pangea')]"
    return bool(tree.xpath(f"{marks} | //*[{HAS.format('pg-title')}]"))


def _roots(tree: HtmlElement) -> list[HtmlElement]:
    """The first article's text, in one or more pieces; a page may go on with others."""
    contents = tree.xpath("//*[@id='article-content']")
    if not contents:
        return list(tree.xpath(f"//body/{STORY}")[:1])
    found: list[HtmlElement] = []
    inside: set[HtmlElement] = set()
    for element in contents[0].iterdescendants():
        classes = (element.get("class") or "").split() if isinstance(element.tag, str) else []
        if not inside.isdisjoint(element.iterancestors()):
            continue
        if "wsw" in classes or "wordclick" in classes:
            found.append(element)
            inside.add(element)
        elif found and (element.tag in ("h1", "h2") or any(name in classes for name in _BOUNDARY)):
            break
    return found or [contents[0]]


def with_dateline(blocks: list[Block]) -> list[Block]:
    """The place that a story is filed from stands before its first paragraph, as text of its own: put it in."""
    if len(blocks) < 2 or not is_dateline(blocks[0].text) or blocks[1].tag != "p":  # noqa: PLR2004
        return blocks
    first = blocks[1].element
    first.text = f"{blocks[0].text} {(first.text or '').lstrip()}"
    whole = Block("p", first, f"{blocks[0].text} {blocks[1].text}")
    return [whole, *blocks[2:]]


def is_dateline(text: str) -> bool:
    """Whether a text is nothing but "AUBURN, Wash. —"."""
    return bool(re.fullmatch(r"[^\d.!?]{0,3}[^\W\d_].{0,60}\s*(?:--|—|–|-)", text.strip()))


def _title(tree: HtmlElement, data: dict[str, Any]) -> str:
    for path in (f"//h1[{HAS.format('pg-title')}]", f"//*[{HAS.format('pg-title')}]"):
        for found in tree.xpath(path):
            if title := plain(str(found.text_content())):
                return title
    headings = [plain(str(one.text_content())) for one in tree.iter("h1")]
    shown = [title for title in (caption(_text(data.get("headline"))), *headings) if title]
    social = caption(_meta(tree, "og:title"))
    # What two of them say is the headline; a social one may have the site's name after it.
    agreed = [one for one in shown if shown.count(one) > 1 or social.startswith(one)]
    candidates = [*agreed, social, *shown, from_html(tree.findtext(".//title"))]
    return next((title for title in candidates if title), "")


def _published(tree: HtmlElement, data: dict[str, Any]) -> dt.datetime | None:
    times = tree.xpath(f"//*[{HAS.format('published')}]//time/@datetime")
    names = ("article:published_time", "og:article:published_time", "datePublished", "date", "pubdate", "dc.date")
    written = [*times, _text(data.get("datePublished")), *(_meta(tree, name) for name in names)]
    written += tree.xpath(
        "//time[@pubdate]/@datetime | //*[@itemprop='datePublished']/@*[name()='content' or name()='datetime']"
    )
    written += tree.xpath("//article//time/@datetime")
    return next((found for one in written if (found := parse_date(one))), None)


def _byline(tree: HtmlElement, data: dict[str, Any]) -> str:
    links = tree.xpath(f"//*[{HAS.format('publishing-details')}]//*[{HAS.format('links__item')}]")
    names = [re.sub(r"^by\s+", "", plain(str(one.text_content())), flags=re.IGNORECASE) for one in links]
    if not any(names):
        names = list(_people(data.get("author")))
    if not any(names) and not is_pangea(tree):
        # The library's way of parting several authors; a single word is half of a name that was turned round.
        import trafilatura

        found = trafilatura.extract_metadata(tree).author or ""
        names = [name for name in found.split("; ") if " " in name]
    return _joined([name for name in names if name and not re.match(r"https?:", name)])


def _joined(names: list[str]) -> str:
    known = list(dict.fromkeys(names))
    return " and ".join([", ".join(known[:-1]), known[-1]]) if len(known) > 1 else "".join(known)


def _people(author: Any) -> Iterator[str]:
    for one in author if isinstance(author, list) else [author]:
        if isinstance(one, dict) and one.get("@type") != "Organization":
            yield caption(_text(one.get("name")))
        elif isinstance(one, str):
            yield caption(one)


def _picture(tree: HtmlElement, data: dict[str, Any]) -> Picture | None:
    for cover in tree.xpath(f"//*[{HAS.format('cover-media')}]")[:1]:
        if (found := picture_of(cover)) and "player-spinner" not in found.url:
            return found
    url = _meta(tree, "og:image") or _image_of(data.get("image"))
    is_logo = re.search(r"/Content/responsive/|\blogo\b|placeholder|default[-_]", url, re.IGNORECASE)
    return Picture(url, caption(_meta(tree, "og:image:alt"))) if url and not is_logo else None


def _image_of(value: Any) -> str:
    first = value[0] if isinstance(value, list) and value else value
    return _text(first.get("url")) if isinstance(first, dict) else _text(first)


def _language(tree: HtmlElement, data: dict[str, Any]) -> str:
    for one in (tree.get("lang"), _text(data.get("inLanguage")), _meta(tree, "og:locale").replace("_", "-")):
        if one and re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", one.strip()):
            return one.strip()[:35]
    return ""


def _own_link(tree: HtmlElement, url: str) -> str:
    """The page's own address for itself; empty where it names none, or another article's or another site's."""
    for href in tree.xpath("//link[@rel='canonical']/@href"):
        found = web_link(href, url)
        is_same_site = _site(found) == _site(url)
        if found and is_same_site and article_number(found) == article_number(url) and urlsplit(found).path.strip("/"):
            return found
    return ""


def _site(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    return re.sub(r"^(?:www|m|amp)\.", "", parts.hostname or ""), parts.port


def _linked_data(tree: HtmlElement) -> dict[str, Any]:
    """The page's JSON-LD about its article, as far as it can be read."""
    for script in tree.xpath("//script[@type='application/ld+json']/text()"):
        try:
            found = json.loads(script, strict=False)
        except (ValueError, RecursionError):
            continue
        for one in _nodes(found):
            kinds = one.get("@type")
            if not _TYPES.isdisjoint(kinds if isinstance(kinds, list) else [str(kinds)]):
                return one
    return {}


def _nodes(found: Any) -> Iterator[dict[str, Any]]:
    for one in found if isinstance(found, list) else [found]:
        if isinstance(one, dict):
            yield one
            graph = one.get("@graph")
            yield from (node for node in graph if isinstance(node, dict)) if isinstance(graph, list) else ()


def _meta(tree: HtmlElement, name: str) -> str:
    for key in ("property", "name", "itemprop"):
        for one in tree.xpath(
            f"//meta[translate(@{key}, 'ADEFGHIMOPRSTUN', 'adefghimoprstun')=$name]/@content", name=name.lower()
        ):
            if str(one).strip():
                return str(one).strip()
    return ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
