"""The fresh link, and the page of one's own that it opens, over HTTP (O-01, O-04, O-10 to O-12, O-20)."""

from __future__ import annotations

import datetime as dt
import json
import re
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from litestar import Litestar
from litestar.testing import TestClient

from digest.cli.logs import redacted
from digest.mail.outbox import LedgerOutbox
from digest.models import Delivery
from subscribers import fresh
from subscribers.db import Base, Database
from subscribers.letters import MANAGE
from subscribers.lifecycle import Format, State
from subscribers.models import FreshLink, LetterMemory, Subscriber, Subscription
from subscribers.purging import purge
from subscribers.records import NoRecords
from subscribers.service import Service
from subscribers.suppression import COMPLAINT, suppress
from subscribers.tokens import Purpose, hash_token, subscription_token
from subscribers.vault import Keys, Vault
from tests.subscribers.house import BASE_URL, NEGAH, WATCH, Clock, Recorder, make_service
from tests.subscribers.test_evenness import counted

Client = TestClient[Litestar]
ADDRESS = "canary.reader@example.org"


def reads(service: Service, now: dt.datetime, address: str = ADDRESS, newsletter: str = "watch") -> None:
    service.enter(newsletter, address, "Signed the list.", now)


def public_ids(database: Database) -> list[bytes]:
    with database.read() as session:
        return list(session.scalars(sa.select(Subscription.public_id).order_by(Subscription.id)))


def manage_token(service: Service, database: Database, which: int = 0) -> str:
    return service.links.manage(public_ids(database)[which]).rpartition("/")[2]


def fresh_path(client: Client, service: Service, database: Database, outbox: Recorder, which: int = 0) -> str:
    """Ask by the page, and read the letter."""
    path = f"/manage/{manage_token(service, database, which)}"
    assert client.post(path, data={"proof": proof(client.get(path).text)}).status_code == 200
    return urlsplit(outbox.letters[-1].context["mine_url"]).path


def proof(page: str) -> str:
    found = re.search(r'name="proof" value="([^"]+)"', page)
    assert found
    return found[1]


def act(client: Client, path: str, do: str, newsletter: str = "watch", **fields: str) -> str:
    """Press a button of the page."""
    sent = {"proof": proof(client.get(path).text), "do": do, "newsletter": newsletter, **fields}
    answer = client.post(path, data=sent)
    assert answer.status_code == 200
    return answer.text


def the(database: Database, newsletter: str = "watch") -> Subscription:
    with database.read() as session:
        return session.scalars(sa.select(Subscription).where(Subscription.newsletter == newsletter)).one()


def everything(database: Database) -> dict[str, list[str]]:
    with database.read() as session:
        return {one.name: sorted(map(repr, session.execute(sa.select(one)))) for one in Base.metadata.sorted_tables}


@pytest.fixture
def mine(client: Client, sqlite_service: Service, sqlite_database: Database, outbox: Recorder, clock: Clock) -> str:
    """The path of the page of somebody who reads one newsletter."""
    reads(sqlite_service, clock())
    return fresh_path(client, sqlite_service, sqlite_database, outbox)


class TestTheLinkOfAnIssue:
    def test_its_page_is_the_same_for_every_state(self, client, sqlite_service, sqlite_database, clock) -> None:
        """Whoever was forwarded an issue learns nothing of the forwarder."""
        reads(sqlite_service, clock())
        path = f"/manage/{manage_token(sqlite_service, sqlite_database)}"
        pages, sent = set(), set()
        for state in State:
            with sqlite_database.write() as session:
                session.execute(sa.update(Subscription).values(state=state, is_neutral=True, format=Format.FULL))
            pages.add(client.get(path).text)
            sent.add(client.post(path, data={"proof": proof(client.get(path).text)}).text)
        assert (len(pages), len(sent)) == (1, 1)

    def test_of_somebody_erased_it_still_opens_and_asks_in_vain(self, client, sqlite_service, outbox) -> None:
        path = f"/manage/{subscription_token(sqlite_service.token_key, Purpose.MANAGE, bytes(16))}"
        page = client.get(path)
        assert page.status_code == 200
        assert client.post(path, data={"proof": proof(page.text)}).status_code == 200
        assert outbox.letters == []

    def test_neither_it_nor_its_proof_opens_anything_else(self, client, sqlite_service, sqlite_database, clock) -> None:
        reads(sqlite_service, clock())
        token = manage_token(sqlite_service, sqlite_database)
        given = {"proof": proof(client.get(f"/manage/{token}").text), "do": "leave", "newsletter": "watch"}
        before = everything(sqlite_database)
        for path in (f"/mine/{token}", f"/mine/{token}/export", f"/mine/{token}/erase"):
            assert client.post(path, data=given).status_code in (404, 422)
        assert client.get(f"/mine/{token}").status_code == 404
        assert everything(sqlite_database) == before

    def test_a_blind_post_sends_nothing(self, client, sqlite_service, sqlite_database, outbox, clock) -> None:
        reads(sqlite_service, clock())
        path = f"/manage/{manage_token(sqlite_service, sqlite_database)}"
        assert client.post(path).status_code == 422
        assert client.post(path, data={"proof": "forged"}).status_code == 422
        assert outbox.letters == []

    def test_the_letter_goes_to_the_person_and_its_token_is_stored_as_a_hash(
        self, mine, sqlite_database, outbox
    ) -> None:
        [letter] = outbox.letters
        token = mine.rpartition("/")[2]
        assert (letter.kind, letter.subscription_id, len(token)) == (MANAGE, None, 43)
        assert letter.give_up_after == fresh.GOOD_FOR
        with sqlite_database.read() as session:
            [link] = session.scalars(sa.select(FreshLink))
            assert letter.subscriber_id == link.subscriber_id == session.scalar(sa.select(Subscriber.id))
        assert link.token_hash == hash_token(token)
        assert token not in str(everything(sqlite_database))


