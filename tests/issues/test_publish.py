"""The freeze: once, whole, of the audience that stands, and only of what may go out."""

import datetime as dt
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa

from digest.calendar import united
from digest.issues import control, edit
from digest.issues.archive import feed, one, public_html, published
from digest.issues.outcomes import Done, Refused
from digest.issues.publish import Published, give_up_at, publish
from digest.mail.kept import rendering
from digest.mail.kinds import KINDS, Kind
from digest.mail.ledger import equation
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT, IssueView, Rendered
from digest.models import Delivery, DeliveryState, Issue, IssueState, User
from digest.weeks import Week
from subscribers.db import Database
from subscribers.lifecycle import Format, State
from subscribers.models import Subscription
from tests.issues.newsroom import BASE_URL, HOUR, THURSDAY, House, make_newsletter, templates

SEND = dt.datetime(2026, 11, 19, 9, 0, tzinfo=dt.UTC)


@pytest.fixture
def issue_id(thursday: House) -> int:
    made = thursday.draft()
    thursday.readers(5)
    return made.issue_id


def approve(house: House, issue_id: int) -> None:
    with house.database.write() as session:
        assert isinstance(control.approve(session, issue_id, who="Ada", now=THURSDAY), Done)


def go(house: House, issue_id: int, now: dt.datetime = SEND, **values: Any) -> Published | Refused:
    return publish(house.database, issue_id, house.newsletter, templates(), BASE_URL, now, **values)


def deliveries(house: House) -> list[Delivery]:
    with house.database.read() as session:
        rows = list(session.scalars(sa.select(Delivery).order_by(Delivery.id)))
        session.expunge_all()
        return rows


def test_an_approved_issue_freezes_its_audience_and_its_text(thursday: House, issue_id: int) -> None:
    thursday.readers(3, State.PENDING)
    thursday.readers(2, State.LEFT)
    thursday.readers(4, newsletter="other")
    approve(thursday, issue_id)
    assert go(thursday, issue_id) == Published(issue_id, "watchdog/2026-W47", 5)
    rows = deliveries(thursday)
    assert len(rows) == len({row.public_id for row in rows}) == len({row.subscriber_id for row in rows}) == 5
    assert {len(row.public_id) for row in rows} == {16}
    same = {
        (row.letter, row.newsletter, row.issue_id, row.state, row.attempts, row.due_at, row.user_id) for row in rows
    }
    assert same == {("issue", "watchdog", issue_id, DeliveryState.QUEUED, 0, SEND, None)}
    assert {row.give_up_at for row in rows} == {SEND + dt.timedelta(hours=72)}
    issue = thursday.issue(issue_id)
    assert (issue.state, issue.frozen_at, issue.audience) == (IssueState.SENDING, SEND, 5)
    with thursday.database.read() as session:
        kept = session.get_one(Issue, issue_id)
        assert kept.rendered_subject == "A court orders a station off the air"
        assert UNSUBSCRIBE_SLOT in (kept.rendered_text or "")
        assert UNSUBSCRIBE_SLOT in (kept.rendered_html or "")
        accounts = equation(session, issue_id)
        ties = session.execute(sa.select(Subscription.id, Subscription.subscriber_id)).all()
    assert (accounts.audience, accounts.queued, accounts.closes) == (5, 5, False)
    assert {(row.subscription_id, row.subscriber_id) for row in rows} <= set(ties)


def test_the_freeze_keeps_what_each_reader_had_chosen_and_passes_by_who_pauses(thursday: House, issue_id: int) -> None:
    with thursday.database.write() as session:
        one, two, three, *_ = session.scalars(sa.select(Subscription).order_by(Subscription.id))
        one.format, one.is_neutral = Format.FULL, True
        two.format = Format.TEXT
        three.paused_until = SEND + dt.timedelta(seconds=1)
        paused = three.id
    approve(thursday, issue_id)
    assert go(thursday, issue_id) == Published(issue_id, "watchdog/2026-W47", 4)
    rows = deliveries(thursday)
    assert [(row.format, row.is_neutral) for row in rows] == [
        (Format.FULL, True),
        (Format.TEXT, False),
        (Format.SUMMARIES, False),
        (Format.SUMMARIES, False),
    ]
    assert paused not in [row.subscription_id for row in rows]
    with thursday.database.read() as session:
        issue = session.get_one(Issue, issue_id)
        assert all(rendering(issue, kind) for kind in KINDS)


