"""A news sitemap, as RFE/RL's sites publish one each: addresses with title, date and language. Pure."""

from __future__ import annotations

import re

from lxml import etree

from digest.gather.dates import parse_date
from digest.gather.decode import xml_text
from digest.gather.entry import Entry, Unreadable
from digest.gather.links import tidy, web_link
from digest.gather.text import caption

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")


def read_sitemap(data: bytes, url: str, charset: str | None = None) -> list[Entry]:
    """The entries of a sitemap, in its order; a quiet week's has none. Raises `Unreadable` for what is no sitemap."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, recover=True, encoding="utf-8")
    root = etree.fromstring(xml_text(data, charset).strip().encode() or b"<empty/>", parser)
    name = etree.QName(root).localname if root is not None else ""
    if name == "sitemapindex":
        raise Unreadable("It is an index of sitemaps; give the address of the news sitemap that it lists.")
    if root is None or name != "urlset":
        raise Unreadable("It is not a sitemap.")
    return [entry for one in root.iterfind("{*}url") if (entry := _entry(one, url)).link]


def _entry(one: etree._Element, url: str) -> Entry:
    language = _text(one, "language").replace("_", "-")
    image = one.find("{*}image/{*}loc")
    return Entry(
        link=tidy(web_link(one.findtext("{*}loc"), url)),
        title=caption(_text(one, "title")),
        published=parse_date(_text(one, "publication_date")) or parse_date(one.findtext("{*}lastmod")),
        language=language if _LANGUAGE.fullmatch(language) else "",
        image_url=web_link(image.text if image is not None else "", url),
    )


def _text(one: etree._Element, name: str) -> str:
    found = one.find(f"{{*}}news//{{*}}{name}")
    return (found.text or "").strip() if found is not None else ""
