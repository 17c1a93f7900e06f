"""Whoever measures how long an answer takes does not learn what is known of an address (O-20).

How pairs are measured and judged, `benchmarks.evenness` says. A difference counts only where three independent
measurements agree on it and on its sign, each at p = 0.01: by chance that happens in fewer than one of a hundred
thousand runs, and a difference that is there is found each time, as the planted one shows.
"""

from __future__ import annotations

import asyncio
import cmath
import datetime as dt
import itertools
import random
import secrets
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.evenness import Compared, compare, measure
from digest.mail.outbox import LedgerOutbox
from subscribers.beat import BEAT, Beat, until_beat
from subscribers.db import Database
from subscribers.guard import Guard
from subscribers.lifecycle import HAND
from subscribers.models import FreshLink, Subscription
from subscribers.networks import prefix_of
from subscribers.service import Service
from subscribers.suppression import BOUNCE, COMPLAINT, add_suppression
from subscribers.tokens import Purpose, button_token, fill_stamp, hash_token, subscription_token
from subscribers.vault import Keys, Vault
from tests.subscribers.house import BASE_URL, WATCH, Clock, Recorder, make_app, make_service, serving
from tests.subscribers.test_api import MANY

SIGNIFICANT = 0.01
PAIRS, PAIRS_ON_BEAT = 40, 25
STATES = ("waiting", "confirmed", "told", "left", "never", "complained", "bounced")


def agreed(first: Callable[[], object], second: Callable[[], object], pairs: int = PAIRS) -> list[Compared]:
    """Three measurements that all find a difference of the same sign; none where one of them does not."""
    rng, found = random.Random(20), list[Compared]()
    while len(found) < 3:
        one = measure(first, second, pairs, rng)
        if one.p >= SIGNIFICANT or (found and (one.difference > 0) is not (found[0].difference > 0)):
            return []
        found.append(one)
    return found


class TestTheMeasure:
    @settings(max_examples=10, deadline=None)
    @given(st.integers(0, 2**32), st.floats(100, 10_000))
    def test_what_differs_by_chance_alone_is_told_apart_as_rarely_as_p_says(self, seed: int, rate: float) -> None:
        draw = random.Random(seed).expovariate
        found = [compare([(draw(rate), draw(rate)) for _ in range(40)]).p for _ in range(60)]
        assert sum(p < SIGNIFICANT for p in found) <= 9

    def test_a_few_slow_ones_sway_nothing(self) -> None:
        rng = random.Random(1)
        times = [(0.002 + rng.random() / 1e4, 0.002 + rng.random() / 1e4) for _ in range(100)]
        assert compare([*times, *[(0.002, 3.0)] * 5]).p > SIGNIFICANT

    def test_too_few_are_not_judged(self) -> None:
        with pytest.raises(ValueError, match="too few"):
            compare([(1.0, 2.0)] * 5)


@pytest.fixture
def clock() -> Clock:
    return Clock(dt.datetime.now(dt.UTC))


@pytest.fixture
def people(sqlite_database: Database, keys: Keys, clock: Clock) -> Service:
    """A service whose letters are rows, and of each of `STATES` so many people as a test asks about."""
    outbox, vault = Recorder(), Vault(sqlite_database, keys)
    before = make_service(sqlite_database, vault, keys, outbox)
    earlier = clock() - dt.timedelta(days=2)
    for state, number in itertools.product(STATES, range(4)):
        before.join("watch", f"{state}-{number}@example.org", earlier)
        if state in ("confirmed", "told", "left"):
            before.confirm(outbox.tokens("confirm_url")[-1], earlier)
        if state == "told":
            before.join("watch", f"{state}-{number}@example.org", clock())
        if state == "never":
            before.never(outbox.tokens("never_url")[-1], earlier)
        if state in ("complained", "bounced"):
            hashed = vault.suppression_hash(f"{state}-{number}@example.org")
            with sqlite_database.write() as session:
                add_suppression(session, hashed, COMPLAINT if state == "complained" else BOUNCE, earlier)
    return Service(sqlite_database, vault, keys, LedgerOutbox(vault), BASE_URL, {"watch": WATCH})


def numbered(template: str) -> Iterator[str]:
    """Addresses that nobody has asked about before."""
    return (template.format(number) for number in itertools.count())


