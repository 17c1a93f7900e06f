"""The readers' pages over HTTP: what they say, what they change, and what they must not."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import httpx
import pytest
import sqlalchemy as sa
from litestar import Litestar
from litestar.testing import TestClient

from subscribers.db import Database
from subscribers.lifecycle import State
from subscribers.models import LetterMemory, Subscriber, Subscription, Suppression
from subscribers.service import Service
from subscribers.tokens import Purpose, subscription_token
from subscribers.vault import Keys, Vault, make_keys
from tests.subscribers.house import BASE_URL, WATCH, Clock, Recorder, make_app, make_service, serving

ADDRESS = "canary.reader@example.org"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
FORM = "application/x-www-form-urlencoded"
PART = b'--b\nContent-Disposition: form-data; name="List-Unsubscribe"\n\nOne-Click\n--b--\n'
Client = TestClient[Litestar]


def hidden(page: httpx.Response, name: str) -> str:
    """The value of a hidden field of a page."""
    found = re.search(rf'<input type="hidden" name="{re.escape(name)}" value="([^"]*)"', page.text)
    assert found, f"no field {name}"
    return found[1]


def send_form(client: Client, clock: Clock, email: str = ADDRESS, **fields: str) -> httpx.Response:
    """Open the form, take a while to fill it in, and send it."""
    filled = hidden(client.get("/"), "filled")
    clock.turn(seconds=20)
    return client.post("/subscribe", data={"newsletter": "watch", "email": email, "filled": filled, **fields})


def press(client: Client, path: str) -> httpx.Response:
    """Open a page and press its one button."""
    page = client.get(path)
    assert page.text.count("<button") == 1
    return client.post(path, data={"proof": hidden(page, "proof")})


def paths(outbox: Recorder) -> list[str]:
    return [urlsplit(url).path for letter in outbox.letters for url in letter.context.values()]


def path(outbox: Recorder, name: str) -> str:
    return urlsplit([letter.context[name] for letter in outbox.letters if name in letter.context][-1]).path


def confirmed(client: Client, clock: Clock, outbox: Recorder, address: str = ADDRESS) -> None:
    send_form(client, clock, address)
    assert press(client, path(outbox, "confirm_url")).status_code == 200


def snapshot(database: Database) -> list[object]:
    """Everything the people's tables hold."""
    with database.read() as session:
        return [
            [tuple(row) for row in session.execute(sa.select(table.__table__))]
            for table in (Subscriber, Subscription, LetterMemory, Suppression)
        ]


def state(database: Database, newsletter: str = "watch") -> State:
    with database.read() as session:
        return session.scalars(sa.select(Subscription.state).where(Subscription.newsletter == newsletter)).one()


def links_of(service: Service, database: Database) -> dict[str, str]:
    with database.read() as session:
        public_id = session.scalars(sa.select(Subscription.public_id).where(Subscription.newsletter == "watch")).one()
    return {
        "leave": urlsplit(service.links.leave(public_id)).path,
        "manage": urlsplit(service.links.manage(public_id)).path,
    }


