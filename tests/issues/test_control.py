"""The states of an issue: every step that is legal happens, every other is refused and changes nothing."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from digest.issues import control
from digest.issues.control import STANDING, STEPS, Step
from digest.issues.edit import edit_issue
from digest.issues.outcomes import Done, Finding, Refused
from digest.models import Approval, Delivery, DeliveryState, IssueState
from tests.issues.newsroom import HOUR, THURSDAY, House

BY: dict[str, Any] = {"who": "Ada", "now": THURSDAY}
DOORS: dict[Step, Callable[..., Done | Refused]] = {
    Step.APPROVE: control.approve,
    Step.WITHDRAW: control.withdraw,
    Step.HOLD: control.hold,
    Step.PAUSE: control.pause,
    Step.RESUME: control.resume,
    Step.CANCEL: control.cancel,
    Step.REOPEN: control.reopen,
    Step.BRING_BACK: control.bring_back,
}
MORE: dict[Step, dict[str, str]] = {Step.HOLD: {"reason": "a doubt"}, Step.REOPEN: {"detail": "delivery 7"}}
REPEATED = (IssueState.APPROVED, Step.APPROVE)
"""Approving twice is no step and no mistake."""


@pytest.fixture
def issue_id(thursday: House) -> int:
    return thursday.draft().issue_id


def do(house: House, change: Callable[..., Done | Refused], *args: object, **values: object) -> Done | Refused:
    with house.database.write() as session:
        return change(session, *args, **(BY | values))


def take(house: House, step: Step, issue_id: int) -> Done | Refused:
    return do(house, DOORS[step], issue_id, **MORE.get(step, {}))


def forget_approvals(house: House) -> None:
    with house.database.write() as session:
        session.execute(sa.delete(Approval))


def test_a_step_is_taken_exactly_where_it_is_legal(thursday: House, issue_id: int) -> None:
    for state, step in itertools.product(IssueState, DOORS):
        thursday.set(issue_id, state=state)
        forget_approvals(thursday)
        logged = len(thursday.log())
        result = take(thursday, step, issue_id)
        if (state, step) in STEPS:
            assert isinstance(result, Done)
            assert result.state is thursday.issue(issue_id).state is STEPS[state, step]
            assert thursday.log()[-1].action == step
        elif (state, step) != REPEATED:
            assert isinstance(result, Refused)
            assert result.reason.startswith(f"Cannot {step} watchdog/2026-W47: it {STANDING[state]}.")
            assert thursday.issue(issue_id).state is state
            assert len(thursday.log()) == logged


def test_every_state_can_be_named_and_cancelled_is_final_but_for_a_week_that_comes_back() -> None:
    assert set(STANDING) == {state for state, _ in STEPS} == set(IssueState)
    assert [step for state, step in STEPS if state is IssueState.CANCELLED] == [Step.BRING_BACK]


def test_an_issue_that_was_stopped_while_it_went_out_never_comes_back(thursday: House, issue_id: int) -> None:
    thursday.set(issue_id, state=IssueState.CANCELLED, frozen_at=THURSDAY, finished_at=THURSDAY)
    refused = do(thursday, control.bring_back, issue_id)
    assert isinstance(refused, Refused)
    assert "was stopped while it went out" in refused.reason
    assert thursday.issue(issue_id).state is IssueState.CANCELLED


def test_a_sent_issue_is_opened_again_for_a_resend_alone() -> None:
    assert [step for state, step in STEPS if state is IssueState.SENT] == [Step.REOPEN]


def test_an_approval_names_who_and_when_and_of_which_revision(thursday: House, issue_id: int) -> None:
    assert do(thursday, control.approve, issue_id, expected_revision=1) == Done(issue_id, 1, IssueState.APPROVED)
    issue = thursday.issue(issue_id)
    assert (issue.approved_by, issue.approved_at) == ("Ada", THURSDAY)
    assert thursday.log()[-1].detail == "revision 1"
    again = do(thursday, control.approve, issue_id, who="Ben")
    assert isinstance(again, Done)
    assert again.note == "It was already approved by Ada."
    assert thursday.issue(issue_id).approved_by == "Ada"


def test_approving_a_held_issue_is_an_override_and_logged(thursday: House, issue_id: int) -> None:
    do(thursday, control.hold, issue_id, reason="The feed\nwas down")
    assert thursday.issue(issue_id).hold_reason == "The feed was down"
    assert isinstance(do(thursday, control.approve, issue_id), Done)
    assert thursday.issue(issue_id).hold_reason == ""
    assert thursday.log()[-1].detail == "revision 1; overrides the hold: The feed was down"


def test_a_hold_needs_a_reason_and_ends_the_approval(thursday: House, issue_id: int) -> None:
    do(thursday, control.approve, issue_id)
    assert isinstance(do(thursday, control.hold, issue_id, reason=" \n"), Refused)
    assert thursday.issue(issue_id).state is IssueState.APPROVED
    do(thursday, control.hold, issue_id, reason="A doubt")
    issue = thursday.issue(issue_id)
    assert (issue.state, issue.approved_by, issue.approved_at) == (IssueState.HELD, None, None)


def test_a_withdrawn_approval_leaves_a_draft(thursday: House, issue_id: int) -> None:
    do(thursday, control.approve, issue_id)
    do(thursday, control.withdraw, issue_id)
    issue = thursday.issue(issue_id)
    assert (issue.state, issue.approved_by, issue.approved_at) == (IssueState.DRAFT, None, None)


def test_what_blocks_refuses_the_approval_and_what_warns_does_not(thursday: House, issue_id: int) -> None:
    blocks = Finding("blocks", "subject", "There is none.", "Write one.")
    warns = Finding("warns", "story 1", "It has no summary.", "Write one.")
    result = do(thursday, control.approve, issue_id, findings=[warns, blocks])
    assert isinstance(result, Refused)
    assert result.findings == (blocks,)
    assert "subject: There is none." in result.reason
    assert isinstance(do(thursday, control.approve, issue_id, findings=[warns]), Done)


def test_an_issue_without_a_story_cannot_be_approved(house: House) -> None:
    house.source("https://news.example/feed")
    house.source("https://news.example/trouble")
    made = house.draft()
    result = do(house, control.approve, made.issue_id)
    assert isinstance(result, Refused)
    assert "has no story in it" in result.reason


def test_another_revision_than_was_seen_cannot_be_approved(thursday: House, issue_id: int) -> None:
    thursday.set(issue_id, revision=2)
    result = do(thursday, control.approve, issue_id, expected_revision=1)
    assert isinstance(result, Refused)
    assert "stands at revision 2" in result.reason


def test_cancelling_in_the_middle_stops_what_waits_and_keeps_the_rest(thursday: House, issue_id: int) -> None:
    states = list(DeliveryState)
    with thursday.database.write() as session:
        for number, state in enumerate(states):
            row = {"letter": "issue", "newsletter": "watchdog", "issue_id": issue_id, "subscriber_id": number + 1}
            times = {"due_at": THURSDAY, "created_at": THURSDAY, "give_up_at": THURSDAY + HOUR}
            session.add(Delivery(public_id=bytes([number]) * 16, state=state, **row, **times))
    thursday.set(issue_id, state=IssueState.SENDING, frozen_at=THURSDAY, audience=len(states))
    assert isinstance(do(thursday, control.cancel, issue_id), Done)
    with thursday.database.read() as session:
        found = {row.subscriber_id: row for row in session.query(Delivery)}
        for number, state in enumerate(states):
            waiting = state in (DeliveryState.QUEUED, DeliveryState.DEFERRED)
            assert found[number + 1].state is (DeliveryState.EXCLUDED if waiting else state)
            assert (found[number + 1].settled_at == THURSDAY) is waiting
    assert thursday.log()[-1].detail == "2 copies stopped"
    assert thursday.issue(issue_id).finished_at == THURSDAY


def test_what_is_not_there_is_refused(house: House) -> None:
    for step in DOORS:
        assert take(house, step, 999) == Refused("There is no such issue.")


# ---- two persons (W-41)


def approve(house: House, issue_id: int, who: str, **values: Any) -> Done | Refused:
    return do(house, control.approve, issue_id, who=who, needed=2, **values)


def test_two_different_people_approve_the_same_revision(thursday: House, issue_id: int) -> None:
    first = approve(thursday, issue_id, "Ada")
    assert isinstance(first, Done)
    assert first.state is thursday.issue(issue_id).state is IssueState.DRAFT
    assert first.note == "Approved by Ada. It goes out once somebody else approves it too."
    again = approve(thursday, issue_id, "Ada")
    assert isinstance(again, Refused)
    assert again.reason == (
        "You have approved watchdog/2026-W47 as it stands; the other approval has to be somebody else's."
    )
    assert thursday.issue(issue_id).state is IssueState.DRAFT
    assert isinstance(approve(thursday, issue_id, "Ben"), Done)
    issue = thursday.issue(issue_id)
    assert (issue.state, issue.approved_by) == (IssueState.APPROVED, "Ada and Ben")
    assert [(one.who, one.detail) for one in thursday.log()[-2:]] == [
        ("Ada", "revision 1; 1 more needed"),
        ("Ben", "revision 1"),
    ]


def test_a_change_between_two_approvals_makes_the_first_worth_nothing(thursday: House, issue_id: int) -> None:
    approve(thursday, issue_id, "Ada")
    do(thursday, edit_issue, issue_id, subject="Another subject", who="Ben")
    assert isinstance(approve(thursday, issue_id, "Ben"), Done)
    assert thursday.issue(issue_id).state is IssueState.DRAFT
    assert isinstance(approve(thursday, issue_id, "Ada"), Done)
    assert thursday.issue(issue_id).state is IssueState.APPROVED


@pytest.mark.parametrize("take_back", [control.withdraw, lambda *args, **by: control.hold(*args, reason="wait", **by)])
def test_the_first_of_two_approvals_can_be_taken_back(
    thursday: House, issue_id: int, take_back: Callable[..., Done | Refused]
) -> None:
    approve(thursday, issue_id, "Ada")
    assert isinstance(do(thursday, take_back, issue_id), Done)
    assert isinstance(approve(thursday, issue_id, "Ben"), Done)
    assert thursday.issue(issue_id).state in control.WAITING


def test_two_approvals_at_once_are_two(thursday: House, issue_id: int) -> None:
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda who: approve(thursday, issue_id, who), ("Ada", "Ben")))
    assert all(isinstance(one, Done) for one in done)
    assert thursday.issue(issue_id).state is IssueState.APPROVED


def test_a_recall_says_how_many_stayed_and_why(thursday: House, issue_id: int) -> None:
    thursday.readers(2)
    do(thursday, control.approve, issue_id)
    thursday.set(issue_id, state=IssueState.SENDING)
    assert isinstance(do(thursday, control.cancel, issue_id, reason="a wrong name in the lead"), Done)
    assert thursday.issue(issue_id).hold_reason == "a wrong name in the lead"
    assert thursday.log()[-1].detail.endswith("a wrong name in the lead")
