"""What a reading means: known posts and what the source shows now become intents. Pure.

A post is the same post by `identity`. A source owns the posts that it brought first, and only their owner edits them,
so that two sources with two wordings of one headline do not take turns.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from digest.gather.entry import ArticlePage, Entry
from digest.gather.links import identity, identity_on_page
from digest.gather.text import from_html, headline, opening, shortened

SHRUNK = 0.2
"""A source with less than this part of what it had is not believed (W-56)."""
TITLE = 300
"""Characters of a headline at most; longer ones are mistakes or mischief."""
MANY = 5
"""So few entries that their number says nothing."""


@dataclass(frozen=True)
class Known:
    """A stored post, as far as deciding needs it."""

    id: int
    identity: str
    source_url: str
    entry: Entry
    is_withdrawn: bool = False
    is_dated: bool = True
    """Whether its date is the source's; else it is when the post was gathered."""


@dataclass(frozen=True)
class New:
    """A post that is not stored yet."""

    identity: str
    entry: Entry


@dataclass(frozen=True)
class Edited:
    """A stored post that reads differently now. Where only what was missing is filled in, readers need not be told."""

    known: Known
    entry: Entry
    is_quiet: bool = False


@dataclass(frozen=True)
class Unchanged:
    """A stored post that reads as before, or that is another source's to edit."""

    known: Known


@dataclass(frozen=True)
class Redated:
    """A stored post that reads as before, whose source now has a date for it that can be right."""

    known: Known
    published: dt.datetime


@dataclass(frozen=True)
class Withdrawn:
    """A stored post whose page is gone."""

    known: Known


Decided = New | Edited | Redated | Unchanged
Intent = Decided | Withdrawn


def fingerprint(entry: Entry) -> str:
    """SHA-256 of what a reader would see, as hex digits. Dates and links are no part of it: they change no story."""
    seen = (entry.title, entry.byline, entry.summary, from_html(entry.body), entry.image_url, entry.image_alt,
            entry.image_caption)  # fmt: skip
    return hashlib.sha256("\0".join(seen).encode()).hexdigest()


def names(entries: Iterable[Entry]) -> set[str]:
    """Every identity that an entry of a reading may be stored under."""
    found = {name for one in entries for name in (identity(one.link, one.guid), identity_on_page(one.link, one.guid))}
    return found - {""}


def identities(known: Mapping[str, Known], entries: Sequence[Entry]) -> list[str]:
    """The identity of each entry of one reading. Several with one address and guids of their own are several posts."""
    guids: dict[str, set[str]] = {}
    for one in entries:
        guids.setdefault(identity(one.link, one.guid), set()).add(one.guid)
    return [_identity(known, one, guids) for one in entries]


def _identity(known: Mapping[str, Known], entry: Entry, guids: Mapping[str, set[str]]) -> str:
    name, own = identity(entry.link, entry.guid), identity_on_page(entry.link, entry.guid)
    if own in known:
        return own
    before = known.get(name)
    # It was stored when it was alone with its address.
    is_first = before and (before.entry.link, before.entry.title) == (entry.link, shortened(entry.title, TITLE))
    return own if own and len(guids[name]) > 1 and not is_first else name


def decide(
    known: Mapping[str, Known], entries: Iterable[Entry], source_url: str, owners: Iterable[str]
) -> list[Decided]:
    """What each entry is, the first of several with one identity counting. `owners` are the sources still read.

    An entry without an address and a guid is nothing that could be told apart, and is left out.
    """
    living, shown = set(owners), list(entries)
    intents: dict[str, Decided] = {}
    for name, entry in zip(identities(known, shown), shown, strict=True):
        if name and name not in intents:
            intents[name] = _intent(name, known.get(name), entry, source_url, living)
    return list(intents.values())


