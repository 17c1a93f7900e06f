"""The database's side of gathering: sources' states and posts, safe when two gather at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from digest.gather.decide import (
    Edited,
    Intent,
    Known,
    New,
    Redated,
    Withdrawn,
    corrected_date,
    fingerprint,
    published_at,
)
from digest.gather.entry import Entry
from digest.models import Post, PostVersion, SourceState
from subscribers.db import Database

_TEXTS = ("link", "title", "byline", "language", "summary", "body", "image_url", "image_alt", "image_caption")


@dataclass(frozen=True)
class Stored:
    """How many posts really changed: another process may have been quicker."""

    new: int = 0
    edited: int = 0
    withdrawn: int = 0


@dataclass(frozen=True)
class Memory:
    """What is remembered of a source between two readings."""

    etag: str | None = None
    last_modified: str | None = None
    succeeded_at: dt.datetime | None = None
    failures: int = 0
    entries: int = 0


def memory_of(database: Database, newsletter: str, url: str) -> Memory:
    """What is remembered of a source; nothing, of one that was never read."""
    with database.read() as session:
        wanted = sa.select(SourceState).where(SourceState.newsletter == newsletter, SourceState.url == url)
        row = session.scalars(wanted).one_or_none()
        if row is None:
            return Memory()
        return Memory(row.etag, row.last_modified, row.succeeded_at, row.failures, row.entries)


def known_posts(database: Database, newsletter: str, identities: Sequence[str]) -> dict[str, Known]:
    """The stored posts of these identities, by identity."""
    wanted = sa.select(Post).where(Post.newsletter == newsletter, Post.identity.in_(identities))
    with database.read() as session:
        return {post.identity: _known(post) for post in session.scalars(wanted)}


def posts_since(database: Database, newsletter: str, source_url: str, start: dt.datetime) -> list[Known]:
    """A source's posts since an instant: first those without a body, then newest first."""
    wanted = sa.select(Post).where(
        Post.newsletter == newsletter, Post.source_url == source_url, Post.published_at >= start
    )
    with database.read() as session:
        ordered = wanted.order_by(Post.body != "", Post.published_at.desc(), Post.id)
        return [_known(post) for post in session.scalars(ordered)]


def newest_post(session: Session, newsletter: str, source_url: str) -> dt.datetime | None:
    """When a source's newest post was published."""
    newest = sa.select(sa.func.max(Post.published_at))
    return session.scalar(newest.where(Post.newsletter == newsletter, Post.source_url == source_url))


def store(session: Session, newsletter: str, source_url: str, intents: Iterable[Intent], now: dt.datetime) -> Stored:
    """Carry out intents, in the order of their identities: two processes then cannot wait for each other in a ring."""
    new = edited = withdrawn = 0
    for intent in sorted(intents, key=_name):
        match intent:
            case New():
                new += _insert(session, newsletter, source_url, intent, now)
            case Edited():
                edited += _update(session, source_url, intent, now)
            case Redated():
                _redate(session, intent.known, intent.published)
            case Withdrawn():
                withdrawn += _withdraw(session, intent.known, now)
    return Stored(new, edited, withdrawn)


def remember(session: Session, newsletter: str, url: str, values: dict[str, object]) -> None:
    """Write what is remembered of a source, making its row first if there is none."""
    row = {"newsletter": newsletter, "url": url, "failures": 0, "entries": 0}
    session.execute(_insert_once(session, SourceState, ("newsletter", "url"), row))
    session.execute(
        sa.update(SourceState).where(SourceState.newsletter == newsletter, SourceState.url == url).values(**values)
    )


def _name(intent: Intent) -> str:
    return intent.identity if isinstance(intent, New) else intent.known.identity


def _insert(session: Session, newsletter: str, source_url: str, intent: New, now: dt.datetime) -> int:
    row = {
        "newsletter": newsletter,
        "source_url": source_url,
        "identity": intent.identity,
        "published_at": published_at(intent.entry, now),
        "fingerprint": fingerprint(intent.entry),
        "gathered_at": now,
        **_texts(intent.entry),
    }
    done = session.execute(_insert_once(session, Post, ("newsletter", "identity"), row).returning(Post.id))
    return len(done.all())


def _update(session: Session, source_url: str, intent: Edited, now: dt.datetime) -> int:
    """Only if the post still is what the decision was made of: another process may have stored the same edit.

    How it read before is kept: an editor who has taken it over will want to compare.
    """
    mark = {} if intent.is_quiet else {"edited_at": now}
    if date := corrected_date(intent.known, intent.entry):
        _redate(session, intent.known, date)
    done = session.execute(
        sa.update(Post)
        .where(Post.id == intent.known.id, Post.fingerprint == fingerprint(intent.known.entry))
        .where((Post.fingerprint != fingerprint(intent.entry)) | Post.withdrawn_at.is_not(None))
        .values(
            **_texts(intent.entry),
            **mark,
            source_url=source_url,
            fingerprint=fingerprint(intent.entry),
            withdrawn_at=None,
        )
        .returning(Post.id)
    )
    if intent.is_quiet or not done.all():
        return 0
    before = intent.known.entry
    session.add(
        PostVersion(post_id=intent.known.id, title=before.title, summary=before.summary, body=before.body, until=now)
    )
    return 1


def _redate(session: Session, known: Known, published: dt.datetime) -> None:
    session.execute(sa.update(Post).where(Post.id == known.id).values(published_at=published))


def _withdraw(session: Session, known: Known, now: dt.datetime) -> int:
    done = session.execute(
        sa.update(Post)
        .where(Post.id == known.id, Post.withdrawn_at.is_(None))
        .values(withdrawn_at=now)
        .returning(Post.id)
    )
    return len(done.all())


def _insert_once(
    session: Session, table: type[Post] | type[SourceState], key: tuple[str, ...], row: dict[str, object]
) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that does nothing where the key is there already, in the database's own words."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table).values(**row).on_conflict_do_nothing(index_elements=key)
    return sqlite.insert(table).values(**row).on_conflict_do_nothing(index_elements=key)


def _texts(entry: Entry) -> dict[str, str]:
    return {name: getattr(entry, name) for name in _TEXTS}


def _known(post: Post) -> Known:
    entry = Entry(published=post.published_at, **{name: getattr(post, name) for name in _TEXTS})
    is_dated = post.published_at != post.gathered_at
    return Known(post.id, post.identity, post.source_url, entry, post.withdrawn_at is not None, is_dated)
