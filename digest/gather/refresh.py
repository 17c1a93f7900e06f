"""The conductor: every source of a newsletter is read, and what is new, edited or gone is stored.

A source's failure is a value on that source; the next source goes on. Nothing is fetched inside a transaction, and each
source's outcome is one transaction.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from digest.calendar import calendar_of
from digest.gather import store
from digest.gather.answers import Failed, Fetched, NotModified
from digest.gather.article import read_article
from digest.gather.decide import (
    Decided,
    Edited,
    Intent,
    Known,
    New,
    Redated,
    Unchanged,
    Withdrawn,
    decide,
    doubt,
    fingerprint,
    identities,
    merged,
    names,
    names_article,
    rechecked,
    staleness,
)
from digest.gather.decode import html_text
from digest.gather.entry import ArticlePage, Entry, Unreadable
from digest.gather.feed import read_feed
from digest.gather.fetch import Fetcher
from digest.gather.links import has_own_page
from digest.gather.page import read_page
from digest.gather.sitemap import read_sitemap
from digest.settings import Fetch, Newsletter, Source
from subscribers.db import Database

ARTICLES = 40
"""Article pages fetched in one run, at most."""

RESERVED = 10
"""Of these, kept for new posts of the sources that come later: rechecks do not use them."""
ENTRIES = 1000
"""Entries of one source that are looked at, at most."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SourceReport:
    """What reading one source came to; `reason` says why it failed, or what an editor should look at."""

    url: str
    kind: str
    section: str
    new: int = 0
    edited: int = 0
    withdrawn: int = 0
    unchanged: int = 0
    entries: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class _Reading:
    """What a source answered: its entries, or nothing new (none), or a failure."""

    entries: list[Entry] | None = None
    failure: str | None = None
    etag: str | None = None
    last_modified: str | None = None


def refresh(
    database: Database,
    newsletter: Newsletter,
    fetch: Fetch,
    now: dt.datetime,
    *,
    on_source: Callable[[SourceReport], None] | None = None,
) -> list[SourceReport]:
    """Read every source of a newsletter and store what it shows. `on_source` is told of each one as it is done.

    Two at once are harmless: the unique key on (newsletter, identity) makes a post once.
    """
    reports = []
    with Fetcher(fetch) as fetcher:
        run = _Run(database, newsletter, fetcher, now)
        for source in newsletter.sources:
            report = run.read(source)
            reports.append(report)
            if on_source:
                on_source(report)
    return reports