class TestTheBudget:
    @staticmethod
    def letters(service: Service, database: Database, outbox: Recorder, clock: Clock, every: dt.timedelta) -> int:
        """How many letters go within 30 days to somebody for whom a link is asked for so often."""
        token, end = manage_token(service, database), clock() + dt.timedelta(days=30)
        while clock() < end:
            assert fresh.ask(service, token, clock())
            clock.now += every
        return len(outbox.letters)

    def test_a_link_comes_again_after_ten_minutes(self, service, database, outbox, clock) -> None:
        reads(service, clock())
        token = manage_token(service, database)
        for minutes, letters in ((0, 1), (9, 1), (1, 2)):
            clock.turn(minutes=minutes)
            fresh.ask(service, token, clock())
            assert len(outbox.letters) == letters

    def test_a_reader_gets_no_more_than_twenty_in_a_month(self, sqlite_service, sqlite_database, outbox, clock) -> None:
        reads(sqlite_service, clock())
        assert self.letters(sqlite_service, sqlite_database, outbox, clock, dt.timedelta(hours=3)) == 20

    def test_one_who_left_gets_no_more_than_three(self, sqlite_service, sqlite_database, outbox, clock) -> None:
        reads(sqlite_service, clock())
        sqlite_service.leave(sqlite_service.links.leave(public_ids(sqlite_database)[0]).rpartition("/")[2], clock())
        assert self.letters(sqlite_service, sqlite_database, outbox, clock, dt.timedelta(hours=3)) == 3

    def test_who_must_not_be_mailed_gets_none(self, service, database, vault, outbox, clock) -> None:
        reads(service, clock())
        with database.write() as session:
            person = session.scalars(sa.select(Subscriber.id)).one()
            suppress(session, vault, person, COMPLAINT, clock())
        fresh.ask(service, manage_token(service, database), clock())
        assert outbox.letters == []

    def test_the_work_is_the_same_whether_a_letter_goes_or_not(self, database, vault, keys: Keys, clock) -> None:
        service = Service(database, vault, keys, LedgerOutbox(vault), BASE_URL, {"watch": WATCH, "negah": NEGAH})
        for name in ("reads", "asked", "left", "never"):
            reads(service, clock(), f"{name}@example.org")
        ids = public_ids(database)
        fresh.ask(service, manage_token(service, database, 1), clock())
        service.leave(service.links.leave(ids[2]).rpartition("/")[2], clock())
        with database.write() as session:
            never = session.scalars(sa.select(Subscription.subscriber_id).where(Subscription.public_id == ids[3])).one()
            suppress(session, vault, never, COMPLAINT, clock())
        tokens = [subscription_token(keys.token, Purpose.MANAGE, one) for one in [*ids, bytes(16)]]
        work = []
        for token in tokens:
            vault.prepare()
            with counted(database) as found:
                assert fresh.ask(service, token, clock())
            work.append(found)
        assert {(one["SELECT"], one["COMMIT"]) for one in work} == {(work[0]["SELECT"], 1)}, work
        assert {one["write"] for one in work} == {3}, work
        with database.read() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(Delivery)) == 3
            assert set(session.scalars(sa.select(LetterMemory.letter))) == {MANAGE}