class TestTheBeat:
    @given(st.floats(0, 10))
    def test_an_answer_waits_for_the_next_beat_and_no_longer(self, passed: float) -> None:
        left = until_beat(passed)
        assert 0 < left <= BEAT
        assert (passed + left) / BEAT == pytest.approx(round((passed + left) / BEAT), abs=1e-6)

    @pytest.mark.parametrize("state", STATES)
    def test_no_state_can_be_told_from_a_new_address(self, people: Service, clock: Clock, state: str) -> None:
        new = numbered("new-{}@example.org")
        known = itertools.cycle(f"{state}-{number}@example.org" for number in range(4))
        with asyncio.Runner() as runner:

            def ask(addresses: Iterator[str]) -> Callable[[], object]:
                return lambda: runner.run(beat.answer(lambda: people.join("watch", next(addresses), clock())))

            beat = Beat()
            assert agreed(ask(new), ask(known), PAIRS_ON_BEAT) == []

    def test_no_grid_of_a_timer_shows_when_the_work_ended(self) -> None:
        """One as fine as a millisecond would let answers leave whole milliseconds after it, whatever chance adds."""

        async def after(beat: Beat) -> float:
            ended = list[float]()
            await beat.answer(lambda: ended.append(time.monotonic()))
            return time.monotonic() - ended[0]

        with asyncio.Runner() as runner:
            beat = Beat()
            turns = [cmath.exp(2j * cmath.pi * runner.run(after(beat)) / 0.001) for _ in range(120)]
        # How far the fractions of a millisecond agree: 1 where all are the same. By chance it is so much once in 10^6.
        assert abs(sum(turns)) / len(turns) < 0.35

    def test_what_fails_fails_on_the_beat_too(self) -> None:
        async def fail() -> None:
            await Beat().answer(lambda: 1 / 0)

        begun = time.monotonic()
        with pytest.raises(ZeroDivisionError):
            asyncio.run(fail())
        assert time.monotonic() - begun >= BEAT


