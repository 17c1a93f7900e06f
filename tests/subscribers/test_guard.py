"""The budgets of the form: what is counted, what is asked when they are used up, and that nobody is shut out."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from html import unescape
from typing import Any, cast

import altcha
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from subscribers import proof as proofs
from subscribers.budgets import HOUR, Bucket, FormRules, Pressure, pressure_of
from subscribers.counts import Counts
from subscribers.db import Database
from subscribers.guard import FREE, MOST_NETWORKS, Guard, Knock, Networks, Verdict
from subscribers.lifecycle import IMPORT, State
from subscribers.models import FormCount, SpentProof, Subscription
from subscribers.networks import prefix_of
from subscribers.proof import Proofs
from subscribers.service import Service
from subscribers.tokens import fill_stamp
from tests.subscribers.house import BASE_URL, Clock, make_app
from tests.subscribers.test_web import ADDRESS, hidden, send_form, snapshot

KEY = b"k" * 32
TABLE = cast("sa.Table", FormCount.__table__)
SMALL = FormRules(per_hour=8, prefix_per_hour=4, domain_per_hour=6, unproven_per_hour=3, unproven_prefix_per_hour=2)
NAMES = ("challenge", "solution", "parameters", "signature", "x")
HOME, OFFICE, TOR = "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"


@pytest.fixture(autouse=True)
def _quick_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules are the same with one round; only browsers are made to work."""
    monkeypatch.setattr(proofs, "COST", 1)
    monkeypatch.setattr(proofs, "HARD_COST", 4)


@pytest.fixture
def clock() -> Clock:
    """The real time: the proofs' library looks at the machine's clock."""
    return Clock(dt.datetime.now(dt.UTC))


def solve(challenge: dict[str, Any]) -> str:
    """What a browser sends back."""
    read = altcha.Challenge.from_dict(challenge)
    solution = altcha.solve_challenge(read)
    assert solution
    return altcha.Payload(read, solution).to_base64()


def knocks(guard: Guard, count: int, now: dt.datetime, prefix: str = HOME, domain: str = "a.example") -> list[Verdict]:
    return [guard.judge(Knock(prefix, domain), now) for _ in range(count)]


class TestBuckets:
    @given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 100)), max_size=30), st.integers(1, 50))
    def test_what_leaks_is_a_bucket_an_hour_and_never_more_than_there_was(self, steps, size) -> None:
        bucket, at, put_in = Bucket(), 0.0, 0.0
        for more, later in steps:
            at, put_in = at + later, put_in + more
            bucket = bucket.with_more(more, size, at)
            assert 0 <= bucket.level <= put_in + 1e-6
        assert bucket.left(size, at + bucket.level / size * HOUR + 0.001) == pytest.approx(0, abs=1e-4)

    def test_a_clock_that_was_set_back_gives_nothing_away(self) -> None:
        assert Bucket(5, 1000).left(10, 900) == 5
        assert Bucket(5, 1000).with_more(1, 10, 900) == Bucket(6, 1000)


class TestPressure:
    @pytest.mark.parametrize(
        ("pending", "confirmed", "pressure"),
        [
            (0, 0, Pressure.CALM),
            (199, 0, Pressure.CALM),
            (200, 0, Pressure.PROOF),
            (200, 100, Pressure.CALM),
            (2_000, 1_900, Pressure.HARD),
            (10_000, 9_000, Pressure.HARD),
            (10_000, 100, Pressure.PAUSED),
        ],
    )
    def test_it_rises_with_what_nobody_confirms(self, pending: int, confirmed: int, pressure: Pressure) -> None:
        assert pressure_of(pending, confirmed, FormRules()) is pressure

    @given(st.integers(0, 30_000), st.integers(0, 30_000), st.integers(0, 1000))
    def test_more_confirmed_requests_never_raise_it(self, pending: int, confirmed: int, more: int) -> None:
        assert pressure_of(pending, confirmed + more, FormRules()) <= pressure_of(pending, confirmed, FormRules())


