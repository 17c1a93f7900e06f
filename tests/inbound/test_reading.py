"""Every form of mail that real systems make is understood, and nothing that is not vouched for changes anything."""

from __future__ import annotations

import secrets

import pytest

from digest.inbound.authentication import sender_of
from digest.inbound.notice import ByDelivery, BySubscription, Ignored, Notice, Sign, Unreadable
from digest.inbound.posted import Posted, from_fields, unpacked
from digest.inbound.reading import Ask, Reader, Said
from digest.mail.verp import return_path, verp_token
from subscribers.tokens import Links
from tests.house import BASE_URL, newsletter
from tests.inbound import letters
from tests.inbound.letters import BOUNCES, dsn

KEY = b"k" * 32
DELIVERY = bytes(range(16))
SUBSCRIPTION = bytes(range(16, 32))
TOKEN = Links(BASE_URL, KEY).leave_token(SUBSCRIPTION)
PATH = f"b.{verp_token(KEY, DELIVERY)}@{BOUNCES}"
READER = Reader(KEY, {"watchdog": newsletter()}, "mx.example.org", letters.FEEDBACK)


def read(octets: bytes, recipient: str = PATH, sender: str | None = "", reader: Reader = READER) -> Said:
    return reader.read(Posted(octets, recipient, sender))


def one(said: Said) -> tuple[Sign, str, str]:
    assert isinstance(said, list), said
    (notice,) = said
    assert notice.who == ByDelivery(DELIVERY)
    return notice.sign, notice.status, notice.reason


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        pytest.param(
            dsn("5.1.1", "smtp; 550 5.1.1 <reader@reader.example>: Recipient address rejected: User unknown"),
            (Sign.HARD, "5.1.1", "user-unknown"),
            id="postfix",
        ),
        pytest.param(
            dsn("5.0.0", "smtp; 550 No such user here"), (Sign.HARD, "5.0.0", "user-unknown"), id="exim's report"
        ),
        pytest.param(letters.EXCHANGE, (Sign.HARD, "5.1.10", "takes-no-mail"), id="exchange"),
        pytest.param(
            dsn("5.4.1", "smtp;550 5.4.1 Recipient address rejected: Access denied. [AM7.example 2026-11-19]"),
            (Sign.HARD, "5.4.1", "user-unknown"),
            id="exchange online's edge",
        ),
        pytest.param(letters.EXIM, (Sign.HARD, "5.1.1", "user-unknown"), id="exim"),
        pytest.param(letters.QMAIL, (Sign.HARD, "5.1.1", "user-unknown"), id="qmail"),
        pytest.param(letters.GMAIL_WORDS, (Sign.HARD, "5.1.1", "user-unknown"), id="gmail in words"),
        pytest.param(letters.SENDMAIL_FULL, (Sign.SOFT, "5.2.2", "mailbox-full"), id="sendmail, full"),
        pytest.param(
            dsn("5.0.0", "smtp; 554 delivery error: dd This user doesn't have a yahoo.example account (x) [0]"),
            (Sign.HARD, "5.0.0", "user-unknown"),
            id="yahoo",
        ),
        pytest.param(dsn("4.4.7", "smtp; 421 timed out"), (Sign.SOFT, "4.4.7", "expired"), id="given up"),
        pytest.param(dsn("4.1.1", "smtp; 450 4.1.1 later"), (Sign.SOFT, "4.1.1", "user-unknown"), id="class 4"),
        pytest.param(
            dsn("5.7.1", "smtp; 550 5.7.1 Our system has detected that this message is likely unsolicited mail"),
            (Sign.POLICY, "5.7.1", "policy"),
            id="policy",
        ),
        pytest.param(
            dsn("5.0.0", "smtp; 554 Service unavailable; client host blocked using Spamhaus"),
            (Sign.POLICY, "5.0.0", "blocked"),
            id="block list",
        ),
        pytest.param(
            dsn("5.2.1", "smtp; 550 5.2.1 The account is disabled"), (Sign.SOFT, "5.2.1", "mailbox-disabled"), id="off"
        ),
        pytest.param(
            dsn("5.1.1", "", action="error", text="smtpd: mail not delivered"),
            (Sign.HARD, "5.1.1", "user-unknown"),
            id="opensmtpd",
        ),
        pytest.param(
            dsn("5.1.1", "x", more="\nFinal-Recipient: rfc822; two@reader.example\nAction: delivered\nStatus: 2.0.0\n"),
            (Sign.SOFT, "5.1.1", "user-unknown"),
            id="one of several got it",
        ),
    ],
)
def test_a_bounce_says_whose_copy_and_how_grave(octets: bytes, expected: tuple[Sign, str, str]) -> None:
    assert one(read(octets)) == expected


