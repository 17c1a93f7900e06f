"""What there is to say of an issue's links, from how they answered last: nothing here asks a site. Pure."""

from __future__ import annotations

import datetime as dt
import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit

from digest.issues.checks_stories import Told
from digest.issues.links import Answered
from digest.issues.outcomes import Finding, Remedy
from digest.settings import Newsletter

# Parameters by which a click is told from another, and hosts that count clicks and lead on (F-41).
_TRACKING = re.compile(r"utm_[a-z]+|fbclid|gclid|dclid|msclkid|yclid|mc_[ce]id|igshid|_hsenc|_hsmi|mkt_tok|vero_id")
_COUNTERS = frozenset(
    {"t.co", "bit.ly", "lnkd.in", "goo.gl", "ow.ly", "buff.ly", "tinyurl.com", "is.gd", "t.ly", "rb.gy", "dlvr.it"}
)
_HREF = re.compile(r"\bhref=\"([^\"]*)\"|\bhref='([^']*)'")
MOST = 40
"""Letters of an address in a sentence."""


@dataclass(frozen=True)
class Asked:
    """How far the asking has come, for whoever looks at the checks."""

    links: int
    """How many addresses lead away from our own pages."""
    unknown: int
    """Those that nobody has asked yet."""
    waiting: int
    """Those that are being asked once more."""
    since: dt.datetime | None
    """When the one was asked that was not asked for longest; none where none was."""
    unasked: tuple[str, ...]
    """The hosts that are never asked: none of the sources' own, and not named in the settings."""


def of_links(
    told: Sequence[Told], addresses: Sequence[str], answers: Mapping[str, Answered], newsletter: Newsletter
) -> Iterator[Finding]:
    """Links that are dead, silent or lead elsewhere, and those that count who presses them."""
    places = _places(told)
    for address in addresses:
        where, field, item_id = places.get(address, ("the mail", "", None))
        if why := _tracked(address):
            fix = f"Link to {_untracked(address)}."
            yield Finding("warns", where, why, fix, "link-tracked", field, address)
        if answered := answers.get(address):
            yield from _answered(answered, where, field, item_id, newsletter)


def asked(addresses: Sequence[str], answers: Mapping[str, Answered]) -> Asked:
    """How far the asking has come."""
    known = [answers[one] for one in addresses if one in answers]
    hosts = (urlsplit(one.address).hostname or "" for one in known if one.outcome == "unasked")
    since = min((one.checked_at for one in known if one.checked_at and one.outcome != "unasked"), default=None)
    waiting = sum(one.is_due for one in known)
    return Asked(len(addresses), len(addresses) - len(known), waiting, since, tuple(dict.fromkeys(hosts)))


def _answered(one: Answered, where: str, field: str, item_id: int | None, newsletter: Newsletter) -> Iterator[Finding]:
    seen = (
        f" We looked on {one.checked_at.astimezone(newsletter.timezone):%a %-d %b at %H:%M}." if one.checked_at else ""
    )
    short = _short(one.address)
    match one.outcome:
        case "dead":
            why = f"The link to {short} is dead: {one.reason}{seen}"
            fix = "Leave the story out, or look for where its page is now; then check the links again."
            yield Finding("blocks", where, why, fix, "link-dead", field, one.address)
        case "unreachable":
            why = f"The link to {short} could not be tried: {one.reason}{seen}"
            fix = "Open it yourself. It is tried again in a while."
            yield Finding("warns", where, why, fix, "link-unreachable", field, one.address)
        case "moved":
            why = f"The link to {short} leads on to another address, {one.final}.{seen}"
            remedies = (Remedy(f"items/{item_id}/link", "Link there at once"),) if item_id is not None else ()
            fix = f"Link to {one.final}." if item_id is None else "Link there at once, or leave it as it is."
            about = f"{one.address}\0{one.final}"
            yield Finding("warns", where, why, fix, "link-moved", field, about, remedies)


def _places(told: Sequence[Told]) -> dict[str, tuple[str, str, int | None]]:
    """Where an editor finds each address; the item's id where it is the story's own link."""
    inside = {href: (one.where, one.field, None) for one in reversed(told) for href in _hrefs(one.item.post.body)}
    return {**inside, **{one.shown.link: (one.where, one.field, one.item.id) for one in reversed(told)}}


@lru_cache(maxsize=256)
def _hrefs(body: str) -> tuple[str, ...]:
    return tuple(html.unescape(one or other) for one, other in _HREF.findall(body))


def _tracked(address: str) -> str:
    parts = urlsplit(address)
    if (parts.hostname or "").removeprefix("www.") in _COUNTERS:
        return f"The link to {_short(address)} goes by {parts.hostname}, which counts who presses it and leads on."
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if _TRACKING.fullmatch(name.lower())]
    return (
        f"The link to {_short(address)} has {', '.join(names)} in it, which tells where a reader came from."
        if names
        else ""
    )


def _untracked(address: str) -> str:
    parts = urlsplit(address)
    if (parts.hostname or "").removeprefix("www.") in _COUNTERS:
        return "the page that it leads to"
    kept = "&".join(part for part in parts.query.split("&") if not _TRACKING.fullmatch(part.partition("=")[0].lower()))
    return parts._replace(query=kept).geturl()


def _short(address: str) -> str:
    parts = urlsplit(address)
    text = f"{parts.hostname or ''}{parts.path}".removeprefix("www.").rstrip("/")
    return text if len(text) <= MOST else f"{text[: MOST - 1]}…"
