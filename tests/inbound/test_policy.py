"""The rules of what follows from bounces, by themselves."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.inbound import status
from digest.inbound.notice import Sign
from digest.inbound.policy import Known, Tried, Verdict, is_spike, judge
from tests.house import NOW

WEEK = dt.timedelta(days=7)


def weeks(issues: str, reason: str = "mailbox-full") -> Known:
    """Issues a week apart, newest first: `b` for one that came back."""
    return Known([Tried(NOW - place * WEEK, one == "b", reason * (one == "b")) for place, one in enumerate(issues)])


def test_a_hard_bounce_counts_at_once_and_a_complaint_too() -> None:
    assert judge(Sign.HARD, Known()) is Verdict.SUPPRESSED
    assert judge(Sign.COMPLAINT, Known(is_spike=True)) is Verdict.SUPPRESSED


def test_a_hard_bounce_in_a_crowd_counts_the_second_time() -> None:
    assert judge(Sign.HARD, Known(is_spike=True)) is Verdict.QUARANTINED
    assert judge(Sign.HARD, Known(is_spike=True, was_quarantined=True)) is Verdict.SUPPRESSED


def test_soft_bounces_count_after_three_issues_and_two_weeks() -> None:
    assert judge(Sign.SOFT, weeks("bb")) is Verdict.COUNTED
    assert judge(Sign.SOFT, weeks("bbb")) is Verdict.SUPPRESSED
    assert judge(Sign.SOFT, weeks("bb.bbb")) is Verdict.COUNTED
    assert judge(Sign.SOFT, weeks(".bbb")) is Verdict.COUNTED
    in_a_hurry = Known([Tried(NOW - place * dt.timedelta(days=1), came_back=True) for place in range(8)])
    assert judge(Sign.SOFT, in_a_hurry) is Verdict.COUNTED


def test_a_disabled_mailbox_counts_after_two_issues() -> None:
    assert judge(Sign.SOFT, weeks("b", reason=status.DISABLED)) is Verdict.COUNTED
    assert judge(Sign.SOFT, weeks("bb", reason=status.DISABLED)) is Verdict.SUPPRESSED
    assert judge(Sign.SOFT, weeks("b.b", reason=status.DISABLED)) is Verdict.COUNTED


@given(st.text("b.", max_size=8), st.booleans(), st.booleans())
def test_a_refusal_of_us_never_counts(came_back: str, spike: bool, before: bool) -> None:
    known = Known(weeks(came_back).tried, spike, before)
    assert judge(Sign.POLICY, known) is Verdict.COUNTED
    assert judge(Sign.LEAVE, known) is Verdict.COUNTED


@given(st.text("b.", max_size=8))
def test_what_did_not_come_back_last_resets_the_count(came_back: str) -> None:
    assert judge(Sign.SOFT, weeks(f".{came_back}")) is Verdict.COUNTED


def test_a_spike_is_many_of_one_domain_and_many_of_its_copies() -> None:
    assert not is_spike(9, None)
    assert is_spike(10, None)
    assert is_spike(10, 200)
    assert not is_spike(10, 201)


@pytest.mark.parametrize(
    ("code", "words", "sign", "reason"),
    [
        ("", "550 no thanks", Sign.HARD, "user-unknown"),
        ("", "552 too much", Sign.SOFT, "mailbox-full"),
        ("", "450 greylisted", Sign.SOFT, "unclear"),
        ("", "554 go away", Sign.SOFT, "unclear"),
        ("", "", Sign.SOFT, "unclear"),
        ("2.0.0", "", Sign.SOFT, "unclear"),
        ("5.1.3", "", Sign.HARD, "bad-address"),
        ("5.1.6", "", Sign.HARD, "has-moved"),
        ("5.2.3", "", Sign.SOFT, "too-large"),
        ("5.3.4", "", Sign.POLICY, "too-large"),
        ("5.7.13", "", Sign.SOFT, status.DISABLED),
        ("5.7.26", "unauthenticated, user unknown", Sign.POLICY, "policy"),
        ("5.6.0", "", Sign.POLICY, "content"),
        ("5.5.2", "", Sign.POLICY, "protocol"),
        ("5.4.4", "Host not found", Sign.SOFT, "network-trouble"),
        ("5.4.1", "550 5.4.1 no answer from host", Sign.SOFT, "network-trouble"),
        ("5.99.1", "", Sign.SOFT, "unclear"),
        ("5.0.0", "quota exceeded for this user", Sign.SOFT, "mailbox-full"),
        ("5.0.0", "version 5.1.1.2 at 10.5.1.1", Sign.SOFT, "unclear"),
    ],
)
def test_the_code_decides_and_the_words_where_it_says_nothing(code: str, words: str, sign: Sign, reason: str) -> None:
    said = status.meaning(code, words)
    assert (said.sign, said.reason) == (sign, reason)


@given(st.text(max_size=12), st.text(max_size=300))
def test_every_text_has_a_meaning_in_our_own_words(code: str, words: str) -> None:
    said = status.meaning(code, words)
    assert len(said.status) <= 12
    assert len(said.reason) <= 32
    assert set(said.status) <= set("0123456789.")
