"""Saving what an editor typed: the fields that were touched, merged with what others have changed meanwhile.

A page that is older than what stands is no reason to refuse words for a field that nobody else has changed. Where
somebody has, neither text is put over the other: the field is left, and both are shown.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from digest.issues.edit import edit_issue, edit_item, move_to_section
from digest.issues.outcomes import Done, Refused
from digest.issues.select import preheader, subject
from digest.models import Issue, Item
from digest.settings import Newsletter
from digest.web.desk.stories import sections_of
from digest.web.desk.typed import ISSUE_FIELDS, ITEM_FIELDS, clashing, touched
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
    """What was before their eyes: the page's revision, or the one that saving their own words has made of it."""

    @property
    def by(self) -> dict[str, Any]:
        """What a change is told that holds for this very revision alone."""
        return {"expected_revision": self.revision, "who": self.who, "now": self.now}


@dataclass(frozen=True)
class Saved:
    """What came of the words on the page."""

    done: Done
    clashes: tuple[str, ...]
    """The fields that were not saved, because somebody else has changed them too."""


def save_typed(hand: Hand) -> Saved | Refused:
    """Save the fields that were touched, in the caller's transaction, which keeps nothing if one is refused.

    The issue's row is locked, so that what stands is what is compared with.
    """
    issue = hand.issue
    clashes = tuple(name for name in clashing(hand.form, standing_texts(issue)) if not _is_derived(issue, name))
    done = Done(issue.id, issue.revision, issue.state)
    for step in _steps(hand, frozenset(clashes)):
        result = step(done.revision)
        if isinstance(result, Refused):
            return result
        done = replace(result, note=done.note or result.note)
    return Saved(done, clashes)


def _is_derived(issue: Issue, name: str) -> bool:
    """Whether a text goes with the first stories: then it changed with them, and it is nobody's words."""
    derive = {"subject": subject, "preheader": preheader}.get(name)
    return derive is not None and derive(issue.items) == getattr(issue, name)


def standing_texts(issue: Issue) -> dict[str, str]:
    """What stands in each field of the page, by the field's name."""
    texts = {name: str(getattr(issue, name)) for name in ISSUE_FIELDS}
    for item in issue.items:
        texts.update({f"{name}-{item.id}": _text(item, name) for name in ITEM_FIELDS})
    return texts


def _text(item: Item, name: str) -> str:
    """What stands in a story's field; a picture that the editor has not described is described by its post."""
    text = str(getattr(item, name))
    return text or item.post.image_alt if name == "image_alt" else text


def _steps(hand: Hand, without: frozenset[str]) -> list[Step]:
    texts = _typed(hand, {name: name for name in ISSUE_FIELDS}, without)
    steps: list[Step] = []
    if texts:
        steps.append(lambda revision: edit_issue(hand.session, hand.issue.id, **texts, **_by(hand, revision)))
    for item in hand.issue.items:
        steps.extend(_item_steps(hand, item.id, without))
    return steps


def _item_steps(hand: Hand, item_id: int, without: frozenset[str]) -> list[Step]:
    session, issue_id = hand.session, hand.issue.id
    texts = _typed(hand, {name: f"{name}-{item_id}" for name in ITEM_FIELDS}, without)
    section = texts.pop("section", None)
    steps: list[Step] = []
    if texts:
        steps.append(lambda revision: edit_item(session, issue_id, item_id, **texts, **_by(hand, revision)))
    if section is not None:
        steps.append(lambda revision: _change_section(hand, item_id, revision))
    return steps


def _typed(hand: Hand, names: Mapping[str, str], without: frozenset[str]) -> dict[str, Any]:
    """What was typed into fields, by what a change calls them."""
    wanted = {name: field for name, field in names.items() if touched(hand.form, field) and field not in without}
    return {name: hand.form.text(field) for name, field in wanted.items()}


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
    return hand.by | {"expected_revision": revision}
