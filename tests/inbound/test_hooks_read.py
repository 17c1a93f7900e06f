"""What a provider's event says of a mailbox, in our own words; and nothing in it makes a reader raise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.inbound.hooks import read, readers
from digest.inbound.notice import ByAddress, ByDelivery, BySubscription, Ignored, Notice, Sign, Unreadable, Who
from digest.mail.verp import verp_token
from subscribers.tokens import Links
from tests.inbound import providers
from tests.inbound.providers import READER

PROVIDERS = ("ses", "mailgun", "postmark", "sendgrid")


def one(source: str, data: object) -> Notice:
    """The one notice that an event makes."""
    found = read(source, data if isinstance(data, bytes) else json.dumps(data).encode())
    assert isinstance(found, list), found
    (notice,) = found
    return notice


def said(source: str, data: object) -> tuple[Sign, str, str]:
    notice = one(source, data)
    assert notice.who == ByAddress(READER)
    return notice.sign, notice.status, notice.reason


@pytest.mark.parametrize(
    ("kind", "detail", "status", "sign", "reason"),
    [
        ("Permanent", "General", "5.1.1", Sign.HARD, "user-unknown"),
        ("Permanent", "NoEmail", "", Sign.HARD, "user-unknown"),
        ("Permanent", "Suppressed", "", Sign.HARD, "suppressed-there"),
        ("Permanent", "OnAccountSuppressionList", "", Sign.HARD, "suppressed-there"),
        ("Permanent", "General", "5.2.2", Sign.SOFT, "mailbox-full"),
        ("Permanent", "General", "5.7.1", Sign.POLICY, "policy"),
        ("Permanent", "General", "5.1.8", Sign.POLICY, "sender-refused"),
        ("Permanent", "UnsubscribedRecipient", "", Sign.LEAVE, "left-at-provider"),
        ("Permanent", "A New One", "", Sign.HARD, "user-unknown"),
        ("Transient", "General", "4.4.7", Sign.SOFT, "expired"),
        ("Transient", "General", "5.1.1", Sign.SOFT, "unclear"),
        ("Transient", "MailboxFull", "", Sign.SOFT, "mailbox-full"),
        ("Transient", "MessageTooLarge", "", Sign.POLICY, "too-large"),
        ("Transient", "ContentRejected", "", Sign.POLICY, "content"),
        ("Transient", "AttachmentRejected", "", Sign.POLICY, "content"),
        ("Undetermined", "Undetermined", "", Sign.SOFT, "unclear"),
    ],
)
def test_a_bounce_of_ses(kind: str, detail: str, status: str, sign: Sign, reason: str) -> None:
    data = providers.ses_bounce(kind, detail, status)
    if not status:
        data["bounce"]["bouncedRecipients"][0].pop("diagnosticCode")
    assert said("ses", data) == (sign, status, reason)


def test_a_status_of_ses_is_also_found_in_the_diagnostic_code() -> None:
    data = providers.ses_bounce()
    data["bounce"]["bouncedRecipients"] = [{"emailAddress": READER, "diagnosticCode": "smtp; 550 5.1.1 unknown"}]
    assert one("ses", data).status == "5.1.1"


def test_everybody_who_bounced_at_ses_is_named() -> None:
    data = providers.ses_bounce()
    data["bounce"]["bouncedRecipients"].append({"emailAddress": "Other <other@example.org>", "status": "5.1.1"})
    found = read("ses", json.dumps(data).encode())
    assert isinstance(found, list)
    assert [notice.who for notice in found] == [ByAddress(READER), ByAddress("other@example.org")]


def test_complaints_at_ses() -> None:
    assert said("ses", providers.ses_complaint())[0] is Sign.COMPLAINT
    assert isinstance(read("ses", json.dumps(providers.ses_complaint(kind="not-spam")).encode()), Ignored)
    both = providers.ses_complaint(READER, "other@example.org")
    assert isinstance(read("ses", json.dumps(both).encode()), Unreadable)


def test_leaving_by_the_page_of_ses() -> None:
    data: dict[str, Any] = {
        "eventType": "Subscription",
        "mail": {"destination": [READER]},
        "subscription": {"newTopicPreferences": {"unsubscribeAll": True}},
    }
    assert said("ses", data)[0] is Sign.LEAVE
    data["subscription"]["newTopicPreferences"]["unsubscribeAll"] = False
    assert isinstance(read("ses", json.dumps(data).encode()), Ignored)
    data["subscription"]["newTopicPreferences"]["unsubscribeAll"] = True
    data["mail"]["destination"] = []
    assert isinstance(read("ses", json.dumps(data).encode()), Unreadable)


def test_a_token_of_ours_in_the_header_names_the_reader_better_than_an_address() -> None:
    """A mailbox that forwards is not the mailbox that bounced."""
    seen: list[Mapping[str, str]] = []

    def identify(header: Mapping[str, str]) -> Who:
        seen.append(header)
        return ByDelivery(b"d" * 16)

    fields = [{"name": "List-Unsubscribe", "value": "<https://digest.example.org/u/x>"}]
    for source, data in (
        ("ses", providers.ses_bounce(to="forwarded@example.com", headers=fields)),
        ("ses", providers.ses_complaint("a@example.com", "b@example.com", headers=fields)),
        ("mailgun", json.loads(providers.mailgun(providers.mailgun_failure()))),
    ):
        found = read(source, json.dumps(data).encode(), identify)
        assert isinstance(found, list)
        assert [notice.who for notice in found] == [ByDelivery(b"d" * 16)]
    assert seen[0]["list-unsubscribe"] == "<https://digest.example.org/u/x>"
    assert [header["return-path"] for header in seen] == ["digest@example.org"] * 3


def test_the_inbox_finds_readers_by_our_tokens_and_else_by_the_address() -> None:
    key, delivery, subscription = b"k" * 32, b"d" * 16, b"s" * 16
    token = Links("https://digest.example.org", key).leave_token(subscription)
    path = f"b.{verp_token(key, delivery)}@bounces.example.org"
    fields = [{"name": "List-Unsubscribe", "value": f"<https://digest.example.org/u/{token}>, <mailto:x@example.org>"}]
    event = providers.mailgun_failure(message="550 5.1.1 no")
    event["envelope"]["sender"] = path.upper()
    for key_of_ours, source, data, expected in (
        (key, "ses", providers.ses_bounce(headers=fields), BySubscription(subscription)),
        (key, "ses", providers.ses_bounce(headers=fields, source=f"<{path}>"), ByDelivery(delivery)),
        (key, "mailgun", {"event-data": event}, ByDelivery(delivery)),
        (b"x" * 32, "ses", providers.ses_bounce(headers=fields, source=path), ByAddress(READER)),
        (b"x" * 32, "mailgun", {"event-data": event}, ByAddress(READER)),
        (key, "ses", providers.ses_bounce(headers=[{"name": "List-Unsubscribe", "value": 7}]), ByAddress(READER)),
    ):
        found = readers(key_of_ours)[source](json.dumps(data).encode())
        assert isinstance(found, list)
        assert [notice.who for notice in found] == [expected]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (providers.mailgun_failure(message="550 5.1.1 no such user"), (Sign.HARD, "5.1.1", "user-unknown")),
        (providers.mailgun_failure(**{"enhanced-code": "5.7.1"}), (Sign.POLICY, "5.7.1", "policy")),
        (providers.mailgun_failure(**{"bounce-type": "soft"}), (Sign.SOFT, "", "unclear")),
        (providers.mailgun_failure("suppress-bounce"), (Sign.HARD, "", "suppressed-there")),
        (providers.mailgun_failure("suppress-complaint"), (Sign.COMPLAINT, "", "complaint")),
        (providers.mailgun_failure("suppress-unsubscribe"), (Sign.LEAVE, "", "left-at-provider")),
        (providers.mailgun_failure("espblock"), (Sign.POLICY, "", "blocked")),
        (providers.mailgun_failure("old"), (Sign.SOFT, "", "expired")),
        (providers.mailgun_failure("generic"), (Sign.SOFT, "", "unclear")),
        ({"event": "complained", "recipient": READER}, (Sign.COMPLAINT, "", "complaint")),
        ({"event": "unsubscribed", "recipient": READER}, (Sign.LEAVE, "", "left-at-provider")),
    ],
)
def test_an_event_of_mailgun(event: dict[str, Any], expected: tuple[Sign, str, str]) -> None:
    assert said("mailgun", {"event-data": event}) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (providers.postmark_bounce(), (Sign.HARD, "5.1.1", "user-unknown")),
        (providers.postmark_bounce("BadEmailAddress", ""), (Sign.HARD, "", "user-unknown")),
        (providers.postmark_bounce("HardBounce", "smtp;550 5.7.1 refused"), (Sign.POLICY, "5.7.1", "policy")),
        (providers.postmark_bounce("SoftBounce", "smtp;552 5.2.2 full"), (Sign.SOFT, "5.2.2", "mailbox-full")),
        (providers.postmark_bounce("Blocked", ""), (Sign.POLICY, "", "blocked")),
        (providers.postmark_bounce("SpamNotification", ""), (Sign.POLICY, "", "spam")),
        (providers.postmark_bounce("DMARCPolicy", ""), (Sign.POLICY, "", "not-authenticated")),
        (providers.postmark_bounce("Unknown", ""), (Sign.SOFT, "", "unclear")),
        (providers.postmark_bounce("Unsubscribe", ""), (Sign.LEAVE, "", "left-at-provider")),
        (
            providers.postmark_bounce("HardBounce", "", RecordType="SpamComplaint"),
            (Sign.COMPLAINT, "", "complaint"),
        ),
        (providers.postmark_change("ManualSuppression"), (Sign.LEAVE, "", "left-at-provider")),
        (providers.postmark_change("HardBounce"), (Sign.HARD, "", "user-unknown")),
        (providers.postmark_change("SpamComplaint"), (Sign.COMPLAINT, "", "complaint")),
    ],
)
def test_an_event_of_postmark(raw: bytes, expected: tuple[Sign, str, str]) -> None:
    assert said("postmark", raw) == expected


@pytest.mark.parametrize("kind", ["Transient", "AutoResponder", "AddressChange", "Subscribe", "Unconfirmed"])
def test_what_postmark_calls_a_bounce_and_is_none(kind: str) -> None:
    assert isinstance(read("postmark", providers.postmark_bounce(kind, "")), Ignored)


def test_nobody_comes_back_because_a_provider_lets_them_in_again() -> None:
    assert isinstance(read("postmark", providers.postmark_change(None)), Ignored)
    again = providers.sendgrid_event("group_resubscribe")
    assert isinstance(read("sendgrid", json.dumps(again).encode()), Ignored)


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("ses", {"notificationType": "Delivery", "delivery": {"recipients": [READER]}}),
        ("mailgun", {"event-data": {"event": "delivered", "recipient": READER}}),
        ("postmark", {"RecordType": "Delivery", "Recipient": READER}),
        ("sendgrid", providers.sendgrid_event("delivered")),
    ],
)
def test_delivered_after_a_bounce_changes_nothing(source: str, data: object) -> None:
    assert isinstance(read(source, json.dumps(data).encode()), Ignored)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"event": "bounce", "type": "bounce", "status": "5.1.1"}, (Sign.HARD, "5.1.1", "user-unknown")),
        ({"event": "bounce", "type": "bounce", "reason": "550 5.1.1 who?"}, (Sign.HARD, "5.1.1", "user-unknown")),
        (
            {"event": "bounce", "type": "bounce", "bounce_classification": "Mailbox Unavailable"},
            (Sign.SOFT, "", "mailbox-trouble"),
        ),
        ({"event": "bounce", "type": "bounce", "bounce_classification": "Unclassified"}, (Sign.SOFT, "", "unclear")),
        ({"event": "bounce", "type": "bounce", "status": "5.7.1"}, (Sign.POLICY, "5.7.1", "policy")),
        ({"event": "bounce", "type": "blocked", "status": "5.1.1"}, (Sign.POLICY, "5.1.1", "blocked")),
        (
            {"event": "bounce", "type": "blocked", "bounce_classification": "Invalid Address"},
            (Sign.POLICY, "", "blocked"),
        ),
        (
            {"event": "bounce", "type": "blocked", "bounce_classification": "Frequency or Volume Too High"},
            (Sign.POLICY, "", "too-fast"),
        ),
        ({"event": "bounce", "type": "expired"}, (Sign.SOFT, "", "expired")),
        ({"event": "dropped", "reason": "Bounced Address"}, (Sign.HARD, "", "suppressed-there")),
        ({"event": "dropped", "reason": "Unsubscribed Address"}, (Sign.LEAVE, "", "left-at-provider")),
        ({"event": "dropped", "reason": "Spam Reporting Address"}, (Sign.COMPLAINT, "", "complaint")),
        ({"event": "spamreport"}, (Sign.COMPLAINT, "", "complaint")),
        ({"event": "unsubscribe"}, (Sign.LEAVE, "", "left-at-provider")),
        ({"event": "group_unsubscribe"}, (Sign.LEAVE, "", "left-at-provider")),
    ],
)
def test_an_event_of_sendgrid(event: dict[str, Any], expected: tuple[Sign, str, str]) -> None:
    assert said("sendgrid", {**event, "email": READER}) == expected


def test_what_sendgrid_dropped_for_a_reason_of_its_own_is_nobodys_fault() -> None:
    event = providers.sendgrid_event("dropped", reason="Recipient List over Package Quota")
    assert isinstance(read("sendgrid", json.dumps(event).encode()), Ignored)


def test_an_unknown_provider_is_for_a_person() -> None:
    assert isinstance(read("carrier-pigeon", b"{}"), Unreadable)


@pytest.mark.parametrize(
    "address",
    [
        None,
        7,
        "",
        "nobody",
        "a@b@c",
        "two words@example.org",
        "a\r\nBcc: b@example.org",
        "<script>alert(1)</script>@x",
        f"{'a' * 65}@example.org",
        f"a@{'b' * 300}",
    ],
)
def test_what_is_no_address_names_nobody(address: object) -> None:
    for source, data in (
        ("ses", providers.ses_bounce(to=address)),
        ("mailgun", {"event-data": {"event": "complained", "recipient": address}}),
        ("postmark", {"RecordType": "SpamComplaint", "ID": 1, "Email": address}),
        ("sendgrid", {"event": "spamreport", "email": address}),
    ):
        assert isinstance(read(source, json.dumps(data).encode()), Unreadable), source


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["5.1.1", "Bounce", "Permanent", "failed", "permanent", "bounce", "blocked", READER]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SAMPLES: dict[str, list[Any]] = {
    "ses": [
        providers.ses_bounce(headers=[{"name": "To", "value": READER}]),
        providers.ses_complaint(),
        {"eventType": "Subscription", "mail": {}, "subscription": {"newTopicPreferences": {"unsubscribeAll": True}}},
    ],
    "mailgun": [json.loads(providers.mailgun(providers.mailgun_failure(message="550 5.1.1 no")))],
    "postmark": [json.loads(providers.postmark_bounce()), json.loads(providers.postmark_change("HardBounce"))],
    "sendgrid": [providers.sendgrid_event("bounce", type="bounce", status="5.1.1", reason="550 no")],
}


def places(data: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a payload."""
    keys = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(deeper for key, value in keys for deeper in places(value, (*path, key)))]


