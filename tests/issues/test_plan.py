"""What the planner decides, and that a tick that comes twice, late or not at all does no harm."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier, Lock
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from digest.calendar import united
from digest.issues import alarm, control, edit
from digest.issues.outcomes import Done
from digest.issues.plan import (
    URGENT,
    Act,
    Alarm,
    Draft,
    GatherNow,
    Hands,
    HoldTooLate,
    IssueFacts,
    PlanState,
    Publish,
    Remind,
    next_sends,
    plan,
    snapshot,
    tick,
)
from digest.mail import ledger
from digest.mail.outbox import LedgerOutbox
from digest.models import Delivery, IssueState, User
from digest.settings import Newsletter
from digest.weeks import Moment, Week
from subscribers.db import Database
from subscribers.vault import Vault, make_keys
from tests.issues.newsroom import BASE_URL, HOUR, MAIN, THURSDAY, TROUBLE, House, make_newsletter, templates

CUTOFF = dt.datetime(2026, 11, 19, 5, 0, tzinfo=dt.UTC)
SEND = dt.datetime(2026, 11, 19, 9, 0, tzinfo=dt.UTC)
TOO_LATE = SEND + 12 * HOUR
SECOND = dt.timedelta(seconds=1)
WEEK = "2026-W47"
NEWSLETTER = make_newsletter()
SENDS_ITSELF = make_newsletter(unapproved="send")


def state(issue_state: IssueState | None = None, gathered_at: dt.datetime | None = None, **values: Any) -> PlanState:
    """A newsletter whose issue of the week stands as said, and which was gathered just now unless told otherwise."""
    gathered_at = gathered_at or SEND + dt.timedelta(days=9)
    calendar = united(NEWSLETTER)
    if issue_state is None:
        return PlanState(calendar, (), frozenset(), gathered_at)
    return PlanState(calendar, (IssueFacts(7, issue_state, SEND, **values),), frozenset({WEEK}), gathered_at)


# ---- the pure part


def test_at_the_cut_off_the_sources_are_read_and_the_issue_is_opened() -> None:
    gathered = CUTOFF - dt.timedelta(minutes=20)
    before = plan(NEWSLETTER, CUTOFF - SECOND, state(gathered_at=gathered))
    # Last week's issue does not stand either, but it is too late for that to be worth opening.
    assert before == ()
    assert plan(NEWSLETTER, CUTOFF, state(gathered_at=gathered)) == (GatherNow(), Draft(Week(2026, 47)))
    assert plan(NEWSLETTER, CUTOFF, state(gathered_at=CUTOFF)) == (Draft(Week(2026, 47)),)
    assert plan(NEWSLETTER, CUTOFF, state(IssueState.DRAFT, gathered_at=gathered)) == ()


def test_the_sources_are_read_when_they_are_due() -> None:
    now = SEND - 3 * HOUR
    drafted = state(IssueState.DRAFT)
    assert plan(NEWSLETTER, now, replace(drafted, gathered_at=None)) == (GatherNow(),)
    assert plan(NEWSLETTER, now, replace(drafted, gathered_at=now - HOUR)) == (GatherNow(),)
    assert plan(NEWSLETTER, now, replace(drafted, gathered_at=now - HOUR + SECOND)) == ()
    assert plan(NEWSLETTER, now, replace(drafted, gathered_at=now - 2 * HOUR), 3 * HOUR) == ()


def test_a_machine_that_was_off_drafts_when_it_is_back_unless_it_is_too_late() -> None:
    assert plan(NEWSLETTER, TOO_LATE, state()) == (Draft(Week(2026, 47)),)
    assert plan(NEWSLETTER, TOO_LATE + SECOND, state()) == ()


def test_an_approved_issue_goes_out_at_its_hour_and_not_before() -> None:
    approved = state(IssueState.APPROVED, approved_at=SEND - HOUR)
    assert plan(NEWSLETTER, SEND - SECOND, approved) == ()
    assert plan(NEWSLETTER, SEND, approved) == (Publish(7),)
    assert plan(NEWSLETTER, TOO_LATE, approved) == (Publish(7),)


def test_what_is_too_late_is_held_and_says_so() -> None:
    (held,) = plan(NEWSLETTER, TOO_LATE + SECOND, state(IssueState.APPROVED, approved_at=SEND - HOUR))
    assert held == HoldTooLate(
        7,
        "It was due on 2026-11-19 at 10:00, and within 12 hours it was approved and not sent."
        " Approve it to send it all the same.",
    )
    (held,) = plan(NEWSLETTER, TOO_LATE + SECOND, state(IssueState.DRAFT, reminded_at=SEND))
    assert isinstance(held, HoldTooLate)
    assert "nobody approved it" in held.reason


def test_whoever_approves_late_knows_that_it_is_late() -> None:
    late = TOO_LATE + 3 * HOUR
    assert plan(NEWSLETTER, late, state(IssueState.APPROVED, approved_at=late)) == (Publish(7),)
    (held,) = plan(NEWSLETTER, late + 12 * HOUR + SECOND, state(IssueState.APPROVED, approved_at=late))
    assert isinstance(held, HoldTooLate)


@pytest.mark.parametrize("issue_state", [IssueState.DRAFT, IssueState.HELD])
def test_editors_are_reminded_before_the_hour_and_at_the_hour(issue_state: IssueState) -> None:
    first, second = Remind(7, SEND - 2 * HOUR), Remind(7, SEND)
    assert plan(NEWSLETTER, SEND - 2 * HOUR - SECOND, state(issue_state)) == ()
    assert plan(NEWSLETTER, SEND - 2 * HOUR, state(issue_state)) == (first,)
    assert plan(NEWSLETTER, SEND - HOUR, state(issue_state, reminded_at=SEND - 2 * HOUR)) == ()
    assert plan(NEWSLETTER, SEND, state(issue_state, reminded_at=SEND - 2 * HOUR)) == (second,)
    assert plan(NEWSLETTER, SEND, state(issue_state)) == (second,)
    assert plan(NEWSLETTER, SEND + HOUR, state(issue_state, reminded_at=SEND)) == ()


def test_a_held_issue_is_left_alone_after_its_time() -> None:
    assert plan(NEWSLETTER, TOO_LATE + SECOND, state(IssueState.HELD)) == ()


def test_a_newsletter_that_sends_by_itself_sends_drafts_and_asks_about_held_ones() -> None:
    assert plan(SENDS_ITSELF, SEND - HOUR, state(IssueState.DRAFT)) == ()
    assert plan(SENDS_ITSELF, SEND, state(IssueState.DRAFT)) == (Publish(7),)
    assert plan(SENDS_ITSELF, SEND, state(IssueState.HELD)) == (Remind(7, SEND),)


def test_a_skipped_week_is_neither_drafted_nor_sent() -> None:
    skips = make_newsletter(skip=["2026-11-19"])
    assert plan(skips, SEND, replace(state(), calendar=united(skips))) == ()
    by_the_desk = replace(united(NEWSLETTER), skipped=frozenset({Week(2026, 47)}))
    assert plan(NEWSLETTER, SEND, replace(state(), calendar=by_the_desk)) == ()


def test_a_moved_week_is_drafted_at_the_cut_off_that_goes_with_it() -> None:
    friday = replace(united(NEWSLETTER), moves={Week(2026, 47): Moment(dt.date(2026, 11, 20), dt.time(16))})
    cutoff = dt.datetime(2026, 11, 20, 11, 0, tzinfo=dt.UTC)
    assert plan(NEWSLETTER, cutoff - SECOND, replace(state(), calendar=friday)) == ()
    assert plan(NEWSLETTER, cutoff, replace(state(), calendar=friday)) == (Draft(Week(2026, 47)),)


facts = st.builds(
    IssueFacts,
    st.just(7),
    st.sampled_from([IssueState.DRAFT, IssueState.HELD, IssueState.APPROVED]),
    st.just(SEND),
    st.none() | st.integers(-20, 40).map(lambda hours: SEND + hours * HOUR),
    st.none() | st.integers(-20, 40).map(lambda hours: SEND + hours * HOUR),
)


@given(facts, st.integers(-30 * 60, 80 * 60), st.sampled_from([NEWSLETTER, SENDS_ITSELF]))
def test_nothing_goes_out_unapproved_or_early_whatever_stands(
    issue: IssueFacts, minutes: int, newsletter: Newsletter
) -> None:
    now = SEND + minutes * dt.timedelta(minutes=1)
    intents = plan(newsletter, now, PlanState(united(newsletter), (issue,), frozenset({WEEK}), now))
    of_issue = [one for one in intents if not isinstance(one, Draft)]
    assert len(of_issue) <= 1
    if Publish(7) in of_issue:
        assert now >= SEND
        assert issue.state is IssueState.APPROVED or newsletter is SENDS_ITSELF
        assert issue.state is not IssueState.HELD


def test_the_next_sends_are_named_in_both_times_with_the_weeks_between() -> None:
    skips = make_newsletter(skip=["2026-12-24", "2026-12-31", "2026-11-19"])
    calendar = united(skips)
    first, second = next_sends(calendar, dt.datetime(2026, 12, 17, 9, tzinfo=dt.UTC), 2)
    assert (first.week, first.skipped) == (Week(2027, 1), (Week(2026, 52), Week(2026, 53)))
    assert first.local.isoformat() == "2027-01-07T10:00:00+01:00"
    assert first.utc.isoformat() == "2027-01-07T09:00:00+00:00"
    assert (second.week, second.skipped) == (Week(2027, 2), ())
    # A skipped week that is over is no longer between.
    assert next_sends(calendar, SEND + HOUR, 1)[0].skipped == ()
    assert next_sends(calendar, SEND - HOUR, 1)[0].skipped == (Week(2026, 47),)


# ---- the acts


class Newsroom(House):
    """A house with hands, and editors who can be reminded."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        vault = Vault(database, make_keys())
        self.gathered: list[dt.datetime] = []
        self.lock = Lock()
        self.hands = Hands(database, templates(), BASE_URL, LedgerOutbox(vault), self.gather, vault.prepare)
        with database.write() as session:
            for name, address in (("Ada", b"sealed"), ("Ben", b"sealed"), ("Without an address", None)):
                values = {"name": name, "address_sealed": address, "password_hash": "-", "created_at": THURSDAY}
                known = {"address_verified_at": THURSDAY, "joined_at": THURSDAY}
                session.add(User(public_id=name.encode().ljust(16)[:16], **values, **known))

    def gather(self, newsletter: Newsletter, now: dt.datetime) -> None:
        with self.lock:
            self.gathered.append(now)
            for source in newsletter.sources:
                self.source(source.url, checked_at=now, succeeded_at=now)

    def tick(self, now: dt.datetime) -> list[Act]:
        return [act for act in tick(self.hands, self.newsletter, now) if act.said]

    def reminders(self) -> int:
        with self.database.read() as session:
            query = sa.select(sa.func.count()).where(Delivery.letter == "reminder")
            return session.scalar(query) or 0

    def approve(self, issue_id: int, now: dt.datetime) -> None:
        with self.database.write() as session:
            assert isinstance(control.approve(session, issue_id, who="Ada", now=now), Done)

    @property
    def issue_id(self) -> int:
        with self.database.read() as session:
            return snapshot(session, self.newsletter, THURSDAY).open[0].issue_id


