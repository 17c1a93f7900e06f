"""Nobody but the provider gets past the door, and what is past it is only what it signed (N-30 to N-36)."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from digest.gather.answers import Failed
from digest.inbound.hooks import mailgun, postmark, sendgrid, sns
from digest.inbound.hooks.certificates import MOST, Certificates, guarded_fetch
from digest.inbound.hooks.event import Passed, Refused
from digest.settings import Fetch
from tests.gather.conftest import Faults
from tests.inbound import providers
from tests.inbound.providers import NOW, TOPIC, hooks

MINUTE = dt.timedelta(minutes=1)


def key(url: str) -> rsa.RSAPublicKey | None:
    assert url == providers.CERTIFICATE
    return providers.rsa_key().public_key()


def never(url: str) -> rsa.RSAPublicKey | None:
    raise AssertionError(f"{url} was to be fetched")


def check_sns(raw: bytes, now: dt.datetime = NOW, **changes: Any) -> Passed | Refused:
    return sns.verify(raw, hooks(**changes), key, now)


def status(verdict: Passed | Refused) -> int:
    return verdict.status if isinstance(verdict, Refused) else 200


# --- Amazon


def test_a_bounce_from_our_topic_is_passed_on_as_ses_wrote_it() -> None:
    message = json.dumps(providers.ses_bounce())
    verdict = check_sns(providers.sns(message, Subject="Amazon SES Email Event Notification"))
    assert isinstance(verdict, Passed)
    (event,) = verdict.events
    assert event.key == "5f5e2b0a-0b46-5c2c-8d1c-000000000001"
    assert event.raw == message.encode()
    assert providers.READER not in repr(verdict)


@pytest.mark.parametrize("name", ["Message", "MessageId", "Timestamp", "Subject", "TopicArn"])
def test_a_field_that_was_changed_after_signing_is_refused(name: str) -> None:
    fields = json.loads(providers.sns("{}", Subject="one"))
    other = {"Timestamp": "2026-11-19T08:59:31.000Z", "TopicArn": f"{TOPIC}2"}.get(name, "other")
    raw = json.dumps({**fields, name: other}).encode()
    assert status(check_sns(raw, ses_topics=(TOPIC, f"{TOPIC}2"))) == 403


def test_a_kind_that_was_changed_after_signing_is_refused() -> None:
    fields = json.loads(providers.sns("{}", "UnsubscribeConfirmation"))
    assert status(check_sns(json.dumps({**fields, "Type": "SubscriptionConfirmation"}).encode())) == 403


def test_another_topic_is_refused_before_anything_is_fetched() -> None:
    raw = providers.sns("{}", TopicArn="arn:aws:sns:eu-west-1:999999999999:bounces")
    assert status(sns.verify(raw, hooks(), never, NOW)) == 403
    assert status(sns.verify(providers.sns("{}"), hooks(ses_topics=()), never, NOW)) == 403


@pytest.mark.parametrize(
    "url",
    [
        "https://sns.evil.amazonaws.com.example.org/SimpleNotificationService-0123abcd.pem",
        "https://sns.eu-west-1.amazonaws.com.example.org/SimpleNotificationService-0123abcd.pem",
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem",
        "https://sns.eu-west-1.amazonaws.com@example.org/SimpleNotificationService-0123abcd.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-0123abcd.pem",
        "https://bucket.s3.amazonaws.com/SimpleNotificationService-0123abcd.pem",
        "https://sns.eu-west-1.amazonaws.com/a/SimpleNotificationService-0123abcd.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem?x=1",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem\n",
        "https://sns.eu-west-1.amazonawsxcom/SimpleNotificationService-0123abcd.pem",
        "https://sns.eu-wést-1.amazonaws.com/SimpleNotificationService-0123abcd.pem",
        "",
    ],
)
def test_a_certificate_of_any_other_place_is_never_fetched(url: str) -> None:
    assert status(sns.verify(providers.sns("{}", SigningCertURL=url), hooks(), never, NOW)) == 403


def test_the_chinese_regions_have_an_end_of_their_own() -> None:
    topic = "arn:aws-cn:sns:cn-north-1:123456789012:bounces"
    url = "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0123abcd.pem"
    raw = providers.sns("{}", TopicArn=topic, SigningCertURL=url)
    found = sns.verify(raw, hooks(ses_topics=(topic,)), lambda _: providers.rsa_key().public_key(), NOW)
    assert isinstance(found, Passed)


def test_the_older_signature_is_taken_only_where_the_settings_say_so() -> None:
    raw = providers.sns("{}", version="1")
    assert status(check_sns(raw)) == 403
    assert status(check_sns(raw, ses_sha1=True)) == 200
    downgraded = json.dumps({**json.loads(providers.sns("{}")), "SignatureVersion": "1"}).encode()
    assert status(check_sns(downgraded, ses_sha1=True)) == 403


def test_an_old_message_and_one_from_the_future_are_refused() -> None:
    raw = providers.sns("{}")
    assert status(check_sns(raw, NOW + dt.timedelta(hours=23))) == 200
    assert status(check_sns(raw, NOW + dt.timedelta(hours=25))) == 403
    assert status(check_sns(raw, NOW - 10 * MINUTE)) == 403
    for stamp in ("", "yesterday", "2026-11-19", "2026-11-19T08:59:30", "9999-12-31T23:59:59-14:00"):
        assert status(check_sns(providers.sns("{}", Timestamp=stamp))) == 403, stamp


def test_without_a_certificate_the_provider_is_asked_to_come_again() -> None:
    assert status(sns.verify(providers.sns("{}"), hooks(), lambda _: None, NOW)) == 503


def test_a_certificate_of_another_key_proves_nothing() -> None:
    other = rsa.generate_private_key(65537, 2048).public_key()
    assert status(sns.verify(providers.sns("{}"), hooks(), lambda _: other, NOW)) == 403


@pytest.mark.parametrize("signature", ["", "AAAA", "no base64!", "é"])
def test_a_signature_that_is_none_is_refused(signature: str) -> None:
    fields = json.loads(providers.sns("{}"))
    assert status(check_sns(json.dumps({**fields, "Signature": signature}).encode())) == 403
    del fields["Signature"]
    assert status(check_sns(json.dumps(fields).encode())) == 403


def test_a_topic_is_confirmed_at_snss_own_address_and_for_itself_alone() -> None:
    verdict = check_sns(providers.sns("You have chosen to subscribe.", "SubscriptionConfirmation"))
    assert isinstance(verdict, Passed)
    assert verdict.confirm.startswith("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&")
    assert verdict.events == ()
    base = "https://sns.eu-west-1.amazonaws.com"
    for url in (
        f"https://sns.evil.amazonaws.com.example.org/?Action=ConfirmSubscription&TopicArn={TOPIC}",
        f"http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}",
        f"{base}/?Action=DeleteTopic&TopicArn={TOPIC}",
        f"{base}/?Action=ConfirmSubscription&TopicArn={TOPIC}2",
        f"{base}/?Action=ConfirmSubscription&Action=DeleteTopic&TopicArn={TOPIC}",
        f"{base}/other?Action=ConfirmSubscription&TopicArn={TOPIC}",
        "http://169.254.169.254/latest/meta-data/",
        "",
    ):
        raw = providers.sns("x", "SubscriptionConfirmation", SubscribeURL=url)
        assert status(check_sns(raw)) == 403, url


def test_the_end_of_a_topic_is_said_to_an_operator() -> None:
    verdict = check_sns(providers.sns("x", "UnsubscribeConfirmation"))
    assert isinstance(verdict, Passed)
    assert verdict.said
    assert not verdict.confirm
    assert not verdict.events


@pytest.mark.parametrize("kind", ["Open", "Click", "Delivery", "Send", "DeliveryDelay", "Rendering Failure"])
def test_what_readers_do_is_dropped_at_the_door(kind: str) -> None:
    assert check_sns(providers.sns(json.dumps({"eventType": kind, "mail": {}}))) == Passed()


def test_the_greeting_of_ses_is_no_event_and_a_riddle_is_kept() -> None:
    greeting = "Successfully validated SNS topic for Amazon SES event publishing."
    assert check_sns(providers.sns(greeting)) == Passed()
    for message in ("not JSON", json.dumps({"eventType": "Something New"})):
        verdict = check_sns(providers.sns(message))
        assert isinstance(verdict, Passed)
        assert [event.raw for event in verdict.events] == [message.encode()]


# --- The certificates of SNS


def test_a_certificate_is_fetched_once_a_day() -> None:
    fetched: list[str] = []
    now = [NOW]

    def fetch(url: str) -> bytes:
        fetched.append(url)
        return providers.certificate()

    certificates = Certificates(fetch, lambda: now[0])
    assert certificates.key("a") == certificates.key("a") == providers.rsa_key().public_key()
    now[0] += dt.timedelta(hours=23)
    assert certificates.key("a")
    assert fetched == ["a"]
    now[0] += dt.timedelta(hours=2)
    assert certificates.key("a")
    assert fetched == ["a", "a"]
    for number in range(MOST + 1):
        certificates.key(f"b{number}")
    certificates.key("a")
    assert fetched.count("a") == 3


@pytest.mark.parametrize(
    "body",
    [
        Failed("It did not answer."),
        b"",
        b"<html>not found</html>",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ],
)
def test_what_is_no_certificate_is_not_kept(body: bytes | Failed) -> None:
    answers: list[bytes | Failed] = [body, providers.certificate()]
    certificates = Certificates(lambda _: answers.pop(0), lambda: NOW)
    assert certificates.key("a") is None
    assert certificates.key("a") is not None


def test_a_certificate_that_is_not_good_today_or_not_rsa_is_refused() -> None:
    day = dt.timedelta(days=1)
    for body in (
        providers.certificate(NOW + day),
        providers.certificate(NOW - 3 * day, days=2),
        providers.certificate(key=ec.generate_private_key(ec.SECP256R1())),
    ):
        assert Certificates({"a": body}.__getitem__, lambda: NOW).key("a") is None


def test_a_certificate_is_kept_no_longer_than_it_is_good() -> None:
    now = [NOW]
    answers: list[bytes] = [providers.certificate(NOW - dt.timedelta(hours=20), days=1)]
    certificates = Certificates(lambda _: answers[0], lambda: now[0])
    assert certificates.key("a")
    now[0] += dt.timedelta(hours=5)
    assert certificates.key("a") is None


@pytest.fixture
def faults() -> Iterator[Faults]:
    """A web server on loopback."""
    server = Faults()
    yield server
    server.close()


def test_the_guarded_client_fetches_a_certificate_and_no_more_than_one_needs(faults: Faults) -> None:
    fetch = guarded_fetch(Fetch(allow_private=("127.0.0.1",), delay=0))
    pem = providers.certificate()
    certificates = Certificates(fetch, lambda: NOW)
    assert certificates.key(faults.says("/one.pem", pem, "binary/octet-stream")) == providers.rsa_key().public_key()
    assert isinstance(fetch(faults.says("/large.pem", b"x" * 70_000, "text/plain")), Failed)
    assert isinstance(fetch(faults.says("/gone.pem", status=404)), Failed)
    assert certificates.key(faults.says("/two.pem", b"", "text/plain")) is None
    assert isinstance(guarded_fetch(Fetch(delay=0))(faults.url + "/one.pem"), Failed)


# --- Mailgun


def test_mailguns_event_is_passed_on_and_named_by_its_token() -> None:
    raw = providers.mailgun(providers.mailgun_failure())
    verdict = mailgun.verify(raw, hooks(), NOW)
    assert isinstance(verdict, Passed)
    (event,) = verdict.events
    assert event.raw == raw
    other = mailgun.verify(providers.mailgun({"event": "complained"}), hooks(), NOW)
    assert isinstance(other, Passed)
    assert other.events[0].key == event.key, "the same token, whatever the event: it is not new"


def test_mailgun_with_another_key_is_refused() -> None:
    raw = providers.mailgun(providers.mailgun_failure())
    assert status(mailgun.verify(raw, hooks(mailgun_key="another"), NOW)) == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": ""},
        {"signature": "0" * 64},
        {"signature": None},
        {"signature": "\ud800"},
        {"token": "b" * 50},
        {"token": ["a" * 50]},
        {"timestamp": "1795078799"},
        {"timestamp": True},
        {"timestamp": None},
    ],
)
def test_mailguns_signature_covers_time_and_token(changes: dict[str, Any]) -> None:
    fields = json.loads(providers.mailgun(providers.mailgun_failure()))
    fields["signature"] |= changes
    assert status(mailgun.verify(json.dumps(fields).encode(), hooks(), NOW)) == 403


def test_mailguns_time_has_to_be_now() -> None:
    raw = providers.mailgun(providers.mailgun_failure())
    assert status(mailgun.verify(raw, hooks(), NOW + 14 * MINUTE)) == 200
    assert status(mailgun.verify(raw, hooks(), NOW + 16 * MINUTE)) == 403
    assert status(mailgun.verify(raw, hooks(), NOW - 6 * MINUTE)) == 403
    assert status(mailgun.verify(raw, hooks(fresh="2h"), NOW + 119 * MINUTE)) == 200


def test_a_digit_cannot_wander_from_the_token_to_the_time() -> None:
    """The two are signed in one piece, so 1795078800 + 5abc is signed like 17950788005 + abc."""
    fields = json.loads(providers.mailgun(providers.mailgun_failure(), token="5" + "a" * 49))
    stamp, token = fields["signature"]["timestamp"], fields["signature"]["token"]
    fields["signature"] |= {"timestamp": stamp + token[0], "token": token[1:]}
    assert status(mailgun.verify(json.dumps(fields).encode(), hooks(), NOW)) == 403
    fields["signature"] |= {"timestamp": stamp[:-1], "token": stamp[-1] + token}
    assert status(mailgun.verify(json.dumps(fields).encode(), hooks(), NOW)) == 403


@pytest.mark.parametrize("kind", ["opened", "clicked", "delivered", "accepted", "stored"])
def test_what_changes_nothing_at_mailgun_is_dropped_at_the_door(kind: str) -> None:
    assert mailgun.verify(providers.mailgun({"event": kind, "recipient": providers.READER}), hooks(), NOW) == Passed()


def test_a_delay_at_mailgun_is_dropped_at_the_door() -> None:
    raw = providers.mailgun(providers.mailgun_failure("generic", "temporary"))
    assert mailgun.verify(raw, hooks(), NOW) == Passed()


# --- Postmark


def test_postmark_shows_a_name_and_a_password() -> None:
    raw = providers.postmark_bounce()
    verdict = postmark.verify(raw, providers.basic(), "203.0.113.9", hooks())
    assert isinstance(verdict, Passed)
    assert [event.raw for event in verdict.events] == [raw]
    for wrong in (
        {},
        {"authorization": ""},
        {"authorization": "Basic"},
        {"authorization": "Basic é"},
        {"authorization": providers.basic()["authorization"].replace("Basic", "Bearer")},
        providers.basic(password=""),
        providers.basic("", ""),
        providers.basic("other"),
        providers.basic(password="another"),
    ):
        assert status(postmark.verify(raw, wrong, None, hooks())) == 403, wrong


def test_postmark_may_be_held_to_its_networks() -> None:
    given = hooks(postmark_networks=("203.0.113.0/28", "2001:db8::/32"))
    raw = providers.postmark_bounce()
    for client, expected in {
        "203.0.113.9": 200,
        "::ffff:203.0.113.9": 200,
        "2001:db8::1": 200,
        "203.0.113.16": 403,
        "2001:db9::1": 403,
        "testclient": 403,
        None: 403,
    }.items():
        assert status(postmark.verify(raw, providers.basic(), client, given)) == expected, client


def test_postmarks_events_are_named_without_an_address() -> None:
    def name(raw: bytes) -> str:
        verdict = postmark.verify(raw, providers.basic(), None, hooks())
        assert isinstance(verdict, Passed)
        return verdict.events[0].key

    assert name(providers.postmark_bounce()) == "Bounce 4323372036854775807"
    assert name(providers.postmark_change("ManualSuppression")).startswith("SubscriptionChange 00000000-")
    assert name(providers.postmark_change("ManualSuppression", MessageID=None)) == ""
    assert name(b"not JSON") == ""


@pytest.mark.parametrize("kind", ["Open", "Click", "Delivery"])
def test_what_changes_nothing_at_postmark_is_dropped_at_the_door(kind: str) -> None:
    raw = json.dumps({"RecordType": kind, "Recipient": providers.READER}).encode()
    assert postmark.verify(raw, providers.basic(), None, hooks()) == Passed()


# --- SendGrid


def test_sendgrids_events_are_one_each_and_opens_are_not_among_them() -> None:
    events = [
        providers.sendgrid_event(kind, number)
        for number, kind in enumerate(["bounce", "open", "click", "delivered", "spamreport", "deferred", "processed"])
    ]
    raw = json.dumps(events, indent=1).encode()
    verdict = sendgrid.verify(raw, providers.signed_by_sendgrid(raw), hooks(), NOW)
    assert isinstance(verdict, Passed)
    assert [event.key for event in verdict.events] == ["event-0", "event-4"]
    assert [json.loads(event.raw)["event"] for event in verdict.events] == ["bounce", "spamreport"]


def test_sendgrids_signature_covers_every_octet_and_the_time() -> None:
    raw = json.dumps([providers.sendgrid_event("bounce")]).encode()
    headers = providers.signed_by_sendgrid(raw)
    assert status(sendgrid.verify(raw, headers, hooks(), NOW)) == 200
    assert status(sendgrid.verify(raw + b" ", headers, hooks(), NOW)) == 403
    assert status(sendgrid.verify(raw, {**headers, sendgrid.TIMESTAMP: "1795078801"}, hooks(), NOW)) == 403
    assert status(sendgrid.verify(raw, {}, hooks(), NOW)) == 403
    other = ec.generate_private_key(ec.SECP256R1())
    from_other = hooks(sendgrid_key=_public(other))
    assert status(sendgrid.verify(raw, headers, from_other, NOW)) == 403


def test_sendgrids_time_has_to_be_now() -> None:
    raw = b"[]"
    headers = providers.signed_by_sendgrid(raw)
    assert status(sendgrid.verify(raw, headers, hooks(), NOW + 16 * MINUTE)) == 403
    assert status(sendgrid.verify(raw, headers, hooks(), NOW - 6 * MINUTE)) == 403
    assert status(sendgrid.verify(raw, headers, hooks(fresh="1h"), NOW + 16 * MINUTE)) == 200


@pytest.mark.parametrize("raw", [b"not JSON", b"\xff", b"[" * 100_000, b'[{"event":"bounce","a":' + b"[" * 5000])
def test_what_sendgrid_signed_and_nobody_can_read_is_kept_for_a_person(raw: bytes) -> None:
    verdict = sendgrid.verify(raw, providers.signed_by_sendgrid(raw), hooks(), NOW)
    assert isinstance(verdict, Passed)
    assert [(event.key, event.raw) for event in verdict.events] == [("", raw)]


# --- All of them


def _public(private: ec.EllipticCurvePrivateKey) -> str:
    der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


NO_ENVELOPES = [
    b"",
    b"not JSON",
    b"\xff\xfe",
    b"null",
    b"[]",
    b'"Type"',
    b"{}",
    b'{"Type": "Notification"',
    b'{"Type": {"Type": "Notification"}}',
    b'{"signature": []}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"signature": {"timestamp": ' + b"9" * 5000 + b"}}",
]


@pytest.mark.parametrize("raw", NO_ENVELOPES)
def test_what_is_no_envelope_is_refused(raw: bytes) -> None:
    assert status(sns.verify(raw, hooks(), never, NOW)) in (400, 403)
    assert status(mailgun.verify(raw, hooks(), NOW)) in (400, 403)


FLIPS = st.tuples(st.integers(0, 10**6), st.integers(1, 255))
SIGNED = {"ses": providers.sns("{}"), "mailgun": providers.mailgun(providers.mailgun_failure())}
BY_SENDGRID = providers.signed_by_sendgrid(b"[]")


def flipped(octets: bytes, flip: tuple[int, int]) -> bytes:
    place = flip[0] % len(octets)
    return octets[:place] + bytes([octets[place] ^ flip[1]]) + octets[place + 1 :]


@given(FLIPS)
def test_a_changed_octet_in_a_signature_is_refused(flip: tuple[int, int]) -> None:
    fields = json.loads(SIGNED["ses"])
    fields["Signature"] = base64.b64encode(flipped(base64.b64decode(fields["Signature"]), flip)).decode()
    assert status(check_sns(json.dumps(fields).encode())) == 403
    fields = json.loads(SIGNED["mailgun"])
    fields["signature"]["signature"] = flipped(fields["signature"]["signature"].encode(), flip).decode("latin-1")
    assert status(mailgun.verify(json.dumps(fields).encode(), hooks(), NOW)) == 403
    wrong = base64.b64encode(flipped(base64.b64decode(BY_SENDGRID[sendgrid.SIGNATURE]), flip)).decode()
    assert status(sendgrid.verify(b"[]", {**BY_SENDGRID, sendgrid.SIGNATURE: wrong}, hooks(), NOW)) == 403


@given(st.sampled_from(sorted(SIGNED)), FLIPS)
def test_a_changed_octet_anywhere_never_makes_a_verifier_raise(name: str, flip: tuple[int, int]) -> None:
    """It may still be believed: an octet of what is not signed (SNS's UnsubscribeURL, Mailgun's event) can differ."""
    raw = flipped(SIGNED[name], flip)
    if name == "ses":
        verdict = sns.verify(raw, hooks(), lambda _: providers.rsa_key().public_key(), NOW)
        if isinstance(verdict, Passed):
            assert json.loads(raw)["Message"] == "{}"
    else:
        verdict = mailgun.verify(raw, hooks(), NOW)
        if isinstance(verdict, Passed):
            assert json.loads(raw)["signature"] == json.loads(SIGNED[name])["signature"]
