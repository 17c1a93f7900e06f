"""The sender against a scripted relay: who gets what, once, whatever the relay does."""

import asyncio
import datetime as dt

import pytest
import sqlalchemy as sa

from digest.mail import ledger, steps
from digest.mail.course import Run
from digest.mail.issue_work import IssueWork
from digest.mail.leases import Claim, take_lease
from digest.mail.providers import Provider
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT
from digest.mail.replies import Outcome
from digest.mail.send import Engine
from digest.mail.slices import Slice
from digest.mail.smtp import Envelope
from digest.mail.work import Copy
from digest.models import Delivery, DeliveryState, Issue, IssueState, Lease, LogEntry
from subscribers.db import Database
from subscribers.models import Subscriber, Subscription
from subscribers.vault import SUBSCRIBER_ADDRESS, Vault, make_keys
from tests.house import NOW, House
from tests.smtp_server import HangUp, Moment, Plan, Say, ScriptedServer, Silence


def send(engine: Engine, work: IssueWork) -> Run | None:
    return asyncio.run(engine.run(work, asyncio.Event()))


def to(number: int, command: str, act: Say | HangUp) -> Plan:
    """The act when a reader's turn has come; the scripted server knows the reader from RCPT."""
    current: dict[int, str] = {}

    def plan(moment: Moment) -> Say | HangUp | None:
        if moment.command == "RCPT":
            current[moment.connection] = moment.argument
        if moment.command == command and f"reader-{number}@" in current.get(moment.connection, ""):
            return act
        return None

    return plan


def test_every_reader_gets_one(database: Database) -> None:
    house = House(database)
    readers = house.readers(23)
    issue = house.issue()
    with ScriptedServer() as relay:
        run = send(house.engine(relay.port), house.work(issue))
    assert run is not None
    assert (run.counts, run.stopped) == ({DeliveryState.ACCEPTED: 23}, None)
    assert sorted(relay.accepted) == sorted(readers)
    assert house.books(issue).closes
    assert house.issue_state(issue) is IssueState.SENT
    assert all(len(caught.recipients) == 1 for caught in relay.caught)


def test_a_second_start_sends_to_nobody_again(database: Database) -> None:
    house = House(database)
    house.readers(5)
    issue = house.issue()
    with ScriptedServer() as relay:
        send(house.engine(relay.port), house.work(issue))
        send(house.engine(relay.port), house.work(issue))
    assert len(relay.caught) == 5


def test_two_senders_at_once_send_once(database: Database) -> None:
    house = House(database)
    readers = house.readers(30)
    issue = house.issue()

    async def both(port: int) -> list[Run | None]:
        engines = [house.engine(port, owner=name) for name in ("one", "two")]
        return await asyncio.gather(*(engine.run(house.work(issue), asyncio.Event()) for engine in engines))

    with ScriptedServer() as relay:
        asyncio.run(both(relay.port))
        send(house.engine(relay.port), house.work(issue))
    assert sorted(relay.accepted) == sorted(readers)


def test_two_senders_that_both_think_they_have_the_right_still_send_once(database: Database) -> None:
    """Even without the lease the conditional step lets only one of two commit a delivery."""
    house = House(database)
    house.readers(1)
    issue = house.issue()
    take_lease(database, Claim(Slice(issue, 0).lease, "one"), house.now, dt.timedelta(minutes=1))
    with database.read() as session:
        which = session.scalars(sa.select(Delivery.id)).one()
    won = []
    for owner in ("one", "one", "two"):
        with database.write() as session:
            won.append(steps.intend(session.connection(), [which], Claim(Slice(issue, 0).lease, owner), house.now))
    assert won == [{which}, set(), set()]


def test_one_who_left_after_the_freeze_gets_nothing(database: Database) -> None:
    house = House(database)
    house.readers(4)
    issue = house.issue()
    house.leave(2)
    with ScriptedServer() as relay:
        send(house.engine(relay.port), house.work(issue))
    assert "reader-2@readers.example" not in relay.dotted
    books = house.books(issue)
    assert (books.accepted, books.excluded, books.closes) == (3, 1, True)


