"""Every change is kept, undone, done again and gone back to; nothing that anybody wrote is ever lost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from digest.issues import control, edit, revisions
from digest.issues.draft import absorb_new_posts, redraft
from digest.issues.outcomes import Done, Refused
from digest.issues.snapshot import Snapshot, snapshot
from digest.mail.report_purge import KEEP, purge
from digest.models import IssueState, Revision
from tests.issues.newsroom import DAY, HOUR, THURSDAY, House

BY: dict[str, Any] = {"who": "Ada", "now": THURSDAY}
SECTIONS = ("", "In Brief", "Journalists in Trouble")


@pytest.fixture
def issue_id(thursday: House) -> int:
    return thursday.draft().issue_id


def do(house: House, change: Callable[..., Done | Refused], *args: object, **values: object) -> Done | Refused:
    with house.database.write() as session:
        return change(session, *args, **(BY | values))


def says(house: House, issue_id: int) -> Snapshot:
    return snapshot(house.issue(issue_id), house.items(issue_id))


def lines(house: House, issue_id: int) -> list[tuple[int, str, str]]:
    with house.database.read() as session:
        found = revisions.history(session, house.issue(issue_id))
        return [(line.number, line.who, line.said) for line in found]


def test_a_draft_s_history_begins_with_it(thursday: House, issue_id: int) -> None:
    assert lines(thursday, issue_id) == [(1, "planner", "opened the draft")]
    with thursday.database.read() as session:
        assert revisions.stood(session, thursday.issue(issue_id), 1) == says(thursday, issue_id)


def test_each_change_is_a_line_with_its_name(thursday: House, issue_id: int) -> None:
    first, second = thursday.items(issue_id)[:2]
    do(thursday, edit.edit_issue, issue_id, subject="One", introduction="Two")
    do(thursday, edit.leave_out, issue_id, second.id, who="Ben")
    do(thursday, edit.place, issue_id, first.id, SECTIONS[2], None, sections=SECTIONS)
    assert lines(thursday, issue_id)[:3] == [
        (4, "Ada", "moved “A court orders a station off the air” to Journalists in Trouble"),
        (3, "Ben", "left out “Parliament passes a law on foreign agents”"),
        (2, "Ada", "wrote the subject and introduction"),
    ]


def test_undo_takes_back_one_change_of_anybody_and_says_whose(thursday: House, issue_id: int) -> None:
    drafted = says(thursday, issue_id)
    item = thursday.items(issue_id)[0]
    do(thursday, edit.edit_item, issue_id, item.id, headline="By Ben", who="Ben")
    result = do(thursday, revisions.undo, issue_id, expected_revision=2)
    assert result == Done(issue_id, 3, IssueState.DRAFT, "Undone: Ben wrote the headline of “By Ben”.")
    assert says(thursday, issue_id) == drafted
    assert do(thursday, revisions.undo, issue_id) == Refused("There is nothing to undo.")
    assert lines(thursday, issue_id)[0] == (3, "Ada", "undid what Ben did: wrote the headline of “By Ben”")


def test_what_was_undone_is_done_again_step_by_step(thursday: House, issue_id: int) -> None:
    states = [says(thursday, issue_id)]
    for text in ("One", "Two", "Three"):
        do(thursday, edit.edit_issue, issue_id, introduction=text, who=text)
        states.append(says(thursday, issue_id))
    for number in (2, 1, 0):
        result = do(thursday, revisions.undo, issue_id)
        assert isinstance(result, Done)
        assert says(thursday, issue_id) == states[number]
    for number, whose in ((1, "One"), (2, "Two"), (3, "Three")):
        result = do(thursday, revisions.redo, issue_id)
        assert isinstance(result, Done)
        assert result.note == f"Done again: {whose} wrote the introduction."
        assert says(thursday, issue_id) == states[number]
    assert do(thursday, revisions.redo, issue_id) == Refused("There is nothing to do again.")
    assert do(thursday, revisions.undo, issue_id) == Done(
        issue_id, 11, IssueState.DRAFT, "Undone: Three wrote the introduction."
    )


def test_another_change_ends_what_can_be_done_again_and_loses_nothing(thursday: House, issue_id: int) -> None:
    do(thursday, edit.edit_issue, issue_id, introduction="One")
    do(thursday, revisions.undo, issue_id)
    do(thursday, edit.edit_issue, issue_id, introduction="Another")
    assert isinstance(do(thursday, revisions.redo, issue_id), Refused)
    # It cannot be done again, but it can be gone back to.
    assert isinstance(do(thursday, revisions.restore, issue_id, 2), Done)
    assert thursday.issue(issue_id).introduction == "One"
    do(thursday, revisions.undo, issue_id)
    assert thursday.issue(issue_id).introduction == "Another"


def test_what_can_be_undone_and_done_again_is_known_without_a_snapshot(thursday: House, issue_id: int) -> None:
    def within() -> tuple[str, ...]:
        with thursday.database.read() as session:
            found = revisions.within(session, thursday.issue(issue_id))
            loaded = [row for row in session.identity_map.values() if "snapshot" in vars(row)]
            assert not loaded
            return tuple(f"{one.who} {one.said}" if one else "" for one in (found.undo, found.redo))

    assert within() == ("", "")
    do(thursday, edit.edit_issue, issue_id, introduction="One", who="Ben")
    assert within() == ("Ben wrote the introduction", "")
    do(thursday, edit.edit_issue, issue_id, subject="Two")
    do(thursday, revisions.undo, issue_id)
    assert within() == ("Ben wrote the introduction", "Ada wrote the subject")
    do(thursday, revisions.undo, issue_id)
    assert within() == ("", "Ben wrote the introduction")


def test_going_back_is_a_new_revision(thursday: House, issue_id: int) -> None:
    drafted = says(thursday, issue_id)
    for item in thursday.items(issue_id):
        do(thursday, edit.leave_out, issue_id, item.id)
    result = do(thursday, revisions.restore, issue_id, 1)
    assert result == Done(issue_id, 6, IssueState.DRAFT)
    assert says(thursday, issue_id) == drafted
    assert lines(thursday, issue_id)[0] == (6, "Ada", "went back to revision 1")
    assert do(thursday, revisions.restore, issue_id, 1) == Done(issue_id, 6, IssueState.DRAFT)
    assert do(thursday, revisions.restore, issue_id, 99) == Refused(
        "There is no revision 99 of watchdog/2026-W47 to go back to."
    )


def test_going_back_restores_the_subject_as_it_was_and_not_what_would_follow(thursday: House, issue_id: int) -> None:
    first = thursday.items(issue_id)[0]
    do(thursday, edit.edit_issue, issue_id, subject="My own words")
    do(thursday, edit.edit_issue, issue_id, subject=first.headline)
    do(thursday, edit.move, issue_id, first.id, "down")
    assert thursday.issue(issue_id).subject != first.headline
    do(thursday, revisions.restore, issue_id, 2)
    assert thursday.issue(issue_id).subject == "My own words"


@pytest.mark.parametrize("back", ["undo", "redo", "restore"])
def test_going_back_follows_the_rules_of_every_change(thursday: House, issue_id: int, back: str) -> None:
    do(thursday, edit.edit_issue, issue_id, subject="One")
    do(thursday, edit.edit_issue, issue_id, subject="Two")
    do(thursday, revisions.undo, issue_id)
    change = {
        "undo": lambda session, **by: revisions.undo(session, issue_id, **by),
        "redo": lambda session, **by: revisions.redo(session, issue_id, **by),
        "restore": lambda session, **by: revisions.restore(session, issue_id, 1, **by),
    }[back]
    stale = do(thursday, change, expected_revision=3)
    assert isinstance(stale, Refused)
    assert "in the meantime" in stale.reason
    do(thursday, control.approve, issue_id, who="Cleo")
    done = do(thursday, change)
    assert isinstance(done, Done)
    assert done.state is IssueState.DRAFT
    assert "took back the approval by Cleo" in done.note
    thursday.set(issue_id, state=IssueState.SENT)
    closed = do(thursday, change)
    assert isinstance(closed, Refused)
    assert "can no longer be changed" in closed.reason


def test_a_story_that_came_in_since_stays_left_out(thursday: House, issue_id: int) -> None:
    do(thursday, edit.edit_issue, issue_id, introduction="Before")
    thursday.post("It came in late", ago=3 * HOUR)
    with thursday.database.write() as session:
        absorb_new_posts(session, issue_id, thursday.newsletter, THURSDAY)
    offered = says(thursday, issue_id)
    late = next(item for item in thursday.items(issue_id) if item.headline == "It came in late")
    do(thursday, edit.include, issue_id, late.id)
    do(thursday, edit.edit_item, issue_id, late.id, headline="Late, but true")
    do(thursday, revisions.undo, issue_id)
    do(thursday, revisions.undo, issue_id)
    # Undoing finds what was offered as it was offered, though that was no revision.
    assert says(thursday, issue_id) == offered
    do(thursday, revisions.redo, issue_id)
    do(thursday, revisions.redo, issue_id)
    do(thursday, revisions.restore, issue_id, 1)
    last = thursday.items(issue_id)[-1]
    assert (last.headline, last.included) == ("Late, but true", False)
    assert [item.position for item in thursday.items(issue_id)] == [0, 1, 2, 3, 4]


def test_an_issue_older_than_its_history_keeps_what_stood_before_its_first_change(
    thursday: House, issue_id: int
) -> None:
    with thursday.database.write() as session:
        session.execute(sa.delete(Revision))
    before = says(thursday, issue_id)
    assert do(thursday, revisions.undo, issue_id) == Refused("There is nothing to undo.")
    do(thursday, edit.edit_issue, issue_id, subject="One")
    assert lines(thursday, issue_id)[1] == (1, "", "It stood like this when its history began to be kept.")
    do(thursday, revisions.undo, issue_id)
    assert says(thursday, issue_id) == before


def test_a_draft_made_anew_is_a_new_beginning_that_can_be_looked_behind(house: House) -> None:
    house.source("https://news.example/feed")
    house.source("https://news.example/trouble", failures=3, reason="It is down.")
    house.post("First", ago=DAY)
    made = house.draft()
    assert made.reasons
    old = says(house, made.issue_id)
    house.source("https://news.example/trouble")
    house.post("Second", ago=2 * DAY)
    with house.database.write() as session:
        assert redraft(session, made.issue_id, house.newsletter, THURSDAY + dt.timedelta(hours=1))
    assert do(house, revisions.undo, made.issue_id) == Refused("There is nothing to undo.")
    assert isinstance(do(house, revisions.restore, made.issue_id, 1), Done)
    assert says(house, made.issue_id).stories[:1] == old.stories


def test_a_story_whose_item_is_gone_comes_back_with_its_words(thursday: House, issue_id: int) -> None:
    before = says(thursday, issue_id)
    do(thursday, edit.edit_issue, issue_id, subject="One")
    with thursday.database.write() as session:
        session.delete(edit.items_of(session, issue_id)[-1])
    do(thursday, revisions.restore, issue_id, 1)
    assert says(thursday, issue_id) == before


@pytest.mark.parametrize("state", [IssueState.SENT, IssueState.CANCELLED])
def test_revisions_go_with_the_issue_s_deliveries(thursday: House, issue_id: int, state: IssueState) -> None:
    do(thursday, edit.edit_issue, issue_id, subject="One")
    purge(thursday.database, THURSDAY + dt.timedelta(days=400))
    assert len(lines(thursday, issue_id)) == 2
    thursday.set(issue_id, state=state, finished_at=THURSDAY)
    purge(thursday.database, THURSDAY + KEEP - HOUR)
    assert len(lines(thursday, issue_id)) == 2
    purge(thursday.database, THURSDAY + KEEP)
    assert lines(thursday, issue_id) == []
    assert thursday.log()[-1].detail == "revision 2: the subject"
