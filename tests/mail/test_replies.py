"""What the relay's answers mean."""

import datetime as dt
import random

import pytest

from digest.mail.replies import Reply, Scope, Stage, interrupted, next_try, outcome, tidy, without
from digest.models import DeliveryState as D


@pytest.mark.parametrize(
    ("stage", "code", "text", "state", "scope"),
    [
        (Stage.DOT, 250, "2.0.0 queued", D.ACCEPTED, None),
        (Stage.DOT, 200, "ok", D.ACCEPTED, None),
        (Stage.DOT, 299, "", D.ACCEPTED, None),
        (Stage.DOT, 354, "again?", D.UNKNOWN, None),
        (Stage.DOT, 451, "4.3.0 later", D.DEFERRED, Scope.SENDER),
        (Stage.DOT, 554, "5.7.1 spam", D.REJECTED, Scope.SENDER),
        (Stage.DOT, 552, "too big", D.REJECTED, Scope.MESSAGE),
        (Stage.RCPT, 550, "no such user", D.REJECTED, Scope.RECIPIENT),
        (Stage.RCPT, 550, "5.1.1 no such user", D.REJECTED, Scope.RECIPIENT),
        (Stage.RCPT, 550, "5.7.26 unauthenticated", D.REJECTED, Scope.SENDER),
        (Stage.RCPT, 550, "5.7.13 account disabled", D.REJECTED, Scope.RECIPIENT),
        (Stage.RCPT, 552, "too many recipients", D.DEFERRED, Scope.RECIPIENT),
        (Stage.RCPT, 552, "5.2.2 mailbox full", D.REJECTED, Scope.RECIPIENT),
        (Stage.RCPT, 552, "5.3.4 message too big", D.REJECTED, Scope.MESSAGE),
        (Stage.RCPT, 450, "4.2.0 greylisted", D.DEFERRED, Scope.RECIPIENT),
        (Stage.RCPT, 421, "4.7.28 too fast", D.DEFERRED, Scope.SENDER),
        (Stage.RCPT, 421, "closing", D.DEFERRED, Scope.SENDER),
        (Stage.RCPT, 530, "5.7.0 log in first", D.DEFERRED, Scope.RELAY),
        (Stage.DATA, 503, "5.5.1 no valid recipient", D.DEFERRED, Scope.RELAY),
        (Stage.RCPT, 555, "5.5.4 NOTIFY is not known here", D.DEFERRED, Scope.RELAY),
        (Stage.MAIL, 550, "5.7.1 not you", D.DEFERRED, Scope.RELAY),
        (Stage.CONNECT, 535, "5.7.8 bad password", D.DEFERRED, Scope.RELAY),
    ],
)
def test_the_first_digit_decides_and_the_enhanced_code_says_whom_it_is_about(stage, code, text, state, scope) -> None:
    found = outcome(stage, Reply(code, text))
    assert found.state is state
    if scope:
        assert found.scope is scope


@pytest.mark.parametrize("stage", list(Stage))
def test_only_after_the_dot_is_an_interruption_uncertain(stage: Stage) -> None:
    assert interrupted(stage, "gone").state is (D.UNKNOWN if stage is Stage.DOT else D.DEFERRED)


def test_a_kept_reply_has_no_address_and_no_control() -> None:
    kept = tidy(
        "550 5.1.1 <maria.k@example.org>: user\x00 unknown; to=ali@xn--e1afmkfd.example (x\x1b[0m)" + "y" * 9000
    )
    assert "@" not in kept
    assert kept.isprintable()
    assert len(kept) <= 2000
    assert kept.startswith("550 5.1.1 <<address>>: user unknown")


@pytest.mark.parametrize(
    "reply",
    [
        "user john.doe unknown",
        "<john.doe>: not local at example.com",
        "JOHN.DOE=40example.com is unknown",
        "john.doe@[192.0.2.1] refused",
        "john.doe@example.com refused",
    ],
)
def test_a_kept_reply_names_no_reader_in_any_way(reply: str) -> None:
    kept = without(tidy(reply), "john.doe@example.com")
    assert "doe" not in kept.lower()


def test_quoted_addresses_and_apostrophes_are_found() -> None:
    assert "o'brien" not in tidy("o'brien@example.com unknown")
    assert "john" not in tidy('"john doe"@example.com unknown')


def test_tries_grow_rarer() -> None:
    now = dt.datetime(2026, 11, 19, 9, tzinfo=dt.UTC)
    minutes = [(next_try(n, now, random.Random(1)) - now).total_seconds() / 60 for n in range(1, 8)]
    assert 5 <= minutes[0] <= 6
    assert minutes == sorted(minutes[:5]) + minutes[5:]
    assert all(180 <= m <= 216 for m in minutes[4:])