def test_a_return_path_survives_a_server_that_changes_its_case() -> None:
    assert one(read(letters.QMAIL, recipient=PATH.upper()))[0] is Sign.HARD


@pytest.mark.parametrize("action", ["delayed", "relayed", "delivered", "expanded"])
def test_what_is_no_failure_is_no_bounce(action: str) -> None:
    assert isinstance(read(dsn("4.4.1", "smtp; 421 later", action=action)), Ignored)


def test_an_answer_of_a_program_to_an_issue_is_no_bounce() -> None:
    assert isinstance(read(letters.AWAY), Ignored)


def test_a_person_who_writes_to_a_return_path_is_read_by_a_person() -> None:
    assert isinstance(read(letters.note("About page 550 5.1.1", "I liked it."), sender="r@reader.example"), Unreadable)


@pytest.mark.parametrize(
    "recipient",
    [
        f"b.{verp_token(b'another key' * 3, DELIVERY)}@{BOUNCES}",
        PATH.replace("b.a", "b.b"),
        f"b.@{BOUNCES}",
        f"b.é@{BOUNCES}",
        f"digest@{BOUNCES}",
        "",
    ],
)
def test_a_bounce_without_a_good_token_changes_nothing(recipient: str) -> None:
    assert isinstance(read(letters.EXCHANGE, recipient), Unreadable)
    assert isinstance(read(letters.QMAIL, recipient), Unreadable)


def test_no_free_text_of_a_bounce_comes_into_a_notice() -> None:
    said = read(dsn("5.1.1 <b>", "smtp; 550 5.1.1 <script>alert(1)</script>"))
    assert said == [Notice(Sign.HARD, ByDelivery(DELIVERY), "5.1.1", "user-unknown")]


LINK = f"<https://digest.example.org/u/{TOKEN}>,\n <mailto:leave@{BOUNCES}?subject=unsubscribe%20{TOKEN}>"


def test_a_complaint_is_its_readers_by_the_link_in_what_is_returned() -> None:
    said = read(letters.complaint(LINK), f"feedback@{BOUNCES}", "feedback@arf.mail.provider.example")
    # It does what the link does: whoever was forwarded an issue has the link.
    assert said == [Notice(Sign.LEAVE, BySubscription(SUBSCRIPTION), reason="complaint")]


def test_a_complaint_is_its_readers_by_the_return_path() -> None:
    octets = letters.complaint("<https://elsewhere.example/>", report=f"Original-Mail-From: <{PATH}>\n")
    assert read(octets, f"feedback@{BOUNCES}") == [Notice(Sign.COMPLAINT, ByDelivery(DELIVERY), reason="complaint")]


BY_PATH = {"who": "<https://elsewhere.example/>", "path": PATH}
ARF = "arf.mail.provider.example"


@pytest.mark.parametrize(
    ("results", "who"),
    [
        (f"mx.elsewhere.example; dkim=pass header.d={ARF}", ARF),
        (f"mx.example.org; dkim=fail header.d={ARF}", ARF),
        ("mx.example.org; dkim=pass header.d=attacker.example", ARF),
        (f"mx.example.org; spf=pass smtp.mailfrom={ARF}", ARF),
        ("mx.example.org; none", ARF),
        (f"mx.example.org (dkim=pass header.d={ARF}); none", ARF),
        (f"mx.example.org; dkim=pass header.d={ARF}; dmarc=fail header.from=provider.example", ARF),
        # Whoever has a mailbox somewhere is authentic, and no feedback loop.
        ("mx.example.org; dkim=pass header.d=attacker.example; dmarc=pass", "attacker.example"),
        ("mx.example.org; dkim=pass header.d=provider.example; dmarc=pass", "provider.example"),
        ("mx.example.org; dkim=pass header.d=provider.example; dmarc=pass", ARF),
        (f"mx.example.org; dkim=pass header.d=x{ARF}", f"x{ARF}"),
        (f"mx.example.org; dmarc=pass header.from={ARF}", ARF),
    ],
)
def test_a_complaint_that_nobody_vouches_for_changes_nothing(results: str, who: str) -> None:
    octets = letters.complaint(**BY_PATH, results=results).replace(f"@{ARF}".encode(), f"@{who}".encode())
    assert isinstance(read(octets, f"feedback@{BOUNCES}"), Unreadable)


