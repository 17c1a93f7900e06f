"""Weeks that are skipped and moved, with and without an issue: what follows, what is refused, and who sees whom."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa

from digest.calendar import UNCHANGED, calendar_of, changes_of
from digest.issues import control
from digest.issues.draft import absorb_new_posts, draft
from digest.issues.outcomes import Done, Refused
from digest.issues.plan import Draft, GatherNow, Hands, snapshot, tick
from digest.issues.publish import publish
from digest.issues.reschedule import Rescheduled, move, restore, skip
from digest.models import CalendarChange, Issue, IssueState
from digest.weeks import Moment, Week
from tests.issues.newsroom import BASE_URL, DAY, HOUR, THURSDAY, House, make_newsletter, templates

W46, W47, W48 = Week(2026, 46), Week(2026, 47), Week(2026, 48)
TUESDAY = THURSDAY - 2 * DAY
"""Two days before W47's issue, whose window is still open."""
SEND = dt.datetime(2026, 11, 19, 9, 0, tzinfo=dt.UTC)
BEN: dict[str, Any] = {"who": "Ben", "now": THURSDAY}


def do(house: House, change: Any, week: Week, *args: object, **values: Any) -> Rescheduled | Refused:
    with house.database.write() as session:
        answer: Rescheduled | Refused = change(session, house.newsletter, week, *args, **({"who": "Ada"} | values))
        return answer


def done(answer: Rescheduled | Refused) -> Rescheduled:
    assert isinstance(answer, Rescheduled), answer
    return answer


def why(answer: Rescheduled | Refused) -> str:
    assert isinstance(answer, Refused), answer
    return answer.reason


def at(text: str, week: Week = W47) -> Moment:
    return Moment.parse(text, week)


def calendar(house: House) -> Any:
    with house.database.read() as session:
        return calendar_of(session, house.newsletter)


def mark(house: House, week: Week = W47) -> str:
    with house.database.read() as session:
        changes = changes_of(session, house.newsletter)
        return changes[week].mark if week in changes else UNCHANGED


def headlines(house: House, issue_id: int) -> list[str]:
    return [item.headline for item in house.items(issue_id)]


def rows(house: House) -> list[CalendarChange]:
    with house.database.read() as session:
        return list(session.scalars(sa.select(CalendarChange)))


# ---- a week that has no issue yet


def test_a_week_is_skipped_with_a_reason_and_taken_back(house: House) -> None:
    answer = done(do(house, skip, W47, reason="The newsroom is\nmoving house.", now=TUESDAY))
    assert (answer.week, answer.send_at, answer.effects) == (W47, SEND, ())
    assert calendar(house).is_skipped(W47)
    (row,) = rows(house)
    assert (row.reason, row.who, row.at, row.shelved) == ("The newsroom is moving house.", "Ada", TUESDAY, False)
    assert [(one.action, one.object, one.detail) for one in house.log()] == [
        ("skip-week", "watchdog/2026-W47", "The newsroom is moving house.")
    ]
    assert done(do(house, restore, W47, now=TUESDAY)).send_at == SEND
    assert not calendar(house).is_skipped(W47)
    assert rows(house) == []
    assert house.log()[-1].action == "restore-week"


def test_a_week_is_moved_and_moved_again_and_taken_back(house: House) -> None:
    done(do(house, move, W47, at("fri 16:00"), reason="a verdict at noon", now=TUESDAY))
    assert calendar(house).send_at(W47) == dt.datetime(2026, 11, 20, 15, 0, tzinfo=dt.UTC)
    assert house.log()[-1].detail == "2026-11-19 10:00 → 2026-11-20 16:00; a verdict at noon"
    done(do(house, move, W47, at("wed 09:00"), now=TUESDAY))
    assert calendar(house).send_at(W47) == dt.datetime(2026, 11, 18, 8, 0, tzinfo=dt.UTC)
    assert len(rows(house)) == 1
    # Moving it to its own hour is taking the move back.
    done(do(house, move, W47, at("thu 10:00"), now=TUESDAY))
    assert rows(house) == []