def test_one_who_leaves_while_the_text_is_under_way_gets_nothing(database: Database) -> None:
    house = House(database)
    house.readers(3)
    issue = house.issue()

    def plan(moment: Moment) -> None:
        if moment.command == "DATA":
            house.leave(1)

    with ScriptedServer(plan) as relay:
        send(house.engine(relay.port, connections=1), house.work(issue))
    assert relay.dotted == ["reader-2@readers.example", "reader-3@readers.example"]
    assert house.books(issue).excluded == 1


@pytest.mark.parametrize(
    ("command", "act", "state"),
    [
        ("DOT", HangUp(), DeliveryState.UNKNOWN),
        ("DOT", Say(b"nonsense\r\n"), DeliveryState.UNKNOWN),
        ("DOT", Say(b"452 4.3.1 later\r\n"), DeliveryState.DEFERRED),
        ("DOT", Say(b"554 5.6.0 bad\r\n"), DeliveryState.REJECTED),
        ("RCPT", Say(b"550 5.1.1 nobody\r\n"), DeliveryState.REJECTED),
        ("RCPT", Say(b"450 4.2.0 greylisted\r\n"), DeliveryState.DEFERRED),
        ("DATA", HangUp(), DeliveryState.DEFERRED),
    ],
)
def test_one_readers_trouble_is_theirs_alone(database: Database, command: str, act, state) -> None:
    house = House(database)
    readers = house.readers(6)
    issue = house.issue()
    with ScriptedServer(to(3, command, act)) as relay:
        send(house.engine(relay.port), house.work(issue))
    assert sorted(relay.accepted) == sorted({*readers} - {"reader-3@readers.example"})
    assert house.states() == {"accepted": 5, state.value: 1}
    assert house.books(issue).closes is (state is not DeliveryState.DEFERRED)


def test_a_deferred_reader_is_tried_again_later_and_not_before(database: Database) -> None:
    house = House(database)
    house.readers(2)
    issue = house.issue()
    with ScriptedServer(to(1, "RCPT", Say(b"450 4.2.0 greylisted\r\n"))) as relay:
        send(house.engine(relay.port), house.work(issue))
    with ScriptedServer() as relay:
        send(house.engine(relay.port), house.work(issue))
        assert relay.caught == []
        house.now += dt.timedelta(minutes=7)
        send(house.engine(relay.port), house.work(issue))
        assert relay.accepted == ["reader-1@readers.example"]
    assert house.issue_state(issue) is IssueState.SENT


def test_trying_ends_some_day(database: Database) -> None:
    house = House(database)
    house.readers(1)
    issue = house.issue()
    with ScriptedServer(to(1, "RCPT", Say(b"450 4.2.0 later\r\n"))) as relay:
        send(house.engine(relay.port), house.work(issue))
        house.now += dt.timedelta(hours=73)
        send(house.engine(relay.port), house.work(issue))
    assert house.books(issue).rejected == 1
    assert house.issue_state(issue) is IssueState.SENT


def test_an_unknown_one_is_not_sent_again(database: Database) -> None:
    house = House(database)
    house.readers(1)
    issue = house.issue()
    with ScriptedServer(to(1, "DOT", HangUp())) as relay:
        send(house.engine(relay.port), house.work(issue))
        house.now += dt.timedelta(hours=5)
        send(house.engine(relay.port), house.work(issue))
    assert len(relay.caught) == 1
    assert house.books(issue).unknown == 1


def test_a_relay_that_is_down_costs_nobody_an_attempt(database: Database) -> None:
    house = House(database)
    house.readers(3)
    issue = house.issue()
    with ScriptedServer() as relay:
        port = relay.port
    run = send(house.engine(port), house.work(issue))
    assert run is not None
    assert run.relay_down
    assert house.states() == {"queued": 3}
    assert house.issue_state(issue) is IssueState.SENDING