@pytest.fixture
def room(database: Database) -> Newsroom:
    made = Newsroom(database)
    made.well()
    made.readers(3)
    return made


def kinds(acts: list[Act]) -> list[str]:
    return [type(act.intent).__name__ for act in acts]


def test_a_thursday_runs_by_itself_but_for_the_approval(room: Newsroom) -> None:
    assert kinds(room.tick(CUTOFF)) == ["Draft"]
    issue_id = room.issue_id
    assert kinds(room.tick(SEND - 2 * HOUR)) == ["Remind", "GatherNow"]
    room.approve(issue_id, SEND - HOUR)
    assert room.issue(issue_id).state is IssueState.APPROVED
    acts = room.tick(SEND)
    assert acts[0].intent == Publish(issue_id)
    assert acts[0].said == "watchdog/2026-W47 goes out to 3 readers"
    assert acts[0].published is not None
    assert room.issue(issue_id).state is IssueState.SENDING
    assert room.reminders() == 2
    assert "Publish" not in kinds(room.tick(SEND + HOUR))


def test_ticks_at_once_do_everything_once(room: Newsroom) -> None:
    for now in (CUTOFF, SEND - 2 * HOUR, SEND):
        together = Barrier(3)

        def work(_: int, now: dt.datetime = now, together: Barrier = together) -> list[Act]:
            together.wait()
            return room.tick(now)

        with ThreadPoolExecutor(3) as pool:
            said = [kind for acts in pool.map(work, range(3)) for kind in kinds(acts) if kind != "GatherNow"]
        assert len(said) == 1
        if now == SEND - 2 * HOUR:
            room.approve(room.issue_id, now)
    assert room.reminders() == 2
    actions = [entry.action for entry in room.log()]
    assert [actions.count(action) for action in ("draft", "remind", "publish")] == [1, 1, 1]