def test_what_is_so_already_is_done_and_not_logged(house: House) -> None:
    assert done(do(house, move, W47, at("thu 10:00"), now=TUESDAY)).effects == ("same",)
    assert done(do(house, restore, W47, now=TUESDAY)).note == "It stood so already."
    done(do(house, skip, W47, reason="a holiday", now=TUESDAY))
    assert done(do(house, skip, W47, reason="again", now=TUESDAY)).effects == ("same",)
    assert len(house.log()) == 1


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("2026-11-16 10:00", "2026-11-16 10:00 has passed"),
        ("2026-11-27 10:00", "can go out from 2026-11-16 02:00 to 2026-11-22 18:00"),
        ("2026-11-16 01:59", "is too far from its week"),
        ("2026-11-22 18:01", "is too far from its week"),
    ],
)
def test_it_moves_neither_into_the_past_nor_out_of_its_week(house: House, to: str, words: str) -> None:
    assert words in why(do(house, move, W47, at(to), now=TUESDAY))
    assert rows(house) == []
    assert house.log() == []


def test_the_very_hour_has_passed(house: House) -> None:
    assert "has passed" in why(do(house, skip, W47, reason="late", now=SEND))
    done(do(house, skip, W47, reason="late", now=SEND - dt.timedelta(seconds=1)))
    assert "usual hour of watchdog/2026-W47 has passed" in why(do(house, restore, W47, now=SEND))


def test_a_reason_is_asked_for_and_has_an_end(house: House) -> None:
    assert "Say why" in why(do(house, skip, W47, reason=" \n ", now=TUESDAY))
    assert "at most 300" in why(do(house, skip, W47, reason="x" * 301, now=TUESDAY))
    assert "at most 300" in why(do(house, move, W47, at("fri 10:00"), reason="x" * 301, now=TUESDAY))


def test_what_the_settings_say_stays(house: House) -> None:
    house.newsletter = make_newsletter(skip=["2026-11-19", "2026-11-20"])
    assert "says digest.toml" in why(do(house, restore, W47, now=TUESDAY))
    assert done(do(house, skip, W47, reason="too", now=TUESDAY)).effects == ("same",)
    assert "Nothing is sent on 2026-11-20" in why(do(house, move, W47, at("fri 10:00"), now=TUESDAY))
    # On another day the settings have nothing against it.
    done(do(house, move, W47, at("wed 10:00"), now=TUESDAY))
    assert not calendar(house).is_skipped(W47)
    done(do(house, restore, W47, now=TUESDAY))
    assert calendar(house).is_skipped(W47)


def test_a_skipped_week_is_taken_back_before_it_is_moved(house: House) -> None:
    done(do(house, move, W47, at("fri 10:00"), now=TUESDAY))
    done(do(house, skip, W47, reason="a strike", now=TUESDAY))
    assert "Take that back first" in why(do(house, move, W47, at("sat 10:00"), now=TUESDAY))
    done(do(house, restore, W47, now=TUESDAY))
    assert calendar(house).send_at(W47) == SEND


def test_the_next_issue_reaches_back_over_a_skipped_week(thursday: House) -> None:
    done(do(thursday, skip, W47, reason="a holiday", now=TUESDAY))
    thursday.post("News of next week", ago=-3 * DAY)
    made = thursday.draft(THURSDAY + 7 * DAY)
    assert made.name == "watchdog/2026-W48"
    assert len(headlines(thursday, made.issue_id)) == 5


def test_nothing_of_a_newsletter_is_another_ones(house: House) -> None:
    done(do(house, skip, W47, reason="a holiday", now=TUESDAY))
    house.newsletter = make_newsletter(slug="other")
    assert not calendar(house).is_skipped(W47)