class TestTheService:
    @pytest.fixture(autouse=True)
    def _alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its work alone is looked at, without the wait for others."""
        monkeypatch.setattr("subscribers.joining.GATHER", 0.0)

    @pytest.mark.parametrize("state", ["never", "waiting", "confirmed"])
    def test_its_work_is_nearly_the_same_without_the_beat(self, people: Service, clock: Clock, state: str) -> None:
        new, known = numbered("new-{}@example.org"), itertools.cycle(f"{state}-{n}@example.org" for n in range(4))
        # So far apart that each may have another letter.
        at = (clock() + number * dt.timedelta(days=31) for number in itertools.count())
        shares = []
        for seed in range(3):
            found = measure(
                lambda: people.join("watch", next(new), next(at)),
                lambda: people.join("watch", next(known), next(at)),
                PAIRS,
                random.Random(seed),
            )
            shares.append(abs(found.difference) / found.first)
        assert min(shares) < 0.4, shares

    def test_an_uneven_service_is_found_out(
        self, people: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("subscribers.joining.make_up", lambda *_: None)
        new = numbered("new-{}@example.org")
        known = itertools.cycle(f"never-{number}@example.org" for number in range(4))

        def found(pairs: int) -> list[Compared]:
            return agreed(
                lambda: people.join("watch", next(new), clock()),
                lambda: people.join("watch", next(known), clock()),
                pairs,
            )

        # On a busy machine it takes more pairs.
        signs = next(([one.difference < 0 for one in three] for n in range(5) if (three := found(PAIRS * 2**n))), [])
        assert signs == [True] * 3


@pytest.fixture
def client(people: Service, sqlite_database: Database, keys: Keys, clock: Clock) -> Iterator[httpx.Client]:
    """The application behind a real server, and one connection to it."""
    app = make_app(people, clock, Guard(sqlite_database, keys.token, MANY))
    with serving(app) as base, httpx.Client(base_url=base) as client:
        yield client


class TestOverHttp:
    def poster(
        self, client: httpx.Client, keys: Keys, clock: Clock, addresses: Iterator[str], **more: str
    ) -> Callable[[], object]:
        filled = fill_stamp(keys.token, clock() - dt.timedelta(minutes=1), prefix_of("127.0.0.1"))

        def post() -> object:
            fields = {"newsletter": "watch", "email": next(addresses), "filled": filled, **more}
            return client.post("/subscribe", data=fields).raise_for_status()

        return post

    @pytest.mark.parametrize("state", ["confirmed", "never"])
    def test_the_form_does_not_tell(self, client: httpx.Client, keys: Keys, clock: Clock, state: str) -> None:
        known = itertools.cycle(f"{state}-{number}@example.org" for number in range(4))
        new = numbered("new-{}@example.org")
        assert (
            agreed(self.poster(client, keys, clock, new), self.poster(client, keys, clock, known), PAIRS_ON_BEAT) == []
        )

    def test_nor_that_the_trap_was_fallen_into(self, client: httpx.Client, keys: Keys, clock: Clock) -> None:
        new = numbered("new-{}@example.org")
        trapped = self.poster(client, keys, clock, new, website="https://spam.example")
        assert agreed(self.poster(client, keys, clock, new), trapped, PAIRS_ON_BEAT) == []

    def test_nor_does_the_api(self, client: httpx.Client) -> None:
        known = itertools.cycle(f"confirmed-{number}@example.org" for number in range(4))
        new = numbered("new-{}@example.org")

        def ask(addresses: Iterator[str]) -> Callable[[], object]:
            return lambda: client.post("/api/subscribe", json={"email": next(addresses), "newsletter": "watch"})

        assert agreed(ask(new), ask(known), PAIRS_ON_BEAT) == []

    @pytest.fixture
    def readers(self, people: Service, sqlite_database: Database, clock: Clock) -> list[bytes]:
        """The public ids of people who read, so many that each is asked about once."""
        for number in range(3 * PAIRS_ON_BEAT):
            people.enter("watch", f"reader-{number}@example.org", "Signed a list.", clock())
        with sqlite_database.read() as session:
            query = sa.select(Subscription.public_id).where(Subscription.method == HAND)
            return list(session.scalars(query))

    def presser(
        self, client: httpx.Client, keys: Keys, purpose: Purpose, ids: Iterator[bytes], **fields: str
    ) -> Callable[[], object]:
        path = "u" if purpose is Purpose.LEAVE else "manage"

        def post() -> object:
            token = subscription_token(keys.token, purpose, next(ids))
            said = {"proof": button_token(keys.token, token), **fields}
            return client.post(f"/{path}/{token}", data=said).raise_for_status()

        return post

    @pytest.mark.parametrize(
        ("purpose", "fields"), [(Purpose.MANAGE, {}), (Purpose.LEAVE, {"List-Unsubscribe": "One-Click"})]
    )
    def test_a_link_of_an_issue_does_not_tell_whether_somebody_reads(
        self, client: httpx.Client, keys: Keys, readers: list[bytes], purpose: Purpose, fields: dict[str, str]
    ) -> None:
        nobody = iter(lambda: secrets.token_bytes(16), b"")
        reads = self.presser(client, keys, purpose, iter(readers), **fields)
        assert agreed(reads, self.presser(client, keys, purpose, nobody, **fields), PAIRS_ON_BEAT) == []

    def test_a_page_of_one_s_own_does_not_tell_what_its_button_came_to(
        self, client: httpx.Client, keys: Keys, sqlite_database: Database, readers: list[bytes], clock: Clock
    ) -> None:
        def presser(token: str) -> Callable[[], object]:
            with sqlite_database.write() as session:
                owner = sa.select(Subscription.subscriber_id).where(Subscription.public_id == readers[0])
                until = clock() + dt.timedelta(days=1)
                session.add(
                    FreshLink(token_hash=hash_token(token), subscriber_id=session.scalar(owner) or 0, until=until)
                )
            said = {"proof": button_token(keys.token, token), "newsletter": "watch"}
            weeks = itertools.cycle("12")
            return lambda: client.post(f"/mine/{token}", data={**said, **acts[token], "weeks": next(weeks)})

        acts = {"pauses": {"do": "pause"}, "nothing": {"do": "unknown"}}
        assert agreed(presser("pauses"), presser("nothing"), PAIRS_ON_BEAT) == []

    def test_a_difference_is_found_by_the_same_means(self, client: httpx.Client, keys: Keys, clock: Clock) -> None:
        post = self.poster(client, keys, clock, numbered("new-{}@example.org"))

        def later(seconds: float) -> Callable[[], object]:
            def act() -> object:
                until = time.perf_counter() + seconds
                while time.perf_counter() < until:
                    pass
                return post()

            return act

        # What is too small for the noise of a busy machine is planted once more, four times as large.
        planted = (agreed(post, later(0.002 * 4**times), PAIRS_ON_BEAT) for times in range(4))
        assert next((len(found) for found in planted if found), 0) == 3