class TestTheForm:
    def test_it_offers_every_newsletter_with_the_first_one_chosen(self, client) -> None:
        text = client.get("/").text
        assert re.findall(r'value="(\w+)" checked', text) == ["watch"]
        assert re.findall(r'name="newsletter" value="(\w+)"', text) == ["watch", "negah"]
        assert 'lang="fa" dir="rtl"' in text

    def test_a_link_can_choose_another(self, client) -> None:
        assert re.findall(r'value="(\w+)" checked', client.get("/?newsletter=negah").text) == ["negah"]
        assert re.findall(r'value="(\w+)" checked', client.get("/?newsletter=nonsense").text) == ["watch"]

    def test_with_one_newsletter_there_is_nothing_to_choose(self, sqlite_database, keys, outbox, clock) -> None:
        service = make_service(sqlite_database, Vault(sqlite_database, keys), keys, outbox, WATCH)
        with TestClient(make_app(service, clock)) as client:
            text = client.get("/").text
        assert "radio" not in text
        assert '<input type="hidden" name="newsletter" value="watch">' in text
        assert WATCH.wording in text

    def test_a_bad_address_in_an_old_form_is_told_first(self, client, clock, outbox) -> None:
        filled = re.findall(r'name="filled" value="([^"]*)"', client.get("/").text)[0]
        clock.turn(hours=25)
        sent = {"newsletter": "watch", "email": "me@", "filled": filled}
        answer = client.post("/subscribe", data=sent)
        assert (answer.status_code, outbox.letters) == (422, [])
        assert "There is nothing after the @-sign." in answer.text
        assert "open for a long time" in client.post("/subscribe", data={**sent, "email": "me@example.org"}).text

    def test_sending_it_posts_a_letter_and_asks_to_look_for_it(self, client, clock, outbox, sqlite_database) -> None:
        answer = send_form(client, clock)
        assert answer.status_code == 200
        assert "Please look into your in-box" in answer.text
        assert [letter.kind for letter in outbox.letters] == ["confirm"]
        assert state(sqlite_database) is State.PENDING

    def test_the_answer_has_the_same_octets_for_every_address(self, client, clock, outbox, sqlite_service) -> None:
        confirmed(client, clock, outbox, "confirmed@example.org")
        send_form(client, clock, "suppressed@example.org")
        press(client, path(outbox, "never_url"))
        sqlite_service.enter("watch", "left@example.org", "Signed.", clock())
        send_form(client, clock, "pending@example.org")
        clock.turn(days=2)
        answers = {
            name: send_form(client, clock, f"{name}@example.org")
            for name in ("new", "pending", "confirmed", "suppressed", "left", "canary.reader+tag")
        }
        assert len({answer.content for answer in answers.values()}) == 1
        assert len({(answer.status_code, *sorted(answer.headers.items())) for answer in answers.values()}) == 1
        assert "suppressed" not in " ".join(letter.kind for letter in outbox.letters)

    @pytest.mark.parametrize("typed", ["nobody", "", "a@b", '"><script>alert(1)</script>@example.org'])
    def test_a_bad_address_gets_the_form_again_with_what_was_typed(self, client, clock, outbox, typed) -> None:
        answer = send_form(client, clock, typed, newsletter="negah")
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text
        assert 'aria-describedby="problem wording" aria-invalid="true" autofocus>' in " ".join(answer.text.split())
        assert "<script" not in answer.text
        assert re.findall(r'value="(\w+)" checked', answer.text) == ["negah"]
        if typed.isalpha():
            assert f'value="{typed}"' in answer.text
        assert outbox.letters == []

    def test_the_form_that_comes_again_can_be_sent(self, client, clock, outbox) -> None:
        again = send_form(client, clock, "nobody")
        clock.turn(seconds=5)
        client.post("/subscribe", data={"newsletter": "watch", "email": ADDRESS, "filled": hidden(again, "filled")})
        assert len(outbox.letters) == 1

    def test_an_unknown_newsletter_is_asked_for_again(self, client, clock, outbox) -> None:
        answer = send_form(client, clock, newsletter="other")
        assert (answer.status_code, outbox.letters) == (422, [])
        assert "Please choose a newsletter." in answer.text

    def test_who_fills_the_hidden_field_gets_the_same_page_and_no_letter(self, client, clock, outbox) -> None:
        caught = send_form(client, clock, website="https://spam.example")
        assert outbox.letters == []
        assert caught.content == send_form(client, clock).content

    def test_who_is_faster_than_a_person_gets_the_same_page_and_no_letter(self, client, clock, outbox) -> None:
        fields = {"newsletter": "watch", "email": ADDRESS, "filled": hidden(client.get("/"), "filled")}
        clock.turn(seconds=0.9)
        fast = client.post("/subscribe", data=fields)
        assert outbox.letters == []
        clock.turn(seconds=0.2)
        assert client.post("/subscribe", data=fields).content == fast.content
        assert len(outbox.letters) == 1

    @pytest.mark.parametrize("filled", ["forged", "x" * 32])
    def test_a_form_that_was_not_handed_out_by_us_is_handed_out_again(self, client, outbox, filled) -> None:
        fields = {"newsletter": "watch", "email": ADDRESS, "filled": filled}
        answer = client.post("/subscribe", data=fields)
        assert (answer.status_code, outbox.letters) == (422, [])
        assert f'value="{ADDRESS}"' in answer.text

    def test_a_form_from_the_day_before_yesterday_is_handed_out_again(self, client, clock, outbox) -> None:
        filled = hidden(client.get("/"), "filled")
        clock.turn(hours=25)
        answer = client.post("/subscribe", data={"newsletter": "watch", "email": ADDRESS, "filled": filled})
        assert (answer.status_code, outbox.letters) == (422, [])

    def test_a_multipart_form_is_read_too(self, client, clock, outbox) -> None:
        filled = hidden(client.get("/"), "filled")
        clock.turn(seconds=20)
        fields = {"newsletter": "watch", "email": ADDRESS, "filled": filled}
        client.post("/subscribe", files={name: (None, value) for name, value in fields.items()})
        assert len(outbox.letters) == 1


