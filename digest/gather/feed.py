"""RSS, Atom and JSON feeds: bytes to entries (W-53). Pure."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import feedparser

from digest.gather.blocks import Picture, parse_html, to_blocks
from digest.gather.dates import is_never, parse_date, parse_tuple
from digest.gather.decode import html_text, xml_text
from digest.gather.entry import Entry, Unreadable
from digest.gather.links import tidy, web_link, wide_image
from digest.gather.story import body_html, paragraphs, tell
from digest.gather.text import SUMMARY, caption, from_html, headline, opening, plain, shortened

WHOLE = 500
"""Characters of prose, in two paragraphs or more, that make a content whole and not a teaser."""
LONG = 1500
"""The same for a description, which is meant to be a summary."""
_IMAGES = re.compile(r"\.(?:jpe?g|png|webp|gif)(?:$|\?)", re.IGNORECASE)
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")


def read_feed(data: bytes, url: str, charset: str | None = None) -> list[Entry]:
    """The entries of a feed, in its order. `url` is where it was, for links that are relative.

    Raises `Unreadable` for what is no feed, and for one that is so empty that it cannot be meant.
    """
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        return _json_entries(data, url)
    text = xml_text(data, charset)
    # The text's encoding is settled; feedparser is given bytes that can be read in one way only, and nothing it could
    # take for an address. It neither cleans nor resolves: both are done here, by our own rules.
    parsed = feedparser.parse(
        io.BytesIO(f'<?xml version="1.0" encoding="utf-8"?>{text}'.encode()),
        resolve_relative_uris=False,
        sanitize_html=False,
    )
    if not parsed.version and not parsed.entries:
        raise Unreadable(_not_a_feed(text))
    if not parsed.entries and not parsed.feed.get("title") and not parsed.feed.get("link"):
        raise Unreadable("The feed is an empty shell: it has neither a title nor entries.")
    base = web_link(parsed.feed.get("link"), url) or url
    language = _language(parsed.feed.get("language"))
    return [_entry(one, base, language) for one in parsed.entries]


def _not_a_feed(text: str) -> str:
    if re.match(r"\s*<(?:!doctype html|html|head|body)\b", text, re.IGNORECASE):
        return "It is a web page, not a feed; give it as `page =` if it is the blog itself."
    return "It is not a feed: neither RSS nor Atom nor JSON Feed."


def _entry(one: Any, base: str, language: str) -> Entry:
    guid = plain(one.get("id"))[:2000]
    link = tidy(web_link(one.get("link"), base) or web_link(_alternate(one), base) or web_link(guid))
    where = link or base
    body, summary = _texts(one, where)
    image, alt = _image(one, where)
    written = from_html(one.get("title"))
    return Entry(
        link=link,
        guid=guid,
        title=written or headline(summary),
        published=_when(one),
        byline=_byline(one),
        language=_language((one.get("title_detail") or {}).get("language")) or language,
        summary=summary,
        body=body,
        image_url=wide_image(image),
        image_alt=alt,
    )


def _alternate(one: Any) -> str:
    links = [link for link in one.get("links", []) if link.get("rel") in ("alternate", None)]
    return next((str(link.get("href")) for link in links if link.get("href")), "")


def _texts(one: Any, base: str) -> tuple[str, str]:
    """The body, where it is the whole story, and the summary."""
    contents = [str(part.get("value") or "") for part in one.get("content", [])]
    description = str(one.get("summary") or "")
    if description in contents:
        description = ""
    for text, enough in (*((part, WHOLE) for part in contents), (description, LONG)):
        story = tell(to_blocks(parse_html(text).iter("body")), base) if len(text) > enough else []
        prose = paragraphs(story)
        if len(prose) > 1 and sum(map(len, prose)) >= enough:
            own = from_html(description) if text is not description else ""
            return body_html(story, base), shortened(own or opening(prose), SUMMARY)
    return "", shortened(from_html(description or "".join(contents[:1])), SUMMARY)


def _image(one: Any, base: str) -> tuple[str, str]:
    """The lead image with its alternative text: an enclosure, a media element, a podcast's picture."""
    found: list[tuple[str, str]] = []
    for link in one.get("links", []):
        is_image = str(link.get("type") or "").startswith("image/") or _IMAGES.search(str(link.get("href") or ""))
        if link.get("rel") == "enclosure" and is_image:
            found.append((str(link.get("href") or ""), ""))
    for media in (*one.get("media_content", []), *one.get("media_thumbnail", [])):
        kind = str(media.get("type") or media.get("medium") or "")
        if kind.startswith("image") or (not kind and _IMAGES.search(str(media.get("url") or ""))) or "width" in media:
            found.append((str(media.get("url") or ""), ""))
    found.append((str((one.get("image") or {}).get("href") or ""), ""))
    found += [(picture.url, picture.alt) for picture in _pictures(one)]
    return next(((link, alt) for url, alt in found if (link := web_link(url, base))), ("", ""))


