"""Addresses of posts and pictures: which are links at all, and which are the same. Pure."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

import idna
from tld import get_fld

# The publishing system's addresses: /a/<slug>/<id>.html, /a/<id>.html, /amp/… and their like in /a/<id>/… forms.
_NUMBER = re.compile(r"^/(?:a|amp|content|media/video|media/photogallery)/(?:[^?#]*/)?(\d{5,12})\.html?$")
_TRACKING = re.compile(
    r"^(?:utm_\w+|fbclid|gclid|dclid|msclkid|yclid|igshid|mc_[ce]id|_hs\w+|mkt_tok|ref|ref_src|referrer|cmpid|wbraid"
    r"|gbraid|ncid|ocid|smid|sr_share|at_\w+|ito|guccounter|s_kwcid|vero_\w+|oly_\w+|_ga|_gl|xtor|nocache|withmediaplayer)$",
    re.IGNORECASE,
)
# The parts of public suffixes like co.uk and com.ua that stand before a country's two letters.
_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "gob", "gov", "in", "info", "ne", "net", "or", "org"})
_COUNTRY = 2
_DEFAULT = {"http": 80, "https": 443}
# Steps of size and crop at the end of a picture's name; a height goes, or the crop would be a wrong one.
_WIDTH = re.compile(r"(?:_w\d+)?(?:_h\d+)?(_r\d+)?(_s)?(?=\.(?:jpe?g|png|webp|gif)$)", re.IGNORECASE)
_PANGEA_IMAGE = re.compile(
    r"/[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}[\w]*\.(?:jpe?g|png|webp)$", re.IGNORECASE
)
WIDTH = 1023
"""The width in pixels that lead images are asked for: one of the publishing system's own steps."""


def web_link(value: str | None, base: str = "") -> str:
    """An absolute http or https address, or nothing for what is none (`javascript:`, `data:`, nonsense)."""
    text = re.sub(
        r"[\x00-\x20\u200b\ufeff]+", lambda found: " " if found[0].strip("\t\r\n") else "", value or ""
    ).strip()
    if not text:
        return ""
    try:
        parts = urlsplit(urljoin(base, text))
        port = parts.port
    except ValueError:
        return ""
    host = _ascii(parts.hostname or "")
    if (
        parts.scheme not in ("http", "https")
        or not host
        or parts.username is not None
        or re.search(r"[\s\"<>\\]", host)
    ):
        return ""
    netloc = f"[{host}]" if ":" in host else host
    netloc += f":{port}" if port and port != _DEFAULT[parts.scheme] else ""
    path, query = (quote(part, safe="/%:@!$&'()*+,;=~?-._") for part in (parts.path, parts.query))
    return urlunsplit((parts.scheme, netloc, path or "/", query, quote(parts.fragment, safe="/%:@!$&'()*+,;=~?-._")))


def _ascii(host: str) -> str:
    """The host as DNS knows it; nothing for a name that cannot be one."""
    if host.isascii():
        return host
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return ""


def article_number(link: str) -> str:
    """The number of the article in an address of the publishing system; empty for other addresses."""
    found = _NUMBER.match(urlsplit(link).path)
    return found[1] if found else ""


def canonical(link: str) -> str:
    """An address without what does not tell posts apart: scheme, www, port, tracking, fragment, trailing slash."""
    parts = urlsplit(link)
    host = re.sub(r"^(?:www|m|amp)\.", "", (parts.hostname or "").rstrip("."))
    port = f":{parts.port}" if parts.port and parts.port not in _DEFAULT.values() else ""
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = sorted(pair for pair in pairs if not _is_tracking(pair[0], parts.query))
    path = re.sub(r"/(?:amp/?)?$", "", re.sub(r"/{2,}", "/", parts.path))
    return f"{host}{port}{path}" + (f"?{urlencode(kept)}" if kept else "")


def _is_tracking(name: str, query: str) -> bool:
    # Alone, `ref` is how some systems number their posts.
    return bool(_TRACKING.match(name)) and not (name.lower() == "ref" and "&" not in query)


def tidy(link: str) -> str:
    """The address to show and to follow: as it was, without tracking parameters."""
    parts = urlsplit(link)
    if not parts.query:
        return link
    kept = [pair for pair in parts.query.split("&") if not _is_tracking(pair.partition("=")[0], parts.query)]
    return urlunsplit(parts._replace(query="&".join(kept)))


def article_key(link: str) -> str:
    """Whose article it is, and its number (`rferl:33423647`); empty for other addresses.

    An organisation's mirrors (rferl.org, rferl.eu, rferl.mobi) number their articles alike, others' sites do not.
    """
    number = article_number(link)
    return f"{_organisation(urlsplit(link).hostname or '')}:{number}" if number else ""


def _organisation(host: str) -> str:
    """The label before the public suffix: `rferl` of m.rferl.org, `paper` of www.paper.co.uk; an IP address whole."""
    *labels, last = host.rstrip(".").split(".")
    if not labels or last.isdigit() or ":" in last:
        return host
    if len(labels) > 1 and len(last) == _COUNTRY and labels[-1] in _SECOND_LEVEL:
        labels.pop()
    return labels[-1]


def site(host: str) -> str:
    """What of a host name belongs to one owner, by the public suffix list: `gdb.rferl.org` is `rferl.org`'s."""
    found = get_fld(f"https://{host}/", fail_silently=True, search_private=True)
    labels = host.lower().rstrip(".").split(".")
    if found or labels[-1].isdigit() or ":" in host:
        return found or host
    # The list's own rule for an ending that it does not name: one label belongs to nobody.
    return ".".join(labels[-2:])


def identity(link: str, guid: str) -> str:
    """What makes a post the same post: its site and number in the publishing system, else its link, else its guid.

    Empty when there is none of them. A guid of our own making (a post without an address) comes before the link.
    """
    if guid.startswith("urn:digest:"):
        return guid
    for address in (link, web_link(guid)):
        key = article_key(address) if address else ""
        if key:
            return f"article:{key}"
    if link:
        return _bounded("link", canonical(link))
    return _bounded("guid", guid) if guid else ""


def identity_on_page(link: str, guid: str) -> str:
    """The name of one of several posts that share an address: by its guid there; empty where it has none of them.

    A post with a number or a name of our own making needs none.
    """
    if not (link and guid) or not identity(link, guid).startswith("link:"):
        return ""
    return _bounded("guid", f"{canonical(link)} {guid}")


def has_own_page(name: str) -> bool:
    """Whether a post of this identity has a page to itself, which says what the post says."""
    return not name.startswith(("urn:digest:", "guid:"))


def wide_image(url: str) -> str:
    """The publishing system's picture at a width fit for a lead image; others stay as they are."""
    parts = urlsplit(url)
    if not _PANGEA_IMAGE.search(parts.path):
        return url
    path = _WIDTH.sub(lambda found: f"_w{WIDTH}{found[1] or ''}{found[2] or ''}", parts.path, count=1)
    return urlunsplit(parts._replace(path=path))


def _bounded(kind: str, name: str) -> str:
    """Indexes have a longest key (PostgreSQL's is about 2,700 bytes): a monster of an address becomes its hash."""
    limit = 1000
    return f"{kind}:{name if len(name) <= limit else f'sha256:{hashlib.sha256(name.encode()).hexdigest()}'}"