class TestLimits:
    def test_a_body_above_64_kilobytes_is_refused(self, client) -> None:
        assert client.post("/subscribe", data={"email": "a" * 70_000}).status_code == 413

    def test_so_is_one_that_does_not_say_how_long_it_is(self, client) -> None:
        answer = client.post("/subscribe", content=iter([b"email=" + b"a" * 40_000, b"a" * 40_000]))
        assert answer.status_code == 413

    def test_more_than_20_fields_are_refused(self, client) -> None:
        many = {f"field{number}": "x" for number in range(21)}
        assert client.post("/subscribe", data=many).status_code == 400
        assert client.post("/subscribe", files=dict.fromkeys(many, (None, "x"))).status_code == 400

    @pytest.mark.parametrize(
        "kind", ["multipart/form-data", "multipart/form-data; boundary=x", "multipart/form-data; boundary="]
    )
    def test_a_body_that_is_not_what_it_says_is_refused(self, client, kind) -> None:
        assert client.post("/subscribe", content=b"email=a", headers={"content-type": kind}).status_code == 400

    @pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"%ff%00=%zz", b"email=%00", b"&&&===", b"\0" * 100])
    def test_octets_of_any_kind_get_the_form_again(self, client, body) -> None:
        assert client.post("/subscribe", content=body).status_code == 422


class TestConfirming:
    def test_the_page_has_one_button_and_pressing_it_confirms(self, client, clock, outbox, sqlite_database) -> None:
        send_form(client, clock)
        answer = press(client, path(outbox, "confirm_url"))
        assert answer.status_code == 200
        assert "You are subscribed" in answer.text
        assert state(sqlite_database) is State.CONFIRMED

    def test_pressing_twice_shows_the_same_page(self, client, clock, outbox) -> None:
        send_form(client, clock)
        link = path(outbox, "confirm_url")
        proof = hidden(client.get(link), "proof")
        first, second = (client.post(link, data={"proof": proof}) for _ in range(2))
        assert (first.status_code, first.content) == (second.status_code, second.content)
        # Whoever opens the link again is told that it is done, and asked for nothing.
        assert client.get(link).content == first.content

    @pytest.mark.parametrize("proof", [None, "", "x" * 64, "another link's"])
    def test_a_program_that_posts_without_having_read_the_page_does_nothing(
        self, client, clock, outbox, sqlite_database, proof
    ) -> None:
        send_form(client, clock)
        if proof == "another link's":
            proof = hidden(client.get("/never/anything"), "proof")
        before = snapshot(sqlite_database)
        answer = client.post(path(outbox, "confirm_url"), data={} if proof is None else {"proof": proof})
        assert answer.status_code == 422
        assert snapshot(sqlite_database) == before

    def test_an_old_link_says_what_to_do_and_has_the_form(self, client, clock, outbox) -> None:
        send_form(client, clock)
        page = client.get(path(outbox, "confirm_url"))
        clock.turn(hours=73)
        answers = [
            client.get(path(outbox, "confirm_url")),
            client.post(path(outbox, "confirm_url"), data={"proof": hidden(page, "proof")}),
            client.get("/confirm/forged"),
            client.post("/confirm/forged"),
        ]
        for answer in answers:
            assert answer.status_code == 404
            assert "This link does not work any more" in answer.text
            assert 'action="/subscribe' in answer.text


