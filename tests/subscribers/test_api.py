"""The form for programs: what it says, to whom, and that it says the same of every address."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient
from schemathesis.specs.openapi.checks import positive_data_acceptance

from subscribers import proof as proofs
from subscribers.budgets import FormRules, Pressure
from subscribers.db import Database
from subscribers.guard import Guard
from subscribers.service import Service
from subscribers.vault import Keys
from tests.subscribers.house import BASE_URL, NEGAH, WATCH, Clock, make_app
from tests.subscribers.test_guard import SMALL, solve
from tests.subscribers.test_web import press, send_form, snapshot

Client = TestClient[Litestar]
NEWSROOM = "https://www.example.org"
MANY = FormRules(
    per_hour=10**6,
    prefix_per_hour=10**6,
    domain_per_hour=10**6,
    unproven_per_hour=10**6,
    unproven_prefix_per_hour=10**6,
)


@pytest.fixture
def clock() -> Clock:
    """The real time: the proofs' library looks at the machine's clock."""
    return Clock(dt.datetime.now(dt.UTC))


@pytest.fixture
def rules() -> FormRules:
    return MANY


@pytest.fixture
def guard(sqlite_database: Database, keys: Keys, rules: FormRules) -> Guard:
    return Guard(sqlite_database, keys.token, rules)


@pytest.fixture
def app(sqlite_service: Service, clock: Clock, guard: Guard) -> Litestar:
    return make_app(sqlite_service, clock, guard, [NEWSROOM])


@pytest.fixture
def client(app: Litestar) -> Iterator[Client]:
    with TestClient(app, base_url=BASE_URL) as client:
        yield client


def ask(client: Client, email: str = "reader@example.org", **more: Any) -> httpx.Response:
    return client.post("/api/subscribe", json={"email": email, "newsletter": "watch", **more})


def is_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    said: dict[str, Any] = answer.json()
    assert said["status"] == status
    assert said["title"]
    assert said["detail"]
    return said


class TestAsking:
    def test_a_plausible_address_is_accepted_and_gets_its_letter(self, client, outbox) -> None:
        answer = ask(client)
        assert (answer.status_code, answer.headers["content-type"]) == (202, "application/json")
        assert [letter.kind for letter in outbox.letters] == ["confirm"]

    def test_the_answer_has_the_same_octets_for_every_state(self, client, clock, outbox, sqlite_service) -> None:
        for name in ("never", "confirmed", "pending"):
            ask(client, f"{name}@example.org")
        for name, link in (("never_url", 0), ("confirm_url", 1)):
            press(client, httpx.URL(outbox.letters[link].context[name]).path)
        sqlite_service.enter("watch", "left@example.org", "for a test", clock())
        letters = len(outbox.letters)
        answers = [ask(client, f"{name}@example.org") for name in ("new", "pending", "confirmed", "never", "left")]
        assert len({(answer.status_code, answer.content, *sorted(answer.headers.items())) for answer in answers}) == 1
        # Of the five a new one and two who are subscribed get a letter.
        assert len(outbox.letters) == letters + 3

    @pytest.mark.parametrize("email", ["", "nobody", "a@b", "a b@example.org", "a@example.org\r\nBcc: x@example.org"])
    def test_what_is_no_address_is_a_problem_that_does_not_repeat_it(self, client, outbox, email: str) -> None:
        said = is_problem(ask(client, email), 422)
        assert not email or email not in said["detail"]
        assert outbox.letters == []

    def test_so_is_a_newsletter_that_there_is_not(self, client) -> None:
        is_problem(ask(client, newsletter="nonsense"), 422)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"null",
            b"[]",
            b'"x"',
            b"{}",
            b'{"email": 1, "newsletter": "watch"}',
            b"\xff",
            b'{"email":"\\ud800"}',
            b"[" * 5_000,
        ],
    )
    def test_what_is_no_request_is_a_problem(self, client, body: bytes) -> None:
        is_problem(client.post("/api/subscribe", content=body, headers={"content-type": "application/json"}), 400)

    @pytest.mark.parametrize(
        "kind",
        [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"],
    )
    def test_only_json_is_taken(self, client, outbox, kind: str | None) -> None:
        body = json.dumps({"email": "a@example.org", "newsletter": "watch"})
        headers = {} if kind is None else {"content-type": kind}
        is_problem(client.post("/api/subscribe", content=body, headers=headers), 415)
        assert outbox.letters == []

    def test_a_body_above_64_kilobytes_is_refused(self, client) -> None:
        is_problem(ask(client, "a" * 70_000), 413)

    def test_no_cookie_is_set_and_nothing_is_kept(self, client) -> None:
        for answer in (ask(client), client.get("/api/newsletters"), client.get("/api/challenge")):
            assert "set-cookie" not in answer.headers
            assert answer.headers["cache-control"] == "no-store"

    def test_reading_changes_nothing(self, client, sqlite_database) -> None:
        before = snapshot(sqlite_database)
        for path in ("newsletters", "challenge", "openapi.json"):
            assert client.get(f"/api/{path}").status_code == 200
        assert snapshot(sqlite_database) == before


class TestOffers:
    def test_every_newsletter_is_listed_with_its_wording(self, client) -> None:
        listed = client.get("/api/newsletters").json()["newsletters"]
        assert [one["slug"] for one in listed] == ["watch", "negah"]
        assert [one["wording"] for one in listed] == [WATCH.wording, NEGAH.wording]


class TestPressure:
    @pytest.fixture
    def rules(self) -> FormRules:
        return SMALL

    @pytest.fixture(autouse=True)
    def _quick_proofs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(proofs, "COST", 1)

    def test_used_up_it_hands_out_a_challenge_whose_answer_buys_the_letter(self, client, outbox) -> None:
        answers = [ask(client, f"r{n}@d{n}.example") for n in range(8)]
        assert [answer.status_code for answer in answers] == [202] * 2 + [429] * 6
        challenge = is_problem(answers[-1], 429)["challenge"]
        assert ask(client, "one-more@example.org", altcha=solve(challenge)).status_code == 202
        assert ask(client, "another@example.org", altcha=solve(challenge)).status_code == 429
        fresh = client.get("/api/challenge").json()
        assert ask(client, "another@example.org", altcha=solve(fresh)).status_code == 202
        assert len(outbox.letters) == 4

    def test_a_program_uses_up_nothing_of_what_readers_have_who_read_the_page(self, client, clock) -> None:
        for number in range(20):
            ask(client, f"r{number}@d{number}.example")
        for number in range(4):
            assert send_form(client, clock, f"reader-{number}@e{number}.example").status_code == 200

    def test_resting_it_says_when_to_come_back(self, client, guard, outbox) -> None:
        guard.pressure("", dt.datetime.now(dt.UTC))
        guard._pressure = Pressure.PAUSED
        answer = ask(client)
        is_problem(answer, 503)
        assert int(answer.headers["retry-after"]) > 0
        assert outbox.letters == []


class TestOtherSites:
    def test_the_newsroom_s_own_site_may_read_the_answer(self, client) -> None:
        answer = client.post("/api/subscribe", json={"email": "x"}, headers={"origin": NEWSROOM})
        assert answer.headers["access-control-allow-origin"] == NEWSROOM
        assert "access-control-allow-credentials" not in answer.headers
        allowed = client.options("/api/subscribe", headers={"origin": NEWSROOM})
        assert allowed.headers["access-control-allow-headers"] == "content-type"
        assert allowed.headers["access-control-allow-methods"] == "POST"

    @pytest.mark.parametrize(
        "origin", ["https://elsewhere.example", "null", f"{NEWSROOM}.evil.example", "http://www.example.org"]
    )
    def test_others_may_not(self, client, origin: str) -> None:
        for answer in (
            client.options("/api/subscribe", headers={"origin": origin}),
            client.get("/api/newsletters", headers={"origin": origin}),
        ):
            assert answer.headers["vary"] == "Origin"
            assert not [name for name in answer.headers if name.startswith("access-control")]

    def test_without_a_list_no_site_may(self, sqlite_service, clock) -> None:
        with TestClient(make_app(sqlite_service, clock)) as client:
            answer = client.get("/api/newsletters", headers={"origin": NEWSROOM})
        assert "access-control-allow-origin" not in answer.headers


class TestTheDescription:
    def test_it_has_these_routes_and_no_others(self, client) -> None:
        described = client.get("/api/openapi.json").json()
        assert described["openapi"].startswith("3.1")
        assert sorted(described["paths"]) == ["/api/challenge", "/api/newsletters", "/api/subscribe"]
        assert "://" not in json.dumps(described)


@pytest.mark.parametrize("path", ["/api/newsletters", "/api/challenge", "/api/subscribe"])
def test_every_answer_is_one_that_the_description_promises(app: Litestar, path: str) -> None:
    described = schemathesis.openapi.from_asgi("/api/openapi.json", app)
    (operation,) = described[path].values()

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(), number=st.integers(0, 9))
    def check(case: schemathesis.Case[Any], number: int) -> None:
        if isinstance(case.body, dict) and isinstance(case.body.get("email"), str):
            case.body |= {"email": f"r{number}@example.org", "newsletter": "watch"} if number else {}
        # What an address is, no schema says.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    check()
