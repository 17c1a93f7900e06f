"""Whether the sources can be trusted for this week's issue: what is broken, stale or not read, and why (W-56)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.models import Post, SourceState
from digest.settings import Newsletter, Source

READ_WITHIN = dt.timedelta(days=1)
"""A source whose last good reading is older than this may have news that we do not know of."""


@dataclass(frozen=True)
class SourceFacts:
    """What is known of one source when an issue is drafted; all instants in UTC."""

    reason: str | None
    """Why its last reading failed or is not believed; none where it did well."""
    succeeded_at: dt.datetime | None
    newest: dt.datetime | None
    """When its newest post was published."""


def source_problems(session: Session, newsletter: Newsletter, now: dt.datetime) -> tuple[str, ...]:
    """One sentence for each source that is broken, stale or was not read lately; empty when all is well."""
    found = (problem(source, facts(session, newsletter.slug, source), now) for source in newsletter.sources)
    return tuple(one for one in found if one)


def facts(session: Session, newsletter: str, source: Source) -> SourceFacts:
    """What the database says of a source."""
    query = sa.select(SourceState).where(SourceState.newsletter == newsletter, SourceState.url == source.url)
    state = session.scalars(query).one_or_none()
    posts = sa.select(sa.func.max(Post.published_at)).where(
        Post.newsletter == newsletter, Post.source_url == source.url, Post.withdrawn_at.is_(None)
    )
    newest = session.scalar(posts)
    if state is None:
        return SourceFacts(None, None, newest)
    # A good reading can leave a reason too, that nothing is new; how old is too old is judged anew for this draft.
    return SourceFacts(state.reason if state.failures else None, state.succeeded_at, newest)


def problem(source: Source, known: SourceFacts, now: dt.datetime) -> str | None:
    """What is wrong with a source, in a sentence that names it; none when nothing is. Pure."""
    if known.reason:
        since = f", last read well on {_day(known.succeeded_at)}" if known.succeeded_at else ""
        return f"{source.url} could not be read: {known.reason.rstrip('.')}{since}."
    if known.succeeded_at is None:
        return f"{source.url} has not been read yet; gather first."
    if now - known.succeeded_at > READ_WITHIN:
        return f"{source.url} was last read on {_day(known.succeeded_at)}; newer posts may be missing."
    if known.newest is None:
        return f"{source.url} has brought no post so far."
    if now - known.newest > source.stale_after:
        days = source.stale_after / dt.timedelta(days=1)
        length = f"{days:g} day{'' if days == 1 else 's'}"
        return f"{source.url} has had no new post since {_day(known.newest)}, which is more than {length}."
    return None


def _day(instant: dt.datetime) -> str:
    return f"{instant:%Y-%m-%d at %H:%M} UTC"
