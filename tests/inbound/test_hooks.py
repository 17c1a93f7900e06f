"""The address that providers tell their news to: what gets in, what is kept of it, and what is said (N-30 to N-36)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import httpx
import pytest
import sqlalchemy as sa
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy.orm import undefer
from structlog.testing import capture_logs

from digest.gather.answers import Failed
from digest.inbound.arrivals import LARGEST, opened
from digest.inbound.hooks import read, readers
from digest.inbound.inbox import Inbox
from digest.inbound.notice import ByAddress, Notice, Sign
from digest.models import Arrival, ArrivalState
from digest.settings_hooks import Hooks
from digest.web.app import create_app
from digest.web.hooks import HookDoor
from digest.web.parts import Parts
from subscribers.db import Database
from subscribers.lifecycle import State
from subscribers.models import Subscription, Suppression
from subscribers.vault import Vault
from tests.house import House, keys
from tests.inbound import providers
from tests.inbound.providers import NOW, PATHS, READER
from tests.subscribers.house import Clock
from tests.web.house import make_parts

JSON = {"content-type": "application/json"}
SNS = {"content-type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "Notification"}


@dataclass
class Amazon:
    """The addresses of SNS: gives the certificate, and remembers what was opened."""

    body: bytes | Failed = field(default_factory=providers.certificate)
    opened: list[str] = field(default_factory=list)

    def __call__(self, url: str) -> bytes | Failed:
        self.opened.append(url)
        return self.body


@dataclass
class Site:
    """A running application that a provider tells its news to."""

    parts: Parts
    client: TestClient[Litestar]
    amazon: Amazon
    clock: Clock

    def tell(self, provider: str, raw: bytes, headers: dict[str, str] | None = None, path: str = "") -> httpx.Response:
        kind = SNS if provider == "ses" else JSON
        url = f"/hooks/{provider}/{path or PATHS[provider]}"
        return self.client.post(url, content=raw, headers={**kind, **(headers or {})}, follow_redirects=False)

    def arrivals(self) -> list[Arrival]:
        with self.parts.database.read() as session:
            rows = session.scalars(sa.select(Arrival).options(undefer(Arrival.sealed)).order_by(Arrival.id))
            return list(rows)

    def notices(self) -> list[Notice]:
        """What the worker will read, in the order of arrival."""
        vault = Vault(self.parts.database, keys())
        found = [(one.source, opened(vault, one)) for one in self.arrivals()]
        read_all = [read(source, raw) for source, raw in found]
        return [notice for notices in read_all if isinstance(notices, list) for notice in notices]


def make_site(database: Database, hooks: Hooks) -> Iterator[Site]:
    clock, amazon = Clock(NOW), Amazon()
    # The machine that faces the network has no private key.
    parts = make_parts(database, replace(keys(), private=None), clock)
    settings = parts.settings.model_copy(update={"hooks": hooks})
    parts = replace(parts, settings=settings, fetch_file=amazon)
    with TestClient(create_app(parts), base_url="http://digest.example.org", raise_server_exceptions=False) as client:
        yield Site(parts, client, amazon, clock)


@pytest.fixture
def site(sqlite_database: Database) -> Iterator[Site]:
    yield from make_site(sqlite_database, providers.hooks())


@pytest.fixture
def bare_site(sqlite_database: Database) -> Iterator[Site]:
    """Nothing is set up."""
    yield from make_site(sqlite_database, Hooks())


@pytest.fixture
def any_site(database: Database) -> Iterator[Site]:
    yield from make_site(database, providers.hooks())


def good_requests() -> dict[str, tuple[bytes, dict[str, str]]]:
    """A request of each provider that tells of a bounce."""
    events = json.dumps([providers.sendgrid_event("bounce", type="bounce", status="5.1.1")]).encode()
    return {
        "ses": (providers.sns(json.dumps(providers.ses_bounce())), {}),
        "mailgun": (providers.mailgun(providers.mailgun_failure(message="550 5.1.1 unknown")), {}),
        "postmark": (providers.postmark_bounce(), providers.basic()),
        "sendgrid": (events, providers.signed_by_sendgrid(events)),
    }


def test_a_bounce_told_by_each_provider_is_sealed_once_and_read_later(any_site: Site) -> None:
    for provider, (raw, headers) in good_requests().items():
        for _ in range(2):
            answer = any_site.tell(provider, raw, headers)
            assert (answer.status_code, answer.text) == (200, "taken\n"), provider
            assert "set-cookie" not in answer.headers
            assert answer.headers["cache-control"] == "no-store"
    found = any_site.arrivals()
    assert [one.source for one in found] == list(good_requests())
    assert all(one.arrived_at == NOW and READER.encode() not in (one.sealed or b"") for one in found)
    assert any_site.notices() == [Notice(Sign.HARD, ByAddress(READER), "5.1.1", "user-unknown")] * 4


def test_from_a_provider_s_notice_to_what_becomes_of_the_reader(any_site: Site) -> None:
    """`delivered` after a bounce brings nobody back, in whatever order things come (N-31)."""
    house = House(any_site.parts.database)
    addresses = house.readers(5)
    house.issue()
    inbox = Inbox(house.database, house.vault, house.service, readers(keys().token))

    def tell(kind: str, number: int, **more: str) -> None:
        event = {**providers.sendgrid_event(kind, number, **more), "email": addresses[number - 1]}
        raw = json.dumps([event]).encode()
        assert any_site.tell("sendgrid", raw, providers.signed_by_sendgrid(raw)).status_code == 200

    tell("delivered", 1)
    tell("bounce", 1, type="bounce", status="5.1.1")
    tell("spamreport", 2)
    tell("group_unsubscribe", 3)
    tell("bounce", 4, type="blocked", status="5.7.1")
    while inbox.step(NOW):
        pass
    for number in (1, 2, 3):
        tell("delivered", number)
        tell("group_resubscribe", number)
    while inbox.step(NOW):
        pass

    with house.database.read() as session:
        states = session.scalars(sa.select(Subscription.state).order_by(Subscription.subscriber_id)).all()
        reasons = session.scalars(sa.select(Suppression.reason).order_by(Suppression.reason)).all()
    assert states == [State.LEFT] * 3 + [State.CONFIRMED] * 2
    assert reasons == ["bounce", "complaint"]
    found = any_site.arrivals()
    assert len(found) == 4
    assert all(one.state is ArrivalState.DONE and one.sealed is None for one in found)
    assert not any("@" in one.outcome for one in found)


def test_what_is_not_set_up_is_not_there(bare_site: Site) -> None:
    for provider, (raw, headers) in good_requests().items():
        assert bare_site.tell(provider, raw, headers).status_code == 404
        for path in ("x", "None", "%20", "-"):
            assert bare_site.tell(provider, raw, headers, path).status_code == 404
    assert bare_site.arrivals() == []
    assert bare_site.amazon.opened == []


def test_no_path_is_no_secret(bare_site: Site) -> None:
    door = HookDoor(bare_site.parts)
    assert not any(door.is_open(provider, "") for provider in (*PATHS, "sparkpost"))


def test_another_path_or_provider_is_not_there(site: Site) -> None:
    raw, headers = good_requests()["postmark"]
    for provider, path in (
        ("postmark", PATHS["postmark"][:-1]),
        ("postmark", PATHS["postmark"] + "x"),
        ("postmark", PATHS["postmark"].upper()),
        ("postmark", PATHS["mailgun"]),
        ("postmark", "%ff%fe"),
        ("postmark", "é"),
        ("Postmark", PATHS["postmark"]),
        ("sparkpost", PATHS["postmark"]),
    ):
        assert site.tell(provider, raw, headers, path).status_code == 404, (provider, path)
    for method in ("GET", "PUT", "DELETE"):
        answer = site.client.request(method, f"/hooks/postmark/{PATHS['postmark']}", headers=headers)
        assert answer.status_code == 405
    assert site.arrivals() == []


@pytest.mark.parametrize(
    ("provider", "missing"),
    [
        ("ses", {"ses_topics": ()}),
        ("mailgun", {"mailgun_key": ""}),
        ("postmark", {"postmark_user": ""}),
        ("postmark", {"postmark_password": ""}),
        ("sendgrid", {"sendgrid_key": ""}),
    ],
)
def test_half_a_set_up_is_none(sqlite_database: Database, provider: str, missing: dict[str, object]) -> None:
    raw, headers = good_requests()[provider]
    for site in make_site(sqlite_database, providers.hooks(**missing)):
        assert site.tell(provider, raw, headers).status_code == 404
        assert site.tell(provider, raw, {**headers, **providers.basic("", "")}).status_code == 404
        assert site.arrivals() == []


def test_who_proves_nothing_is_refused_and_nothing_is_kept(site: Site) -> None:
    old = providers.mailgun(providers.mailgun_failure(), at=NOW.replace(hour=8))
    forged = json.loads(good_requests()["ses"][0])
    forged["Message"] = json.dumps(providers.ses_bounce(to="victim@example.org"))
    events = good_requests()["sendgrid"][0]
    for provider, raw, headers in (
        ("ses", json.dumps(forged).encode(), {}),
        ("mailgun", old, {}),
        ("mailgun", b'{"signature": {}}', {}),
        ("postmark", providers.postmark_bounce(), {}),
        ("postmark", providers.postmark_bounce(), providers.basic(password="wrong")),
        ("sendgrid", events + b" ", providers.signed_by_sendgrid(events)),
        ("sendgrid", events, {}),
    ):
        answer = site.tell(provider, raw, headers)
        assert (answer.status_code, answer.text) == (403, "not taken\n"), provider
    assert site.tell("ses", b"{").status_code == 400
    assert site.arrivals() == []


def test_a_token_of_mailgun_is_good_for_one_event_only(site: Site) -> None:
    site.tell("mailgun", providers.mailgun(providers.mailgun_failure("generic")))
    other = providers.mailgun({"event": "complained", "recipient": "victim@example.org"})
    assert site.tell("mailgun", other).status_code == 200, "a provider that tells again must not be told to go on"
    assert [notice.who for notice in site.notices()] == [ByAddress(READER)]


def test_several_events_of_one_request_are_kept_each_and_repeats_are_not(site: Site) -> None:
    def tell(*numbers: int) -> None:
        events = [providers.sendgrid_event("spamreport", number) for number in numbers]
        raw = json.dumps([*events, providers.sendgrid_event("open", 99, ip="192.0.2.1")]).encode()
        assert site.tell("sendgrid", raw, providers.signed_by_sendgrid(raw)).status_code == 200

    tell(1, 2, 2)
    tell(2, 3)
    assert len(site.arrivals()) == 3
    assert {notice.sign for notice in site.notices()} == {Sign.COMPLAINT}


def test_what_has_no_name_is_kept_once_however_often_its_request_is_sent(site: Site) -> None:
    unnamed = [{"event": "spamreport", "email": READER}, {"event": "spamreport", "email": "other@example.org"}]
    raw = json.dumps(unnamed).encode()
    broken = b"[{"
    for octets in (raw, raw, broken, broken):
        assert site.tell("sendgrid", octets, providers.signed_by_sendgrid(octets)).status_code == 200
    found = site.arrivals()
    assert len(found) == 3
    # It may be little but an address, and must not be found by guessing addresses.
    guessed = hashlib.sha256(b"sendgrid\0" + json.dumps(unnamed[0]).encode()).digest()
    assert guessed not in [one.key for one in found]


def test_opens_and_clicks_leave_no_trace(site: Site) -> None:
    opens = json.dumps([providers.sendgrid_event("open"), providers.sendgrid_event("click")]).encode()
    with capture_logs() as logs:
        for provider, raw, headers in (
            ("ses", providers.sns(json.dumps({"eventType": "Open", "mail": {"destination": [READER]}})), {}),
            ("mailgun", providers.mailgun({"event": "clicked", "recipient": READER}), {}),
            ("postmark", json.dumps({"RecordType": "Open", "Recipient": READER}).encode(), providers.basic()),
            ("sendgrid", opens, providers.signed_by_sendgrid(opens)),
        ):
            assert site.tell(provider, raw, headers).status_code == 200
    assert site.arrivals() == []
    assert {line["event"] for line in logs} == {"answered"}


def test_what_is_too_large_or_of_another_type_is_not_read(site: Site) -> None:
    url = f"/hooks/postmark/{PATHS['postmark']}"
    large = providers.postmark_bounce(Content="x" * LARGEST)
    assert site.tell("postmark", large, providers.basic()).status_code == 413
    whole = providers.postmark_bounce(Content="x" * (LARGEST - 2000))
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        headers = {**providers.basic(), "content-type": kind}
        assert site.client.post(url, content=whole, headers=headers).status_code == 415, kind
    assert site.arrivals() == []
    assert site.tell("postmark", whole, providers.basic()).status_code == 200
    assert len(site.arrivals()) == 1


def test_a_browser_of_another_site_gets_no_further_than_anybody(site: Site) -> None:
    """There is no session that could be ridden on, so where a request comes from says nothing (W-10)."""
    raw, headers = good_requests()["postmark"]
    from_elsewhere = {"origin": "https://elsewhere.example", "sec-fetch-site": "cross-site"}
    assert site.tell("postmark", raw, from_elsewhere).status_code == 403
    assert site.tell("postmark", raw, {**headers, **from_elsewhere}).status_code == 200


def test_the_certificate_is_fetched_once_and_only_for_our_topic(site: Site) -> None:
    for number in range(3):
        site.tell("ses", providers.sns(json.dumps(providers.ses_bounce()), MessageId=f"message-{number}"))
    site.tell("ses", providers.sns("{}", TopicArn="arn:aws:sns:eu-west-1:999999999999:bounces"))
    evil = "https://sns.evil.amazonaws.com.example.org/SimpleNotificationService-0.pem"
    site.tell("ses", providers.sns("{}", SigningCertURL=evil))
    assert site.amazon.opened == [providers.CERTIFICATE]
    assert len(site.arrivals()) == 3


def test_sns_comes_again_when_the_certificate_could_not_be_had(site: Site) -> None:
    site.amazon.body = Failed("sns.eu-west-1.amazonaws.com did not answer in time.")
    raw = good_requests()["ses"][0]
    answer = site.tell("ses", raw)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    site.amazon.body = providers.certificate()
    assert site.tell("ses", raw).status_code == 200
    assert len(site.arrivals()) == 1


def test_our_topic_is_confirmed_and_no_other_address_is_opened(site: Site) -> None:
    with capture_logs() as logs:
        assert site.tell("ses", providers.sns("Confirm it.", "SubscriptionConfirmation")).status_code == 200
        for raw in (
            providers.sns(
                "x", "SubscriptionConfirmation", SubscribeURL="https://sns.evil.amazonaws.com.example.org/?a"
            ),
            providers.sns("x", "SubscriptionConfirmation", TopicArn="arn:aws:sns:eu-west-1:999999999999:bounces"),
        ):
            assert site.tell("ses", raw).status_code == 403
        assert site.tell("ses", providers.sns("x", "UnsubscribeConfirmation")).status_code == 200
    assert [url.partition("?")[0] for url in site.amazon.opened] == [
        providers.CERTIFICATE,
        "https://sns.eu-west-1.amazonaws.com/",
    ]
    assert [line["said"] for line in logs if line["event"] == "a hook"] == [
        "the topic is confirmed",
        "SNS says that the topic does not tell us anything any more",
    ]
    assert site.arrivals() == []


def test_a_confirmation_that_fails_is_asked_for_again(site: Site) -> None:
    site.tell("ses", good_requests()["ses"][0])
    site.amazon.body = Failed("sns.eu-west-1.amazonaws.com answered 500.")
    assert site.tell("ses", providers.sns("x", "SubscriptionConfirmation")).status_code == 503


def test_while_the_database_fails_providers_are_asked_to_come_again(site: Site) -> None:
    with site.parts.database.write() as session:
        session.execute(sa.text("ALTER TABLE arrivals RENAME TO elsewhere"))
    with capture_logs() as logs:
        for provider, (raw, headers) in good_requests().items():
            answer = site.tell(provider, raw, headers)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "60"), provider
    assert READER not in repr(logs)
    with site.parts.database.write() as session:
        session.execute(sa.text("ALTER TABLE elsewhere RENAME TO arrivals"))
    for provider, (raw, headers) in good_requests().items():
        assert site.tell(provider, raw, headers).status_code == 200, provider
    assert len(site.notices()) == 4


def test_the_log_says_why_and_names_nobody(site: Site) -> None:
    with capture_logs() as logs:
        for provider, (raw, headers) in good_requests().items():
            site.tell(provider, raw, headers)
            site.tell(provider, raw.replace(b"reader@", b"victim@"), {})
            site.tell(provider, b'{"email": "reader@example.org"', headers)
            site.tell(provider, raw, headers, "a-guessed-path")
    said = repr(logs)
    secrets = [
        *PATHS.values(),
        "a-guessed-path",
        providers.MAILGUN_KEY,
        "a password",
        "reader@",
        "victim@",
        "testclient",
    ]
    for secret in secrets:
        assert secret not in said
    assert {line["route"] for line in logs if line["event"] == "answered"} == {"/hooks/{provider}/{path}"}
    assert {line["provider"] for line in logs if line["event"] == "a hook was refused"} == set(PATHS)


def test_what_proves_a_provider_is_not_printed(site: Site) -> None:
    said = repr(site.parts) + repr(site.parts.settings.hooks)
    for secret in [*PATHS.values(), providers.MAILGUN_KEY, "a password"]:
        assert secret not in said