class TestThePage:
    def test_it_shows_all_of_the_person_s_newsletters_and_never_the_address(
        self, client, sqlite_service, clock, mine
    ) -> None:
        page = client.get(mine).text
        assert "The Watch" in page
        assert 'id="o-negah"' in page
        reads(sqlite_service, clock(), newsletter="negah")
        page = client.get(mine).text
        assert 'id="n-negah"' in page
        assert "canary" not in page.lower()

    def test_it_works_again_and_again_for_an_hour(self, client, clock, mine, sqlite_database) -> None:
        clock.turn(minutes=59)
        act(client, mine, "pause", weeks="2")
        act(client, mine, "resume")
        given = proof(client.get(mine).text)
        clock.turn(minutes=1)
        assert client.get(mine).status_code == 404
        answer = client.post(mine, data={"proof": given, "do": "leave", "newsletter": "watch"})
        assert (answer.status_code, the(sqlite_database).state) == (404, State.CONFIRMED)
        purge(sqlite_database, NoRecords(), clock())
        assert everything(sqlite_database)["fresh_links"] == []

    def test_a_format_and_a_neutral_subject_are_chosen(self, client, mine, sqlite_database) -> None:
        assert "saved" in act(client, mine, "format", format="full", neutral="yes")
        assert (the(sqlite_database).format, the(sqlite_database).is_neutral) == (Format.FULL, True)
        assert re.search(r'value="full" checked', client.get(mine).text)
        act(client, mine, "format", format="text")
        assert (the(sqlite_database).format, the(sqlite_database).is_neutral) == (Format.TEXT, False)

    @pytest.mark.parametrize("weeks", [1, 2, 4, 8])
    def test_a_pause_lasts_some_weeks_and_can_be_ended(self, client, clock, mine, sqlite_database, weeks: int) -> None:
        page = act(client, mine, "pause", weeks=str(weeks))
        until = clock() + dt.timedelta(weeks=weeks)
        assert the(sqlite_database).paused_until == until
        assert f"{until:%Y-%m-%d}" in page
        act(client, mine, "resume")
        assert the(sqlite_database).paused_until is None

    def test_a_pause_is_dated_as_the_page_s_language_writes_it(self, client, clock, mine) -> None:
        act(client, mine, "pause", weeks="4")
        assert f"{clock() + dt.timedelta(weeks=4):%-d %B %Y}</time>" in client.get(mine).text
        assert re.search(r'lang="fa">[۰-۹]+ (آذر|دی) ۱۴۰۵</time>', client.get(f"{mine}?lang=fa").text)

    def test_the_page_keeps_its_language_whatever_is_left_and_can_be_changed(self, client, mine) -> None:
        act(client, mine, "join", "negah")
        page = client.get(f"{mine}?lang=en").text
        assert f'action="{mine}?lang=en"' in page
        for newsletter in ("watch", "negah"):
            sent = {"proof": proof(page), "do": "leave", "newsletter": newsletter}
            page = client.post(re.findall(r'method="post" action="([^"]+)"', page)[0], data=sent).text
            assert "you have left" in page
            assert '<html lang="en"' in page
            assert 'href="?lang=fa"' in page

    def test_leaving_ends_a_pause_too(self, client, mine, sqlite_database) -> None:
        act(client, mine, "pause", weeks="8")
        assert "you have left" in act(client, mine, "leave")
        assert (the(sqlite_database).state, the(sqlite_database).paused_until) == (State.LEFT, None)

    def test_joining_is_confirmed_at_once_with_its_evidence(self, client, clock, mine, sqlite_database, outbox) -> None:
        clock.turn(minutes=5)
        assert "you are subscribed" in act(client, mine, "join", "negah")
        new = the(sqlite_database, "negah")
        assert (new.state, new.method, new.language) == (State.CONFIRMED, "link", "fa")
        assert new.requested_at == new.confirmed_at == clock()
        token = hash_token(mine.rpartition("/")[2]).hex()[:16]
        assert json.loads(new.evidence) == {"wording": NEGAH.wording_hash, "token": token}
        assert len(outbox.letters) == 1

    def test_who_left_comes_back_with_their_choices(self, client, mine, sqlite_database) -> None:
        act(client, mine, "format", format="text", neutral="yes")
        act(client, mine, "leave")
        act(client, mine, "join")
        back = the(sqlite_database)
        assert (back.state, back.left_at, back.format, back.is_neutral) == (State.CONFIRMED, None, Format.TEXT, True)

    def test_an_open_confirmation_link_is_used_up_by_joining(
        self, client, clock, mine, sqlite_service, sqlite_database, outbox
    ) -> None:
        sqlite_service.join("negah", ADDRESS, clock())
        act(client, mine, "join", "negah")
        assert the(sqlite_database, "negah").state is State.CONFIRMED
        assert client.get(f"/confirm/{outbox.tokens('confirm_url')[-1]}").status_code == 404

    def test_who_must_never_be_mailed_cannot_join_by_it(
        self, client, clock, mine, sqlite_service, sqlite_database
    ) -> None:
        vault = sqlite_service.rooms.vault
        with sqlite_database.write() as session:
            suppress(session, vault, session.scalars(sa.select(Subscriber.id)).one(), COMPLAINT, clock())
        assert "never write to" in act(client, mine, "join")
        assert the(sqlite_database).state is State.LEFT

    @pytest.mark.parametrize(
        "fields",
        [
            {"do": "format", "format": "loud", "newsletter": "watch"},
            {"do": "pause", "weeks": "3", "newsletter": "watch"},
            {"do": "pause", "weeks": "-1", "newsletter": "watch"},
            {"do": "pause", "weeks": "2", "newsletter": "negah"},
            {"do": "format", "format": "full", "newsletter": "negah"},
            {"do": "resume", "newsletter": "negah"},
            {"do": "leave", "newsletter": "negah"},
            {"do": "join", "newsletter": "nonsense"},
            {"do": "erase", "newsletter": "watch"},
            {},
        ],
    )
    def test_what_no_button_says_changes_nothing(self, client, mine, sqlite_database, fields) -> None:
        before = everything(sqlite_database)
        answer = client.post(mine, data={"proof": proof(client.get(mine).text), **fields})
        assert answer.status_code == 200
        assert 'role="status"' not in answer.text
        assert everything(sqlite_database) == before

    def test_one_person_s_button_is_not_good_on_another_s_page(
        self, client, clock, mine, sqlite_service, sqlite_database, outbox
    ) -> None:
        reads(sqlite_service, clock(), "other@example.org")
        other = fresh_path(client, sqlite_service, sqlite_database, outbox, which=1)
        before = everything(sqlite_database)
        given = {"proof": proof(client.get(other).text), "do": "leave", "newsletter": "watch"}
        assert client.post(mine, data=given).status_code == 422
        for path in (f"{mine}/erase", f"{mine}/export"):
            assert client.post(path, data={"proof": proof(client.get(f"{other}/erase").text)}).status_code == 422
        assert everything(sqlite_database) == before