class TestBudgets:
    def test_a_network_that_asks_too_often_is_asked_for_a_proof_and_others_are_not(
        self, sqlite_database, clock
    ) -> None:
        guard = Guard(sqlite_database, KEY, SMALL)
        assert knocks(guard, 4, clock()) == [Verdict.TAKE] * 4
        assert guard.pressure(HOME, clock()) is Pressure.PROOF
        assert guard.pressure(OFFICE, clock()) is Pressure.CALM
        assert knocks(guard, 1, clock(), OFFICE) == [Verdict.TAKE]

    def test_without_a_proof_a_small_reserve_is_left(self, sqlite_database, clock) -> None:
        guard = Guard(sqlite_database, KEY, SMALL)
        assert knocks(guard, 9, clock()) == [Verdict.TAKE] * 6 + [Verdict.ASK] * 3

    def test_a_proof_buys_what_the_budget_has_not(self, sqlite_database, clock) -> None:
        guard = Guard(sqlite_database, KEY, SMALL)
        knocks(guard, 9, clock(), TOR)
        for _ in range(20):
            answer = solve(guard.challenge(Pressure.PROOF, clock()))
            assert guard.judge(Knock(TOR, "a.example", answer), clock()) is Verdict.TAKE
        assert knocks(guard, 1, clock(), TOR) == [Verdict.ASK]

    def test_an_hour_later_the_budget_is_there_again(self, sqlite_database, clock) -> None:
        guard = Guard(sqlite_database, KEY, SMALL)
        knocks(guard, 9, clock())
        clock.turn(hours=1)
        assert guard.pressure(HOME, clock()) is Pressure.CALM
        assert knocks(guard, 4, clock()) == [Verdict.TAKE] * 4

    def test_one_domain_is_not_bombed_from_everywhere(self, sqlite_database, clock) -> None:
        guard = Guard(sqlite_database, KEY, replace(SMALL, per_hour=1000))
        taken = [guard.judge(Knock(f"10.0.{n}.0/24", "victim.example"), clock()) for n in range(20)]
        assert taken == [Verdict.TAKE] * 9 + [Verdict.ASK] * 11
        assert guard.judge(Knock("10.1.0.0/24", "other.example"), clock()) is Verdict.TAKE

    def test_nor_are_all_together(self, sqlite_database, clock) -> None:
        guard = Guard(sqlite_database, KEY, SMALL)
        taken = [guard.judge(Knock(f"10.0.{n}.0/24", f"d{n}.example"), clock()) for n in range(20)]
        assert taken == [Verdict.TAKE] * 11 + [Verdict.ASK] * 9
        assert guard.pressure("10.9.0.0/24", clock()) is Pressure.PROOF

    def test_a_form_elsewhere_has_the_reserve_alone(self, sqlite_database, clock) -> None:
        guard = Guard(sqlite_database, KEY, SMALL)
        elsewhere = Knock(HOME, "a.example", is_ours=False)
        assert [guard.judge(elsewhere, clock()) for _ in range(3)] == [Verdict.TAKE, Verdict.TAKE, Verdict.ASK]
        assert guard.pressure(HOME, clock()) is Pressure.CALM

    def test_a_page_that_is_looked_at_takes_nothing_and_writes_nothing(self, sqlite_database, clock) -> None:
        guard = Guard(sqlite_database, KEY, SMALL)
        knocks(guard, 3, clock())
        before = [tuple(row) for row in rows(sqlite_database)]
        for _ in range(50):
            clock.turn(seconds=5)
            assert guard.pressure(HOME, clock()) is Pressure.CALM
        assert rows(sqlite_database) == before


def rows(database: Database) -> list[tuple[Any, ...]]:
    with database.read() as session:
        return sorted(tuple(row) for row in session.execute(sa.select(TABLE)))