def test_after_gathering_new_posts_are_offered(room: Newsroom) -> None:
    room.tick(CUTOFF)
    room.post("Came in late", ago=2 * HOUR)
    acts = room.tick(CUTOFF + 2 * HOUR)
    assert "1 new posts are offered" in next(act.said for act in acts if act.intent == GatherNow())
    assert len(room.items(room.issue_id)) == 5


def test_a_gathering_that_breaks_down_leaves_a_draft_and_a_trace(room: Newsroom) -> None:
    def broken(newsletter: Newsletter, now: dt.datetime) -> None:
        raise RuntimeError("a bug")

    room.hands = replace(room.hands, gather=broken)
    room.source(MAIN, checked_at=CUTOFF - HOUR, succeeded_at=CUTOFF - HOUR)
    gathered, drafted = room.tick(CUTOFF)
    assert gathered.said == "the sources could not be read: RuntimeError"
    assert str(gathered.failure) == "a bug"
    assert drafted.said == "watchdog/2026-W47 is opened with 4 stories"


def test_an_issue_that_comes_too_late_is_held_and_editors_are_told(room: Newsroom) -> None:
    room.tick(CUTOFF)
    issue_id = room.issue_id
    room.approve(issue_id, CUTOFF)
    acts = room.tick(TOO_LATE + SECOND)
    assert isinstance(acts[0].intent, HoldTooLate)
    issue = room.issue(issue_id)
    assert issue.state is IssueState.HELD
    assert issue.hold_reason.startswith("It was due on 2026-11-19 at 10:00")
    assert room.reminders() == 2
    assert not [act for act in room.tick(TOO_LATE + HOUR) if act.intent != GatherNow()]
    room.approve(issue_id, TOO_LATE + 2 * HOUR)
    assert "Publish" in kinds(room.tick(TOO_LATE + 2 * HOUR))


