"""The account of an issue: its sums agree, and it outlives the deliveries it was counted from."""

import datetime as dt
import json
import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from digest.mail import report_purge
from digest.mail.ledger import equation
from digest.mail.providers import Provider
from digest.mail.replies import Outcome, Reply, Scope, Stage, interrupted, outcome
from digest.mail.report import (
    MAIN_PART,
    MOST_BUCKETS,
    MOST_CAUSES,
    SAID_LENGTH,
    Cell,
    attempts_of,
    code_of,
    equation_of,
    from_json,
    outcomes_of,
    providers_of,
    rate_of,
    to_json,
)
from digest.mail.report_data import books, count, report_of
from digest.mail.report_purge import KEEP, purge
from digest.models import Delivery, DeliveryState, Issue, IssueState, LogEntry, Report
from subscribers.db import Database
from tests.house import NOW, House

SECOND = dt.timedelta(seconds=1)
LATER = NOW + dt.timedelta(hours=2)

cell = st.builds(
    Cell,
    state=st.sampled_from(DeliveryState),
    provider=st.none() | st.sampled_from([one.value for one in Provider]) | st.just("someone new"),
    scope=st.none() | st.sampled_from([one.value for one in Scope]),
    attempts=st.integers(0, 40),
    is_resolved=st.booleans(),
    said=st.text(max_size=SAID_LENGTH) | st.from_regex(r"\A[245]\d\d [245]\.\d{1,3}\.\d{1,3}\Z"),
    count=st.integers(1, 500_000),
)


# ---- adding up


@given(st.lists(cell, max_size=120))
def test_by_class_by_provider_by_attempts_and_in_the_equation_it_is_the_same_readers(cells: list[Cell]) -> None:
    total = sum(one.count for one in cells)
    sums, outcomes, providers = equation_of(total, cells), outcomes_of(cells), providers_of(cells)
    assert outcomes.total == total
    assert sum(line.readers for line in providers) == total
    assert sum(one.count for one in attempts_of(cells)) == total
    assert sums.closes == (sums.queued + sums.deferred + sums.committing == 0)
    for name in ("accepted", "rejected", "excluded", "unknown"):
        assert getattr(sums, name) == getattr(outcomes, name) == sum(getattr(line, name) for line in providers)
    assert sums.queued + sums.deferred + sums.committing == sum(line.waiting for line in providers)
    for line in providers:
        assert line.readers == line.accepted + line.rejected + line.excluded + line.unknown + line.waiting


@given(st.lists(cell, max_size=120))
def test_every_list_of_causes_adds_up_to_its_class(cells: list[Cell]) -> None:
    found = outcomes_of(cells)
    assert sum(found.rejected_by_scope.values()) == found.rejected
    assert sum(one.count for one in found.rejected_by_code) == found.rejected
    assert sum(one.count for one in found.deferred_by_code) == found.deferred
    assert sum(one.count for one in found.excluded_by_reason) == found.excluded
    assert found.unknown_open + found.unknown_resolved == found.unknown
    for causes in (found.rejected_by_code, found.deferred_by_code, found.excluded_by_reason):
        assert len(causes) <= MOST_CAUSES + 1


moments = st.lists(st.tuples(st.integers(0, 2**31), st.integers(1, 5000)), max_size=60) | st.lists(
    st.tuples(st.integers(1_790_000_000, 1_790_000_900), st.integers(1, 5000)), max_size=60
)


@given(moments)
def test_every_acceptance_is_in_a_column_or_later_and_the_columns_are_few(accepted: list[tuple[int, int]]) -> None:
    rate = rate_of(accepted)
    total = sum(number for _, number in accepted)
    assert sum(rate.counts) + rate.later == total
    assert rate.later <= (1 - MAIN_PART) * total + 1e-6
    assert len(rate.counts) <= MOST_BUCKETS
    assert (rate.start is None) == (total == 0)
    if rate.start is not None:
        assert 0 <= min(accepted)[0] - rate.start.timestamp() < rate.seconds
        assert rate.peak >= rate.mean > 0