class TestOneClick:
    @pytest.fixture
    def links(self, client, clock, outbox, sqlite_service, sqlite_database) -> dict[str, str]:
        confirmed(client, clock, outbox)
        client.cookies.clear()
        return links_of(sqlite_service, sqlite_database)

    def test_a_mail_program_s_urlencoded_post_leaves(self, client, links, sqlite_database) -> None:
        answer = client.post(links["leave"], data=ONE_CLICK, follow_redirects=False)
        assert answer.status_code == 200
        assert state(sqlite_database) is State.LEFT

    def test_a_mail_program_s_multipart_post_leaves(self, client, links, sqlite_database) -> None:
        answer = client.post(links["leave"], files={"List-Unsubscribe": (None, "One-Click")}, follow_redirects=False)
        assert answer.status_code == 200
        assert state(sqlite_database) is State.LEFT

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {
                "Origin": "https://mail.example.com",
                "Referer": "https://mail.example.com/",
                "Sec-Fetch-Site": "cross-site",
            },
            {"Origin": "null"},
            {"Cookie": "session=nonsense"},
            {"Host": "www.digest.example.org"},
        ],
    )
    def test_it_works_whatever_else_the_mail_program_sends(self, client, links, sqlite_database, headers) -> None:
        assert client.post(links["leave"], data=ONE_CLICK, headers=headers).status_code == 200
        assert state(sqlite_database) is State.LEFT

    def test_the_answer_is_the_same_for_known_used_and_unknown_links(self, client, links) -> None:
        unknown = [subscription_token(make_keys().token, Purpose.LEAVE, bytes(16)), "x", links["manage"][8:]]
        addresses = [links["leave"], links["leave"], *(f"/u/{token}" for token in unknown)]
        answers = [client.post(address, data=ONE_CLICK, follow_redirects=False) for address in addresses]
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert not any("location" in answer.headers for answer in answers)

    def test_the_page_s_own_button_sends_the_same_field(self, client, links, sqlite_database) -> None:
        page = client.get(links["leave"])
        assert page.text.count("<button") == 1
        assert "The Watch" in page.text
        answer = client.post(links["leave"], data={"List-Unsubscribe": hidden(page, "List-Unsubscribe")})
        assert "Goodbye" in answer.text
        assert state(sqlite_database) is State.LEFT

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            (FORM, b"List-Unsubscribe=One-Click\r\n"),
            (FORM, b" list-unsubscribe = one-click "),
            (FORM, b"LIST-UNSUBSCRIBE=ONE-CLICK"),
            (FORM, b"&".join(b"x%d=" % number for number in range(50)) + b"&List-Unsubscribe=One-Click"),
            ("text/plain", b"List-Unsubscribe=One-Click"),
            ("", b"List-Unsubscribe=One-Click\n"),
            ("multipart/form-data", PART.replace(b"\n", b"\r\n")),
            ("multipart/form-data; boundary=b", PART),
            ("multipart/form-data; boundary=other", PART.replace(b"\n", b"\r\n")),
            ("multipart/form-data; boundary=b", PART.replace(b"\n\n", b"\nContent-Type: text/plain\n\n")),
            ("multipart/form-data; boundary=b", b"List-Unsubscribe=One-Click"),
        ],
    )
    def test_however_a_mail_program_spells_it_the_reader_leaves(
        self, client, links, sqlite_database, kind: str, body: bytes
    ) -> None:
        answer = client.post(links["leave"], content=body, headers={"content-type": kind}, follow_redirects=False)
        assert answer.status_code == 200
        assert state(sqlite_database) is State.LEFT

    @pytest.mark.parametrize("kind", [FORM, "multipart/form-data", "multipart/form-data; boundary=b", "x"])
    def test_a_body_that_is_no_form_gets_the_page_and_an_unknown_link_the_answer(self, client, links, kind) -> None:
        headers = {"content-type": kind}
        answer = client.post(links["leave"], content=b"--c\n\xff nonsense", headers=headers)
        assert (answer.status_code, "<button" in answer.text) == (200, True)
        unknown = client.post("/u/unknown", content=PART, headers=headers)
        assert (unknown.status_code, "<button" in unknown.text) == (200, False)

    @pytest.mark.parametrize("data", [{}, {"List-Unsubscribe": "One-Clicks"}, {"List": "One-Click"}])
    def test_a_post_without_the_field_changes_nothing(self, client, links, sqlite_database, data) -> None:
        assert client.post(links["leave"], data=data).status_code == 200
        assert state(sqlite_database) is State.CONFIRMED

    def test_the_link_still_works_in_a_year(self, client, clock, links, sqlite_database) -> None:
        clock.turn(days=400)
        client.post(links["leave"], data=ONE_CLICK)
        assert state(sqlite_database) is State.LEFT