def test_a_second_call_gets_the_same_answer_and_adds_nothing(thursday: House, issue_id: int) -> None:
    approve(thursday, issue_id)
    go(thursday, issue_id)
    thursday.readers(3)
    assert go(thursday, issue_id) == Published(issue_id, "watchdog/2026-W47", 5, already=True)
    for state in (IssueState.PAUSED, IssueState.SENT):
        thursday.set(issue_id, state=state)
        assert go(thursday, issue_id) == Published(issue_id, "watchdog/2026-W47", 5, already=True)
    assert len(deliveries(thursday)) == 5


def test_callers_at_once_freeze_once(thursday: House, issue_id: int) -> None:
    approve(thursday, issue_id)
    together = Barrier(4)

    def work(_: int) -> Published | Refused:
        together.wait()
        return go(thursday, issue_id)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(4)))
    assert all(isinstance(result, Published) and result.audience == 5 for result in results)
    assert sorted(isinstance(result, Published) and result.already for result in results) == [False, True, True, True]
    assert len(deliveries(thursday)) == 5
    assert [entry.action for entry in thursday.log()].count("publish") == 1


def test_only_an_approved_issue_goes_out(thursday: House, issue_id: int) -> None:
    result = go(thursday, issue_id, at_once=True)
    assert result == Refused("watchdog/2026-W47 is a draft; only an approved issue is sent.")
    with thursday.database.write() as session:
        control.hold(session, issue_id, reason="A doubt.", who="Ada", now=THURSDAY)
    result = go(thursday, issue_id, at_once=True)
    assert result == Refused("watchdog/2026-W47 is held; only an approved issue is sent. It is held because: A doubt.")
    thursday.set(issue_id, state=IssueState.CANCELLED)
    assert isinstance(go(thursday, issue_id), Refused)
    assert deliveries(thursday) == []


def test_a_draft_goes_out_where_the_newsletter_says_so_and_the_planner_asks(thursday: House, issue_id: int) -> None:
    assert isinstance(go(thursday, issue_id, unapproved=True), Refused)
    thursday.newsletter = make_newsletter(unapproved="send")
    assert isinstance(go(thursday, issue_id), Refused)
    thursday.set(issue_id, state=IssueState.HELD)
    assert isinstance(go(thursday, issue_id, unapproved=True), Refused)
    thursday.set(issue_id, state=IssueState.DRAFT)
    assert isinstance(go(thursday, issue_id, unapproved=True), Published)


def test_nothing_goes_out_before_its_hour_unless_at_once(thursday: House, issue_id: int) -> None:
    approve(thursday, issue_id)
    result = go(thursday, issue_id, SEND - dt.timedelta(seconds=1))
    assert result == Refused("watchdog/2026-W47 goes out on 2026-11-19 at 10:00 (Europe/Prague), not before.")
    assert isinstance(go(thursday, issue_id, SEND - HOUR, at_once=True, who="Ada"), Published)
    assert (thursday.log()[-1].who, thursday.log()[-1].detail) == ("Ada", "revision 1 to 5 readers")


def test_what_the_checks_block_does_not_go_out(thursday: House, issue_id: int) -> None:
    approve(thursday, issue_id)
    thursday.change_post(thursday.items(issue_id)[0].post_id, withdrawn_at=THURSDAY)
    result = go(thursday, issue_id)
    assert isinstance(result, Refused)
    assert [finding.level for finding in result.findings] == ["blocks"]
    assert "taken down" in result.reason
    assert thursday.issue(issue_id).state is IssueState.APPROVED
    assert deliveries(thursday) == []


def test_an_empty_issue_does_not_go_out(thursday: House, issue_id: int) -> None:
    for item in thursday.items(issue_id):
        with thursday.database.write() as session:
            edit.leave_out(session, issue_id, item.id, who="Ada", now=THURSDAY)
    thursday.set(issue_id, state=IssueState.APPROVED)
    result = go(thursday, issue_id)
    assert isinstance(result, Refused)
    assert "There is no story in it." in result.reason


def test_a_change_between_look_and_freeze_is_not_sent_unseen(thursday: House, issue_id: int) -> None:
    approve(thursday, issue_id)

    class Meddling:
        """Another editor's change and approval, made while this issue is being rendered."""

        def renderings(self, view: IssueView) -> dict[Kind, Rendered]:
            with thursday.database.write() as session:
                edit.edit_issue(session, issue_id, subject="Changed meanwhile", who="Ben", now=SEND)
                control.approve(session, issue_id, who="Ben", now=SEND)
            return templates().renderings(view)

    result = publish(thursday.database, issue_id, thursday.newsletter, Meddling(), BASE_URL, SEND)
    assert result == Refused("Somebody changed the issue in this moment; look at it and send it again.")
    assert deliveries(thursday) == []


def test_another_newsletter_s_issue_is_not_found(thursday: House, issue_id: int) -> None:
    thursday.newsletter = make_newsletter(slug="other")
    assert go(thursday, issue_id) == Refused("There is no such issue.")
    assert go(thursday, 999) == Refused("There is no such issue.")