def test_a_run_of_minutes_is_not_one_column_among_days_of_retries() -> None:
    start = int(NOW.timestamp())
    run = [(start + second, 2000) for second in range(180)]
    tail = [(start + hour * 3600, 3) for hour in range(1, 73)]
    rate = rate_of(run + tail)
    assert (rate.seconds, len(rate.counts), rate.later) == (2, 90, 216)
    assert (rate.peak, rate.mean) == (120_000, 120_000)
    # A run that only ebbs away is shown to its end.
    ebbing = rate_of([*run, (start + 200, 1)])
    assert ebbing.later == 0
    assert ebbing.mean < ebbing.peak


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (outcome(Stage.RCPT, Reply(550, "5.1.1 no such user")), "550 5.1.1"),
        (outcome(Stage.DOT, Reply(550, "5.7.509 policy")), "550 5.7.509"),
        (outcome(Stage.RCPT, Reply(550, "mailbox unavailable")), "550"),
        (outcome(Stage.RCPT, Reply(451, "4.7.1 greylisted")), "451 4.7.1"),
        (outcome(Stage.RCPT, Reply(550, "5.1.1.1 what is this")), "550"),
        (interrupted(Stage.BODY, "the connection was lost"), "the connection failed"),
        (interrupted(Stage.CONNECT, "refused"), "the connection failed"),
        (Outcome(DeliveryState.REJECTED, "the address cannot be used: its domain is no name (IDNA)"),
         "the address cannot be used"),
        (Outcome(DeliveryState.DEFERRED, "it cannot be made: KeyError"), "the copy cannot be made"),
        (Outcome(DeliveryState.REJECTED, "(given up: no more time to try)"), "no time was left to try"),
        (Outcome(DeliveryState.REJECTED, "quite another thing"), "no code"),
    ],
)  # fmt: skip
def test_an_answer_is_counted_by_the_codes_it_begins_with(said: Outcome, code: str) -> None:
    assert code_of(said.reply[:SAID_LENGTH]) == code


# ---- counting in the database


def set_all(database: Database, rows: list[dict[str, object]], issue_id: int) -> None:
    """Give an issue's deliveries, in their order, what became of them."""
    with database.write() as session:
        ids = session.scalars(sa.select(Delivery.id).where(Delivery.issue_id == issue_id).order_by(Delivery.id)).all()
        for which, values in zip(ids, rows, strict=True):
            session.execute(sa.update(Delivery).where(Delivery.id == which).values(**values))


def accepted(after: int, provider: str = "google", attempts: int = 1) -> dict[str, object]:
    state = DeliveryState.ACCEPTED
    return {"state": state, "settled_at": NOW + after * SECOND, "provider": provider, "attempts": attempts}


def failed(state: DeliveryState, reply: str, scope: str | None, provider: str | None = "yahoo") -> dict[str, object]:
    settled = None if state is DeliveryState.DEFERRED else NOW + SECOND
    return {"state": state, "reply": reply, "scope": scope, "provider": provider, "settled_at": settled, "attempts": 1}


ROWS = [
    accepted(0),
    accepted(0, "microsoft"),
    accepted(0) | {"settled_at": NOW + dt.timedelta(seconds=0, milliseconds=900)},
    accepted(1),
    accepted(7, "other", attempts=3),
    failed(DeliveryState.REJECTED, "550 5.1.1 <address> no such user", "recipient"),
    failed(DeliveryState.REJECTED, "550 5.1.1 unknown here", "recipient"),
    failed(DeliveryState.REJECTED, "554 5.7.1 no", "sender", "microsoft"),
    failed(DeliveryState.EXCLUDED, "left before the final dot", None, None) | {"attempts": 0},
    failed(DeliveryState.UNKNOWN, "no answer to the final dot: silence", "relay", "google"),
    failed(DeliveryState.UNKNOWN, "no answer to the final dot: lost", "relay", "google") | {"resolved_at": NOW},
]


def over(database: Database, issue_id: int, state: IssueState = IssueState.SENT, at: dt.datetime = NOW) -> None:
    with database.write() as session:
        session.execute(sa.update(Issue).where(Issue.id == issue_id).values(state=state, finished_at=at))


@pytest.fixture
def house(database: Database) -> House:
    made = House(database)
    made.readers(len(ROWS))
    return made


@pytest.fixture
def issue_id(house: House) -> int:
    made = house.issue()
    set_all(house.database, ROWS, made)
    over(house.database, made, at=NOW + dt.timedelta(minutes=1))
    return made