def test_a_draft_that_is_opened_all_the_same_is_held(thursday: House) -> None:
    done(do(thursday, skip, W47, reason="a holiday", now=TUESDAY))
    made = draft(thursday.database, thursday.newsletter, THURSDAY, W47)
    assert made.reasons == ("2026-W47 is skipped, says the calendar.",)


# ---- the planner


def hands(house: House) -> Hands:
    return Hands(house.database, templates(), BASE_URL, None, lambda *_: None)  # type: ignore[arg-type]


def test_the_planner_follows(thursday: House) -> None:
    done(do(thursday, skip, W47, reason="a holiday", now=TUESDAY))
    assert [act.intent for act in tick(hands(thursday), thursday.newsletter, THURSDAY, (Draft,))] == []
    done(do(thursday, restore, W47, now=THURSDAY))
    done(do(thursday, move, W47, at("fri 10:00"), now=THURSDAY))
    # The cut-off has gone along, so the window is open again.
    assert [act.intent for act in tick(hands(thursday), thursday.newsletter, THURSDAY, (Draft,))] == []
    friday = tick(hands(thursday), thursday.newsletter, THURSDAY + DAY, (Draft,))
    assert [act.intent for act in friday] == [Draft(W47)]


def test_a_week_moved_to_before_its_old_cut_off_is_drafted_at_once(thursday: House) -> None:
    done(do(thursday, move, W47, at("tue 12:00"), now=TUESDAY + HOUR))
    acts = tick(hands(thursday), thursday.newsletter, TUESDAY + 2 * HOUR, (GatherNow, Draft))
    assert Draft(W47) in [act.intent for act in acts]
    with thursday.database.read() as session:
        (facts,) = snapshot(session, thursday.newsletter, TUESDAY).open
    assert facts.send_at == dt.datetime(2026, 11, 17, 11, 0, tzinfo=dt.UTC)


# ---- a week whose draft is open


def test_skipping_puts_the_draft_aside_and_frees_its_stories(thursday: House) -> None:
    made = thursday.draft()
    answer = done(do(thursday, skip, W47, reason="a holiday", now=THURSDAY))
    assert answer.effects == ("shelved",)
    assert thursday.issue(made.issue_id).state is IssueState.CANCELLED
    assert rows(thursday)[0].shelved
    later = thursday.draft(THURSDAY + 7 * DAY)
    assert set(headlines(thursday, made.issue_id)) <= set(headlines(thursday, later.issue_id))
    assert "2026-W48 stands already" in why(do(thursday, restore, W47, now=THURSDAY))


@pytest.mark.parametrize("was", [IssueState.DRAFT, IssueState.APPROVED, IssueState.HELD])
def test_a_draft_comes_back_with_its_week_and_waits_for_a_person(thursday: House, was: IssueState) -> None:
    made = thursday.draft()
    thursday.set(made.issue_id, state=was, subject="Worked on", hold_reason="A doubt." * (was is IssueState.HELD))
    before = headlines(thursday, made.issue_id)
    done(do(thursday, skip, W47, reason="a holiday", now=THURSDAY))
    answer = done(do(thursday, restore, W47, now=THURSDAY + HOUR))
    assert answer.effects == ("back",)
    issue = thursday.issue(made.issue_id)
    assert (issue.state, issue.subject, issue.approved_by, issue.finished_at) == (
        IssueState.HELD,
        "Worked on",
        None,
        None,
    )
    assert issue.hold_reason.splitlines()[1:] == ["A doubt."] * (was is IssueState.HELD)
    assert headlines(thursday, made.issue_id) == before
    assert issue.send_at == SEND