def test_a_complaint_is_taken_from_a_part_of_a_feedback_domain_too() -> None:
    octets = letters.complaint(**BY_PATH, results=f"mx.example.org; dkim=pass header.d=eu.{ARF}")
    octets = octets.replace(f"@{ARF}".encode(), f"@eu.{ARF}".encode())
    assert read(octets, f"feedback@{BOUNCES}") == [Notice(Sign.COMPLAINT, ByDelivery(DELIVERY), reason="complaint")]


def test_a_result_that_came_with_the_mail_is_not_ours() -> None:
    forged = "Authentication-Results: mx.example.org; dmarc=pass header.from=reader.example\n"
    octets = letters.note("unsubscribe", results="mx.example.org; dmarc=none")
    below = octets.replace(b"From: Reader", f"Received: by x; now\n{forged}From: Reader".encode())
    assert isinstance(read(below, f"leave@{BOUNCES}", "reader@reader.example"), Unreadable)


def test_not_spam_is_ignored_and_other_reports_are_for_a_person() -> None:
    assert isinstance(read(letters.complaint(LINK, kind="not-spam"), "feedback@x.example"), Ignored)
    assert isinstance(read(letters.complaint(LINK, kind="fraud"), "feedback@x.example"), Unreadable)
    assert isinstance(read(letters.complaint("<https://x.example/u/short>"), "feedback@x.example"), Unreadable)


@pytest.mark.parametrize(
    ("recipient", "subject"),
    [
        (f"leave@{BOUNCES}", f"unsubscribe {TOKEN}"),
        ("digest@example.org", f"Unsubscribe  {TOKEN}"),
        (f"leave@{BOUNCES}", f"Re: unsubscribe {TOKEN}"),
        (f"leave@{BOUNCES}", f"=?utf-8?q?unsubscribe_{TOKEN}?="),
    ],
)
def test_a_mail_with_the_token_leaves_whoever_sends_it_and_however(recipient: str, subject: str) -> None:
    octets = letters.note(subject, results=None, more="Auto-Submitted: auto-generated\n")
    assert read(octets, recipient) == [Notice(Sign.LEAVE, BySubscription(SUBSCRIPTION), reason="mail")]


def test_a_forged_token_leaves_nobody() -> None:
    forged = Links(BASE_URL, secrets.token_bytes(32)).leave_token(SUBSCRIPTION)
    assert isinstance(read(letters.note(f"unsubscribe {forged}"), f"leave@{BOUNCES}"), Unreadable)


TWO = Reader(
    KEY, {"watchdog": newsletter(), "negah": newsletter().model_copy(update={"slug": "negah"})}, "mx.example.org"
)


@pytest.mark.parametrize(
    ("recipient", "subject", "joins", "named"),
    [
        (f"subscribe@{BOUNCES}", "hello", True, "watchdog"),
        (f"watchdog@{BOUNCES}", "subscribe", True, "watchdog"),
        ("digest@example.org", "SUBSCRIBE", True, "watchdog"),
        (f"leave@{BOUNCES}", "", False, None),
        ("digest@example.org", "Re: unsubscribe", False, "watchdog"),
        (f"post@{BOUNCES}", "unsubscribe me please", False, None),
    ],
)
def test_a_person_asks_by_mail(recipient: str, subject: str, joins: bool, named: str | None) -> None:
    said = read(letters.note(subject), recipient, "reader@reader.example")
    assert said == Ask(joins=joins, address="reader@reader.example", newsletter=named)
    assert "reader" not in repr(said)