class TestSharing:
    def test_processes_count_together(self, database, clock) -> None:
        first, second = (Guard(database, KEY, SMALL) for _ in range(2))
        for n in range(4):
            first.judge(Knock(f"10.0.{n}.0/24", f"d{n}.example"), clock())
            second.judge(Knock(f"10.1.{n}.0/24", f"e{n}.example"), clock())
        clock.turn(seconds=3)
        # The first request after a moment brings what is new, and learns.
        for guard in (first, second, first):
            assert guard.judge(Knock("10.2.0.0/24", "f.example", is_ours=False), clock()) is not Verdict.REST
            clock.turn(seconds=3)
        assert first.pressure("10.3.0.0/24", clock()) is Pressure.PROOF

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 600)), max_size=12))
    def test_the_database_reckons_as_the_rule_does(self, steps: list[tuple[int, float]]) -> None:
        with closing(Database("sqlite://")) as database:
            TABLE.create(database.engine)
            counts, expected, now = Counts(database), Bucket(), dt.datetime(2026, 11, 18, tzinfo=dt.UTC)
            for times, later in steps:
                now += dt.timedelta(seconds=later)
                for _ in range(times):
                    counts.add({7: 40.0}, now)
                    expected = expected.with_more(1, 40.0, now.timestamp())
                counts.meet(now)
            other = Counts(database)
            other.look()
            for one in (counts, other):
                assert one.left(7, 40.0, now) == pytest.approx(expected.left(40.0, now.timestamp()), abs=1e-6)

    def test_what_could_not_be_shared_is_not_lost(self, sqlite_database, clock) -> None:
        counts = Counts(sqlite_database)
        counts.add({1: 10}, clock())
        TABLE.drop(sqlite_database.engine)
        with pytest.raises(sa.exc.OperationalError):
            counts.meet(clock())
        TABLE.create(sqlite_database.engine)
        counts.meet(clock())
        assert [level for _, level, _ in rows(sqlite_database)] == [1.0]

    def test_without_its_tables_a_guard_still_keeps_its_own_budgets(self, sqlite_database, clock) -> None:
        guard = Guard(sqlite_database, KEY, SMALL)
        TABLE.drop(sqlite_database.engine)
        assert knocks(guard, 9, clock()) == [Verdict.TAKE] * 6 + [Verdict.ASK] * 3

    def test_old_buckets_are_thrown_away(self, database, clock) -> None:
        guard = Guard(database, KEY, SMALL)
        knocks(guard, 2, clock())
        clock.turn(seconds=3)
        knocks(guard, 1, clock())
        assert {number for number, _, _ in rows(database)} > {0}
        clock.turn(hours=2)
        guard.judge(Knock(HOME, ""), clock())
        clock.turn(seconds=3)
        guard.judge(Knock(HOME, ""), clock())
        assert [number for number, _, _ in rows(database)] == [0]


class TestPrivacy:
    def test_no_network_and_no_domain_is_written_down_or_shown(self, sqlite_database, clock) -> None:
        guard = Guard(sqlite_database, KEY, SMALL)
        knock = Knock(HOME, "canary.example")
        for _ in range(3):
            guard.judge(knock, clock())
            clock.turn(seconds=3)
        kept = repr((rows(sqlite_database), vars(guard), vars(guard._networks), vars(guard._counts), knock))
        assert "canary" not in kept
        assert "192.0.2" not in kept

    def test_a_day_later_yesterdays_networks_mean_nothing(self, clock) -> None:
        networks = Networks()
        networks.add(0, HOME, 10, clock())
        before = set(networks._buckets)
        clock.turn(days=1)
        assert networks.left(0, HOME, 10, clock()) == 0
        networks.add(0, HOME, 10, clock())
        assert len(networks._buckets) == 1
        assert before.isdisjoint(networks._buckets)

    def test_so_many_networks_are_remembered_and_no_more(self, clock) -> None:
        networks = Networks()
        for number in range(MOST_NETWORKS + 10):
            networks.add(0, str(number), 10, clock())
        assert len(networks._buckets) == MOST_NETWORKS
        assert networks.left(0, str(MOST_NETWORKS), 10, clock()) == 1
        assert networks.left(0, "0", 10, clock()) == 0

    @pytest.mark.parametrize(
        ("host", "prefix"),
        [
            ("192.0.2.77", HOME),
            ("::ffff:192.0.2.77", HOME),
            ("2001:db8:1:2:3::9", "2001:db8:1::/56"),
            (None, "elsewhere"),
        ],
    )
    def test_a_network_is_a_24_or_a_56(self, host: str | None, prefix: str) -> None:
        assert prefix_of(host) == prefix


