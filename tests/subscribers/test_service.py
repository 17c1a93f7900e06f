"""From asking to leaving, on both databases."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from subscribers import fresh
from subscribers.db import Database
from subscribers.forms import BadAddress
from subscribers.lifecycle import Format, State
from subscribers.models import LetterMemory, Subscriber, Subscription, Suppression
from subscribers.newsletters import UnknownNewsletter
from subscribers.roll import address_of, audience
from subscribers.service import Entered, Joined, Outcome, Refused, Service
from subscribers.tokens import Purpose, read_subscription_token
from subscribers.vault import Keys, Vault
from tests.subscribers.house import WATCH, Recorder, make_service

ADDRESS = "Canary.Reader@Example.org"
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


def states(database: Database) -> list[tuple[str, State]]:
    with database.read() as session:
        query = sa.select(Subscription.newsletter, Subscription.state).order_by(Subscription.newsletter)
        return [(newsletter, state) for newsletter, state in session.execute(query)]


def rows(database: Database, table: type) -> int:
    with database.read() as session:
        return session.scalars(sa.select(sa.func.count()).select_from(table)).one()


def newest(database: Database) -> Subscription:
    with database.read() as session:
        found = session.scalars(sa.select(Subscription).order_by(Subscription.id.desc()).limit(1)).one()
        session.expunge_all()
    return found


def only(database: Database) -> Subscription:
    assert rows(database, Subscription) == 1
    return newest(database)


def confirmed(service: Service, outbox: Recorder, now: dt.datetime, address: str = ADDRESS) -> Subscription:
    """Somebody who asked and pressed the button."""
    service.join("watch", address, now)
    assert service.confirm(outbox.tokens("confirm_url")[-1], now) is Outcome.DONE
    return newest(service._database)


def leave_token(service: Service, subscription: Subscription) -> str:
    return service.links.leave(subscription.public_id).rpartition("/")[2]


def at_once(*calls: Callable[[], object]) -> list[Any]:
    """What some calls answer that threads make at the same moment."""
    answers: list[Any] = [None] * len(calls)
    ready = threading.Barrier(len(calls))

    def run(number: int, call: Callable[[], object]) -> None:
        ready.wait()
        try:
            answers[number] = call()
        except Exception as error:  # noqa: BLE001 -- the test looks at it.
            answers[number] = error

    threads = [threading.Thread(target=run, args=one) for one in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


class TestJoining:
    def test_asking_makes_a_pending_row_and_one_letter(self, service, database, outbox, now) -> None:
        assert service.join("watch", ADDRESS, now) == Joined("watch")
        assert states(database) == [("watch", State.PENDING)]
        [letter] = outbox.letters
        assert (letter.kind, letter.newsletter, letter.subscription_id) == ("confirm", "watch", only(database).id)
        assert letter.subscriber_id == only(database).subscriber_id
        assert set(letter.context) == {"confirm_url", "never_url"}
        assert letter.context["confirm_url"].startswith("http://digest.example.org/confirm/")

    def test_the_sender_reads_the_address_as_it_was_typed(self, service, database, vault, now) -> None:
        service.join("watch", ADDRESS, now)
        with database.read() as session:
            assert address_of(session, vault, only(database).subscriber_id) == "Canary.Reader@example.org"
            assert address_of(session, vault, 999) is None

    def test_only_the_hash_of_the_token_is_stored(self, service, database, outbox, now) -> None:
        service.join("watch", ADDRESS, now)
        [token] = outbox.tokens("confirm_url")
        subscription = only(database)
        assert subscription.confirm_hash is not None
        assert len(subscription.confirm_hash) == 32
        assert token.encode() not in subscription.confirm_hash + subscription.evidence.encode()

    def test_the_evidence_says_what_was_agreed_to_and_not_from_where(self, service, database, now) -> None:
        service.join("watch", ADDRESS, now)
        subscription = only(database)
        evidence = json.loads(subscription.evidence)
        assert evidence["wording"] == WATCH.wording_hash
        assert subscription.confirm_hash is not None
        assert evidence["token"] == subscription.confirm_hash.hex()[:16]
        assert (subscription.method, subscription.language) == ("form", "en")
        assert subscription.requested_at == now

    def test_two_spellings_are_one_person(self, service, database, outbox, now) -> None:
        service.join("watch", "canary.reader@example.org", now)
        service.join("watch", " CANARY.READER@EXAMPLE.ORG ", now)
        assert rows(database, Subscriber) == 1
        assert len(outbox.letters) == 1

    def test_a_bad_address_leaves_nothing(self, service, database, outbox, now) -> None:
        answer = service.join("watch", "canary.reader@", now)
        assert isinstance(answer, BadAddress)
        assert rows(database, Subscriber) == 0
        assert outbox.letters == []

    def test_a_newsletter_that_is_not_ours_is_an_error(self, service, now) -> None:
        with pytest.raises(UnknownNewsletter):
            service.join("other", ADDRESS, now)

    def test_asking_again_within_a_day_changes_nothing_and_the_first_link_still_works(
        self, service, outbox, now
    ) -> None:
        service.join("watch", ADDRESS, now)
        service.join("watch", ADDRESS, now + 23 * HOUR)
        [token] = outbox.tokens("confirm_url")
        assert service.confirm(token, now + 23 * HOUR) is Outcome.DONE

    def test_asking_again_after_a_day_supersedes_the_first_link(self, service, outbox, now) -> None:
        service.join("watch", ADDRESS, now)
        service.join("watch", ADDRESS, now + 24 * HOUR)
        first, second = outbox.tokens("confirm_url")
        assert service.confirm(first, now + 25 * HOUR) is Outcome.OLD_LINK
        assert service.confirm(second, now + 25 * HOUR) is Outcome.DONE

    def test_the_budget_is_the_mailbox_s_whatever_the_newsletter_or_the_spelling(self, service, outbox, now) -> None:
        for newsletter in ("watch", "negah"):
            for address in ("canary@gmail.com", "can.ary@gmail.com", "canary+a@googlemail.com"):
                service.join(newsletter, address, now)
        assert len(outbox.letters) == 1

    def test_three_letters_in_thirty_days_are_the_most(self, service, outbox, now) -> None:
        for day in range(30):
            service.join("watch", ADDRESS, now + day * DAY)
        assert len(outbox.letters) == 3

    def test_over_the_budget_nothing_is_stored_of_the_request(self, service, database, now) -> None:
        service.join("watch", "canary@gmail.com", now)
        service.join("watch", "canary+bomb@gmail.com", now)
        assert rows(database, Subscriber) == 1

    def test_a_confirmed_reader_is_told_once_in_thirty_days(self, service, database, outbox, now) -> None:
        confirmed(service, outbox, now)
        for day in range(2, 40):
            service.join("watch", ADDRESS, now + day * DAY)
        told = [letter for letter in outbox.letters if letter.kind == "already-subscribed"]
        assert len(told) == 2
        assert set(told[0].context) == {"mine_url", "manage_url"}
        assert states(database) == [("watch", State.CONFIRMED)]

    def test_a_manage_link_names_the_subscription_and_cannot_leave(self, service, database, outbox, keys, now) -> None:
        confirmed(service, outbox, now)
        service.join("watch", ADDRESS, now)
        [token] = (one.partition("?")[0] for one in outbox.tokens("manage_url"))
        assert read_subscription_token(keys.token, Purpose.MANAGE, token) == only(database).public_id
        assert service.leave(token, now) is Outcome.OLD_LINK
        assert states(database) == [("watch", State.CONFIRMED)]

    def test_who_is_told_so_has_a_fresh_link_for_an_hour(self, service, database, outbox, now) -> None:
        confirmed(service, outbox, now)
        service.join("watch", ADDRESS, now)
        [token] = outbox.tokens("mine_url")
        with database.read() as session:
            assert fresh.person_of(session, token, now + fresh.GOOD_FOR - dt.timedelta(seconds=1)) is not None
            assert fresh.person_of(session, token, now + fresh.GOOD_FOR) is None

    def test_an_outbox_that_fails_leaves_no_row_behind(self, database, vault, keys, now) -> None:
        class Broken(Recorder):
            def post(self, *_: object) -> None:
                raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            make_service(database, vault, keys, Broken()).join("watch", ADDRESS, now)
        assert rows(database, Subscriber) == rows(database, Subscription) == rows(database, LetterMemory) == 0

    def test_a_process_without_the_private_key_takes_sign_ups_and_links(self, database, keys, outbox, now) -> None:
        public = Keys(keys.index, keys.suppression, keys.rate, keys.token, keys.public)
        service = make_service(database, Vault(database, public), public, outbox)
        confirmed(service, outbox, now)
        assert service.never(outbox.tokens("never_url")[0], now) is Outcome.DONE
        with database.read() as session:
            assert address_of(session, Vault(database, keys), 1) == "Canary.Reader@example.org"


class TestConfirming:
    def test_the_link_confirms(self, service, database, outbox, now) -> None:
        service.join("watch", ADDRESS, now)
        [token] = outbox.tokens("confirm_url")
        assert service.confirm(token, now + HOUR) is Outcome.DONE
        assert only(database).state is State.CONFIRMED
        assert only(database).confirmed_at == now + HOUR

    def test_pressing_twice_is_answered_the_same_and_changes_nothing_more(self, service, database, outbox, now) -> None:
        service.join("watch", ADDRESS, now)
        [token] = outbox.tokens("confirm_url")
        assert service.confirm(token, now + HOUR) is service.confirm(token, now + 2 * HOUR) is Outcome.DONE
        assert only(database).confirmed_at == now + HOUR

    def test_the_link_is_good_for_72_hours(self, service, database, outbox, now) -> None:
        service.join("watch", ADDRESS, now)
        [token] = outbox.tokens("confirm_url")
        assert service.confirm(token, now + 72 * HOUR) is Outcome.OLD_LINK
        assert only(database).state is State.PENDING
        assert service.confirm(token, now + 72 * HOUR - dt.timedelta(seconds=1)) is Outcome.DONE

    def test_a_forged_link_does_nothing(self, service, database, now) -> None:
        service.join("watch", ADDRESS, now)
        for token in ("", "x" * 43, only(database).public_id.hex()):
            assert service.confirm(token, now) is Outcome.OLD_LINK

    def test_looking_changes_nothing(self, service, database, outbox, now) -> None:
        service.join("watch", ADDRESS, now)
        [token] = outbox.tokens("confirm_url")
        assert service.awaiting(token, now) == WATCH
        assert service.awaiting(token, now + 72 * HOUR) is None
        assert only(database).state is State.PENDING

    def test_a_link_used_before_leaving_does_not_bring_back(self, service, database, outbox, now) -> None:
        subscription = confirmed(service, outbox, now)
        service.leave(leave_token(service, subscription), now)
        assert service.confirm(outbox.tokens("confirm_url")[0], now) is Outcome.OLD_LINK
        assert only(database).state is State.LEFT


class TestLeaving:
    def test_one_click_leaves(self, service, database, outbox, now) -> None:
        subscription = confirmed(service, outbox, now)
        assert service.leave(leave_token(service, subscription), now + DAY) is Outcome.DONE
        assert only(database).state is State.LEFT
        assert only(database).left_at == now + DAY

    def test_twice_is_the_same_as_once(self, service, database, outbox, now) -> None:
        token = leave_token(service, confirmed(service, outbox, now))
        assert service.leave(token, now + DAY) is service.leave(token, now + 900 * DAY) is Outcome.DONE
        assert only(database).left_at == now + DAY

    def test_it_ends_one_subscription_and_not_the_person_s_others(self, service, database, outbox, now) -> None:
        subscription = confirmed(service, outbox, now)
        service.enter("negah", ADDRESS, "Signed the list at the fair.", now)
        service.leave(leave_token(service, subscription), now)
        assert states(database) == [("negah", State.CONFIRMED), ("watch", State.LEFT)]

    def test_who_left_and_asks_again_must_confirm_again(self, service, database, outbox, now) -> None:
        service.leave(leave_token(service, confirmed(service, outbox, now)), now)
        service.join("watch", ADDRESS, now + 2 * DAY)
        assert only(database).state is State.PENDING
        assert service.confirm(outbox.tokens("confirm_url")[-1], now + 2 * DAY) is Outcome.DONE
        assert only(database).left_at is None

    def test_asking_again_too_soon_leaves_it_left(self, service, database, outbox, now) -> None:
        service.leave(leave_token(service, confirmed(service, outbox, now)), now)
        service.join("watch", ADDRESS, now + HOUR)
        assert only(database).state is State.LEFT


class TestNeverAgain:
    def test_it_ends_every_subscription_and_no_letter_follows(self, service, database, outbox, now) -> None:
        confirmed(service, outbox, now)
        service.enter("negah", ADDRESS, "Signed the list at the fair.", now)
        [token] = outbox.tokens("never_url")
        assert service.never(token, now) is Outcome.DONE
        assert states(database) == [("negah", State.LEFT), ("watch", State.LEFT)]
        for day in range(1, 90, 7):
            assert service.join("watch", ADDRESS, now + day * DAY) == Joined("watch")
        assert len(outbox.letters) == 1
        assert {state for _, state in states(database)} == {State.LEFT}

    def test_it_closes_the_confirmation_that_was_open(self, service, outbox, now) -> None:
        service.join("watch", ADDRESS, now)
        service.never(outbox.tokens("never_url")[0], now)
        assert service.confirm(outbox.tokens("confirm_url")[0], now) is Outcome.OLD_LINK

    def test_it_works_twice_and_after_the_request_was_deleted(self, service, database, outbox, now) -> None:
        service.join("watch", ADDRESS, now)
        service.purge(now + 5 * DAY)
        assert rows(database, Subscriber) == 0
        [token] = outbox.tokens("never_url")
        assert service.never(token, now + 6 * DAY) is service.never(token, now + 7 * DAY) is Outcome.DONE
        service.join("watch", ADDRESS, now + 40 * DAY)
        assert len(outbox.letters) == 1

    def test_it_ends_what_was_made_after_the_request_was_deleted(self, service, database, outbox, now) -> None:
        service.join("watch", ADDRESS, now)
        service.purge(now + 5 * DAY)
        service.enter("watch", ADDRESS, "Signed the list at the fair.", now + 6 * DAY)
        service.never(outbox.tokens("never_url")[0], now + 7 * DAY)
        assert only(database).state is State.LEFT

    def test_only_hash_reason_and_month_are_kept(self, service, database, outbox, now) -> None:
        service.join("watch", ADDRESS, now)
        service.never(outbox.tokens("never_url")[0], now)
        with database.read() as session:
            kept = session.execute(sa.select(Suppression.__table__)).one()
        assert (kept.reason, kept.month, len(kept.address_hash), len(kept)) == ("asked", "2026-11", 32, 4)

    def test_it_wins_over_an_entry_by_hand(self, service, database, outbox, now) -> None:
        service.join("watch", ADDRESS, now)
        service.never(outbox.tokens("never_url")[0], now)
        assert isinstance(service.enter("negah", ADDRESS, "They said so.", now), Refused)
        assert states(database) == [("watch", State.LEFT)]

    def test_a_forged_link_suppresses_nobody(self, service, database, now) -> None:
        assert service.never("x" * 107, now) is Outcome.OLD_LINK
        assert rows(database, Suppression) == 0


class TestEnteringByHand:
    def test_with_evidence_the_person_is_confirmed_at_once(self, service, database, outbox, now) -> None:
        answer = service.enter("watch", ADDRESS, " Signed the list at the fair. ", now)
        subscription = only(database)
        assert answer == Entered(subscription.id, already=False)
        assert (subscription.state, subscription.method) == (State.CONFIRMED, "hand")
        assert subscription.evidence == "Signed the list at the fair."
        assert outbox.letters == []

    def test_without_evidence_it_is_refused(self, service, database, now) -> None:
        assert isinstance(service.enter("watch", ADDRESS, "  ", now), Refused)
        assert states(database) == []

    @pytest.mark.parametrize(
        "evidence",
        [
            "Wrote from mina@example.org on Monday.",
            "<mailto:mina%40example.org>",
            'Asked as "mina n"@example.org.',
            "мина@пример.рф wrote",
            "mina@bücher.example",
            "mina\uff20example.org",
            "mina @ example.org said so",
            "mina@localhost",
            "mina@[192.0.2.1]",
        ],
    )
    def test_evidence_with_an_address_is_refused_and_nothing_is_stored(self, service, database, now, evidence) -> None:
        answer = service.enter("watch", ADDRESS, evidence, now)
        assert isinstance(answer, Refused)
        assert "not the address" in answer.reason
        assert "mina" not in answer.reason
        assert rows(database, Subscriber) == 0

    @pytest.mark.parametrize(
        "evidence", ["Told us on Mastodon, as @mina.", "Signed the list (@thefair), page 3.", "Paid 3 @ 5 euros."]
    )
    def test_evidence_may_name_an_account_elsewhere(self, service, now, evidence) -> None:
        assert isinstance(service.enter("watch", ADDRESS, evidence, now), Entered)

    def test_a_bad_address_is_refused_with_the_reason(self, service, now) -> None:
        assert service.enter("watch", "nobody", "Why.", now) == Refused(
            "An e-mail address has an @-sign in the middle, as in name@example.org."
        )

    def test_twice_is_once_and_keeps_the_first_evidence(self, service, database, now) -> None:
        first = service.enter("watch", ADDRESS, "Signed the list.", now)
        assert service.enter("watch", ADDRESS, "Said so again.", now) == Entered(first.subscription_id, already=True)
        assert only(database).evidence == "Signed the list."

    def test_nobody_can_be_brought_back_by_hand(self, service, database, outbox, now) -> None:
        service.leave(leave_token(service, confirmed(service, outbox, now)), now)
        answer = service.enter("watch", ADDRESS, "They want it after all.", now)
        assert isinstance(answer, Refused)
        assert "reader" not in answer.reason.lower().replace("readers", "")
        assert only(database).state is State.LEFT

    def test_nor_by_asking_in_their_name_first(self, service, database, outbox, now) -> None:
        service.leave(leave_token(service, confirmed(service, outbox, now)), now)
        service.join("watch", ADDRESS, now + 2 * DAY)
        assert isinstance(service.enter("watch", ADDRESS, "They want it after all.", now + 2 * DAY), Refused)
        assert only(database).state is State.PENDING

    def test_who_waits_is_confirmed_and_the_open_link_is_closed(self, service, database, outbox, now) -> None:
        service.join("watch", ADDRESS, now)
        service.enter("watch", ADDRESS, "Said so on the telephone.", now)
        assert only(database).state is State.CONFIRMED
        assert service.confirm(outbox.tokens("confirm_url")[0], now) is Outcome.OLD_LINK


class TestTheRoll:
    def test_only_confirmed_readers_of_the_newsletter_are_in_the_audience(self, service, database, outbox, now) -> None:
        reader = confirmed(service, outbox, now)
        service.join("watch", "waiting@example.org", now)
        service.enter("negah", "other@example.org", "Signed the list.", now)
        gone = confirmed(service, outbox, now, "gone@example.org")
        service.leave(leave_token(service, gone), now)
        with database.read() as session:
            assert session.execute(audience("watch", now)).all() == [
                (reader.id, reader.subscriber_id, Format.SUMMARIES, False)
            ]

    def test_every_state_is_counted(self, service, outbox, now) -> None:
        confirmed(service, outbox, now)
        service.join("watch", "waiting@example.org", now)
        assert service.count("watch") == {State.PENDING: 1, State.CONFIRMED: 1, State.LEFT: 0}
        assert service.count("negah") == dict.fromkeys(State, 0)
        with pytest.raises(UnknownNewsletter):
            service.count("other")


class TestPurging:
    def test_what_nobody_confirmed_is_gone_after_96_hours_with_the_person(self, service, database, now) -> None:
        service.join("watch", ADDRESS, now)
        assert service.purge(now + 96 * HOUR - dt.timedelta(seconds=1)) == 0
        assert service.purge(now + 96 * HOUR) == 1
        assert rows(database, Subscription) == rows(database, Subscriber) == 0

    def test_confirmed_readers_and_those_who_left_stay(self, service, database, outbox, now) -> None:
        confirmed(service, outbox, now)
        service.leave(leave_token(service, confirmed(service, outbox, now, "gone@example.org")), now)
        assert service.purge(now + 400 * DAY) == 0
        assert sorted(state for _, state in states(database)) == [State.CONFIRMED, State.LEFT]

    def test_who_had_left_and_did_not_confirm_again_has_left_as_before(self, service, database, outbox, now) -> None:
        service.leave(leave_token(service, confirmed(service, outbox, now)), now + HOUR)
        service.join("watch", ADDRESS, now + 2 * DAY)
        assert service.purge(now + 6 * DAY) == 1
        assert only(database).state is State.LEFT
        assert only(database).left_at == now + HOUR
        assert isinstance(service.enter("watch", ADDRESS, "They want it after all.", now), Refused)

    def test_the_budgets_memory_lasts_as_long_as_they_ask(self, service, database, now) -> None:
        service.join("watch", ADDRESS, now)
        service.purge(now + 29 * DAY)
        assert rows(database, LetterMemory) == 1
        service.purge(now + 30 * DAY)
        assert rows(database, LetterMemory) == 0


class TestAtTheSameMoment:
    def test_many_requests_for_one_address_make_one_row_and_one_letter(self, service, database, outbox, now) -> None:
        answers = at_once(*[lambda: service.join("watch", ADDRESS, now)] * 8)
        assert answers == [Joined("watch")] * 8
        assert states(database) == [("watch", State.PENDING)]
        assert rows(database, Subscriber) == 1
        assert len(outbox.letters) == 1

    def test_so_do_requests_through_several_processes(self, database, keys, outbox, now) -> None:
        services = [make_service(database, Vault(database, keys), keys, outbox) for _ in range(4)]
        answers = at_once(*[lambda one=one: one.join("watch", ADDRESS, now) for one in services])
        assert answers == [Joined("watch")] * 4
        assert (rows(database, Subscriber), len(outbox.letters)) == (1, 1)

    def test_entries_by_hand_make_one_row(self, service, database, now) -> None:
        answers = at_once(*[lambda: service.enter("watch", ADDRESS, "Signed.", now)] * 6)
        assert sorted(answer.already for answer in answers) == [False] + [True] * 5
        assert states(database) == [("watch", State.CONFIRMED)]

    def test_never_again_wins_over_everything_that_happens_with_it(self, service, database, outbox, now) -> None:
        service.join("watch", ADDRESS, now)
        [confirm], [never] = outbox.tokens("confirm_url"), outbox.tokens("never_url")
        answers = at_once(
            lambda: service.never(never, now),
            lambda: service.confirm(confirm, now),
            lambda: service.enter("negah", ADDRESS, "Signed.", now),
            lambda: service.join("negah", ADDRESS, now + 2 * DAY),
            lambda: service.purge(now),
        )
        assert not [answer for answer in answers if isinstance(answer, Exception)]
        assert State.CONFIRMED not in {state for _, state in states(database)}

    def test_purging_does_not_take_a_sign_up_along(self, service, database, now) -> None:
        for number in range(10):
            service.join("watch", f"{number}@example.org", now)
        later = now + 5 * DAY
        answers = at_once(
            *[lambda n=n: service.join("watch", f"{n}@example.org", later) for n in range(10)],
            *[lambda: service.purge(later)] * 2,
        )
        assert answers[:10] == [Joined("watch")] * 10
        assert states(database) == [("watch", State.PENDING)] * 10


def test_no_address_is_in_the_database_s_files(sqlite_database, sqlite_service, outbox, now, tmp_path: Path) -> None:
    """The canary: the stories above, and then a look at every octet that was written (promise 4)."""
    service = sqlite_service
    subscription = confirmed(service, outbox, now)
    service.join("watch", ADDRESS, now)
    service.enter("negah", "second.canary@example.org", "Signed the list.", now)
    service.join("watch", "third.canary@example.org", now)
    service.leave(leave_token(service, subscription), now)
    service.never(outbox.tokens("never_url")[-1], now)
    service.purge(now + 9 * DAY)
    written = {file.name: file.read_bytes().lower() for file in tmp_path.rglob("*") if file.is_file()}
    assert {"digest.db", "digest.db-wal"} <= set(written)
    assert sum(len(content) for content in written.values()) > 10_000
    found = [name for name, content in written.items() if b"canary" in content or b"example.org" in content]
    assert found == []


def test_no_address_is_in_what_python_shows(service: Service, database: Database, outbox: Recorder, now) -> None:
    confirmed(service, outbox, now)
    with database.read() as session:
        shown = repr(session.scalars(sa.select(Subscriber)).one()) + repr(
            session.scalars(sa.select(Subscription)).one()
        )
    shown += repr(outbox.letters) + repr(service.join("watch", ADDRESS, now)) + repr(service.links)
    assert "canary" not in shown.lower()
    assert outbox.tokens("confirm_url")[0] not in shown
