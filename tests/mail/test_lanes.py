"""A provider that asks for patience gets it, and comes back one connection at a time (B-09)."""

import asyncio
import datetime as dt

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from digest.mail.lanes import REST, Lanes
from digest.mail.providers import Provider
from digest.mail.replies import Reply, Stage, outcome
from digest.models import Delivery, DeliveryState, IssueState, LogEntry, SlowLane
from subscribers.db import Database
from tests.house import NOW, House
from tests.smtp_server import Moment, Say, ScriptedServer

GOOGLE, OTHER = Provider.GOOGLE, Provider.OTHER
TOO_FAST = b"421 4.7.28 Our system has detected an unusual rate of mail\r\n"


def begun(lanes: Lanes, provider: Provider, now: dt.datetime, most: int = 20) -> int:
    """How many copies may be begun at once."""
    count = 0
    while count < most and lanes.has_room(provider, now):
        lanes.enter(provider)
        count += 1
    return count


def test_a_lane_that_was_never_slow_is_as_wide_as_all() -> None:
    assert begun(Lanes(20), GOOGLE, NOW) == 20


def test_a_slow_lane_is_closed_for_ten_minutes_and_the_others_are_not() -> None:
    lanes = Lanes(20)
    lanes.slow_down(GOOGLE, NOW + REST)
    assert begun(lanes, GOOGLE, NOW + REST - dt.timedelta(seconds=1)) == 0
    assert begun(lanes, OTHER, NOW) == 20
    assert lanes.closed_until(GOOGLE, NOW) == NOW + dt.timedelta(minutes=10)


@given(st.integers(min_value=1, max_value=30))
def test_it_comes_back_with_one_connection_and_every_success_adds_one(width: int) -> None:
    lanes, after = Lanes(width), NOW + REST
    lanes.slow_down(GOOGLE, after)
    for successes in range(width):
        room = begun(lanes, GOOGLE, after, most=100)
        assert room == (successes + 1 if lanes.is_narrow(GOOGLE) else 100)
        for _ in range(room - 1):
            lanes.leave(GOOGLE, accepted=False)
        lanes.leave(GOOGLE, accepted=True)
    assert not lanes.is_narrow(GOOGLE) or width == 1


def test_another_slow_answer_begins_the_rest_anew() -> None:
    lanes = Lanes(20)
    lanes.slow_down(GOOGLE, NOW + REST)
    lanes.enter(GOOGLE)
    lanes.leave(GOOGLE, accepted=True)
    later = NOW + 2 * REST
    lanes.slow_down(GOOGLE, later + REST)
    assert begun(lanes, GOOGLE, later) == 0
    assert begun(lanes, GOOGLE, later + REST) == 1


def test_what_another_sender_was_told_counts_here_and_old_news_do_not() -> None:
    lanes = Lanes(20)
    lanes.learn(GOOGLE, NOW + REST, NOW)
    lanes.learn(OTHER, NOW - dt.timedelta(days=1), NOW)
    assert begun(lanes, GOOGLE, NOW) == 0
    assert begun(lanes, OTHER, NOW) == 20


def test_learning_the_same_again_does_not_narrow_a_lane_that_has_recovered() -> None:
    lanes, until = Lanes(2), NOW + REST
    lanes.learn(GOOGLE, until, NOW)
    lanes.enter(GOOGLE)
    lanes.leave(GOOGLE, accepted=True)
    lanes.learn(GOOGLE, until, until)
    assert not lanes.is_narrow(GOOGLE)


@pytest.mark.parametrize(
    ("stage", "code", "text", "too_fast"),
    [
        (Stage.RCPT, 421, "4.7.28 unusual rate", True),
        (Stage.DOT, 421, "4.7.0 [TSS04] temporarily deferred", True),
        (Stage.DATA, 451, "4.7.650 rate limited", True),
        (Stage.MAIL, 421, "4.7.28 unusual rate", False),
        (Stage.RCPT, 451, "4.7.1 Greylisted", False),
        (Stage.RCPT, 450, "4.2.0 Greylisted", False),
        (Stage.DOT, 421, "4.3.2 shutting down", False),
        (Stage.RCPT, 550, "5.7.28 unusual rate", False),
    ],
)
def test_which_answers_ask_for_patience(stage: Stage, code: int, text: str, too_fast: bool) -> None:
    assert outcome(stage, Reply(code, text)).is_too_fast is too_fast