def _intent(name: str, known: Known | None, entry: Entry, source_url: str, living: set[str]) -> Decided:
    if known is None:
        return New(name, entry)
    if known.source_url != source_url and known.source_url in living:
        return Unchanged(known)
    if _shows_another(known.entry, entry):
        return Edited(known, entry)
    return Redated(known, date) if (date := corrected_date(known, entry)) else Unchanged(known)


def corrected_date(known: Known, shown: Entry) -> dt.datetime | None:
    """The source's date for a post that had none or an impossible one, where it is earlier than the made one."""
    made = known.entry.published
    if known.is_dated or made is None or shown.published is None or shown.published >= made:
        return None
    return shown.published


def _shows_another(known: Entry, shown: Entry) -> bool:
    """Whether a source shows something else than it did, in the fields where its word is taken."""
    told = [(known.title, shortened(shown.title, TITLE)), (known.summary, shown.summary)]
    if any(new and new != old for old, new in told):
        return True
    return bool(shown.body) and from_html(shown.body) != from_html(known.body)


def merged(shown: Entry, page: Entry | None) -> Entry:
    """What a source shows and what the article's page says, as one: the source names it, the page tells it."""
    if page is None:
        return _titled(shown)
    picture = page if page.image_url else shown
    return _titled(
        Entry(
            link=page.link or shown.link,
            guid=shown.guid,
            title=shown.title or page.title,
            published=shown.published or page.published,
            byline=page.byline or shown.byline,
            language=page.language or shown.language,
            summary=shown.summary or page.summary,
            body=shown.body or page.body,
            image_url=picture.image_url,
            image_alt=picture.image_alt,
            image_caption=picture.image_caption,
        )
    )


def rechecked(known: Known, page: Entry, *, is_from_page: bool) -> Edited | Unchanged:
    """What a stored post's own page says of it now; `is_from_page`: its body came from there, not from a feed."""
    if not known.entry.body and page.body:
        return Edited(known, merged(replace(known.entry, body=""), page), is_quiet=not known.is_withdrawn)
    if is_from_page and page.body:
        entry = merged(replace(known.entry, body=""), page)
        if fingerprint(entry) != fingerprint(known.entry):
            return Edited(known, entry)
    return Edited(known, known.entry) if known.is_withdrawn else Unchanged(known)


def names_article(known: Entry, page: ArticlePage) -> bool:
    """Whether a page is still that of a stored post: a log-in page, or a notice, may be answered in its place."""
    is_same_link = bool(page.own_link) and identity(page.own_link, "") == identity(known.link, "")
    is_same_title = bool(page.title) and page.title.casefold() == known.title.casefold()
    return page.has_story_root or is_same_link or is_same_title


def published_at(entry: Entry, now: dt.datetime) -> dt.datetime:
    """When a new post counts as published: its date, but never later than now; now, where it has none."""
    return min(entry.published or now, now)


def doubt(entries: Sequence[Entry], before: int, kind: str) -> str | None:
    """Why a reading that seems good is not believed: nothing where there was something, or hardly anything (W-56).

    A news sitemap holds two days by its nature, so its number goes up and down.
    """
    if kind == "sitemap":
        return None
    if not entries:
        return f"It has no entries; the last good reading had {before}." if before else "It has no entries."
    if before >= MANY and len(entries) < before * SHRUNK:
        return f"It shrank from {before} entries to {len(entries)}; a person should look before it is believed."
    return None


def staleness(newest: dt.datetime | None, stale_after: dt.timedelta, now: dt.datetime) -> str | None:
    """Why a source counts as stale; none if it does not (W-56)."""
    if newest is None or now - newest <= stale_after:
        return None
    return f"Its newest post is of {newest:%d %B %Y}, more than {stale_after.days} days ago."


def _titled(entry: Entry) -> Entry:
    """No post is without a headline and a summary, if it says anything at all."""
    text = from_html(entry.body) if not (entry.title and entry.summary) else ""
    return replace(
        entry,
        title=shortened(entry.title, TITLE) or headline(entry.summary or text),
        summary=entry.summary or opening([text[:600]] if text else []),
    )
