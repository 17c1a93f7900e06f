"""The dead-man's alarm: told once where nothing has left, and silent where all is well."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from digest.issues import control, overdue
from digest.issues.outcomes import Done
from digest.issues.plan import tick
from digest.models import Delivery, DeliveryState, IssueState
from subscribers.db import Database
from tests.issues.newsroom import BASE_URL, DAY, HOUR, make_newsletter, templates
from tests.issues.test_plan import CUTOFF, SECOND, SEND, Newsroom, room  # noqa: F401 -- the fixture.

LATE = SEND + dt.timedelta(minutes=30)


def found(room: Newsroom, now: dt.datetime) -> overdue.Overdue | None:  # noqa: F811
    with room.database.read() as session:
        return overdue.overdue(session, room.newsletter, now)


def letters(room: Newsroom) -> int:  # noqa: F811
    with room.database.read() as session:
        return session.scalar(sa.select(sa.func.count()).where(Delivery.letter == overdue.LETTER)) or 0


def with_state(room: Newsroom, state: IssueState, **values: object) -> int:  # noqa: F811
    room.tick(CUTOFF)
    issue_id = room.issue_id
    room.set(issue_id, state=state, **values)
    return issue_id


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (IssueState.DRAFT, "nobody has approved it."),
        (IssueState.HELD, "it is on hold. a doubt"),
        (IssueState.APPROVED, "it is approved, and nobody sends it; is the scheduler at work?"),
        (IssueState.SENDING, "no copy was accepted so far; is the worker at work, and does the relay answer?"),
        (IssueState.PAUSED, "it is paused. a doubt"),
    ],
)
def test_what_has_not_left_half_an_hour_after_its_hour_is_overdue(room: Newsroom, state: IssueState, why: str) -> None:  # noqa: F811
    reason = "a doubt" if state in (IssueState.HELD, IssueState.PAUSED) else ""
    frozen = SEND if state in (IssueState.SENDING, IssueState.PAUSED) else None
    with_state(room, state, hold_reason=reason, frozen_at=frozen, audience=3)
    assert found(room, LATE - SECOND) is None
    late = found(room, LATE)
    assert late == overdue.Overdue("watchdog/2026-W47", SEND, why)
    assert late.sentence(room.newsletter) == (
        f"watchdog/2026-W47 was due on 2026-11-19 at 10:00 CET and has not left: {why}"
    )


@pytest.mark.parametrize("state", [IssueState.SENT, IssueState.CANCELLED])
def test_what_is_over_is_not(room: Newsroom, state: IssueState) -> None:  # noqa: F811
    with_state(room, state)
    assert found(room, LATE + DAY) is None


@pytest.mark.parametrize("outcome", [DeliveryState.ACCEPTED, DeliveryState.UNKNOWN])
def test_one_copy_that_has_left_is_enough(room: Newsroom, outcome: DeliveryState) -> None:  # noqa: F811
    room.tick(CUTOFF)
    room.approve(room.issue_id, SEND - HOUR)
    room.tick(SEND)
    assert found(room, LATE)
    with room.database.write() as session:
        first = sa.select(sa.func.min(Delivery.id)).where(Delivery.letter == "issue").scalar_subquery()
        session.execute(sa.update(Delivery).where(Delivery.id == first).values(state=outcome, settled_at=SEND))
    assert found(room, LATE) is None


def test_a_draft_that_never_came_is_overdue_where_there_was_an_issue_before(room: Newsroom) -> None:  # noqa: F811
    assert found(room, LATE) is None, "a newsletter that was just set up"
    room.tick(CUTOFF)
    room.set(room.issue_id, state=IssueState.SENT)
    late = found(room, LATE + 7 * DAY)
    assert late
    assert (late.name, late.why) == (
        "watchdog/2026-W48",
        "there is no draft; is the scheduler at work, and can the sources be read?",
    )
    assert late.week == "2026-W48"


def test_the_newsroom_is_told_once(room: Newsroom) -> None:  # noqa: F811
    room.tick(CUTOFF)
    room.tick(LATE - SECOND)
    assert letters(room) == 0
    [told] = [act.said for act in room.tick(LATE) if "has not left" in act.said]
    assert told == "watchdog/2026-W47 has not left; 2 people are told"
    room.tick(LATE + SECOND)
    room.tick(LATE + HOUR)
    assert letters(room) == 2


def test_what_begins_late_has_its_time_from_there(room: Newsroom) -> None:  # noqa: F811
    """A scheduler that was away over the hour sends first, and alarms nobody of what is on its way."""
    room.tick(CUTOFF)
    room.approve(room.issue_id, SEND - HOUR)
    assert [type(act.intent).__name__ for act in tick(room.hands, room.newsletter, LATE)][:2] == ["Publish", "Overdue"]
    assert letters(room) == 0
    room.tick(LATE + dt.timedelta(minutes=30))
    assert letters(room) == 2


def test_who_approves_after_the_hour_is_not_alarmed_at_once(room: Newsroom) -> None:  # noqa: F811
    room.tick(CUTOFF)
    room.approve(room.issue_id, LATE)
    assert found(room, LATE + SECOND) is None


def test_the_letter_says_what_why_and_where(room: Newsroom) -> None:  # noqa: F811
    with_state(room, IssueState.DRAFT)
    late = found(room, LATE)
    assert late
    for language, subject in (
        ("en", "Watchdog: watchdog/2026-W47 has not left"),
        ("ru", "Watchdog: выпуск watchdog/2026-W47 не отправлен"),
        ("fa", "Watchdog: شمارهٔ watchdog/2026-W47 فرستاده نشده است"),
    ):
        said = overdue.context(late, make_newsletter(language=language), BASE_URL)
        letter = templates().letter(overdue.LETTER, {**said, "publisher": ""})
        assert letter.subject == subject
        for part in (letter.text, letter.html):
            for words in ("nobody has approved it.", f"{BASE_URL}/desk/issues/watchdog/2026-W47", "digest overdue"):
                assert words in part


def test_who_is_away_is_said_and_who_never_was_there_is_not(database: Database) -> None:
    with database.read() as session:
        assert overdue.away(session, SEND) == ()
    overdue.beat(database, overdue.SCHEDULER, SEND)
    overdue.beat(database, overdue.WORKER, SEND)
    overdue.beat(database, overdue.WORKER, SEND + 5 * HOUR)
    overdue.beat(database, overdue.WORKER, SEND + HOUR)  # A clock that went back takes nothing back.
    with database.read() as session:
        assert overdue.away(session, SEND + overdue.STILL_AT_WORK) == ()
        assert overdue.away(session, SEND + 5 * HOUR) == (
            "The scheduler was last at work on 2026-11-19 at 09:00 UTC; start it.",
        )


def test_an_approval_after_the_hour_ends_it(room: Newsroom) -> None:  # noqa: F811
    issue_id = with_state(room, IssueState.DRAFT)
    with room.database.write() as session:
        assert isinstance(control.cancel(session, issue_id, who="Ada", now=LATE, reason="no news"), Done)
    assert found(room, LATE) is None
