"""The pure rules: legal steps of a subscription, and how often a letter may go."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscribers.letters import ALREADY_SUBSCRIBED, CONFIRM, may_post
from subscribers.lifecycle import STEPS, Event, State, step

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


def test_only_confirming_or_an_entry_by_hand_makes_a_subscription_confirmed() -> None:
    makers = {event for (state, event), after in STEPS.items() if after is State.CONFIRMED and state is not after}
    # What is taken back was confirmed before: see the tests of suppression by a crowd of bounces.
    assert makers == {Event.CONFIRMED, Event.ENTERED, Event.TAKEN_BACK}


def test_who_has_left_comes_back_by_asking_alone() -> None:
    assert step(State.LEFT, Event.ASKED) is State.PENDING
    assert step(State.LEFT, Event.ENTERED) is None
    assert step(State.LEFT, Event.CONFIRMED) is None


@pytest.mark.parametrize("state", State)
def test_leaving_is_always_possible(state: State) -> None:
    assert step(state, Event.LEFT) is State.LEFT


@pytest.mark.parametrize(
    ("kind", "ago", "allowed"),
    [
        (CONFIRM, [], True),
        (CONFIRM, [23 * HOUR], False),
        (CONFIRM, [24 * HOUR], True),
        (CONFIRM, [2 * DAY, 4 * DAY], True),
        (CONFIRM, [2 * DAY, 4 * DAY, 29 * DAY], False),
        (CONFIRM, [2 * DAY, 4 * DAY, 30 * DAY], True),
        (ALREADY_SUBSCRIBED, [], True),
        (ALREADY_SUBSCRIBED, [29 * DAY], False),
        (ALREADY_SUBSCRIBED, [30 * DAY], True),
    ],
)
def test_a_letter_is_allowed_within_its_budget(now, kind, ago, allowed) -> None:
    assert may_post(kind, [now - one for one in ago], now) is allowed


@given(st.lists(st.integers(min_value=0, max_value=90 * 24), max_size=200))
def test_however_often_it_is_asked_no_more_than_three_letters_go_in_any_30_days(hours: list[int]) -> None:
    start = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    posted: list[dt.datetime] = []
    for at in sorted(start + hour * HOUR for hour in hours):
        if may_post(CONFIRM, posted, at):
            posted.append(at)
    for one in posted:
        assert sum(one <= other < one + 30 * DAY for other in posted) <= 3
        assert sum(one <= other < one + DAY for other in posted) <= 1
