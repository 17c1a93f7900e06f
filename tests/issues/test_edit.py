"""The editor's hand: every change counts, none is lost, and the order stays whole."""

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from digest.issues import control, edit
from digest.issues.order import number, placed, ranked, reading_order, step
from digest.issues.outcomes import Done, Refused
from digest.models import IssueState, Item
from tests.issues.newsroom import THURSDAY, House

TROUBLE_SECTION = "Journalists in Trouble"
BY: dict[str, Any] = {"who": "Ada", "now": THURSDAY}
SECTIONS = ("", "In Brief", TROUBLE_SECTION)


@pytest.fixture
def issue_id(thursday: House) -> int:
    return thursday.draft().issue_id


def do(house: House, change: Callable[..., Done | Refused], *args: object, **values: object) -> Done | Refused:
    with house.database.write() as session:
        return change(session, *args, **(BY | values))


def order(house: House, issue_id: int) -> list[tuple[str, str]]:
    """The first words of the items in reading order, with their sections."""
    items = house.items(issue_id)
    assert [item.position for item in items] == list(range(len(items)))
    return [(item.headline.split()[0], item.section) for item in reading_order(items, SECTIONS)]


def test_leaving_out_and_including_are_changes_by_a_person(thursday: House, issue_id: int) -> None:
    item = thursday.items(issue_id)[1]
    assert do(thursday, edit.leave_out, issue_id, item.id, expected_revision=1) == Done(issue_id, 2, IssueState.DRAFT)
    assert [one.included for one in thursday.items(issue_id)] == [True, False, True, True]
    assert thursday.issue(issue_id).touched
    assert do(thursday, edit.include, issue_id, item.id) == Done(issue_id, 3, IssueState.DRAFT)
    assert all(one.included for one in thursday.items(issue_id))


def test_what_changes_nothing_counts_as_nothing(thursday: House, issue_id: int) -> None:
    first = thursday.items(issue_id)[0]
    nothing = Done(issue_id, 1, IssueState.DRAFT)
    assert do(thursday, edit.include, issue_id, first.id) == nothing
    assert do(thursday, edit.move, issue_id, first.id, "up") == nothing
    assert do(thursday, edit.move_to_section, issue_id, first.id, "") == nothing
    assert do(thursday, edit.edit_item, issue_id, first.id, headline=f" {first.headline}\n") == nothing
    assert do(thursday, edit.edit_issue, issue_id, subject=thursday.issue(issue_id).subject) == nothing
    assert not thursday.issue(issue_id).touched


def test_a_story_moves_within_its_section(thursday: House, issue_id: int) -> None:
    first = thursday.items(issue_id)[0]
    do(thursday, edit.move, issue_id, first.id, "down")
    assert order(thursday, issue_id) == [("Parliament", ""), ("A", ""), ("Police", ""), ("A", TROUBLE_SECTION)]
    do(thursday, edit.move, issue_id, first.id, "up")
    assert order(thursday, issue_id)[0] == ("A", "")


def test_at_the_edge_a_story_goes_over_into_the_next_section(thursday: House, issue_id: int) -> None:
    last = thursday.items(issue_id)[2]
    do(thursday, edit.move, issue_id, last.id, "down", sections=SECTIONS)
    assert order(thursday, issue_id)[2:] == [("Police", "In Brief"), ("A", TROUBLE_SECTION)]
    do(thursday, edit.move, issue_id, last.id, "down", sections=SECTIONS)
    assert order(thursday, issue_id)[2:] == [("Police", TROUBLE_SECTION), ("A", TROUBLE_SECTION)]
    do(thursday, edit.move, issue_id, last.id, "down", sections=SECTIONS)
    assert order(thursday, issue_id)[2:] == [("A", TROUBLE_SECTION), ("Police", TROUBLE_SECTION)]
    assert do(thursday, edit.move, issue_id, last.id, "down", sections=SECTIONS) == Done(issue_id, 4, IssueState.DRAFT)
    for _ in range(3):
        do(thursday, edit.move, issue_id, last.id, "up", sections=SECTIONS)
    assert order(thursday, issue_id)[2:] == [("Police", ""), ("A", TROUBLE_SECTION)]