def test_an_issue_that_the_checks_block_is_held_once_and_says_why(room: Newsroom) -> None:
    room.tick(CUTOFF)
    issue_id = room.issue_id
    room.approve(issue_id, CUTOFF)
    room.change_post(room.items(issue_id)[0].post_id, withdrawn_at=CUTOFF)
    acts = room.tick(SEND)
    assert acts[0].said.startswith("watchdog/2026-W47 is held. The checks do not let it go out.")
    assert "taken down" in room.issue(issue_id).hold_reason
    assert room.reminders() == 2
    assert not [act for act in room.tick(SEND + SECOND) if act.intent != GatherNow()]


def test_an_approval_in_the_last_moment_is_not_held_away(room: Newsroom) -> None:
    room.tick(CUTOFF)
    issue_id = room.issue_id
    now = TOO_LATE + SECOND
    with room.database.read() as session:
        looked = snapshot(session, room.newsletter, now)
    assert isinstance(plan(room.newsletter, now, looked)[0], HoldTooLate)
    room.approve(issue_id, now)
    with room.database.read() as session:
        assert Publish(issue_id) in plan(room.newsletter, now, snapshot(session, room.newsletter, now))


def test_an_edited_issue_that_lost_its_approval_is_not_sent(room: Newsroom) -> None:
    room.tick(CUTOFF)
    issue_id = room.issue_id
    room.approve(issue_id, CUTOFF)
    with room.database.write() as session:
        edit.edit_issue(session, issue_id, subject="Another subject", who="Ben", now=SEND - SECOND)
    assert "Publish" not in kinds(room.tick(SEND))
    assert room.issue(issue_id).state is IssueState.DRAFT


def test_the_state_knows_when_a_source_was_never_tried(room: Newsroom) -> None:
    with room.database.read() as session:
        assert snapshot(session, room.newsletter, THURSDAY).gathered_at == THURSDAY
        more = make_newsletter(sources=[{"feed": MAIN}, {"feed": TROUBLE}, {"feed": "https://news.example/new"}])
        assert snapshot(session, more, THURSDAY).gathered_at is None
    room.source(MAIN, checked_at=THURSDAY - HOUR)
    with room.database.read() as session:
        assert snapshot(session, room.newsletter, THURSDAY).gathered_at == THURSDAY - HOUR