def replaced(data: Any, path: tuple[Any, ...], value: object) -> Any:
    if not path:
        return value
    copy = data.copy()
    copy[path[0]] = replaced(data[path[0]], path[1:], value)
    return copy


@given(st.data())
def test_no_payload_makes_a_reader_raise(data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(PROVIDERS))
    sample = data.draw(st.sampled_from(SAMPLES[source]))
    changed = replaced(sample, data.draw(st.sampled_from(places(sample))), data.draw(VALUES))
    found = readers(b"k" * 32)[source](json.dumps(changed).encode())
    if isinstance(found, list):
        assert found
        assert all(isinstance(notice.who, ByAddress) and len(notice.status) <= 12 for notice in found)
        assert all(len(notice.reason) <= 32 for notice in found)
    else:
        assert "@" not in found.why


@given(st.sampled_from(PROVIDERS), st.binary(max_size=200))
def test_no_octets_make_a_reader_raise(source: str, raw: bytes) -> None:
    assert isinstance(read(source, raw), Unreadable | Ignored)


@pytest.mark.parametrize("source", PROVIDERS)
@pytest.mark.parametrize(
    "raw", [b"", b"[" * 200_000, b'{"mail":' * 100_000, b'{"event":"bounce"', b"\xff", b"9" * 5000]
)
def test_hostile_octets_are_for_a_person(source: str, raw: bytes) -> None:
    assert isinstance(read(source, raw), Unreadable)
