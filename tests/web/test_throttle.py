"""The throttle is a rule of values and a time: outsiders are slowed, owners are not kept out."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.web.throttle import (
    FREE_FAILURES,
    LONGEST_WAIT,
    Attempt,
    Throttle,
    make_device_mark,
    read_device_mark,
    wait_after,
)
from subscribers.networks import prefix_of

KEY = b"k" * 32
NOW = dt.datetime(2026, 11, 12, 6, tzinfo=dt.UTC)
ZERO = dt.timedelta(0)


@given(st.integers(0, 10_000), st.integers(0, 100))
def test_the_wait_never_shrinks_and_never_passes_its_limit(failures: int, free: int):
    assert wait_after(failures, free) <= wait_after(failures + 1, free) <= LONGEST_WAIT


def test_the_wait_doubles_after_the_free_tries():
    assert [wait_after(n, 3).total_seconds() for n in range(8)] == [0, 0, 0, 1, 2, 4, 8, 16]


def test_guessing_from_one_network_is_slowed_down():
    throttle, attempt = Throttle(), Attempt("anna", "192.0.2.0/24")
    for _ in range(FREE_FAILURES["account+prefix"]):
        assert throttle.admit(attempt, NOW) == ZERO
    assert throttle.admit(attempt, NOW) == dt.timedelta(seconds=1)
    assert throttle.admit(attempt, NOW + dt.timedelta(seconds=1)) == ZERO
    assert throttle.admit(attempt, NOW + dt.timedelta(seconds=1)) == dt.timedelta(seconds=2)


def test_a_try_that_has_to_wait_does_not_make_the_wait_longer():
    throttle, attempt = Throttle(), Attempt("anna", "192.0.2.0/24")
    for _ in range(3):
        throttle.admit(attempt, NOW)
    for _ in range(50):
        assert throttle.admit(attempt, NOW) == dt.timedelta(seconds=1)


def test_one_network_trying_many_names_is_slowed_down():
    throttle = Throttle()
    waits = [throttle.admit(Attempt(f"user{n}", "192.0.2.0/24"), NOW) for n in range(30)]
    assert waits[FREE_FAILURES["prefix"]] > ZERO


def test_an_outsider_does_not_keep_somebody_out_who_comes_from_elsewhere():
    throttle = Throttle()
    for _ in range(40):
        throttle.admit(Attempt("anna", "198.51.100.0/24"), NOW)
    assert throttle.admit(Attempt("anna", "192.0.2.0/24"), NOW) == ZERO


def test_a_crowd_does_not_keep_a_browser_out_that_was_in_before():
    throttle = Throttle()
    for n in range(500):
        throttle.admit(Attempt("anna", f"10.{n // 256}.{n % 256}.0/24"), NOW)
    assert throttle.admit(Attempt("anna", "192.0.2.0/24"), NOW) > ZERO
    assert throttle.admit(Attempt("anna", "192.0.2.0/24", device="nonce"), NOW) == ZERO


def test_getting_in_clears_the_account_from_here_and_counts_nothing_elsewhere():
    throttle, attempt = Throttle(), Attempt("anna", "192.0.2.0/24")
    for _ in range(200):
        assert throttle.admit(attempt, NOW) == ZERO
        throttle.succeeded(attempt)


def test_old_failures_are_forgotten():
    throttle, attempt = Throttle(), Attempt("anna", "192.0.2.0/24")
    for _ in range(3):
        throttle.admit(attempt, NOW)
    assert throttle.admit(attempt, NOW + dt.timedelta(hours=13)) == ZERO


def test_a_device_mark_is_good_for_its_account_alone():
    mark = make_device_mark(KEY, "anna")
    assert read_device_mark(KEY, "anna", mark) == mark.partition(".")[0]
    assert read_device_mark(KEY, "boris", mark) is None
    assert read_device_mark(b"x" * 32, "anna", mark) is None
    for forged in ("", ".", "nonce", "nonce.", f"x{mark}", "é.é"):
        assert read_device_mark(KEY, "anna", forged) is None


@pytest.mark.parametrize(
    ("host", "prefix"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::9", "2001:db8:1::/56"),
        ("testclient", "elsewhere"),
        (None, "elsewhere"),
    ],
)
def test_a_prefix_is_the_network_of_the_connection(host: str | None, prefix: str):
    assert prefix_of(host) == prefix
