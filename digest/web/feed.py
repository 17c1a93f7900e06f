"""The Atom feed of issues that have gone out (RFC 4287). Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from digest.issues.archive import Published
from digest.settings import Newsletter

ATOM = "http://www.w3.org/2005/Atom"
CONTENT_TYPE = "application/atom+xml; charset=utf-8"
# What no XML 1.0 document may hold, not even as a reference.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def atom(issues: Sequence[Published], newsletters: Mapping[str, Newsletter], base_url: str) -> bytes:
    """The feed of these issues, newest first. Each entry is the issue's headline and where it can be read.

    Issues of a newsletter that is no longer declared are left out.
    """
    known = [issue for issue in issues if issue.newsletter in newsletters]
    titles = " · ".join(dict.fromkeys(newsletter.title for newsletter in newsletters.values()))
    root = ET.Element(f"{{{ATOM}}}feed")
    _add(root, "title", titles)
    _add(root, "id", f"{base_url}/feed.xml")
    _link(root, f"{base_url}/feed.xml", rel="self", type="application/atom+xml")
    _link(root, f"{base_url}/issues", rel="alternate", type="text/html")
    # A feed must say when it last changed; one without entries has never.
    latest = max((issue.updated_at for issue in known), default=dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
    _add(root, "updated", _instant(latest))
    for issue in known:
        _entry(root, issue, newsletters[issue.newsletter], base_url)
    ET.register_namespace("", ATOM)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def entry_id(issue: Published, base_url: str) -> str:
    """A name for an issue that stays when its address changes (RFC 4151): `tag:host,2026-11-19:issues/…`."""
    host = urlsplit(base_url).hostname or "localhost"
    return f"tag:{host},{issue.published_at:%Y-%m-%d}:issues/{issue.name}"


def _entry(root: ET.Element, issue: Published, newsletter: Newsletter, base_url: str) -> None:
    entry = ET.SubElement(root, f"{{{ATOM}}}entry")
    entry.set("{http://www.w3.org/XML/1998/namespace}lang", newsletter.language)
    _add(entry, "title", issue.subject or issue.name)
    _add(entry, "id", entry_id(issue, base_url))
    _link(entry, f"{base_url}{issue.path}", rel="alternate", type="text/html")
    _add(entry, "published", _instant(issue.published_at))
    _add(entry, "updated", _instant(issue.updated_at))
    _add(ET.SubElement(entry, f"{{{ATOM}}}author"), "name", newsletter.sender.name or newsletter.title)
    if issue.preheader:
        _add(entry, "summary", issue.preheader)
    ET.SubElement(entry, f"{{{ATOM}}}category", term=newsletter.slug, label=_text(newsletter.title))


def _add(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, f"{{{ATOM}}}{name}").text = _text(text)


def _link(parent: ET.Element, href: str, **more: str) -> None:
    ET.SubElement(parent, f"{{{ATOM}}}link", {"href": href, **more})


def _text(text: str) -> str:
    return _NOT_XML.sub("", text)


def _instant(instant: dt.datetime) -> str:
    return f"{instant.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