def test_a_story_is_put_at_the_end_of_a_section(thursday: House, issue_id: int) -> None:
    first = thursday.items(issue_id)[0]
    do(thursday, edit.move_to_section, issue_id, first.id, TROUBLE_SECTION, sections=SECTIONS)
    assert order(thursday, issue_id) == [
        ("Parliament", ""),
        ("Police", ""),
        ("A", TROUBLE_SECTION),
        ("A", TROUBLE_SECTION),
    ]
    assert thursday.items(issue_id)[-1].id == first.id


def test_a_story_is_put_in_front_of_another_one(thursday: House, issue_id: int) -> None:
    first, second, third, trouble = thursday.items(issue_id)
    assert do(thursday, edit.place, issue_id, third.id, "", first.id, sections=SECTIONS) == Done(
        issue_id, 2, IssueState.DRAFT
    )
    assert [item.id for item in thursday.items(issue_id)] == [third.id, first.id, second.id, trouble.id]
    do(thursday, edit.place, issue_id, first.id, TROUBLE_SECTION, trouble.id, sections=SECTIONS)
    assert order(thursday, issue_id)[2:] == [("A", TROUBLE_SECTION), ("A", TROUBLE_SECTION)]
    assert thursday.items(issue_id)[2].id == first.id
    do(thursday, edit.place, issue_id, first.id, TROUBLE_SECTION, None, sections=SECTIONS)
    assert thursday.items(issue_id)[3].id == first.id
    do(thursday, edit.place, issue_id, first.id, "In Brief", None, sections=SECTIONS)
    assert [item.id for item in thursday.items(issue_id)] == [third.id, second.id, first.id, trouble.id]


def test_putting_a_story_where_it_stands_changes_nothing(thursday: House, issue_id: int) -> None:
    first, second, third, _ = thursday.items(issue_id)
    nothing = Done(issue_id, 1, IssueState.DRAFT)
    assert do(thursday, edit.place, issue_id, first.id, "", second.id) == nothing
    assert do(thursday, edit.place, issue_id, first.id, "", first.id) == nothing
    assert do(thursday, edit.place, issue_id, third.id, "", None) == nothing


def test_a_place_that_is_no_more_is_refused(thursday: House, issue_id: int) -> None:
    first, second, _, trouble = thursday.items(issue_id)
    gone = do(thursday, edit.place, issue_id, first.id, "", trouble.id)
    assert isinstance(gone, Refused)
    assert gone.reason == (
        "“A reporter is held for a third week” no longer stands under the main part. Look at the new order first."
    )
    assert isinstance(do(thursday, edit.place, issue_id, first.id, "", 999), Refused)
    assert isinstance(do(thursday, edit.place, issue_id, 999, "", first.id), Refused)
    assert isinstance(do(thursday, edit.place, issue_id, first.id, "Sport", None, sections=SECTIONS), Refused)
    assert order(thursday, issue_id)[1] == (second.headline.split()[0], "")


def test_a_picture_is_described_by_its_post_until_an_editor_does(thursday: House, issue_id: int) -> None:
    first = thursday.items(issue_id)[0]
    thursday.change_post(first.post_id, image_alt="A court room")
    assert do(thursday, edit.edit_item, issue_id, first.id, image_alt=" A court room ") == Done(
        issue_id, 1, IssueState.DRAFT
    )
    do(thursday, edit.edit_item, issue_id, first.id, image_alt="A judge\nreads")
    assert thursday.items(issue_id)[0].image_alt == "A judge reads"
    do(thursday, edit.edit_item, issue_id, first.id, image_alt="")
    assert thursday.items(issue_id)[0].image_alt == ""
    too_long = do(thursday, edit.edit_item, issue_id, first.id, image_alt="x" * 501)
    assert too_long == Refused("The picture's description has 501 characters; at most 500 are possible.")


def test_a_section_that_is_not_there_is_refused(thursday: House, issue_id: int) -> None:
    first = thursday.items(issue_id)[0]
    result = do(thursday, edit.move_to_section, issue_id, first.id, "Sport", sections=SECTIONS)
    assert result == Refused("There is no section 'Sport'; the sections are In Brief, Journalists in Trouble.")
    assert isinstance(do(thursday, edit.move_to_section, issue_id, first.id, "x" * 81), Refused)