def _pictures(one: Any) -> Iterator[Picture]:
    """The pictures within the content, of a feed that has them nowhere else."""
    for part in one.get("content", []):
        for block in to_blocks(parse_html(str(part.get("value") or "")).iter("body"), with_pictures=True):
            if block.picture:
                yield block.picture


def _when(one: Any) -> dt.datetime | None:
    for name in ("published", "created", "updated", "issued"):
        written = str(one[name] or "") if name in one else ""
        if not written or is_never(written):
            continue
        if found := parse_date(written) or parse_tuple(one.get(f"{name}_parsed")):
            return found
    return None


def _byline(one: Any) -> str:
    """The authors' names, without the mailbox that stands before them ("webdesk@… (Associated Press)")."""
    names = [_person(str(author.get("name") or "")) for author in one.get("authors", [])]
    return ", ".join(dict.fromkeys(name for name in names if name))


def _person(text: str) -> str:
    found = re.search(r"\((?!mailto:)([^()]+)\)?\s*\"?$", text)
    name = plain(found[1] if found else text.partition("(mailto:")[0]).strip("\"' ")
    return "" if "@" in name or name.startswith(("http:", "https:")) else caption(name)


def _language(value: Any) -> str:
    tag = str(value or "").strip().replace("_", "-")
    return tag[:35] if _LANGUAGE.fullmatch(tag) else ""


def _json_entries(data: bytes, url: str) -> list[Entry]:
    """JSON Feed 1.1, https://www.jsonfeed.org/version/1.1/."""
    try:
        feed = json.loads(html_text(data, None), strict=False)
    except (ValueError, RecursionError) as error:
        raise Unreadable("It begins like JSON but cannot be read as such.") from error
    if not isinstance(feed, dict) or "jsonfeed.org" not in str(feed.get("version")):
        raise Unreadable("It is JSON, but not a JSON Feed.")
    base = web_link(_text(feed.get("home_page_url")), url) or url
    items = feed.get("items")
    return [
        _json_entry(one, base, _language(feed.get("language")))
        for one in (items if isinstance(items, list) else [])
        if isinstance(one, dict)
    ]


def _json_entry(one: dict[str, Any], base: str, language: str) -> Entry:
    guid = plain(_text(one.get("id")) or str(one.get("id") or ""))[:2000]
    link = tidy(web_link(_text(one.get("url")), base) or web_link(guid))
    html, text = _text(one.get("content_html")), _text(one.get("content_text"))
    pseudo = {
        "content": [{"value": html}] if html else [],
        "summary": _text(one.get("summary")) or (text if not html else ""),
    }
    body, summary = _texts(pseudo, link or base)
    return Entry(
        link=link,
        guid=guid,
        title=plain(_text(one.get("title"))) or headline(summary),
        published=parse_date(_text(one.get("date_published"))) or parse_date(_text(one.get("date_modified"))),
        byline=", ".join(_json_authors(one)),
        language=_language(one.get("language")) or language,
        summary=summary,
        body=body,
        image_url=wide_image(web_link(_text(one.get("image")) or _text(one.get("banner_image")), link or base)),
    )


def _json_authors(one: dict[str, Any]) -> Iterator[str]:
    authors = one.get("authors") if isinstance(one.get("authors"), list) else [one.get("author")]
    for author in authors or []:
        if isinstance(author, dict) and (name := _person(_text(author.get("name")))):
            yield name


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
