"""Saving what an editor typed: the fields that were touched, each from the revision that the one before has made."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from digest.issues.edit import edit_issue, edit_item, move_to_section
from digest.issues.outcomes import Done, Refused
from digest.models import Issue
from digest.settings import Newsletter
from digest.web.desk.stories import sections_of
from digest.web.desk.typed import ISSUE_FIELDS, touched
from digest.web.form import Form

Step = Callable[[int], "Done | Refused"]
"""One change, given the revision that it starts from."""


@dataclass(frozen=True)
class Hand:
    """Whose hand makes a change, when, on which issue, and from which revision on."""

    session: Session
    issue: Issue
    newsletter: Newsletter
    form: Form
    who: str
    now: dt.datetime
    revision: int


def save_typed(hand: Hand) -> Done | Refused:
    """Save the fields that were touched, in the caller's transaction, which keeps nothing if one is refused."""
    standing = Done(hand.issue.id, hand.revision, hand.issue.state)
    for step in _steps(hand):
        result = step(standing.revision)
        if isinstance(result, Refused):
            return result
        standing = replace(result, note=standing.note or result.note)
    return standing


def _steps(hand: Hand) -> list[Step]:
    texts: dict[str, Any] = {name: hand.form.text(name) for name in ISSUE_FIELDS if touched(hand.form, name)}
    steps: list[Step] = []
    if texts:
        steps.append(lambda revision: edit_issue(hand.session, hand.issue.id, **texts, **_by(hand, revision)))
    for item in hand.issue.items:
        steps.extend(_item_steps(hand, item.id))
    return steps


def _item_steps(hand: Hand, item_id: int) -> list[Step]:
    form, session, issue_id = hand.form, hand.session, hand.issue.id
    names = [name for name in ("headline", "summary", "image_alt") if touched(form, f"{name}-{item_id}")]
    texts: dict[str, Any] = {name: form.text(f"{name}-{item_id}") for name in names}
    steps: list[Step] = []
    if texts:
        steps.append(lambda revision: edit_item(session, issue_id, item_id, **texts, **_by(hand, revision)))
    if touched(form, f"section-{item_id}"):
        steps.append(lambda revision: _change_section(hand, item_id, revision))
    return steps


def _change_section(hand: Hand, item_id: int, revision: int) -> Done | Refused:
    section = hand.form.line(f"section-{item_id}")
    return move_to_section(
        hand.session,
        hand.issue.id,
        item_id,
        section,
        sections=sections_of(hand.issue, hand.newsletter),
        **_by(hand, revision),
    )


def _by(hand: Hand, revision: int) -> dict[str, Any]:
    return {"expected_revision": revision, "who": hand.who, "now": hand.now}