def test_with_several_newsletters_one_is_named() -> None:
    for octets, recipient, expected in (
        (
            letters.note("subscribe negah"),
            f"post@{BOUNCES}",
            Ask(joins=True, address="reader@reader.example", newsletter="negah"),
        ),
        (
            letters.note("leave watchdog"),
            f"post@{BOUNCES}",
            Ask(joins=False, address="reader@reader.example", newsletter="watchdog"),
        ),
        (
            letters.note("stop"),
            f"negah@{BOUNCES}",
            Ask(joins=False, address="reader@reader.example", newsletter="negah"),
        ),
    ):
        assert read(octets, recipient, "reader@reader.example", TWO) == expected
    assert isinstance(read(letters.note("subscribe"), f"post@{BOUNCES}", "r@reader.example", TWO), Unreadable)


@pytest.mark.parametrize("subject", ["Stop the war", "Subscribe to my channel", "unsubscribe othernews", "", "Hello"])
def test_other_mail_is_for_a_person(subject: str) -> None:
    assert isinstance(read(letters.note(subject, "Dear editors"), "digest@example.org", "r@reader.example"), Unreadable)


@pytest.mark.parametrize(
    ("more", "sender"),
    [
        ("Auto-Submitted: auto-replied\n", "r@reader.example"),
        ("Auto-Submitted: auto-generated; x=y\n", "r@reader.example"),
        ("Precedence: bulk\n", "r@reader.example"),
        ("List-Id: <others.example>\n", "r@reader.example"),
        ("", ""),
    ],
)
def test_a_program_is_never_answered(more: str, sender: str) -> None:
    assert isinstance(read(letters.note("subscribe", more=more), f"subscribe@{BOUNCES}", sender), Ignored)


def test_nobody_is_joined_or_leaves_by_an_address_that_nobody_vouches_for() -> None:
    for results in (None, "mx.example.org; dmarc=fail", "mx.example.org; dkim=pass header.d=other.example"):
        for box in ("subscribe", "leave"):
            octets = letters.note(box, results=results)
            assert isinstance(read(octets, f"{box}@{BOUNCES}", "reader@reader.example"), Unreadable)
    two_senders = letters.note("leave", more="From: other@reader.example\n")
    assert isinstance(read(two_senders, f"leave@{BOUNCES}", "reader@reader.example"), Unreadable)
    unset = Reader(KEY, {"watchdog": newsletter()}, None)
    assert isinstance(read(letters.note("leave"), f"leave@{BOUNCES}", "r@reader.example", unset), Unreadable)


def test_without_an_envelope_the_fields_say_where_a_mail_went() -> None:
    octets = b"Delivered-To: " + PATH.encode() + b"\r\n" + letters.QMAIL
    posted = from_fields(octets)
    assert (posted.recipient, posted.sender) == (PATH, "")
    assert one(READER.read(posted))[0] is Sign.HARD
    assert from_fields(b"") == Posted(b"", "", None)


def test_a_return_path_holds_no_address_and_is_short() -> None:
    paper = newsletter().model_copy(update={"inbound_domain": BOUNCES})
    assert return_path(paper, KEY, DELIVERY) == PATH
    assert len(PATH.partition("@")[0]) <= 64
    assert return_path(newsletter(), KEY, DELIVERY) == "digest@example.org"


def test_an_envelope_is_stored_with_its_mail() -> None:
    assert unpacked(b'{"recipient": "a@b.example", "sender": null}\nx\n\ny') == Posted(b"x\n\ny", "a@b.example", None)


@pytest.mark.parametrize(
    ("sender", "address"),
    [
        ("reader@reader.example", "reader@reader.example"),
        ("<reader@reader.example>", "reader@reader.example"),
        ('"Reader, A." <reader@reader.example> (at home)', "reader@reader.example"),
        ('"boss@reader.example" <reader@reader.example>', "reader@reader.example"),
        ("boss@reader.example <reader@reader.example>", ""),
        ("<boss@reader.example>, <reader@reader.example>", ""),
        ("boss@reader.example, reader@reader.example", ""),
        ("Reader", ""),
    ],
)
def test_a_sender_that_could_be_read_as_another_is_nobody(sender: str, address: str) -> None:
    assert sender_of((("from", sender),)) == address