class TestProofs:
    def test_an_answer_is_good_once_for_all_processes(self, database, clock) -> None:
        one, other = Proofs(database, KEY), Proofs(database, KEY)
        answer = solve(one.challenge(clock()))
        assert [one.spend(answer, clock()), other.spend(answer, clock()), one.spend(answer, clock())] == [
            True,
            False,
            False,
        ]

    def test_it_is_short_lived_and_for_this_one_purpose(self, database, clock) -> None:
        made = Proofs(database, KEY).challenge(clock())["parameters"]
        assert 0 < made["expiresAt"] - clock().timestamp() <= 600
        assert made["data"] == {"action": "subscribe"}

    def test_what_was_used_is_forgotten_when_it_expires(self, database, clock) -> None:
        proofs = Proofs(database, KEY)
        assert proofs.spend(solve(proofs.challenge(clock())), clock())
        clock.turn(minutes=11)
        fresh = solve(proofs.challenge(clock()))
        assert proofs.spend(fresh, clock())
        with database.read() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(SpentProof)) == 1

    def test_an_old_answer_is_none(self, sqlite_database, clock) -> None:
        proofs = Proofs(sqlite_database, KEY)
        answer = solve(proofs.challenge(clock()))
        clock.turn(minutes=10)
        assert not proofs.spend(answer, clock())
        past = solve(proofs.challenge(clock() - dt.timedelta(hours=1)))
        assert not proofs.spend(past, clock() - dt.timedelta(hours=1))

    def test_an_easy_answer_is_not_enough_where_a_hard_one_is_asked_for(self, sqlite_database, clock) -> None:
        proofs = Proofs(sqlite_database, KEY)
        assert not proofs.spend(solve(proofs.challenge(clock())), clock(), hard=True)
        assert proofs.spend(solve(proofs.challenge(clock(), hard=True)), clock(), hard=True)

    @pytest.mark.parametrize(
        "change",
        [
            {"cost": 3},
            {"keyPrefix": ""},
            {"algorithm": "SHA-256"},
            {"expiresAt": 4_000_000_000},
            {"data": {"action": "login"}},
            {"nonce": "00" * 16},
        ],
    )
    def test_a_challenge_that_was_changed_is_not_ours(self, sqlite_database, clock, change: dict[str, Any]) -> None:
        proofs = Proofs(sqlite_database, KEY)
        challenge = proofs.challenge(clock())
        challenge["parameters"].update(change)
        assert not proofs.spend(solve(challenge), clock())

    def test_another_installation_s_challenge_and_a_wrong_number_are_refused(self, sqlite_database, clock) -> None:
        proofs = Proofs(sqlite_database, KEY)
        assert not proofs.spend(solve(Proofs(sqlite_database, b"o" * 32).challenge(clock())), clock())
        answer = json.loads(base64.b64decode(solve(proofs.challenge(clock()))))
        answer["solution"]["counter"] += 1
        assert not proofs.spend(base64.b64encode(json.dumps(answer).encode()).decode(), clock())

    @settings(max_examples=50, deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["challenge", "solution", "parameters", "signature", "x"]), inner, max_size=4
                )
            ),
            max_leaves=12,
        )
    )
    def test_nonsense_is_no_answer_and_no_error(self, nonsense: object) -> None:
        with closing(Database("sqlite://")) as database:
            proofs = Proofs(database, KEY)
            now = dt.datetime.now(dt.UTC)
            text = json.dumps(nonsense)
            assert proofs.read(base64.b64encode(text.encode()).decode(), now) is None
            assert proofs.read(text, now) is None

    def test_an_answer_that_is_too_long_is_not_read(self, sqlite_database, clock) -> None:
        nested = "[" * 100_000
        assert Proofs(sqlite_database, KEY).read(base64.b64encode(nested.encode()).decode(), clock()) is None
        assert Proofs(sqlite_database, KEY).read(base64.b64encode(b"[" * 3000).decode(), clock()) is None