# ---- the sender has stopped


def sending(room: Newsroom) -> int:
    room.tick(CUTOFF)
    issue_id = room.issue_id
    room.approve(issue_id, CUTOFF)
    room.tick(SEND)
    return issue_id


def stop(room: Newsroom, issue_id: int, now: dt.datetime, reason: str = "550 5.7.1 ten times in a row") -> None:
    with room.database.write() as session:
        ledger.pause(session, issue_id, reason, now)


def alarms(room: Newsroom) -> int:
    with room.database.read() as session:
        return session.scalar(sa.select(sa.func.count()).where(Delivery.letter == "stopped")) or 0


def test_an_alarm_comes_first() -> None:
    approved = replace(state(IssueState.APPROVED, approved_at=SEND), stopped=(3,))
    assert plan(NEWSLETTER, SEND, approved) == (Alarm(3), Publish(7))
    assert Alarm in URGENT


def test_everybody_with_an_address_is_told_once_that_the_sender_has_stopped(room: Newsroom) -> None:
    issue_id = sending(room)
    assert "Alarm" not in kinds(room.tick(SEND + SECOND))
    stop(room, issue_id, SEND + SECOND)
    acts = room.tick(SEND + 2 * SECOND)
    assert acts[0].said == "watchdog/2026-W47 was stopped by the sender; 2 people are told"
    assert alarms(room) == 2
    assert "Alarm" not in kinds(room.tick(SEND + HOUR))
    assert alarms(room) == 2


def test_every_new_stop_is_told_and_a_pause_by_a_person_is_not(room: Newsroom) -> None:
    issue_id = sending(room)
    stop(room, issue_id, SEND + SECOND)
    room.tick(SEND + 2 * SECOND)
    by: dict[str, Any] = {"who": "Ada", "now": SEND + HOUR}
    with room.database.write() as session:
        assert isinstance(control.resume(session, issue_id, **by), Done)
        assert isinstance(control.pause(session, issue_id, **by), Done)
    room.tick(SEND + HOUR)
    assert alarms(room) == 2
    with room.database.write() as session:
        assert isinstance(control.resume(session, issue_id, **by), Done)
    stop(room, issue_id, SEND + 2 * HOUR)
    room.tick(SEND + 2 * HOUR)
    assert alarms(room) == 4


def test_what_goes_on_before_anybody_was_told_is_not_told(room: Newsroom) -> None:
    issue_id = sending(room)
    stop(room, issue_id, SEND + SECOND)
    with room.database.read() as session:
        assert snapshot(session, room.newsletter, SEND).stopped == (issue_id,)
    with room.database.write() as session:
        assert isinstance(control.resume(session, issue_id, who="Ada", now=SEND + SECOND), Done)
    room.tick(SEND + 2 * SECOND)
    assert alarms(room) == 0


def test_ticks_at_once_tell_of_a_stop_once(room: Newsroom) -> None:
    issue_id = sending(room)
    stop(room, issue_id, SEND + SECOND)
    together = Barrier(3)

    def work(_: int) -> list[str]:
        together.wait()
        return kinds(room.tick(SEND + 2 * SECOND))

    with ThreadPoolExecutor(3) as pool:
        said = [kind for found in pool.map(work, range(3)) for kind in found]
    assert said.count("Alarm") == 1
    assert alarms(room) == 2


def test_the_letter_says_why_how_it_stands_and_what_to_do(room: Newsroom) -> None:
    issue_id = sending(room)
    stop(room, issue_id, SEND + SECOND, "550 5.7.1 refused\nten times in a row")
    with room.database.read() as session:
        said = alarm.context(session, room.issue(issue_id), room.newsletter, BASE_URL)
    letter = templates().letter("stopped", {**said, "publisher": ""})
    assert letter.subject == "Watchdog: sending of watchdog/2026-W47 has stopped"
    for part in (letter.text, letter.html):
        for words in (
            "550 5.7.1 refused",
            "ten times in a row",
            "0 of 3 readers have it, 3 still wait.",
            "2026-11-19 10:00 (Europe/Prague)",
            "digest status watchdog/2026-W47",
            "digest resume watchdog/2026-W47",
            f"{BASE_URL}/desk/issues/watchdog/2026-W47/report",
        ):
            assert words in part
        assert "nobody knows" not in part