def test_moving_it_later_opens_its_window_again(thursday: House) -> None:
    made = thursday.draft()
    answer = done(do(thursday, move, W47, at("fri 10:00"), now=THURSDAY))
    assert answer.effects == ("window",)
    issue = thursday.issue(made.issue_id)
    assert (issue.send_at, issue.window_end) == (SEND + DAY, dt.datetime(2026, 11, 20, 5, 0, tzinfo=dt.UTC))
    assert issue.revision == 2
    assert not issue.touched
    thursday.post("Broke on Thursday afternoon", ago=-8 * HOUR)
    with thursday.database.write() as session:
        absorb_new_posts(session, made.issue_id, thursday.newsletter, THURSDAY + 9 * HOUR)
    assert headlines(thursday, made.issue_id)[-1] == "Broke on Thursday afternoon"
    thursday.post("Broke on Friday noon", ago=-30 * HOUR)
    later = thursday.draft(THURSDAY + 7 * DAY)
    assert headlines(thursday, later.issue_id) == ["Broke on Friday noon"]
    assert thursday.issue(later.issue_id).window_start == issue.window_end


def test_moving_it_back_loses_nothing_that_it_was_made_of(thursday: House) -> None:
    made = thursday.draft()
    before = headlines(thursday, made.issue_id)
    done(do(thursday, move, W47, at("thu 07:00"), now=THURSDAY))
    issue = thursday.issue(made.issue_id)
    # Its cut-off would be at three; it was drafted with what came until six.
    assert issue.send_at == dt.datetime(2026, 11, 19, 6, 0, tzinfo=dt.UTC)
    assert issue.window_end == dt.datetime(2026, 11, 19, 5, 0, tzinfo=dt.UTC)
    thursday.post("Between the two cut-offs", ago=2 * HOUR, gathered_at=THURSDAY + HOUR)
    thursday.post("News of next week", ago=-3 * DAY)
    later = thursday.draft(THURSDAY + 7 * DAY)
    assert headlines(thursday, made.issue_id) == before
    # What was seen too late for the one is offered to the other, as always.
    assert headlines(thursday, later.issue_id) == ["News of next week", "Between the two cut-offs"]


def test_an_approval_was_for_the_old_hour(thursday: House) -> None:
    made = thursday.draft()
    with thursday.database.write() as session:
        assert isinstance(control.approve(session, made.issue_id, **BEN), Done)
    answer = done(do(thursday, move, W47, at("thu 12:00"), now=THURSDAY))
    assert answer.effects == ("disapproved", "window")
    issue = thursday.issue(made.issue_id)
    assert (issue.state, issue.approved_by, issue.approved_at) == (IssueState.DRAFT, None, None)
    assert [entry.action for entry in thursday.log()][-3:] == ["approve", "withdraw", "move-week"]


def test_what_was_rendered_for_the_old_date_does_not_go_out(thursday: House) -> None:
    thursday.newsletter = make_newsletter(unapproved="send")
    made = thursday.draft()

    class Moves:
        """A renderer in whose moment a publisher moves the week."""

        def renderings(self, view: Any) -> Any:
            if thursday.issue(made.issue_id).revision == 1:
                done(do(thursday, move, W47, at("fri 10:00"), now=SEND - HOUR))
            return templates().renderings(view)

    result = publish(thursday.database, made.issue_id, thursday.newsletter, Moves(), BASE_URL, SEND, unapproved=True)
    assert isinstance(result, Refused)
    assert thursday.issue(made.issue_id).state is IssueState.DRAFT


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (IssueState.SENDING, "is being sent"),
        (IssueState.PAUSED, "is paused in the middle"),
        (IssueState.SENT, "has been sent"),
        (IssueState.CANCELLED, "was cancelled"),
    ],
)
def test_once_it_is_out_or_cancelled_its_week_stays(thursday: House, state: IssueState, words: str) -> None:
    made = thursday.draft()
    thursday.set(made.issue_id, state=state)
    assert words in why(do(thursday, skip, W47, reason="a holiday", now=THURSDAY))
    assert words in why(do(thursday, move, W47, at("fri 10:00"), now=THURSDAY))
    assert words in why(do(thursday, restore, W47, now=THURSDAY))
    assert rows(thursday) == []