class TestScanners:
    def test_opening_everything_changes_nothing(self, client, mine, sqlite_service, sqlite_database) -> None:
        manage = f"/manage/{manage_token(sqlite_service, sqlite_database)}"
        before = everything(sqlite_database)
        for path in (manage, mine, f"{mine}/erase"):
            for headers in ({}, {"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}):
                assert client.get(path, headers=headers).status_code == 200
                assert client.head(path, headers=headers).status_code == 200
            assert client.options(path).status_code == 204
            for method in ("PUT", "PATCH", "DELETE"):
                assert client.request(method, path).status_code == 405
        assert client.get(f"{mine}/export").status_code == 405
        assert everything(sqlite_database) == before

    def test_blind_posts_change_nothing(self, client, mine, sqlite_database) -> None:
        before = everything(sqlite_database)
        for path in (mine, f"{mine}/export", f"{mine}/erase"):
            assert client.post(path, data={"do": "leave", "newsletter": "watch"}).status_code == 422
        # The proof of the one page is none of the other's.
        assert client.post(f"{mine}/erase", data={"proof": proof(client.get(mine).text)}).status_code == 422
        assert client.post(mine, data={"proof": proof(client.get(f"{mine}/erase").text)}).status_code == 422
        assert everything(sqlite_database) == before

    @pytest.mark.parametrize("end", ["", "/erase"])
    def test_its_pages_tell_browsers_what_not_to_do(self, client, mine, end: str) -> None:
        headers = client.get(mine + end).headers
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["x-robots-tag"] == "noindex"
        assert "set-cookie" not in headers
        text = client.get(mine + end).text
        assert "<script" not in text
        assert not re.search(r"""(src|href|action)=["'](https?:)?//""", text)

    def test_no_log_has_the_link(self, mine: str) -> None:
        token = mine.rpartition("/")[2]
        assert token not in redacted(f"GET {mine}/erase and {mine}/export")


def test_a_page_of_a_house_with_one_newsletter_offers_nothing_more(sqlite_database, keys, outbox, clock) -> None:
    from tests.subscribers.house import make_app

    service = make_service(sqlite_database, Vault(sqlite_database, keys), keys, outbox, WATCH)
    reads(service, clock())
    with TestClient(make_app(service, clock)) as client:
        path = fresh_path(client, service, sqlite_database, outbox)
        assert "What else there is" not in client.get(path).text
        assert "You get none" in act(client, path, "leave")
