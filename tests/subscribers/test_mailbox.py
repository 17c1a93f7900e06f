"""Never is said for a mailbox, and not for one spelling of it (O-21, O-22)."""

from __future__ import annotations

import datetime as dt
import email
import email.policy
from pathlib import Path

import pytest
import sqlalchemy as sa

from subscribers import fresh
from subscribers.db import Database
from subscribers.letters import ALREADY_SUBSCRIBED, CONFIRM
from subscribers.lifecycle import BY_MAIL
from subscribers.models import Subscriber, Subscription, Suppression
from subscribers.service import Outcome, Service
from subscribers.suppression import BOUNCE, COMPLAINT, suppress
from subscribers.tokens import read_never_token
from subscribers.transfer.bringing import Bringing, Request
from subscribers.vault import Vault
from tests.house import House
from tests.inbound.test_inbox import Room
from tests.smtp_server import ScriptedServer
from tests.subscribers.house import Recorder
from tests.subscribers.test_erasing import letters_work, send

MONTH = dt.timedelta(days=31)
OTHERS = ("omid@gmail.com", "o.mid@gmail.com", "omid+news@googlemail.com")


def letters(service: Service, outbox: Recorder, address: str, now: dt.datetime, method: str = "form") -> list[str]:
    before = len(outbox.letters)
    service.join("watch", address, now, method)
    return [one.kind for one in outbox.letters[before:]]


@pytest.fixture
def said_never(service: Service, outbox: Recorder, now: dt.datetime) -> None:
    service.join("watch", "omid+list@gmail.com", now)
    assert service.never(outbox.tokens("never_url")[-1], now) is Outcome.DONE


@pytest.mark.parametrize("address", OTHERS)
@pytest.mark.usefixtures("said_never")
def test_no_other_spelling_is_sent_a_confirmation_by_the_form(
    service: Service, outbox: Recorder, now: dt.datetime, address: str
) -> None:
    assert letters(service, outbox, address, now + MONTH) == []
    assert letters(service, outbox, "somebody-else@gmail.com", now + MONTH) == [CONFIRM]


@pytest.mark.usefixtures("said_never")
def test_by_their_own_mail_they_come_back_and_what_they_said_is_gone_with_it(
    service: Service, outbox: Recorder, now: dt.datetime
) -> None:
    assert letters(service, outbox, "omid+list@gmail.com", now + MONTH, BY_MAIL) == [CONFIRM]
    assert service.confirm(outbox.tokens("confirm_url")[-1], now + MONTH) is Outcome.DONE
    assert letters(service, outbox, OTHERS[0], now + 2 * MONTH) == [CONFIRM]


def test_who_reads_in_another_spelling_goes_on_reading(
    service: Service, outbox: Recorder, database: Database, now: dt.datetime
) -> None:
    service.enter("watch", OTHERS[0], "Signed a list.", now)
    service.join("negah", "omid+list@gmail.com", now)
    service.never(outbox.tokens("never_url")[-1], now)
    assert letters(service, outbox, OTHERS[0], now + MONTH) == [ALREADY_SUBSCRIBED]
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).where(Subscription.left_at.is_(None))) == 1


@pytest.mark.parametrize(("reason", "told"), [(COMPLAINT, []), (BOUNCE, [CONFIRM])])
def test_a_complaint_is_the_owner_s_word_too_and_a_bounce_is_not(
    service: Service, outbox: Recorder, vault: Vault, database: Database, now: dt.datetime, reason: str, told: list[str]
) -> None:
    service.enter("watch", "omid+list@gmail.com", "Signed a list.", now)
    with database.write() as session:
        assert suppress(session, vault, session.scalars(sa.select(Subscriber.id)).one(), reason, now)
    assert letters(service, outbox, OTHERS[1], now) == told


def test_a_complaint_about_an_address_that_is_damaged_is_carried_out_for_the_one_spelling(
    database: Database,
) -> None:
    house = House(database)
    house.readers(1)
    with database.write() as session:
        session.execute(sa.update(Subscriber).values(address_sealed=b"\1" + bytes(80)))
        assert suppress(session, house.vault, 1, COMPLAINT, house.now)
    with database.read() as session:
        kept = session.scalars(sa.select(Suppression)).one()
    assert (kept.reason, kept.mailbox_hash) == (COMPLAINT, None)


def test_a_link_of_before_says_it_for_its_spelling(service: Service, outbox: Recorder, now: dt.datetime) -> None:
    service.join("watch", "omid+list@gmail.com", now)
    named = read_never_token(service.token_key, outbox.tokens("never_url")[-1])
    assert named
    old = service.links.never(named.blind_index, named.suppression_hash).rpartition("/")[2]
    assert service.never(old, now) is Outcome.DONE
    assert letters(service, outbox, "omid+list@gmail.com", now + MONTH) == []
    assert letters(service, outbox, OTHERS[0], now + MONTH) == [CONFIRM]


def test_the_letter_with_a_fresh_link_has_one_that_speaks_for_the_mailbox(sqlite_database: Database) -> None:
    """It is asked for where nobody can open the address, and made where the sender can."""
    room = Room(sqlite_database)
    house = room.house
    house.service.enter("watchdog", "omid+list@gmail.com", "Signed a list.", house.now)
    with sqlite_database.read() as session:
        public_id = session.scalars(sa.select(Subscription.public_id)).one()
    assert fresh.ask(house.service, house.links.manage(public_id).rpartition("/")[2], house.now)
    asked = read_never_token(house.links.key, room.said()["never_url"].rpartition("/")[2])
    assert asked
    assert asked.mailbox_hash is None
    with ScriptedServer() as relay:
        send(house, relay, letters_work(house))
    mail = email.message_from_bytes(relay.caught[0].body, policy=email.policy.default)
    text = mail.get_body(("plain",))
    assert text
    token = text.get_content().partition("/never/")[2].split()[0].partition("?")[0]
    assert house.service.never(token, house.now) is Outcome.DONE
    with sqlite_database.read() as session:
        kept = session.scalars(sa.select(Suppression)).one()
    assert kept.mailbox_hash == house.vault.suppression_hash("omid@gmail.com")


def test_a_complaint_in_a_list_is_the_owner_s_word_too(
    service: Service, outbox: Recorder, vault: Vault, database: Database, now: dt.datetime, tmp_path: Path
) -> None:
    path = tmp_path / "list.csv"
    path.write_text("email,status\nomid+list@gmail.com,complained\nsara+list@gmail.com,unsubscribed\n")
    wanted = Request(path, "watch", "en", "e", {"email": "email", "status": "status"})
    Bringing(database, vault, wanted, now).bring(tmp_path / "rejected.csv")
    assert letters(service, outbox, OTHERS[0], now) == []
    assert letters(service, outbox, "sara@gmail.com", now) == [CONFIRM]