def test_a_relay_that_allows_few_connections_is_used_with_those(database: Database) -> None:
    house = House(database)
    readers = house.readers(9)
    issue = house.issue()
    busy = Say(b"421 4.7.0 too many connections\r\n", hang_up=True)
    with ScriptedServer(lambda m: busy if m.command == "CONNECT" and m.connection > 1 else None) as relay:
        send(house.engine(relay.port), house.work(issue))
        send(house.engine(relay.port, connections=1), house.work(issue))
    assert len(relay.accepted) == len(set(relay.accepted))
    assert set(relay.accepted) <= set(readers)


def test_refusals_in_a_row_that_are_about_us_pause_the_issue(database: Database) -> None:
    house = House(database)
    house.readers(40)
    issue = house.issue()
    spam = Say(b"550 5.7.1 your mail looks like spam\r\n")
    with ScriptedServer(lambda m: spam if m.command == "DOT" else None) as relay:
        send(house.engine(relay.port, connections=1), house.work(issue))
    assert house.books(issue).rejected == 10
    with database.read() as session:
        stands = session.get_one(Issue, issue)
        assert stands.state is IssueState.PAUSED
        assert "550 5.7.1 your mail looks like spam" in stands.hold_reason


def test_a_paused_issue_stops_before_the_next_dot_and_goes_on_where_it_was(database: Database) -> None:
    house = House(database)
    readers = house.readers(12)
    issue = house.issue()

    def change(state: IssueState) -> None:
        with database.write() as session:
            session.execute(sa.update(Issue).values(state=state))

    def plan(moment: Moment) -> None:
        if moment.command == "DOT" and len(relay.caught) == 4:
            change(IssueState.PAUSED)

    with ScriptedServer(plan) as relay:
        send(house.engine(relay.port, connections=1), house.work(issue))
        before = len(relay.caught)
        change(IssueState.SENDING)
        relay.plan = lambda _: None
        send(house.engine(relay.port, connections=1), house.work(issue))
    assert before == 4
    assert sorted(relay.accepted) == sorted(readers)


def test_a_stop_finishes_what_is_under_way_and_begins_nothing(database: Database) -> None:
    house = House(database)
    house.readers(12)
    issue = house.issue()
    stopping = asyncio.Event()
    loop = asyncio.new_event_loop()

    def plan(moment: Moment) -> None:
        if moment.command == "BODY" and moment.message == 1:
            loop.call_soon_threadsafe(stopping.set)

    with ScriptedServer(plan) as relay:
        loop.run_until_complete(house.engine(relay.port, connections=1).run(house.work(issue), stopping))
    loop.close()
    assert 2 <= len(relay.accepted) < 12
    assert house.states() == {"accepted": len(relay.accepted), "queued": 12 - len(relay.accepted)}


def test_a_relay_that_closes_between_two_messages_costs_nobody_an_attempt(database: Database) -> None:
    house = House(database)
    readers = house.readers(7)
    issue = house.issue()

    def plan(moment: Moment) -> Say | None:
        return Say(b"250 2.0.0 queued\r\n", hang_up=True) if moment.command == "DOT" else None

    with ScriptedServer(plan) as relay:
        send(house.engine(relay.port, connections=2), house.work(issue))
    assert sorted(relay.accepted) == sorted(readers)
    with database.read() as session:
        assert set(session.scalars(sa.select(Delivery.attempts))) == {1}


def test_a_connection_is_left_after_its_share(database: Database) -> None:
    house = House(database)
    house.readers(10)
    issue = house.issue()
    engine = house.engine(1)
    with ScriptedServer() as relay:
        smtp = engine.smtp.model_copy(
            update={"url": f"smtp+plain://127.0.0.1:{relay.port}", "connections": 1, "reuse": 4}
        )
        send(Engine(database, smtp, engine.clock, engine.limits), house.work(issue))
    assert relay.connections == 3