class TestTheBreaker:
    def fill(self, database: Database, service: Service, clock: Clock, pending: int, confirmed: int) -> None:
        for number in range(pending + confirmed):
            service.enter("watch", f"r{number}@example.org", "for a test", clock())
        with database.write() as session:
            waiting = sa.select(Subscription.id).order_by(Subscription.id).limit(pending)
            session.execute(
                sa.update(Subscription)
                .where(Subscription.id.in_(waiting))
                .values(state=State.PENDING, confirmed_at=None)
            )

    @pytest.mark.parametrize(
        ("pending", "confirmed", "verdict", "pressure"),
        [
            (3, 0, Verdict.TAKE, Pressure.CALM),
            (5, 4, Verdict.TAKE, Pressure.HARD),
            (9, 0, Verdict.REST, Pressure.PAUSED),
        ],
    )
    def test_it_looks_at_who_asked_and_who_confirmed(
        self, database, service, clock, pending: int, confirmed: int, verdict: Verdict, pressure: Pressure
    ) -> None:
        self.fill(database, service, clock, pending, confirmed)
        guard = Guard(database, KEY, replace(SMALL, hard_at=5, pause_at=9))
        assert guard.judge(Knock(HOME, "a.example"), clock()) is verdict
        assert guard.pressure(OFFICE, clock()) is pressure
        assert (guard.trouble(clock()) is None) is (pressure is Pressure.CALM)

    def test_a_list_that_was_just_brought_in_hides_nobody_who_does_not_confirm(
        self, sqlite_database, sqlite_service, clock
    ) -> None:
        self.fill(sqlite_database, sqlite_service, clock, 9, 18)
        rules = replace(SMALL, hard_at=5, pause_at=9)
        assert Guard(sqlite_database, KEY, rules).pressure(OFFICE, clock()) is Pressure.HARD
        with sqlite_database.write() as session:
            confirmed = sa.update(Subscription).where(Subscription.state == State.CONFIRMED)
            session.execute(confirmed.values(method=IMPORT))
        assert Guard(sqlite_database, KEY, rules).pressure(OFFICE, clock()) is Pressure.PAUSED

    def test_the_form_opens_again_by_itself(self, sqlite_database, sqlite_service, clock) -> None:
        self.fill(sqlite_database, sqlite_service, clock, 9, 0)
        guard = Guard(sqlite_database, KEY, replace(SMALL, pause_at=9))
        assert guard.judge(Knock(HOME, "a.example"), clock()) is Verdict.REST
        clock.turn(minutes=61)
        assert guard.judge(Knock(HOME, "a.example"), clock()) is Verdict.TAKE

    def test_a_hard_proof_is_asked_of_everybody(self, sqlite_database, sqlite_service, clock) -> None:
        self.fill(sqlite_database, sqlite_service, clock, 5, 4)
        guard = Guard(sqlite_database, KEY, replace(SMALL, hard_at=5))
        knocks(guard, 2, clock())
        easy, hard = (solve(guard.challenge(one, clock())) for one in (Pressure.PROOF, Pressure.HARD))
        assert guard.judge(Knock(HOME, "a.example", easy), clock()) is Verdict.ASK
        assert guard.judge(Knock(HOME, "a.example", hard), clock()) is Verdict.TAKE