class TestNeverAgain:
    def test_the_page_has_one_button_and_pressing_it_suppresses(self, client, clock, outbox, sqlite_database) -> None:
        send_form(client, clock)
        answer = press(client, path(outbox, "never_url"))
        assert answer.status_code == 200
        assert "We will not write to you again" in answer.text
        assert state(sqlite_database) is State.LEFT

    def test_a_blind_post_and_a_forged_link_do_nothing(self, client, clock, outbox, sqlite_database) -> None:
        send_form(client, clock)
        before = snapshot(sqlite_database)
        assert client.post(path(outbox, "never_url")).status_code == 422
        assert press(client, "/never/forged").status_code == 404
        assert snapshot(sqlite_database) == before


class TestManaging:
    def test_it_shows_the_one_newsletter_and_never_the_address(
        self, client, clock, outbox, sqlite_service, sqlite_database
    ) -> None:
        confirmed(client, clock, outbox)
        sqlite_service.enter("negah", ADDRESS, "Signed.", clock())
        page = client.get(links_of(sqlite_service, sqlite_database)["manage"])
        assert page.status_code == 200
        assert "The Watch" in page.text
        assert "نگاه" not in page.text
        assert "canary" not in page.text.lower()

    def test_its_button_leaves(self, client, clock, outbox, sqlite_service, sqlite_database) -> None:
        confirmed(client, clock, outbox)
        manage = links_of(sqlite_service, sqlite_database)["manage"]
        action = re.search(r'action="(/u/[^"]+)"', client.get(manage).text)
        assert action
        client.post(action[1], data=ONE_CLICK)
        assert state(sqlite_database) is State.LEFT

    def test_a_forged_link_says_what_to_do(self, client) -> None:
        answer = client.get("/manage/forged")
        assert answer.status_code == 404
        assert 'action="/subscribe' in answer.text


class TestScanners:
    """Whatever opens every link of every letter must change nothing (promise 3)."""

    def test_opening_everything_twice_changes_nothing(
        self, client, clock, outbox, sqlite_service, sqlite_database
    ) -> None:
        confirmed(client, clock, outbox, "other@example.org")
        clock.turn(days=2)
        send_form(client, clock, "other@example.org")
        send_form(client, clock)
        addresses = {"/", "/subscribe", *paths(outbox)}
        with sqlite_database.read() as session:
            for public_id in session.scalars(sa.select(Subscription.public_id)):
                addresses |= {
                    urlsplit(link(public_id)).path for link in (sqlite_service.links.leave, sqlite_service.links.manage)
                }
        before = snapshot(sqlite_database)
        letters = len(outbox.letters)
        for _ in range(2):
            for address in addresses:
                for headers in ({}, {"Sec-Purpose": "prefetch"}, {"Purpose": "prefetch"}):
                    assert client.get(address, headers=headers).status_code == 200
                    assert client.head(address, headers=headers).status_code == 200
                assert client.options(address).status_code == 204
                for method in ("PUT", "PATCH", "DELETE"):
                    assert client.request(method, address).status_code == 405
        assert len(addresses) >= 10
        assert snapshot(sqlite_database) == before
        assert len(outbox.letters) == letters

    def test_a_head_is_answered_like_a_get_without_the_body(self, client) -> None:
        assert client.head("/").headers["content-type"] == client.get("/").headers["content-type"]