def test_what_a_dead_sender_left_uncertain_is_named_and_not_sent_again(database: Database) -> None:
    house = House(database)
    house.readers(4)
    issue = house.issue()
    claim = Claim(Slice(issue, 0).lease, "dead")
    take_lease(database, claim, house.now, dt.timedelta(minutes=1))
    with database.write() as session:
        which = session.scalars(sa.select(Delivery.id).order_by(Delivery.id)).first()
        assert which is not None
        steps.intend(session.connection(), [which], claim, house.now)
    with ScriptedServer() as relay:
        assert send(house.engine(relay.port), house.work(issue)) is None  # The dead one's lease still runs.
        house.now += dt.timedelta(minutes=2)
        send(house.engine(relay.port), house.work(issue))
    assert "reader-1@readers.example" not in relay.dotted
    books = house.books(issue)
    assert (books.accepted, books.unknown, books.closes) == (3, 1, True)


def result(which: int, state: DeliveryState, *, committed: bool) -> steps.Result:
    return steps.Result(which, Outcome(state, "said so"), NOW, committed=committed)


def test_a_late_answer_settles_what_was_called_unknown(database: Database) -> None:
    house = House(database)
    house.readers(1)
    issue = house.issue()
    claim = Claim(Slice(issue, 0).lease, "frozen")
    take_lease(database, claim, house.now, dt.timedelta(minutes=1))
    with database.write() as session:
        which = session.scalars(sa.select(Delivery.id)).one()
        steps.intend(session.connection(), [which], claim, house.now)
        ledger.recover(session, ledger.of_issue(issue), house.now)
    with database.write() as session:
        # "Try again" comes too late: by now the books may be closed.
        steps.settle(session.connection(), [result(which, DeliveryState.DEFERRED, committed=True)], house.now)
    assert house.books(issue).unknown == 1
    with database.write() as session:
        steps.settle(session.connection(), [result(which, DeliveryState.ACCEPTED, committed=True)], house.now)
    assert house.books(issue).accepted == 1


def test_one_who_lost_the_right_to_send_cannot_touch_what_another_committed(database: Database) -> None:
    """The stalled sender's "try again", from before its dot, once made a reader's second copy possible."""
    house = House(database)
    house.readers(1)
    issue = house.issue()
    claim = Claim(Slice(issue, 0).lease, "two")
    take_lease(database, claim, house.now, dt.timedelta(minutes=1))
    with database.write() as session:
        which = session.scalars(sa.select(Delivery.id)).one()
        steps.intend(session.connection(), [which], claim, house.now)
        for state in (DeliveryState.DEFERRED, DeliveryState.REJECTED):
            steps.settle(session.connection(), [result(which, state, committed=False)], house.now)
    assert house.states() == {"committing": 1}


@pytest.mark.parametrize("start", list(DeliveryState))
@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("end", list(DeliveryState))
def test_only_legal_steps_are_taken(sqlite_database: Database, start, end, committed: bool) -> None:
    table = ledger.AFTER_DOT if committed else ledger.BEFORE_DOT
    house = House(sqlite_database)
    house.readers(1)
    house.issue()
    with sqlite_database.write() as session:
        session.execute(sa.update(Delivery).values(state=start))
        which = session.scalars(sa.select(Delivery.id)).one()
        if end in table:
            steps.settle(session.connection(), [result(which, end, committed=committed)], house.now)
    with sqlite_database.read() as session:
        found = session.scalars(sa.select(Delivery.state)).one()
    assert found is (end if start in table.get(end, ()) else start)


def test_a_sender_that_lost_the_right_leaves_the_issue_to_the_winner(database: Database) -> None:
    house = House(database)
    house.readers(6)
    issue = house.issue()

    def steal(moment: Moment) -> None:
        if moment.command == "DOT" and len(relay.caught) == 1:
            with database.write() as session:
                session.execute(sa.update(Lease).values(owner="thief", until=house.now + dt.timedelta(minutes=5)))

    with ScriptedServer(steal) as relay:
        run = send(house.engine(relay.port, connections=1), house.work(issue))
    assert run is not None
    assert run.lost
    assert house.issue_state(issue) is IssueState.SENDING
    assert len(relay.caught) == 1


