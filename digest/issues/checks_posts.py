"""Whether the sources still say what an issue says: posts that were withdrawn or edited since it took them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.issues.checks_stories import Told
from digest.issues.differences import difference, in_story
from digest.issues.outcomes import Difference, Finding, Remedy
from digest.models import Issue, Item, PostVersion


def of_posts(session: Session, told: Sequence[Told], issue: Issue) -> Iterator[Finding]:
    """What was withdrawn blocks; what was edited is to be looked at, with the difference."""
    changed = [one for one in told if not one.item.post.withdrawn_at and one.item.is_edited]
    versions = _taken(session, [one.item for one in changed], issue)
    for one in told:
        post = one.item.post
        if post.withdrawn_at:
            why = f"The post was taken down at its source; we saw it on {post.withdrawn_at:%Y-%m-%d at %H:%M} UTC."
            about = post.withdrawn_at.isoformat()
            yield Finding("blocks", one.where, why, "Leave it out.", "post-withdrawn", one.field, about)
    for one in changed:
        yield _edited(one, versions.get(one.item.post_id))


def _edited(one: Told, before: PostVersion | None) -> Finding:
    item, post = one.item, one.item.post
    why = f"The post was changed at its source after this draft; we saw it on {post.edited_at:%Y-%m-%d at %H:%M} UTC."
    found = _differences(one.item, before)
    said = any(piece.label != "Story" for piece in found)
    remedies = (
        *([Remedy(f"items/{item.id}/take", "Take the new text")] if said or before is None else []),
        Remedy(f"items/{item.id}/keep", "Keep mine"),
    )
    return Finding(
        "warns",
        one.where,
        why,
        "Compare headline and summary with the post as it is now.",
        "post-edited",
        one.field,
        about=post.fingerprint,
        remedies=remedies,
        differences=found,
    )


def _differences(item: Item, before: PostVersion | None) -> tuple[Difference, ...]:
    """What the source said then and says now; where that is not known, what the issue says and what the source says."""
    post = item.post
    title, summary, body = (before.title, before.summary, before.body) if before else (item.headline, item.summary, "")
    found = (difference("Headline", title, post.title), difference("Summary", summary, post.summary))
    story = in_story(body, post.body) if before else ()
    return (*(one for one in found if one), *story)


def _taken(session: Session, items: Sequence[Item], issue: Issue) -> Mapping[int, PostVersion]:
    """How each post read when it was taken: the first version that was current after that instant."""
    if not items:
        return {}
    query = sa.select(PostVersion).where(PostVersion.post_id.in_([item.post_id for item in items]))
    since = {item.post_id: item.taken_at or issue.created_at for item in items}
    newest_first = session.scalars(query.order_by(PostVersion.until.desc(), PostVersion.id.desc()))
    return {one.post_id: one for one in newest_first if one.until > since[one.post_id]}