class TestTheForm:
    @pytest.fixture
    def guard(self, sqlite_database: Database, keys) -> Guard:
        return Guard(sqlite_database, keys.token, SMALL)

    @pytest.fixture
    def client(self, sqlite_service: Service, clock: Clock, guard: Guard) -> Iterator[TestClient[Litestar]]:
        with TestClient(make_app(sqlite_service, clock, guard), base_url=BASE_URL) as client:
            yield client

    def exhaust(self, client, clock) -> None:
        for number in range(6):
            assert send_form(client, clock, f"n{number}@d{number}.example").status_code == 200

    def test_while_it_is_calm_nothing_is_asked_and_no_script_runs(self, client) -> None:
        page = client.get("/")
        assert "altcha" not in page.text
        assert "script-src" not in page.headers["content-security-policy"]

    def test_pressed_it_asks_for_a_proof_and_a_solved_one_gets_the_letter(self, client, clock, outbox) -> None:
        self.exhaust(client, clock)
        refused = send_form(client, clock)
        assert (refused.status_code, len(outbox.letters)) == (429, 6)
        assert f'value="{ADDRESS}"' in refused.text
        assert "script-src 'self'; worker-src 'self'" in refused.headers["content-security-policy"]
        taken = send_form(client, clock, altcha=solve(challenge_of(refused)))
        assert (taken.status_code, len(outbox.letters)) == (200, 7)
        assert "altcha" not in taken.text

    def test_the_page_that_is_asked_for_has_a_challenge_too(self, client, clock) -> None:
        self.exhaust(client, clock)
        for address in ("/", "/subscribe"):
            page = client.get(address)
            assert challenge_of(page)["parameters"]["data"] == {"action": "subscribe"}
            assert page.text.count("<script") == 1
            assert '<script src="/static/proof.js" defer></script>' in page.text

    def test_used_up_the_answer_says_nothing_of_the_address(self, client, clock, sqlite_service) -> None:
        sqlite_service.enter("watch", "known@d9.example", "for a test", clock())
        self.exhaust(client, clock)
        filled = hidden(client.get("/"), "filled")
        clock.turn(seconds=5)

        def answer(name: str) -> str:
            fields = {"newsletter": "watch", "email": f"{name}@d9.example", "filled": filled}
            text: str = client.post("/subscribe", data=fields).text
            return text.replace(name, "…")

        known, other = (re.sub(r'data-challenge="[^"]+"', "", answer(name)) for name in ("known", "other"))
        assert known == other

    def test_a_form_without_our_stamp_gets_its_letter_from_the_reserve_then_our_page(self, client, outbox) -> None:
        fields = {"newsletter": "watch"}
        answers = [client.post("/subscribe", data={**fields, "email": f"a{n}@example.org"}) for n in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert len(outbox.letters) == 2
        assert 'value="a2@example.org"' in answers[2].text

    def test_a_stamp_that_is_not_ours_is_worse_than_none(self, client, outbox) -> None:
        answer = client.post("/subscribe", data={"newsletter": "watch", "email": ADDRESS, "filled": "forged"})
        assert (answer.status_code, outbox.letters) == (422, [])

    def test_paused_it_says_so_and_takes_nothing(self, client, guard, sqlite_database) -> None:
        filled = hidden(client.get("/"), "filled")
        guard._pressure = Pressure.PAUSED
        before = snapshot(sqlite_database)
        page = client.get("/")
        assert (page.status_code, "<form" in page.text, "The form is resting" in page.text) == (200, False, True)
        answer = client.post("/subscribe", data={"newsletter": "watch", "email": ADDRESS, "filled": filled})
        assert (answer.status_code, "The form is resting" in answer.text) == (503, True)
        assert snapshot(sqlite_database) == before

    def test_a_trap_that_was_fallen_into_looks_like_success_and_costs_the_same_budget(
        self, client, clock, guard, outbox
    ) -> None:
        first = send_form(client, clock, "real@example.org")
        tripped = send_form(client, clock, website="https://spam.example")
        assert (tripped.content, tripped.headers) == (first.content, first.headers)
        assert len(outbox.letters) == 1
        assert guard._networks.left(0, "elsewhere", SMALL.prefix_per_hour, clock()) > 1.5

    def test_a_stamp_that_another_network_was_given_is_none(self, client, clock, keys) -> None:
        """Else a page could send its visitors' browsers here, each with a stamp that was fetched once."""
        stamp = fill_stamp(keys.token, clock() - dt.timedelta(hours=1), OFFICE)

        def send(number: int) -> int:
            fields = {"newsletter": "watch", "email": f"n{number}@d{number}.example", "filled": stamp}
            return int(client.post("/subscribe", data=fields).status_code)

        assert [send(number) for number in range(4)] == [200, 200, 429, 429]
        # Nobody is shut out by it: who comes from elsewhere than when they opened the page presses once more.
        assert send_form(client, clock).status_code == 200

    @pytest.mark.parametrize("path", ["/", "/subscribe", "/confirm/no-such-link", "/manage/no-such-link"])
    def test_every_page_with_the_form_gives_a_stamp_that_is_good_here(self, client, clock, guard, path: str) -> None:
        filled = hidden(client.get(path), "filled")
        clock.turn(seconds=5)
        fields = {"newsletter": "watch", "email": ADDRESS, "filled": filled}
        assert client.post("/subscribe", data=fields).status_code == 200
        assert guard._networks.left(FREE, "elsewhere", SMALL.prefix_per_hour, clock()) > 0

    @pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
    def test_no_header_makes_somebody_come_from_elsewhere(self, client, clock, header: str) -> None:
        self.exhaust(client, clock)
        filled = hidden(client.get("/"), "filled")
        clock.turn(seconds=5)
        fields = {"newsletter": "watch", "email": ADDRESS, "filled": filled}
        assert client.post("/subscribe", data=fields, headers={header: "198.51.100.9"}).status_code == 429


def challenge_of(page: Any) -> dict[str, Any]:
    found = re.search(r'data-challenge="([^"]+)"', page.text)
    assert found
    read: dict[str, Any] = json.loads(unescape(found[1]))
    return read