def test_the_wrong_keys_lose_nobody(database: Database) -> None:
    house = House(database)
    house.readers(12)
    issue = house.issue()
    house.vault = Vault(database, make_keys())
    with ScriptedServer() as relay:
        send(house.engine(relay.port), house.work(issue))
    assert house.states() == {"queued": 12}
    assert house.issue_state(issue) is IssueState.PAUSED


@pytest.mark.parametrize("reply", [b"530 5.7.0 log in first\r\n", b"503 5.5.1 bad sequence\r\n"])
def test_a_relay_that_is_at_fault_itself_costs_no_reader_the_issue(database: Database, reply: bytes) -> None:
    house = House(database)
    house.readers(40)
    issue = house.issue()
    with ScriptedServer(lambda m: Say(reply) if m.command == "RCPT" else None) as relay:
        run = send(house.engine(relay.port, connections=1), house.work(issue))
    assert run is not None
    assert run.relay_down
    assert "rejected" not in house.states()
    assert house.issue_state(issue) is IssueState.SENDING


def test_a_list_that_bounces_from_the_start_is_stopped(database: Database) -> None:
    house = House(database)
    house.readers(40)
    issue = house.issue()
    with ScriptedServer(lambda m: Say(b"550 relay not permitted\r\n") if m.command == "RCPT" else None) as relay:
        send(house.engine(relay.port, connections=1), house.work(issue))
    assert house.states() == {"rejected": 11, "queued": 29}
    assert house.issue_state(issue) is IssueState.PAUSED


def test_being_put_off_again_and_again_is_waited_out_without_a_person(database: Database) -> None:
    house = House(database)
    house.readers(30)
    issue = house.issue()
    slow = Say(b"451 4.7.1 too fast\r\n")
    with ScriptedServer(lambda m: slow if m.command == "RCPT" else None) as relay:
        run = send(house.engine(relay.port, connections=1), house.work(issue))
    assert run is not None
    assert run.relay_down
    assert house.states() == {"deferred": 10, "queued": 20}
    assert house.issue_state(issue) is IssueState.SENDING


def test_a_relay_that_counts_messages_costs_nobody_an_attempt(database: Database) -> None:
    house = House(database)
    readers = house.readers(9)
    issue = house.issue()
    enough = Say(b"421 4.4.2 that is enough for one connection\r\n", hang_up=True)
    with ScriptedServer(lambda m: enough if m.command == "MAIL" and m.message >= 2 else None) as relay:
        send(house.engine(relay.port, connections=1), house.work(issue))
    assert sorted(relay.accepted) == sorted(readers)


def test_the_books_of_a_cancelled_issue_close_too(database: Database) -> None:
    house = House(database)
    house.readers(5)
    issue = house.issue()
    claim = Claim(Slice(issue, 0).lease, "dead")
    take_lease(database, claim, house.now, dt.timedelta(minutes=1))
    with database.write() as session:
        first = session.scalars(sa.select(Delivery.id).order_by(Delivery.id)).first()
        assert first is not None
        steps.intend(session.connection(), [first], claim, house.now)
        session.execute(sa.update(Issue).values(state=IssueState.CANCELLED))
    house.now += dt.timedelta(minutes=5)
    with ScriptedServer() as relay:
        asyncio.run(house.worker(relay.port).send_issues(asyncio.Event()))
        assert asyncio.run(house.worker(relay.port).send_issues(asyncio.Event())) is None
    books = house.books(issue)
    assert (books.unknown, books.excluded, books.closes) == (1, 4, True)
    assert relay.caught == []


def test_an_issue_that_cannot_be_made_keeps_no_other_back(database: Database) -> None:
    house = House(database)
    house.readers(3)
    bad, good = house.issue("2026-W46"), house.issue("2026-W47")
    with database.write() as session:
        session.get_one(Issue, bad).rendered_text = f"{'ص' * 100}{UNSUBSCRIBE_SLOT}{MANAGE_SLOT}"
    with ScriptedServer() as relay:
        asyncio.run(house.worker(relay.port).send_issues(asyncio.Event()))
    assert house.issue_state(good) is IssueState.SENT
    assert house.issue_state(bad) is IssueState.PAUSED
    with database.read() as session:
        assert session.scalars(sa.select(LogEntry.action).where(LogEntry.who == "sender")).all() == ["pause"]