class _Run:
    """One refresh: what its sources share."""

    def __init__(self, database: Database, newsletter: Newsletter, fetcher: Fetcher, now: dt.datetime) -> None:
        self._database, self._newsletter, self._fetcher, self._now = database, newsletter, fetcher, now
        self._budget = ARTICLES
        self._troubles: list[str] = []
        with database.read() as session:
            calendar = calendar_of(session, newsletter)
        self._since = calendar.window(calendar.drafting(now)).start
        """Older posts are no part of an issue any more: their pages are not fetched."""

    def read(self, source: Source) -> SourceReport:
        """Read one source, and store."""
        self._troubles.clear()
        memory = store.memory_of(self._database, self._newsletter.slug, source.url)
        reading = self._reading(source, memory)
        report = SourceReport(source.url, source.kind, source.section or "")
        if reading.failure:
            self._remember_failure(source, memory, reading.failure)
            return replace(report, reason=reading.failure)
        intents = self._intents(source, reading)
        return self._stored(source, memory, reading, intents, report)

    def _reading(self, source: Source, memory: store.Memory) -> _Reading:
        answer = self._fetcher.get(source.url, etag=memory.etag, last_modified=memory.last_modified)
        match answer:
            case Failed():
                return _Reading(failure=answer.reason)
            case NotModified():
                return _Reading()
            case Fetched():
                return self._parsed(source, answer)

    def _parsed(self, source: Source, answer: Fetched) -> _Reading:
        try:
            entries = _entries(source.kind, answer)
        except Unreadable as error:
            return _Reading(failure=error.reason)
        except Exception as error:  # noqa: BLE001 -- no page of a stranger's may stop the other sources.
            _log.warning("a source could not be parsed", url=source.url, error=type(error).__name__)
            return _Reading(failure=f"It could not be parsed ({type(error).__name__}); please report it with the page.")
        wanted = [one for one in entries if not source.match or source.match in one.link]
        if len(wanted) > ENTRIES:
            wanted = sorted(wanted, key=lambda one: one.published or self._now, reverse=True)[:ENTRIES]
            self._troubles.append(f"It has {len(entries)} entries; only the newest {ENTRIES} were looked at.")
        return _Reading(wanted, etag=answer.etag, last_modified=answer.last_modified)

    def _intents(self, source: Source, reading: _Reading) -> list[Intent]:
        entries = reading.entries or []
        known = store.known_posts(self._database, self._newsletter.slug, list(names(entries)))
        decided = decide(known, entries, source.url, [one.url for one in self._newsletter.sources])
        newest_first = sorted(decided, key=self._published, reverse=True)
        intents = [final for one in newest_first if (final := self._completed(source, one))]
        bodiless = {name for name, one in zip(identities(known, entries), entries, strict=True) if not one.body}
        return self._with_rechecks(source, intents, bodiless)

    def _completed(self, source: Source, intent: Decided) -> Intent | None:
        """An intent with its article's page, where the source has no whole story; none for what readers cannot use."""
        match intent:
            case Unchanged() | Redated():
                return intent
            case New(identity=name, entry=shown):
                page = self._page(source, shown) if self._wants_page(name, shown) else None
                if isinstance(page, Failed) and page.gone:
                    # The source is ahead of its pages, or behind: the next reading's recheck will tell.
                    self._troubles.append(f"An article is not there: {page.reason}")
                entry = merged(shown, page if isinstance(page, Entry) else None)
                if entry.title and entry.link:
                    return New(name, entry)
                self._troubles.append("An entry has no headline or no web address, and was left out.")
                return None
            case Edited(known=known, entry=shown):
                return self._completed_edit(source, known, shown)

    def _completed_edit(self, source: Source, known: Known, shown: Entry) -> Intent:
        dated = replace(shown, published=known.entry.published)
        page = self._page(source, shown) if self._wants_page(known.identity, dated) else None
        if isinstance(page, Failed) and page.gone:
            return Withdrawn(known)
        if isinstance(page, ArticlePage) and not names_article(shown, page) and not self._names(known.entry, page):
            page = None
        entry = merged(shown, page if isinstance(page, Entry) else known.entry)
        is_same = fingerprint(entry) == fingerprint(known.entry) and not known.is_withdrawn
        return Unchanged(known) if is_same else Edited(known, entry)

    def _with_rechecks(self, source: Source, intents: list[Intent], bodiless: set[str]) -> list[Intent]:
        """Look again at the window's posts: a page may be gone, or edited though its source shows the same."""
        settled = {_name(one) for one in intents if not isinstance(one, Unchanged)}
        outcome: dict[str, Intent] = {_name(one): one for one in intents}
        for known in store.posts_since(self._database, self._newsletter.slug, source.url, self._since):
            if self._budget <= RESERVED:
                break
            if known.identity in settled or not has_own_page(known.identity):
                continue
            is_from_page = known.identity in bodiless or source.kind == "sitemap"
            page = self._page(source, known.entry)
            if isinstance(page, ArticlePage):
                decided = rechecked(known, page, is_from_page=is_from_page)
                if isinstance(decided, Unchanged) or self._names(known.entry, page):
                    outcome[known.identity] = decided
            elif page is not None and page.gone and not known.is_withdrawn:
                outcome[known.identity] = Withdrawn(known)
        return list(outcome.values())

    def _names(self, known: Entry, page: ArticlePage) -> bool:
        """Whether a page is still a post's own; where it is not, the post is kept and the source says so."""
        if names_article(known, page):
            return True
        self._troubles.append(f"The page of an article is about something else now, and was not believed: {known.link}")
        return False

    def _wants_page(self, name: str, shown: Entry) -> bool:
        is_recent = shown.published is None or shown.published >= self._since
        return not shown.body and bool(shown.link) and has_own_page(name) and is_recent

    def _page(self, source: Source, shown: Entry) -> ArticlePage | Failed | None:
        """What the article's page says; none where the run has fetched enough or there is nothing to read."""
        if self._budget <= 0:
            return None
        self._budget -= 1
        answer = self._fetcher.get_article(shown.link, source.url)
        if isinstance(answer, Failed):
            if not answer.gone:
                self._troubles.append(f"An article could not be read: {answer.reason}")
            return answer
        if isinstance(answer, NotModified):
            return None
        try:
            return read_article(html_text(answer.body, answer.charset), answer.url)
        except Exception as error:  # noqa: BLE001 -- one strange page must not lose the others.
            self._troubles.append(f"An article could not be parsed ({type(error).__name__}).")
            _log.warning("an article could not be parsed", url=shown.link, error=type(error).__name__)
            return None

    def _stored(
        self,
        source: Source,
        memory: store.Memory,
        reading: _Reading,
        intents: Sequence[Intent],
        report: SourceReport,
    ) -> SourceReport:
        before = memory.entries
        entries = reading.entries
        with self._database.write() as session:
            done = store.store(session, self._newsletter.slug, source.url, intents, self._now)
            why = self._doubt(source, memory, reading)
            newest = store.newest_post(session, self._newsletter.slug, source.url)
            reason = why or staleness(newest, source.stale_after, self._now)
            values = {**self._state(memory, reading, is_doubted=bool(why)), "reason": reason}
            store.remember(session, self._newsletter.slug, source.url, values)
        unchanged = sum(isinstance(one, Unchanged | Redated) for one in intents)
        return replace(
            report, new=done.new, edited=done.edited, withdrawn=done.withdrawn, unchanged=unchanged,
            entries=before if entries is None else len(entries), reason=reason or self._trouble(),
        )  # fmt: skip

    def _doubt(self, source: Source, memory: store.Memory, reading: _Reading) -> str | None:
        if reading.entries is None:
            return None
        why = doubt(reading.entries, memory.entries, source.kind)
        if reading.entries and memory.succeeded_at and self._now - memory.succeeded_at > source.stale_after:
            return None  # It has been so for long: this is how the source is now.
        return why

    def _state(self, memory: store.Memory, reading: _Reading, *, is_doubted: bool) -> dict[str, object]:
        """What to remember of a reading; one that is not believed leaves the measure of the last good one."""
        values: dict[str, object] = {"checked_at": self._now}
        if is_doubted:
            # Asked for in full the next time: "not modified" would hide that it is still so.
            return values | {"failures": memory.failures + 1, "etag": None, "last_modified": None}
        values |= {"succeeded_at": self._now, "failures": 0}
        if reading.entries is not None:
            values |= {"entries": len(reading.entries), "etag": reading.etag, "last_modified": reading.last_modified}
        return values

    def _trouble(self) -> str | None:
        """What went wrong with single articles of the source: worth a line, but no failure of the source."""
        count = len(self._troubles)
        if not count:
            return None
        return self._troubles[0] if count == 1 else f"{self._troubles[0]} And {count - 1} more like it."

    def _remember_failure(self, source: Source, memory: store.Memory, reason: str) -> None:
        values = {"checked_at": self._now, "reason": reason, "failures": memory.failures + 1}
        with self._database.write() as session:
            store.remember(session, self._newsletter.slug, source.url, values)

    def _published(self, intent: Decided) -> dt.datetime:
        entry = intent.entry if isinstance(intent, New | Edited) else intent.known.entry
        return entry.published or self._now


def _entries(kind: str, answer: Fetched) -> list[Entry]:
    match kind:
        case "feed":
            return read_feed(answer.body, answer.url, answer.charset)
        case "sitemap":
            return read_sitemap(answer.body, answer.url, answer.charset)
        case _:
            return read_page(html_text(answer.body, answer.charset), answer.url)


def _name(intent: Intent) -> str:
    return intent.identity if isinstance(intent, New) else intent.known.identity
