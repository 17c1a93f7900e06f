"""A story that an editor adds: where it goes, and what they are told of it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from digest.issues import control, edit, revisions
from digest.issues.add import Added, add_post
from digest.issues.outcomes import Done, Refused
from digest.models import IssueState
from tests.issues.newsroom import DAY, HOUR, THURSDAY, House

BY: dict[str, Any] = {"who": "Ada", "now": THURSDAY, "sections": ("", "In Brief", "Journalists in Trouble")}


@pytest.fixture
def issue_id(thursday: House) -> int:
    return thursday.draft().issue_id


def add(house: House, issue_id: int, post_id: int, section: str = "", **more: object) -> Added | Refused:
    with house.database.write() as session:
        return add_post(session, issue_id, post_id, section, **(BY | more))


def added(found: Added | Refused) -> Added:
    assert isinstance(found, Added)
    return found


def test_a_post_goes_to_the_end_of_its_section_and_is_in(thursday: House, issue_id: int) -> None:
    post = thursday.post("A fresh one", ago=HOUR * 3)
    done = added(add(thursday, issue_id, post, expected_revision=1))
    assert (done.revision, done.note, done.earlier, done.is_outside) == (2, "", "", False)
    items = thursday.items(issue_id)
    assert [item.position for item in items] == [0, 1, 2, 3, 4]
    assert (items[3].headline, items[3].included, items[3].id) == ("A fresh one", True, done.item_id)
    assert items[3].summary
    brief = added(add(thursday, issue_id, thursday.post("A brief one", ago=HOUR * 4), "In Brief"))
    assert [item.id for item in thursday.items(issue_id)].index(brief.item_id) == 4
    with thursday.database.read() as session:
        said = [line.said for line in revisions.history(session, thursday.issue(issue_id))]
    assert said[:2] == ["added “A brief one”", "added “A fresh one”"]


def test_adding_is_undone_and_done_again(thursday: House, issue_id: int) -> None:
    post = thursday.post("A fresh one", ago=HOUR * 3)
    add(thursday, issue_id, post)
    by: dict[str, Any] = {"who": "Ben", "now": THURSDAY}
    with thursday.database.write() as session:
        revisions.undo(session, issue_id, **by)
    assert [(item.headline, item.included) for item in thursday.items(issue_id)][-1] == ("A fresh one", False)
    with thursday.database.write() as session:
        revisions.redo(session, issue_id, **by)
    assert thursday.items(issue_id)[3].included


def test_one_that_is_offered_is_put_in_where_it_stands(thursday: House, issue_id: int) -> None:
    item = thursday.items(issue_id)[1]
    with thursday.database.write() as session:
        edit.leave_out(session, issue_id, item.id, who="Ben", now=THURSDAY)
    done = added(add(thursday, issue_id, item.post_id, "In Brief"))
    assert (done.item_id, done.stood) == (item.id, False)
    assert (thursday.items(issue_id)[1].id, thursday.items(issue_id)[1].included) == (item.id, True)
    again = added(add(thursday, issue_id, item.post_id))
    assert (again.revision, again.stood, again.note) == (done.revision, True, "It was in the issue already.")


def test_a_post_of_another_week_or_issue_is_taken_and_said(thursday: House, issue_id: int) -> None:
    old = thursday.post("An old one", ago=20 * DAY)
    assert added(add(thursday, issue_id, old)).note == (
        "It was published on 30 October 2026, outside this issue’s window."
    )
    week = dt.timedelta(weeks=1)
    thursday.post("Of the next week", ago=-2 * DAY)
    other = thursday.draft(THURSDAY + week).issue_id
    first = thursday.items(issue_id)[0]
    done = added(add(thursday, other, first.post_id))
    assert (done.earlier, done.is_outside) == ("watchdog/2026-W47", True)
    assert done.note.startswith("It is in watchdog/2026-W47 as well. It was published on 18 November 2026")
    thursday.set(issue_id, state=IssueState.CANCELLED)
    assert added(add(thursday, other, first.post_id)).earlier == ""


def test_adding_follows_the_rules_of_every_change(thursday: House, issue_id: int) -> None:
    post = thursday.post("A fresh one", ago=HOUR * 3)
    assert isinstance(add(thursday, issue_id, post, expected_revision=7), Refused)
    assert isinstance(add(thursday, issue_id, post, "Sport"), Refused)
    assert isinstance(add(thursday, issue_id, 999), Refused)
    assert isinstance(add(thursday, issue_id, thursday.post(newsletter="other")), Refused)
    assert isinstance(add(thursday, issue_id, thursday.post(withdrawn_at=THURSDAY)), Refused)
    with thursday.database.write() as session:
        assert isinstance(control.approve(session, issue_id, who="Cleo", now=THURSDAY), Done)
    done = added(add(thursday, issue_id, post))
    assert (done.state, "took back the approval by Cleo" in done.note) == (IssueState.DRAFT, True)
    thursday.set(issue_id, state=IssueState.SENDING)
    assert isinstance(add(thursday, issue_id, post), Refused)