def test_a_letter_to_one_who_said_never_meanwhile_does_not_leave(database: Database) -> None:
    house = House(database)
    for number in (1, 2):
        house.service.join("watchdog", f"reader-{number}@readers.example", house.now)
    with database.read() as session:
        ids = session.scalars(sa.select(Subscription.public_id).order_by(Subscription.id)).all()

    def plan(moment: Moment) -> None:
        if moment.command == "DATA" and moment.message == 0:
            for public_id in ids:
                house.service.leave(house.links.leave(public_id).rpartition("/")[2], house.now)

    with ScriptedServer(plan) as relay:
        asyncio.run(house.worker(relay.port).send_letters(asyncio.Event()))
    assert relay.dotted == []
    assert house.states() == {"excluded": 2}


def test_a_letter_does_not_wait_for_another_ones_relay(database: Database) -> None:
    house = House(database)
    house.service.join("watchdog", "reader-1@readers.example", house.now)

    def plan(moment: Moment) -> Silence | None:
        if moment.command != "DOT" or moment.connection > 1:
            return None
        house.service.join("watchdog", "reader-2@readers.example", house.now)
        return Silence()

    with ScriptedServer(plan) as relay:
        worker = house.worker(relay.port, dot=3)
        run = asyncio.run(worker.send_letters(asyncio.Event()))
    assert run is not None
    assert relay.accepted == ["reader-2@readers.example"]
    assert run.counts == {DeliveryState.ACCEPTED: 1, DeliveryState.UNKNOWN: 1}


def test_no_address_shows_in_a_copy_or_a_reader(sqlite_database: Database) -> None:
    envelope = Envelope("digest@example.org", "secret@readers.example", 10)
    copy = Copy(1, 0, Provider.OTHER, envelope, [b"secret@readers.example"])
    assert "secret" not in repr(copy)


def test_a_fault_that_names_a_reader_leaves_no_name_in_the_database(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a fault says may hold what it failed on; it was once stored whole as the reason of the pause (promise 4)."""
    house = House(database)
    house.readers(2)
    issue = house.issue()

    def fail(*_: object) -> bool:
        raise ExceptionGroup("lanes", [RuntimeError("cannot do it for canary-4711@readers.example")])

    monkeypatch.setattr(IssueWork, "begin", fail)
    asyncio.run(house.worker(1).send_issues(asyncio.Event()))
    assert house.issue_state(issue) is IssueState.PAUSED
    with database.read() as session:
        stored = repr([session.get_one(Issue, issue).hold_reason, *session.scalars(sa.select(LogEntry.detail))])
    assert "RuntimeError" in stored
    assert "canary" not in stored


def test_a_domain_that_is_no_name_is_not_stored_with_the_reason(database: Database) -> None:
    house = House(database)
    house.readers(1)
    issue = house.issue()
    with database.write() as session:
        person = session.scalars(sa.select(Subscriber)).one()
        person.address_sealed = house.vault.seal("x@canary\u2122\u200bname.-", SUBSCRIBER_ADDRESS, person.public_id)
    with ScriptedServer() as relay:
        send(house.engine(relay.port), house.work(issue))
    with database.read() as session:
        (reply,) = session.scalars(sa.select(Delivery.reply))
    assert house.books(issue).rejected == 1
    assert reply is not None
    assert "canary" not in reply


def test_what_the_relay_says_of_an_accepted_copy_names_nobody_either(sqlite_database: Database) -> None:
    house = House(sqlite_database)
    house.readers(1)
    issue = house.issue()
    said = b"250 2.0.0 queued for reader-1=40readers.example, mailbox reader-1\r\n"
    with ScriptedServer(to(1, "DOT", Say(said))) as relay:
        send(house.engine(relay.port), house.work(issue))
    with sqlite_database.read() as session:
        reply = session.scalars(sa.select(Delivery.reply)).one()
    assert reply is not None
    assert "250 2.0.0 queued for <address>" in reply
    assert "reader-1" not in reply
