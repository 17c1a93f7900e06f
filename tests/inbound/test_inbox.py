"""What came in is carried out once, by the policy, and what is not understood waits for a person."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import undefer

from digest.inbound import policy
from digest.inbound.arrivals import take_in
from digest.inbound.inbox import Inbox
from digest.inbound.keeping import KEEP
from digest.inbound.notice import ByAddress, Notice, Sign
from digest.inbound.posted import Posted, post, unpacked
from digest.inbound.reading import Reader
from digest.mail.verp import verp_token
from digest.models import Arrival, ArrivalState, Bounce, Delivery, DeliveryState, Issue, IssueState
from subscribers.db import Database
from subscribers.letters import ANSWERS_MAIL
from subscribers.lifecycle import BY_MAIL, State
from subscribers.models import Subscriber, Subscription, Suppression
from subscribers.service import Outcome
from subscribers.suppression import suppress
from subscribers.vault import DELIVERY_CONTEXT, Vault
from tests.house import NOW, House, keys
from tests.inbound import letters
from tests.inbound.letters import BOUNCES, dsn, note

WEEK = dt.timedelta(days=7)
GONE = dsn("5.1.1", "smtp; 550 5.1.1 User unknown")
FULL = dsn("5.2.2", "smtp; 552 5.2.2 Mailbox full")


@dataclass
class Room:
    """A small newsroom whose mail comes in."""

    database: Database
    house: House = field(init=False)
    inbox: Inbox = field(init=False)

    def __post_init__(self) -> None:
        self.house = House(self.database)
        reader = Reader(keys().token, {"watchdog": self.house.newsletter}, "mx.example.org", letters.FEEDBACK)
        readers = {
            "mail": lambda raw: reader.read(unpacked(raw)),
            "ses": lambda raw: [Notice(Sign.HARD, ByAddress(raw.decode()), "5.1.1", "user-unknown")],
            "mailgun": lambda raw: [Notice(Sign.SOFT, ByAddress(raw.decode()), "5.2.2", "mailbox-full")],
            "broken": _broken,
        }
        self.inbox = Inbox(self.database, self.house.vault, self.house.service, readers)

    def issue(self, week: int, state: DeliveryState = DeliveryState.ACCEPTED, **values: object) -> list[str]:
        """An issue that went to everybody in that week; returns the return paths of its copies."""
        self.house.now = NOW + week * WEEK
        issue_id = self.house.issue(f"2026-W{40 + week}")
        with self.database.write() as session:
            settled = {"state": state, "settled_at": self.house.now, **values}
            session.execute(sa.update(Delivery).where(Delivery.issue_id == issue_id).values(settled))
            sent = {"state": IssueState.SENT, "finished_at": self.house.now}
            session.execute(sa.update(Issue).where(Issue.id == issue_id).values(sent))
            ids = session.scalars(
                sa.select(Delivery.public_id).where(Delivery.issue_id == issue_id).order_by(Delivery.subscriber_id)
            )
            return [f"b.{verp_token(keys().token, one)}@{BOUNCES}" for one in ids]

    def comes(self, octets: bytes, *recipients: str, sender: str = "", days: float = 0) -> None:
        """Mail comes in so many days later, and is read."""
        now = self.house.now + dt.timedelta(days=days)
        for recipient in recipients:
            assert post(self.database, self.house.vault, Posted(octets, recipient, sender), now)
        while self.inbox.step(now):
            pass

    def states(self) -> list[State]:
        with self.database.read() as session:
            return list(session.scalars(sa.select(Subscription.state).order_by(Subscription.subscriber_id)))

    def reasons(self) -> list[str]:
        with self.database.read() as session:
            return list(session.scalars(sa.select(Suppression.reason)))

    def verdicts(self) -> list[str]:
        with self.database.read() as session:
            return list(session.scalars(sa.select(Bounce.verdict).order_by(Bounce.id)))

    def arrivals(self) -> list[Arrival]:
        with self.database.read() as session:
            return list(session.scalars(sa.select(Arrival).options(undefer(Arrival.sealed)).order_by(Arrival.id)))

    def letters(self) -> list[str]:
        with self.database.read() as session:
            query = sa.select(Delivery.letter).where(Delivery.letter != "issue").order_by(Delivery.id)
            return list(session.scalars(query))

    def token(self) -> str:
        """The token of the newest confirmation letter."""
        return self.said()["confirm_url"].rpartition("/")[2]

    def said(self) -> dict[str, str]:
        """What the newest letter was given to say."""
        with self.database.read() as session:
            newest = session.scalars(sa.select(Delivery).order_by(Delivery.id.desc())).first()
        assert newest is not None
        assert newest.context_sealed is not None
        said: dict[str, str] = json.loads(
            self.house.vault.open(newest.context_sealed, DELIVERY_CONTEXT, newest.public_id)
        )
        return said


def _broken(_raw: bytes) -> list[Notice]:
    raise RecursionError("reader-1@readers.example")


@pytest.fixture
def room(database: Database) -> Room:
    return Room(database)


def test_a_mailbox_that_is_gone_is_never_mailed_again(room: Room) -> None:
    room.house.readers(2)
    first, _ = room.issue(0)

    room.comes(GONE, first)

    assert room.states() == [State.LEFT, State.CONFIRMED]
    assert room.reasons() == ["bounce"]
    (arrival,) = room.arrivals()
    assert (arrival.state, arrival.sealed) == (ArrivalState.DONE, None)
    assert arrival.outcome == "hard 5.1.1 user-unknown: suppressed"
    with room.database.read() as session:
        assert set(session.scalars(sa.select(Subscription.left_reason))) == {"bounce", None}


def test_the_same_bounce_in_other_words_counts_once(room: Room) -> None:
    room.house.readers(1)
    (path,) = room.issue(0)
    room.comes(GONE, path)
    room.comes(GONE.replace(b"4XyZ", b"5AbC"), path)
    assert room.verdicts() == ["suppressed"]


def test_a_forged_bounce_changes_nothing_and_waits_for_a_person(room: Room) -> None:
    room.house.readers(1)
    room.issue(0)
    room.comes(GONE, f"b.{'a' * 40}@{BOUNCES}", "digest@example.org")
    assert room.states() == [State.CONFIRMED]
    assert [one.state for one in room.arrivals()] == [ArrivalState.KEPT] * 2
    assert all(one.sealed for one in room.arrivals())


def test_a_full_mailbox_is_given_up_after_three_issues_in_a_row(room: Room) -> None:
    room.house.readers(2)
    for week in range(3):
        assert room.states() == [State.CONFIRMED] * 2
        room.comes(FULL, room.issue(week)[0])
    assert room.states() == [State.LEFT, State.CONFIRMED]
    assert room.verdicts() == ["counted", "counted", "suppressed"]


def test_an_issue_that_arrived_resets_the_count(room: Room) -> None:
    room.house.readers(1)
    for week in range(5):
        (path,) = room.issue(week)
        if week != 2:
            room.comes(FULL, path)
    assert room.states() == [State.CONFIRMED]


def test_a_refusal_of_us_is_noted_and_changes_nothing(room: Room) -> None:
    room.house.readers(1)
    for week in range(5):
        room.comes(dsn("5.7.1", "smtp; 550 5.7.1 blocked, user unknown"), *room.issue(week))
    assert room.states() == [State.CONFIRMED]
    assert room.verdicts() == ["counted"] * 5


def test_a_crowd_of_one_domain_is_tried_once_more_and_then_believed(room: Room) -> None:
    room.house.readers(policy.SPIKE + 2)
    room.comes(GONE, *room.issue(0))
    assert room.states() == [State.CONFIRMED] * (policy.SPIKE + 2)
    assert set(room.verdicts()) == {"quarantined"}
    assert room.reasons() == []

    paths = room.issue(1)
    room.comes(GONE, *paths[:-1])
    assert room.states() == [State.LEFT] * (policy.SPIKE + 1) + [State.CONFIRMED]

    room.issue(4)
    room.comes(letters.AWAY, f"digest@{BOUNCES}")
    assert room.verdicts().count("cleared") == policy.SPIKE + 2


def test_who_left_by_themselves_stays_gone_when_a_crowd_is_taken_back(room: Room) -> None:
    room.house.readers(policy.SPIKE)
    paths = room.issue(0)
    room.house.leave(1)
    room.comes(GONE, *paths)
    assert room.states() == [State.LEFT] + [State.CONFIRMED] * (policy.SPIKE - 1)


def test_addresses_that_somebody_made_up_are_no_crowd(room: Room) -> None:
    room.house.readers(1)
    room.comes(GONE, *room.issue(0))
    for number in range(policy.SPIKE):
        room.house.service.join("watchdog", f"new-{number}@readers.example", room.house.now)
    with room.database.write() as session:
        refused = {"state": DeliveryState.REJECTED, "settled_at": NOW, "scope": "recipient", "reply": "550 5.1.1 no"}
        session.execute(sa.update(Delivery).where(Delivery.letter == "confirm").values(refused))
    room.inbox.step(room.house.now + dt.timedelta(minutes=2))
    assert set(room.verdicts()) == {"suppressed"}
    assert set(room.states()) == {State.LEFT}
    assert set(room.reasons()) == {"bounce"}


def test_a_true_crowd_takes_back_no_letter_that_came_back(room: Room) -> None:
    room.house.service.join("watchdog", "new@readers.example", NOW)
    with room.database.write() as session:
        refused = {"state": DeliveryState.REJECTED, "settled_at": NOW, "scope": "recipient", "reply": "550 5.1.1 no"}
        session.execute(sa.update(Delivery).values(refused))
    room.inbox.step(NOW)
    room.house.readers(policy.SPIKE)
    room.comes(GONE, *room.issue(0), days=0.01)
    assert sorted(room.verdicts()) == ["quarantined"] * policy.SPIKE + ["suppressed"]
    assert room.reasons() == ["bounce"]
    assert room.states() == [State.LEFT] + [State.CONFIRMED] * policy.SPIKE


def test_what_the_relay_refused_counts_like_a_bounce(room: Room) -> None:
    room.house.readers(3)
    room.issue(0, DeliveryState.REJECTED, scope="recipient", reply="550 5.1.1 <address> unknown")
    with room.database.write() as session:
        ids = session.scalars(sa.select(Delivery.id).order_by(Delivery.subscriber_id)).all()
        policy_said = {"scope": "sender", "reply": "550 5.7.1 no"}
        session.execute(sa.update(Delivery).where(Delivery.id == ids[1]).values(policy_said))
        ours = {"reply": "the address cannot be used: it is damaged"}
        session.execute(sa.update(Delivery).where(Delivery.id == ids[2]).values(ours))

    for minutes in (0, 2, 4):
        room.inbox.step(room.house.now + dt.timedelta(minutes=minutes))

    assert room.states() == [State.LEFT, State.CONFIRMED, State.CONFIRMED]
    assert room.verdicts() == ["suppressed", "counted"]


def test_what_was_refused_of_somebody_erased_is_of_no_domain(room: Room) -> None:
    room.house.readers(policy.SPIKE + 1)
    room.issue(0, DeliveryState.REJECTED, scope="recipient", reply="550 5.1.1 <address> unknown")
    with room.database.write() as session:
        gone = sa.select(Subscriber.id).order_by(Subscriber.id).limit(policy.SPIKE)
        session.execute(sa.delete(Subscription).where(Subscription.subscriber_id.in_(gone)))
        session.execute(sa.delete(Subscriber).where(~sa.exists().where(Subscription.subscriber_id == Subscriber.id)))
    room.inbox.step(room.house.now)
    assert room.states() == [State.LEFT]
    assert set(room.verdicts()) == {"suppressed"}


def test_a_letter_to_a_mailbox_that_does_not_exist_counts_too(room: Room) -> None:
    room.house.service.join("watchdog", "nobody@readers.example", NOW)
    with room.database.write() as session:
        refused = {"state": DeliveryState.REJECTED, "settled_at": NOW, "scope": "recipient", "reply": "550 5.1.1 no"}
        session.execute(sa.update(Delivery).values(refused))
    room.inbox.step(NOW)
    assert room.states() == [State.LEFT]
    assert room.reasons() == ["bounce"]


def test_a_complaint_ends_it_at_once(room: Room) -> None:
    room.house.readers(1)
    (path,) = room.issue(0)
    room.comes(letters.complaint("<https://elsewhere.example/>", path=path), f"feedback@{BOUNCES}")
    assert room.states() == [State.LEFT]
    assert room.reasons() == ["complaint"]


def test_a_link_that_was_forwarded_ends_one_subscription_and_bars_nobody(room: Room) -> None:
    (address,) = room.house.readers(1)
    room.issue(0)
    with room.database.read() as session:
        link = f"<{room.house.links.leave(session.scalars(sa.select(Subscription.public_id)).one())}>"
    stranger = letters.complaint(link, results="mx.example.org; dkim=pass header.d=stranger.example; dmarc=pass")
    stranger = stranger.replace(b"feedback@arf.mail.provider.example", b"anybody@stranger.example")
    room.comes(stranger, f"feedback@{BOUNCES}", sender="anybody@stranger.example")
    assert room.states() == [State.CONFIRMED]
    assert [one.state for one in room.arrivals()] == [ArrivalState.KEPT]

    for number in (1, 2):
        again = letters.complaint(link).replace(b"arf-1", f"arf-{number}".encode())
        room.comes(again, f"feedback@{BOUNCES}")
        assert (room.states(), room.reasons()) == ([State.LEFT], [])
        room.house.service.join("watchdog", address, room.house.now)
        room.house.service.confirm(room.token(), room.house.now)
        assert room.states() == [State.CONFIRMED]
        room.house.now += WEEK


@pytest.mark.parametrize("link", ["never_url", "confirm_url"])
def test_a_complaint_about_a_letter_ends_the_request_and_the_letters(room: Room, link: str) -> None:
    room.house.service.join("watchdog", "mina@example.org", NOW)
    said = room.said()[link]
    room.comes(letters.complaint("", text=f"Open this page:\n\n{said}?lang=fa\n"), f"feedback@{BOUNCES}")
    assert room.states() == [State.LEFT]
    assert room.reasons() == ["complaint"]
    # Nobody types the address again and is sent another.
    room.house.service.join("watchdog", "mina@example.org", NOW + WEEK)
    assert len(room.letters()) == 1


def test_a_complaint_about_a_letter_to_a_reader_ends_the_subscription(room: Room) -> None:
    room.house.readers(1)
    with room.database.read() as session:
        public_id = session.scalars(sa.select(Subscription.public_id)).one()
    room.comes(letters.complaint("", text=room.house.links.manage(public_id)), f"feedback@{BOUNCES}")
    assert room.states() == [State.LEFT]


def test_a_mail_with_the_token_leaves(room: Room) -> None:
    room.house.readers(2)
    with room.database.read() as session:
        public_id = session.scalars(sa.select(Subscription.public_id).order_by(Subscription.id)).first()
    assert public_id is not None
    room.comes(note(f"unsubscribe {room.house.links.leave_token(public_id)}", results=None), f"leave@{BOUNCES}")
    assert room.states() == [State.LEFT, State.CONFIRMED]
    assert room.reasons() == []
    assert room.letters() == []


def ask(subject: str) -> bytes:
    results = "mx.example.org; dmarc=pass header.from=readers.example"
    return note(subject, sender="reader-1@readers.example", results=results)


def test_a_mail_from_the_readers_own_address_leaves_and_comes_back(room: Room) -> None:
    room.house.readers(2)
    room.comes(ask("unsubscribe"), f"leave@{BOUNCES}", sender="reader-1@readers.example")
    assert room.states() == [State.LEFT, State.CONFIRMED]

    room.comes(ask("subscribe watchdog"), f"subscribe@{BOUNCES}", sender="reader-1@readers.example")
    room.comes(ask("subscribe"), f"subscribe@{BOUNCES}", sender="reader-1@readers.example", days=0.1)
    assert room.letters() == ["confirm"]
    assert room.states() == [State.PENDING, State.CONFIRMED]
    assert room.house.service.confirm(room.token(), NOW) is Outcome.DONE
    assert room.states() == [State.CONFIRMED] * 2


def test_who_is_told_of_by_their_address_is_found_while_the_index_key_is_rotated(room: Room) -> None:
    room.house.readers(2)
    # The worker has the new keys already, and the rows have the old blind index still (E-06).
    vault = Vault(room.database, keys().rotated(NOW))
    room.inbox = Inbox(room.database, vault, room.house.service, room.inbox.readers)
    room.comes(ask("unsubscribe"), f"leave@{BOUNCES}", sender="reader-1@readers.example")
    take_in(room.database, vault, "ses", b"1", b"reader-2@readers.example", NOW)
    room.inbox.step(NOW)
    assert room.states() == [State.LEFT] * 2
    assert room.reasons() == ["bounce"]


def test_an_answer_of_a_program_to_the_command_mailbox_brings_no_mail(room: Room) -> None:
    room.comes(letters.AWAY, f"leave@{BOUNCES}", f"subscribe@{BOUNCES}", "digest@example.org")
    assert room.letters() == []


def test_a_reader_whose_mailbox_was_gone_comes_back_by_the_form(room: Room) -> None:
    (address,) = room.house.readers(1)
    room.comes(GONE, *room.issue(0))
    later = room.house.now + WEEK

    room.house.service.join("watchdog", address, later)
    assert room.letters() == ["confirm"]
    assert room.reasons() == ["bounce"]
    assert room.house.service.confirm(room.token(), later) is Outcome.DONE
    assert room.states() == [State.CONFIRMED]
    assert room.reasons() == []


@pytest.mark.parametrize("reason", ["complaint", "asked"])
def test_who_complained_comes_back_by_their_own_mail_alone(room: Room, reason: str) -> None:
    (address,) = room.house.readers(1)
    _suppress(room, reason)

    room.house.service.join("watchdog", address, NOW)
    assert room.letters() == []

    room.house.service.join("watchdog", address, NOW, BY_MAIL)
    assert room.letters() == ["confirm"]
    assert room.reasons() == [reason]
    room.house.service.confirm(room.token(), NOW)
    assert (room.states(), room.reasons()) == ([State.CONFIRMED], [])


def _suppress(room: Room, reason: str) -> None:
    with room.database.write() as session:
        person = session.scalars(sa.select(Subscriber.id)).one()
        suppress(session, room.house.vault, person, reason, NOW)


def test_a_suppression_since_the_letter_is_not_lifted_by_its_link(room: Room) -> None:
    room.house.service.join("watchdog", "reader-1@readers.example", NOW)
    token = room.token()
    _suppress(room, "bounce")
    assert room.house.service.confirm(token, NOW) is Outcome.OLD_LINK
    assert room.reasons() == ["bounce"]


def test_a_fault_keeps_one_for_a_person_and_the_others_go_on(room: Room, capsys) -> None:
    room.house.readers(1)
    take_in(room.database, room.house.vault, "broken", b"1", b"reader-1@readers.example", NOW)
    take_in(room.database, room.house.vault, "unheard", b"1", b"x", NOW)
    take_in(room.database, room.house.vault, "ses", b"1", b"reader-1@readers.example", NOW)

    assert room.inbox.step(NOW) == 3

    broken, unheard, ses = room.arrivals()
    assert (broken.state, unheard.state, ses.state) == (ArrivalState.KEPT, ArrivalState.KEPT, ArrivalState.DONE)
    assert "RecursionError" in broken.outcome
    assert room.states() == [State.LEFT]
    said = capsys.readouterr()
    assert "reader-1" not in said.out + said.err + broken.outcome + ses.outcome


def test_what_a_provider_says_of_an_address_is_said_of_its_last_issue(room: Room) -> None:
    (address,) = room.house.readers(1)
    for week in range(3):
        room.issue(week)
        for event in (b"1", b"2"):
            take_in(room.database, room.house.vault, "mailgun", event + bytes([week]), address.encode(), room.house.now)
        room.inbox.step(room.house.now)
    assert room.verdicts() == ["counted", "counted", "suppressed"]
    assert room.states() == [State.LEFT]


def test_an_answer_to_a_mail_says_that_it_is_one(room: Room) -> None:
    room.house.readers(1)
    room.comes(ask("subscribe"), f"subscribe@{BOUNCES}", sender="reader-1@readers.example")
    assert room.letters() == ["already-subscribed"]
    assert ANSWERS_MAIL in room.said()


def test_what_was_half_done_when_the_process_died_is_done_once(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.house.readers(1)
    (path,) = room.issue(0)
    post(room.database, room.house.vault, Posted(GONE, path, ""), NOW)

    def die(*_args: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("digest.inbound.arrivals.finish", die)
        with pytest.raises(KeyboardInterrupt):
            room.inbox.step(NOW)
    assert room.states() == [State.CONFIRMED]
    assert room.verdicts() == []

    room.inbox.step(NOW)
    assert (room.states(), room.verdicts()) == ([State.LEFT], ["suppressed"])


def test_two_workers_carry_one_notice_out_once(room: Room, database: Database) -> None:
    room.house.readers(1)
    post(database, room.house.vault, Posted(FULL, room.issue(0)[0], ""), NOW)
    other = Inbox(database, Vault(database, keys()), room.house.service, room.inbox.readers)
    seen = other._waiting()
    room.inbox.step(NOW)
    for arrival in seen:
        other._one(arrival, NOW)
    assert room.verdicts() == ["counted"]


def test_what_came_in_is_kept_two_weeks_and_what_nobody_read_longer(room: Room) -> None:
    room.comes(letters.AWAY, f"digest@{BOUNCES}")
    room.comes(note("Hello", "Dear editors"), "digest@example.org", sender="r@reader.example")
    post(room.database, room.house.vault, Posted(b"x", "y@z.example", ""), NOW)
    soon, late = NOW + KEEP - dt.timedelta(seconds=1), NOW + KEEP

    room.inbox.sweep(soon)
    assert len(room.arrivals()) == 3
    room.inbox.sweep(late)
    assert [one.state for one in room.arrivals()] == [ArrivalState.WAITING]


def test_no_address_comes_into_a_row_in_the_clear(room: Room) -> None:
    room.house.readers(1)
    room.comes(GONE, *room.issue(0))
    room.comes(ask("subscribe"), f"subscribe@{BOUNCES}", sender="reader-1@readers.example")
    room.comes(ask("what is this"), f"watchdog@{BOUNCES}", sender="reader-1@readers.example")
    every: list[str] = []
    with room.database.read() as session:
        for table in ("arrivals", "bounces", "suppressions", "deliveries", "log"):
            every.extend(str(row) for row in session.execute(sa.text(f"SELECT * FROM {table}")))
    assert len(every) > 4
    assert not [text for text in every if "reader-1" in text or "reader@" in text]