class TestHeaders:
    @pytest.mark.parametrize("address", ["/", "/confirm/x", "/u/x", "/never/x", "/manage/x"])
    def test_every_page_tells_browsers_what_not_to_do(self, client, address) -> None:
        headers = client.get(address).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in headers
        assert "strict-transport-security" not in headers
        assert ("x-robots-tag" in headers) is (address != "/")

    def test_over_tls_browsers_are_told_to_stay_there(self, sqlite_database, keys, outbox, clock) -> None:
        vault = Vault(sqlite_database, keys)
        service = make_service(sqlite_database, vault, keys, outbox, base_url="https://digest.example.org")
        with TestClient(make_app(service, clock)) as client:
            assert client.get("/").headers["strict-transport-security"].startswith("max-age=")

    @pytest.mark.parametrize("address", ["/", "/confirm/x", "/u/x", "/never/x", "/static/site.css"])
    def test_no_page_has_a_script_or_loads_anything_from_elsewhere(self, client, address) -> None:
        text = client.get(address).text
        assert "<script" not in text
        assert not re.search(r"\son\w+=|style=|javascript:|@import|url\(", text)
        assert not re.search(r"""(src|href|action)=["'](https?:)?//""", text)

    def test_links_in_letters_do_not_listen_to_the_request_s_host(self, client, clock, outbox) -> None:
        filled = hidden(client.get("/"), "filled")
        clock.turn(seconds=20)
        headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
        fields = {"newsletter": "watch", "email": ADDRESS, "filled": filled}
        answer = client.post("/subscribe", data=fields, headers=headers)
        assert "evil.example" not in answer.text
        assert all(url.startswith(BASE_URL) for letter in outbox.letters for url in letter.context.values())


def test_titles_and_wordings_are_escaped(sqlite_database, keys: Keys, outbox: Recorder, clock: Clock) -> None:
    nasty = "<b>&\"'</b>"
    info = type(WATCH)("watch", nasty, nasty, "en", "ltr", nasty, nasty)
    service = make_service(sqlite_database, Vault(sqlite_database, keys), keys, outbox, info)
    with TestClient(make_app(service, clock, site_title=nasty)) as client:
        confirmed(client, clock, outbox)
        links = links_of(service, sqlite_database)
        for address in ("/", path(outbox, "confirm_url"), links["leave"], links["manage"]):
            text = client.get(address).text
            assert "<b>&" not in text
            assert "&lt;b&gt;&amp;" in text


def test_no_form_that_was_sent_stays_in_a_cache(client, clock) -> None:
    """Litestar's reader of forms keeps 1,024 bodies for as long as the process lives (E-08); ours keeps none."""
    from litestar._parsers import parse_url_encoded_form_data

    before = parse_url_encoded_form_data.cache_info().currsize
    send_form(client, clock)
    assert parse_url_encoded_form_data.cache_info().currsize == before


def test_the_whole_way_over_a_real_server(sqlite_service, sqlite_database, outbox, clock) -> None:
    """From the form to confirmed to left, over real HTTP."""
    with serving(make_app(sqlite_service, clock)) as base, httpx.Client(base_url=base) as browser:
        send_form(browser, clock)  # type: ignore[arg-type]
        press(browser, path(outbox, "confirm_url"))  # type: ignore[arg-type]
        assert state(sqlite_database) is State.CONFIRMED
        leave = links_of(sqlite_service, sqlite_database)["leave"]
        assert browser.head(leave).content == b""
        assert state(sqlite_database) is State.CONFIRMED
        assert browser.post(leave, data=ONE_CLICK).status_code == 200
        assert state(sqlite_database) is State.LEFT
        assert browser.get("/static/site.css").headers["content-type"].startswith("text/css")