def test_texts_are_cleaned_on_the_way_in(thursday: House, issue_id: int) -> None:
    first = thursday.items(issue_id)[0]
    do(thursday, edit.edit_item, issue_id, first.id, headline=" Two\r\nBcc: lines \u202e", summary="A\tsummary.\x00")
    changed = thursday.items(issue_id)[0]
    assert (changed.headline, changed.summary) == ("Two Bcc: lines", "A summary.")
    do(thursday, edit.edit_issue, issue_id, subject="One\nline", preheader="x\x07y", introduction="A.\r\n\r\n\r\nB\nc.")
    issue = thursday.issue(issue_id)
    assert (issue.subject, issue.preheader, issue.introduction) == ("One line", "xy", "A.\n\nB c.")
    assert issue.revision == 3


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"subject": "x" * 151}, "The subject has 151 characters; at most 150 are possible."),
        ({"preheader": "x" * 131}, "The preheader has 131 characters; at most 130 are possible."),
        ({"introduction": "x" * 5001}, "The introduction has 5001 characters; at most 5000 are possible."),
    ],
)
def test_a_text_that_is_too_long_is_refused(
    thursday: House, issue_id: int, values: dict[str, str], reason: str
) -> None:
    assert do(thursday, edit.edit_issue, issue_id, **values) == Refused(reason)
    assert thursday.issue(issue_id).revision == 1


def test_a_story_needs_a_headline_and_bounds(thursday: House, issue_id: int) -> None:
    first = thursday.items(issue_id)[0]
    assert do(thursday, edit.edit_item, issue_id, first.id, headline=" \u202e") == Refused("A story needs a headline.")
    assert isinstance(do(thursday, edit.edit_item, issue_id, first.id, headline="x" * 301), Refused)
    assert isinstance(do(thursday, edit.edit_item, issue_id, first.id, summary="x" * 2001), Refused)
    assert thursday.items(issue_id)[0].headline == first.headline


def test_a_stale_revision_is_refused_with_a_sentence(thursday: House, issue_id: int) -> None:
    do(thursday, edit.edit_issue, issue_id, subject="By Ada", expected_revision=1)
    result = do(thursday, edit.edit_issue, issue_id, subject="By Ben", expected_revision=1, who="Ben")
    assert isinstance(result, Refused)
    assert result.reason.startswith("Somebody changed watchdog/2026-W47 in the meantime: it stands at revision 2")
    assert thursday.issue(issue_id).subject == "By Ada"


def test_of_two_editors_at_once_one_is_refused(thursday: House, issue_id: int) -> None:
    together = Barrier(2)

    def work(who: str) -> Done | Refused:
        together.wait()
        return do(thursday, edit.edit_issue, issue_id, subject=f"By {who}", expected_revision=1, who=who)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(work, ["Ada", "Ben"]))
    assert sorted(type(result).__name__ for result in results) == ["Done", "Refused"]
    assert thursday.issue(issue_id).revision == 2


def test_a_change_takes_an_approval_back_and_says_so(thursday: House, issue_id: int) -> None:
    assert isinstance(do(thursday, control.approve, issue_id, who="Ben"), Done)
    result = do(thursday, edit.edit_issue, issue_id, subject="Another")
    assert isinstance(result, Done)
    assert result.state is IssueState.DRAFT
    assert "took back the approval by Ben" in result.note
    issue = thursday.issue(issue_id)
    assert (issue.approved_at, issue.approved_by) == (None, None)


def test_a_held_issue_stays_held_while_it_is_edited(thursday: House, issue_id: int) -> None:
    do(thursday, control.hold, issue_id, reason="Waiting for the lawyer")
    do(thursday, edit.edit_issue, issue_id, subject="Another")
    issue = thursday.issue(issue_id)
    assert (issue.state, issue.hold_reason) == (IssueState.HELD, "Waiting for the lawyer")


@pytest.mark.parametrize("state", [IssueState.SENDING, IssueState.PAUSED, IssueState.SENT, IssueState.CANCELLED])
def test_what_goes_out_can_no_longer_be_changed(thursday: House, issue_id: int, state: IssueState) -> None:
    thursday.set(issue_id, state=state)
    item = thursday.items(issue_id)[0].id
    changes: list[Callable[[Session], Done | Refused]] = [
        lambda session: edit.leave_out(session, issue_id, item, **BY),
        lambda session: edit.move(session, issue_id, item, "down", **BY),
        lambda session: edit.move_to_section(session, issue_id, item, "Other", **BY),
        lambda session: edit.edit_item(session, issue_id, item, headline="New", **BY),
        lambda session: edit.edit_issue(session, issue_id, subject="New", **BY),
    ]
    for change in changes:
        with thursday.database.write() as session:
            result = change(session)
        assert isinstance(result, Refused)
        assert "can no longer be changed" in result.reason
    assert thursday.issue(issue_id).revision == 1