def test_a_test_send_of_the_same_issue_is_in_nobody_s_way(thursday: House, issue_id: int) -> None:
    with thursday.database.write() as session:
        user = User(public_id=b"u" * 16, name="Ada", password_hash="-", created_at=THURSDAY)
        session.add(user)
        session.flush()
        times = {"due_at": THURSDAY, "created_at": THURSDAY, "give_up_at": SEND}
        row = {"letter": "test", "newsletter": "watchdog", "issue_id": issue_id, "user_id": user.id}
        session.add(Delivery(public_id=b"t" * 16, **row, **times))
    approve(thursday, issue_id)
    assert go(thursday, issue_id) == Published(issue_id, "watchdog/2026-W47", 5)


def test_nobody_to_send_to_is_no_mistake(thursday: House) -> None:
    made = thursday.draft()
    approve(thursday, made.issue_id)
    assert go(thursday, made.issue_id) == Published(made.issue_id, made.name, 0)


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        ("2026-11-19T09:00", 72),
        ("2026-11-24T09:00", 48),
        ("2026-11-26T08:50", 1),
        ("2026-11-18T09:00", 72),
    ],
)
def test_a_copy_is_tried_for_three_days_or_until_the_next_issue(now: str, hours: int) -> None:
    at = dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC)
    assert give_up_at(united(make_newsletter()), Week(2026, 47), at) == at + dt.timedelta(hours=hours)


def test_200_000_readers_freeze_in_seconds(database: Database) -> None:
    house = House(database)
    house.well()
    made = house.draft()
    approve(house, made.issue_id)
    house.readers(200_000)
    start = time.perf_counter()
    assert go(house, made.issue_id) == Published(made.issue_id, made.name, 200_000)
    assert time.perf_counter() - start < 20
    with database.read() as session:
        ids = sa.select(sa.func.count(sa.distinct(Delivery.public_id)))
        assert session.scalar(ids) == 200_000


# ---- the archive


def test_the_archive_has_what_has_gone_out_and_no_reader_s_data(thursday: House, issue_id: int) -> None:
    with thursday.database.read() as session:
        assert published(session) == ()
        assert one(session, "watchdog", "2026-W47") is None
    approve(thursday, issue_id)
    go(thursday, issue_id)
    for state in (IssueState.SENDING, IssueState.PAUSED, IssueState.SENT):
        thursday.set(issue_id, state=state)
        with thursday.database.read() as session:
            (listed,) = published(session, "watchdog")
            assert (listed.name, listed.path) == ("watchdog/2026-W47", "/issues/watchdog/2026-W47")
            assert (listed.subject, listed.published_at) == ("A court orders a station off the air", SEND)
            entry = one(session, "watchdog", "2026-W47", "/?a=1&b=2")
            assert feed(session)[0].issue == listed
        assert entry is not None
        for text in (entry.html, entry.text):
            assert UNSUBSCRIBE_SLOT not in text
            assert MANAGE_SLOT not in text
        assert "mail-only" not in entry.html
        assert "Unsubscribe" not in entry.html
        assert "A court orders a station off the air" in entry.html
        assert "/?a=1&b=2" in entry.text


def test_the_archive_hides_what_was_cancelled_or_is_another_s(thursday: House, issue_id: int) -> None:
    approve(thursday, issue_id)
    go(thursday, issue_id)
    with thursday.database.read() as session:
        assert published(session, "other") == ()
        assert one(session, "other", "2026-W47") is None
    with thursday.database.write() as session:
        control.cancel(session, issue_id, who="Ada", now=SEND)
    with thursday.database.read() as session:
        assert published(session) == ()
        assert feed(session) == ()


def test_the_newest_issue_stands_first(thursday: House, issue_id: int) -> None:
    approve(thursday, issue_id)
    go(thursday, issue_id)
    thursday.source("https://news.example/feed", succeeded_at=THURSDAY + dt.timedelta(days=7))
    thursday.source("https://news.example/trouble", succeeded_at=THURSDAY + dt.timedelta(days=7))
    thursday.post("Next week's lead story", ago=-dt.timedelta(days=1))
    later = thursday.draft(THURSDAY + dt.timedelta(days=7))
    approve(thursday, later.issue_id)
    go(thursday, later.issue_id, SEND + dt.timedelta(days=7))
    with thursday.database.read() as session:
        assert [issue.week for issue in published(session)] == ["2026-W48", "2026-W47"]
        assert [entry.issue.week for entry in feed(session, limit=1)] == ["2026-W48"]
        assert "Next week" in public_html(session.get_one(Issue, later.issue_id))