def test_an_issue_that_nobody_approved_in_time_gets_another_hour(thursday: House) -> None:
    made = thursday.draft()
    thursday.set(made.issue_id, state=IssueState.HELD, hold_reason="It was due.", reminded_at=SEND)
    done(do(thursday, move, W47, at("fri 10:00"), now=SEND + 13 * HOUR))
    assert thursday.issue(made.issue_id).send_at == SEND + DAY


def test_a_move_away_from_a_date_of_the_settings_is_not_taken_back_under_a_draft(thursday: House) -> None:
    thursday.newsletter = make_newsletter(skip=["2026-11-19"])
    done(do(thursday, move, W47, at("wed 10:00"), now=TUESDAY))
    made = thursday.draft(THURSDAY - DAY)
    assert made.name == "watchdog/2026-W47"
    assert "skip the week instead" in why(do(thursday, restore, W47, now=THURSDAY - DAY))


# ---- two at once


def test_the_second_of_two_is_told_what_the_first_did(house: House) -> None:
    seen = mark(house)
    done(do(house, skip, W47, reason="a holiday", seen=seen, now=TUESDAY))
    second = why(do(house, move, W47, at("fri 10:00"), seen=seen, who="Ben", now=TUESDAY))
    assert second == ("Ada has changed watchdog/2026-W47 in the meantime and skipped it. Look at it as it stands now.")
    seen = mark(house)
    done(do(house, restore, W47, seen=seen, now=TUESDAY))
    assert "taken back what was changed" in why(do(house, restore, W47, seen=seen, who="Ben", now=TUESDAY))


def test_two_in_the_same_moment_make_one_change(house: House) -> None:
    barrier = Barrier(2)

    def one(change: Any, who: str, *args: object, **values: Any) -> Rescheduled | Refused:
        barrier.wait()
        return do(house, change, W47, *args, seen=UNCHANGED, who=who, now=TUESDAY, **values)

    with ThreadPoolExecutor() as pool:
        answers = [
            pool.submit(one, skip, "Ada", reason="a holiday"),
            pool.submit(one, move, "Ben", at("fri 10:00")),
        ]
    kinds = sorted(type(answer.result()).__name__ for answer in answers)
    assert kinds == ["Refused", "Rescheduled"]
    assert len(rows(house)) == len(house.log()) == 1


def test_a_draft_and_a_skip_in_the_same_moment_never_leave_a_draft_that_goes_out(thursday: House) -> None:
    barrier = Barrier(2)

    def opening() -> None:
        barrier.wait()
        draft(thursday.database, thursday.newsletter, THURSDAY, W47)

    def skipping() -> Rescheduled | Refused:
        barrier.wait()
        return do(thursday, skip, W47, reason="a holiday", now=THURSDAY)

    with ThreadPoolExecutor() as pool:
        opened, skipped = pool.submit(opening), pool.submit(skipping)
    opened.result()
    done(skipped.result())
    with thursday.database.read() as session:
        issue = session.scalars(sa.select(Issue)).one()
        # Either the skip came first and the draft is held, or it came second and the draft is put aside.
        assert issue.state in (IssueState.HELD, IssueState.CANCELLED)
        assert rows(thursday)[0].shelved is (issue.state is IssueState.CANCELLED)


def test_what_was_approved_before_it_was_put_aside_has_to_be_approved_anew(thursday: House) -> None:
    made = thursday.draft()
    by: dict[str, Any] = {"who": "ada", "now": THURSDAY}
    with thursday.database.write() as session:
        assert isinstance(control.approve(session, made.issue_id, **by), Done)
    done(do(thursday, skip, W47, reason="a holiday", now=THURSDAY))
    done(do(thursday, restore, W47, now=THURSDAY + HOUR))
    with thursday.database.write() as session:
        first = control.approve(session, made.issue_id, needed=2, **by)
        assert isinstance(first, Done), first
        assert first.state is IssueState.HELD, "the word of before counts for nothing"
        second = control.approve(session, made.issue_id, needed=2, who="ben", now=THURSDAY)
        assert isinstance(second, Done)
        assert second.state is IssueState.APPROVED