def test_what_is_not_there_is_refused(thursday: House, issue_id: int) -> None:
    assert do(thursday, edit.edit_issue, 999, subject="x") == Refused("There is no such issue.")
    strange = Refused("That story is not in this issue.")
    assert do(thursday, edit.include, issue_id, 999) == strange
    assert do(thursday, edit.move, issue_id, 999, "up") == strange
    assert do(thursday, edit.move_to_section, issue_id, 999, "") == strange
    assert do(thursday, edit.edit_item, issue_id, 999, headline="x") == strange


def test_every_change_is_logged(thursday: House, issue_id: int) -> None:
    item = thursday.items(issue_id)[0]
    do(thursday, edit.edit_item, issue_id, item.id, headline="Fresh words", who="Ada\nEve")
    entry = thursday.log()[-1]
    assert (entry.who, entry.action, entry.object) == ("Ada Eve", "edit", "watchdog/2026-W47")
    assert entry.detail == "revision 2: the headline of “Fresh words”"


places = st.lists(st.tuples(st.integers(0, 6), st.sampled_from(SECTIONS), st.none() | st.integers(0, 6)), max_size=12)


@given(places, st.lists(st.sampled_from(SECTIONS), min_size=7, max_size=7))
def test_a_story_stands_where_it_was_put_and_the_others_keep_their_order(
    put: list[tuple[int, str, int | None]], sections: list[str]
) -> None:
    items = [Item(id=n, section=section, position=n, headline=str(n)) for n, section in enumerate(sections)]
    for which, section, before in put:
        stood = reading_order(items, SECTIONS)
        item, follower = items[which], None if before is None else items[before]
        if follower and (follower.section != section or follower is item):
            continue
        wanted = placed(stood, item, section, follower, ranked(items, SECTIONS))
        item.section = section
        number(wanted)
        after = reading_order(items, SECTIONS)
        assert after == wanted
        assert [one for one in after if one is not item] == [one for one in stood if one is not item]
        at = after.index(item)
        assert after[at + 1] is follower if follower else all(one.section != section for one in after[at + 1 :])


moves = st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["up", "down", *SECTIONS, "in", "out"])), max_size=25)


@given(moves, st.lists(st.sampled_from(SECTIONS), min_size=7, max_size=7))
def test_positions_stay_whole_whatever_is_moved(moved: list[tuple[int, str]], sections: list[str]) -> None:
    """The pure part of every move, without a database."""
    items = [Item(id=n, section=section, position=n, headline=str(n)) for n, section in enumerate(sections)]
    for which, action in moved:
        before = reading_order(items, SECTIONS)
        if action in ("up", "down"):
            step(before, items[which], -1 if action == "up" else 1, SECTIONS)
            number(before)
        elif action in SECTIONS:
            items[which].section, items[which].position = action, len(items)
            number(reading_order(items, SECTIONS))
        assert sorted(item.position for item in items) == list(range(len(items)))
        after = reading_order(items, SECTIONS)
        if action in ("up", "down"):
            # A step moves one story by one place at most, and its neighbour with it.
            assert abs(before.index(items[which]) - after.index(items[which])) <= 1
            assert [item.position for item in after] == list(range(len(items)))


def test_the_clock_of_a_change_is_the_caller_s(thursday: House, issue_id: int) -> None:
    later = THURSDAY + dt.timedelta(minutes=7)
    do(thursday, edit.edit_issue, issue_id, subject="Later", now=later)
    assert thursday.log()[-1].at == later


def test_subject_and_preheader_follow_the_stories_until_somebody_writes_their_own(thursday: House) -> None:
    made = thursday.draft()
    before = thursday.issue(made.issue_id)
    first, second = thursday.items(made.issue_id)[:2]
    with thursday.database.write() as session:
        edit.move(session, made.issue_id, first.id, "down", **BY)
    after = thursday.issue(made.issue_id)
    assert after.subject.startswith(second.headline[:20])
    assert after.preheader != before.preheader
    with thursday.database.write() as session:
        edit.edit_issue(session, made.issue_id, subject="My own words", **BY)
        edit.move(session, made.issue_id, second.id, "down", **BY)
    assert thursday.issue(made.issue_id).subject == "My own words"