def test_a_report_says_what_became_of_everybody(house: House, issue_id: int) -> None:
    with house.database.read() as session:
        found = report_of(session, issue_id, LATER)
        assert found.equation == equation(session, issue_id) == books(session, issue_id)
    assert (found.version, found.issue, found.made_at, found.is_kept) == (1, "watchdog/2026-W47", LATER, False)
    assert (found.equation.audience, found.closes, found.reached) == (11, True, True)
    assert [(one.scope, one.code, one.count) for one in found.outcomes.rejected_by_code] == [
        ("recipient", "550 5.1.1", 2),
        ("sender", "554 5.7.1", 1),
    ]
    assert found.outcomes.rejected_by_scope == {"recipient": 2, "message": 0, "sender": 1, "relay": 0}
    assert [(one.reason, one.count) for one in found.outcomes.excluded_by_reason] == [("left before the final dot", 1)]
    assert (found.outcomes.unknown_open, found.outcomes.unknown_resolved) == (1, 1)
    lines = {line.provider: (line.readers, line.accepted, line.rejected, line.unknown) for line in found.providers}
    assert lines == {
        "google": (5, 3, 0, 2),
        "microsoft": (2, 1, 1, 0),
        "yahoo": (2, 0, 2, 0),
        "other": (1, 1, 0, 0),
        "not tried": (1, 0, 0, 0),
    }
    assert [(one.attempts, one.count) for one in found.attempts] == [(0, 1), (1, 9), (3, 1)]
    assert (found.first_accepted_at, found.last_accepted_at) == (NOW, NOW + 7 * SECOND)
    assert (found.rate.start, found.rate.seconds, found.rate.counts) == (NOW, 1, (3, 1, 0, 0, 0, 0, 0, 1))
    assert [one.known for one in found.unknown] == [
        "no answer to the final dot: silence",
        "no answer to the final dot: lost",
    ]
    assert [one.resolved_at for one in found.unknown] == [None, NOW]


def test_a_test_copy_is_no_part_of_the_account(house: House, issue_id: int) -> None:
    letter(house, "test", NOW, issue_id=issue_id)
    with house.database.read() as session:
        assert report_of(session, issue_id, LATER).outcomes.total == 11


def test_a_long_run_is_counted_by_the_minute(house: House, issue_id: int) -> None:
    set_all(house.database, [accepted(number * 4000 + 59) for number in range(11)], issue_id)
    with house.database.read() as session:
        found = report_of(session, issue_id, LATER)
    assert sum(found.rate.counts) == 11
    assert found.rate.seconds == 600
    assert found.last_accepted_at == NOW + (40_000 + 59) * SECOND


def test_a_quick_run_is_counted_by_the_second_however_long_the_last_one_was_tried(database: Database) -> None:
    house = House(database)
    house.readers(25)
    issue_id = house.issue()
    set_all(database, [*(accepted(number) for number in range(24)), accepted(70 * 3600)], issue_id)
    with database.read() as session:
        rate = report_of(session, issue_id, LATER).rate
    assert (rate.start, rate.seconds, rate.counts, rate.later) == (NOW, 1, (1,) * 24, 1)


def test_an_issue_that_nobody_got_has_a_report_too(house: House) -> None:
    issue_id = house.issue()
    with house.database.read() as session:
        found = report_of(session, issue_id, LATER)
    assert (found.reached, found.closes, found.equation.queued) == (False, False, 11)
    assert (found.duration, found.rate.start, found.rate.counts) == (None, None, ())


def test_what_was_done_to_it_is_in_the_order_it_was_done(house: House, issue_id: int) -> None:
    with house.database.write() as session:
        for who, action, name in [
            ("anna", "approve", "watchdog/2026-W47"),
            ("planner", "publish", "watchdog/2026-W47"),
            ("sender", "pause", "watchdog/2026-W47"),
            ("sender", "pause", "watchdog/2026-W46"),
            ("anna", "resume", "watchdog/2026-W47"),
        ]:
            session.add(LogEntry(at=NOW, who=who, action=action, object=name, detail="why"))
    with house.database.read() as session:
        events = report_of(session, issue_id, LATER).events
    assert [(one.who, one.action) for one in events] == [
        ("planner", "publish"),
        ("sender", "pause"),
        ("anna", "resume"),
    ]


def test_the_json_is_the_report_and_nobody_is_in_it(house: House, issue_id: int) -> None:
    with house.database.read() as session:
        found = report_of(session, issue_id, LATER)
    written = to_json(found)
    assert from_json(written) == found
    assert "readers.example" not in written
    data = json.loads(written)
    assert data["version"] == 1
    assert data["made_at"] == "2026-11-19T11:00:00Z"
    assert data["equation"] == {
        "audience": 11, "accepted": 5, "rejected": 3, "excluded": 1, "unknown": 2, "queued": 0, "deferred": 0,
        "committing": 0,
    }  # fmt: skip


# ---- purging


def letter(house: House, kind: str, settled_at: dt.datetime | None, issue_id: int | None = None) -> None:
    with house.database.write() as session:
        session.add(
            Delivery(
                letter=kind,
                newsletter="watchdog",
                issue_id=issue_id,
                public_id=secrets.token_bytes(16),
                state=DeliveryState.ACCEPTED if settled_at else DeliveryState.DEFERRED,
                due_at=NOW,
                created_at=NOW,
                give_up_at=NOW,
                settled_at=settled_at,
            )
        )