def enter(house: House, domain: str, count: int) -> list[str]:
    addresses = [f"reader-{number}@{domain}" for number in range(count)]
    for address in addresses:
        house.service.enter("watchdog", address, "a test reader", house.now)
    return addresses


class Google:
    """A relay that passes on what Google says: too fast, until it is told to be content."""

    def __init__(self) -> None:
        self.is_slow = True
        self.asked: list[tuple[int, str]] = []

    def __call__(self, moment: Moment) -> Say | None:
        if moment.command == "RCPT" and "gmail.com" in moment.argument:
            self.asked.append((moment.connection, moment.argument))
            if self.is_slow:
                return Say(TOO_FAST)
        return None


def test_a_slow_provider_waits_and_keeps_nobody_else_back(database: Database) -> None:
    house = House(database)
    google, others = enter(house, "gmail.com", 40), enter(house, "readers.example", 40)
    issue = house.issue(slice_of=50)
    relay_says = Google()
    with ScriptedServer(relay_says) as relay:
        asyncio.run(house.worker(relay.port).send_issue(issue, asyncio.Event()))
        assert sorted(relay.accepted) == sorted(others)
        first_try = len(relay_says.asked)
        # Three connections had one under way each when the first answer came.
        assert first_try <= 3
        assert house.issue_state(issue) is IssueState.SENDING
        due = _due(database)
        assert min(due) >= house.now + REST

        # Ten minutes are not over: nobody of Google's is tried.
        house.now += REST - dt.timedelta(seconds=1)
        asyncio.run(house.worker(relay.port).send_issue(issue, asyncio.Event()))
        assert len(relay_says.asked) == first_try

        # Then the rest goes out, through another process that has only the database to know it from.
        relay_says.is_slow = False
        for _ in range(20):
            house.now += dt.timedelta(minutes=2)
            asyncio.run(house.worker(relay.port).send_issue(issue, asyncio.Event()))
    assert sorted(relay.accepted) == sorted([*google, *others])
    assert house.books(issue).closes
    assert house.issue_state(issue) is IssueState.SENT


def test_the_first_one_after_a_rest_goes_alone(database: Database) -> None:
    house = House(database)
    enter(house, "gmail.com", 12)
    issue = house.issue()
    with database.write() as session:
        session.add(SlowLane(provider="google", until=house.now, reply="too fast"))
    under_way: list[int] = []
    most_before_first_success: list[int] = []

    def plan(moment: Moment) -> None:
        if moment.command == "MAIL":
            under_way.append(moment.connection)
            if not relay.accepted:
                most_before_first_success.append(len(set(under_way)))

    with ScriptedServer(plan) as relay:
        for _ in range(4):
            asyncio.run(house.worker(relay.port).send_issue(issue, asyncio.Event()))
            house.now += dt.timedelta(minutes=1)
    assert most_before_first_success == [1]
    assert len(relay.accepted) == 12


def test_a_rest_counts_no_attempt_and_is_in_the_issues_log(database: Database) -> None:
    house = House(database)
    enter(house, "gmail.com", 30)
    issue = house.issue()
    with ScriptedServer(Google()) as relay:
        asyncio.run(house.worker(relay.port).send_issue(issue, asyncio.Event()))
    with database.read() as session:
        tried = session.scalars(sa.select(Delivery.attempts).where(Delivery.attempts > 0)).all()
        states = set(session.scalars(sa.select(Delivery.state)))
        (entry,) = session.scalars(sa.select(LogEntry).where(LogEntry.action == "slow"))
    assert len(tried) <= 3
    assert states <= {DeliveryState.QUEUED, DeliveryState.DEFERRED}
    assert entry.object == "watchdog/2026-W47"
    assert entry.detail.startswith("google until 09:10 UTC: 421 4.7.28")


def _due(database: Database) -> list[dt.datetime]:
    with database.read() as session:
        return list(session.scalars(sa.select(Delivery.due_at).where(Delivery.settled_at.is_(None))))