def left(house: House) -> Counter[str]:
    with house.database.read() as session:
        return Counter(session.scalars(sa.select(Delivery.letter)))


DAY_36 = NOW + KEEP + dt.timedelta(days=1)


def test_after_35_days_the_counts_stay_and_the_copies_go(
    house: House, issue_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_purge, "BATCH", 4)
    with house.database.write() as session:
        session.add(LogEntry(at=NOW, who="sender", action="pause", object="watchdog/2026-W47", detail="why"))
    with house.database.read() as session:
        before = report_of(session, issue_id, DAY_36)
    assert purge(house.database, NOW + KEEP).issues == ()
    done = purge(house.database, DAY_36)
    assert (done.issues, done.deliveries, done.letters, done.unclosed) == (("watchdog/2026-W47",), 11, 0, ())
    assert left(house) == {}
    with house.database.read() as session:
        after = report_of(session, issue_id, DAY_36 + dt.timedelta(days=900))
        kept = session.get_one(Report, issue_id)
        assert books(session, issue_id) == before.equation
    # All of it but the lines about single copies; what was done to the issue is in the log for good.
    assert after == replace(before, is_kept=True, unknown=())
    assert (after.closes, after.outcomes.unknown_open, len(after.events)) == (True, 1, 1)
    assert (kept.made_at, kept.purged_at) == (DAY_36, DAY_36)
    assert from_json(kept.data).events == ()
    assert purge(house.database, DAY_36 + dt.timedelta(days=1)).issues == ()


def test_a_purge_that_is_cut_off_loses_nothing(house: House, issue_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with house.database.read() as session:
        before = count(session, session.get_one(Issue, issue_id), DAY_36)

    def cut_off(database: Database, which: sa.ColumnElement[bool]) -> int:
        raise KeyboardInterrupt

    for deliveries_left in (11, 7, 3):
        monkeypatch.setattr(report_purge, "_remove", cut_off)
        with pytest.raises(KeyboardInterrupt):
            purge(house.database, DAY_36)
        with house.database.read() as session:
            assert report_of(session, issue_id, DAY_36).outcomes == before.outcomes
            assert session.get_one(Report, issue_id).purged_at is None
        assert left(house)["issue"] == deliveries_left
        with house.database.write() as session:
            some = sa.select(Delivery.id).limit(4)
            session.execute(sa.delete(Delivery).where(Delivery.id.in_(some)))
    monkeypatch.undo()
    assert purge(house.database, DAY_36).issues == ("watchdog/2026-W47",)
    assert left(house) == {}
    with house.database.read() as session:
        assert report_of(session, issue_id, DAY_36).outcomes == before.outcomes


def test_two_purges_at_once_keep_one_true_report(house: House, issue_id: int) -> None:
    with house.database.read() as session:
        before = count(session, session.get_one(Issue, issue_id), DAY_36)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: purge(house.database, DAY_36), range(2)))
    assert sum(one.deliveries for one in done) == 11
    with house.database.read() as session:
        assert report_of(session, issue_id, DAY_36).outcomes == before.outcomes


def test_only_what_is_over_is_purged(house: House, issue_id: int) -> None:
    for state in (IssueState.SENDING, IssueState.PAUSED):
        over(house.database, issue_id, state)
        assert purge(house.database, DAY_36).issues == ()
    over(house.database, issue_id, IssueState.CANCELLED)
    assert purge(house.database, DAY_36).issues == ("watchdog/2026-W47",)


def test_books_that_do_not_close_are_never_purged(house: House, issue_id: int) -> None:
    set_all(house.database, [*ROWS[1:], {"state": DeliveryState.COMMITTING, "settled_at": None}], issue_id)
    over(house.database, issue_id, IssueState.CANCELLED)
    done = purge(house.database, DAY_36)
    assert (done.issues, done.unclosed) == ((), ("watchdog/2026-W47",))
    assert left(house)["issue"] == 11


def test_old_letters_go_and_what_waits_stays(house: House, issue_id: int) -> None:
    letter(house, "confirm", NOW)
    letter(house, "test", NOW, issue_id)
    letter(house, "confirm", NOW + dt.timedelta(days=1, seconds=1))
    letter(house, "reminder", None)
    over(house.database, issue_id, at=DAY_36)
    done = purge(house.database, DAY_36)
    assert (done.issues, done.letters) == ((), 2)
    assert left(house) == {"issue": 11, "confirm": 1, "reminder": 1}
