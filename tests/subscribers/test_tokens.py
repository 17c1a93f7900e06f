"""Tokens: good for one purpose, forged by nobody, and silent about the address."""

from __future__ import annotations

import datetime as dt
import hmac
import re
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscribers.tokens import (
    Filled,
    Links,
    Mac,
    NeverToken,
    Purpose,
    button_token,
    fill_stamp,
    hash_token,
    is_button_token,
    never_token,
    new_token,
    read_fill_stamp,
    read_never_token,
    read_subscription_token,
    subscription_token,
)

KEY = bytes(range(32))
ID = bytes(range(100, 116))


def test_a_random_token_has_43_characters_of_an_address() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", new_token())
    assert new_token() != new_token()


def test_what_is_stored_of_a_token_is_its_sha_256() -> None:
    assert hash_token("abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(st.binary(min_size=16, max_size=16), st.sampled_from(Purpose))
def test_a_subscription_token_has_43_characters_and_names_its_subscription(public_id: bytes, purpose: Purpose) -> None:
    token = subscription_token(KEY, purpose, public_id)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
    assert read_subscription_token(KEY, purpose, token) == public_id


def test_a_token_is_the_same_for_ever_so_that_old_issues_keep_working() -> None:
    assert subscription_token(KEY, Purpose.LEAVE, ID) == "ZGVmZ2hpamtsbW5vcHFyc0rNKCH0UTH4umWf4FZIfco"


@given(st.binary(max_size=130), st.binary(max_size=80), st.lists(st.binary(max_size=80), min_size=1, max_size=3))
def test_a_mac_that_is_made_ready_once_is_the_same_hmac(key: bytes, prefix: bytes, payloads: list[bytes]) -> None:
    mac = Mac(key, prefix)
    for payload in payloads:
        assert mac.digest(payload) == hmac.digest(key, prefix + payload, "sha256")


@pytest.mark.parametrize("purpose", [one for one in Purpose if one is not Purpose.LEAVE])
def test_a_token_is_good_for_its_own_purpose_only(purpose: Purpose) -> None:
    assert read_subscription_token(KEY, purpose, subscription_token(KEY, Purpose.LEAVE, ID)) is None


def test_another_key_s_token_is_forged() -> None:
    token = subscription_token(secrets.token_bytes(32), Purpose.LEAVE, ID)
    assert read_subscription_token(KEY, Purpose.LEAVE, token) is None


def test_no_changed_character_goes_unnoticed() -> None:
    """The last one has two bits that base64 does not use; they must not make a second spelling."""
    token = subscription_token(KEY, Purpose.LEAVE, ID)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for place, old in enumerate(token):
        for new in set(alphabet) - {old}:
            forged = token[:place] + new + token[place + 1 :]
            assert read_subscription_token(KEY, Purpose.LEAVE, forged) is None


@given(st.text())
def test_whatever_is_given_as_a_token_is_refused_quietly(text: str) -> None:
    assert read_subscription_token(KEY, Purpose.LEAVE, text) is None
    assert read_never_token(KEY, text) is None
    assert read_fill_stamp(KEY, text, "192.0.2.0/24") is None
    assert not is_button_token(KEY, "link", text)


@pytest.mark.parametrize("spelling", ["{}=", "{}\n", " {}", "{}A"])
def test_a_token_has_one_spelling(spelling: str) -> None:
    token = subscription_token(KEY, Purpose.LEAVE, ID)
    assert read_subscription_token(KEY, Purpose.LEAVE, spelling.format(token)) is None


def test_a_never_token_names_the_person_by_keyed_hashes() -> None:
    token = never_token(KEY, KEY, KEY[::-1])
    assert read_never_token(KEY, token) == NeverToken(KEY, KEY[::-1])
    assert read_subscription_token(KEY, Purpose.NEVER, token) is None


def test_a_button_is_bound_to_its_page_s_link() -> None:
    assert is_button_token(KEY, "link", button_token(KEY, "link"))
    assert not is_button_token(KEY, "other", button_token(KEY, "link"))


def test_a_fill_stamp_says_when_and_where_the_form_was_handed_out(now: dt.datetime) -> None:
    at = now + dt.timedelta(milliseconds=123)
    stamp = fill_stamp(KEY, at, "192.0.2.0/24")
    assert read_fill_stamp(KEY, stamp, "192.0.2.0/24") == Filled(at, is_here=True)
    assert read_fill_stamp(KEY, stamp, "198.51.100.0/24") == Filled(at, is_here=False)
    # Two pages that were handed out to one network do not show it.
    other = fill_stamp(KEY, at + dt.timedelta(seconds=1), "192.0.2.0/24")
    assert stamp[11:21] != other[11:21]


def test_links_begin_with_the_configured_base() -> None:
    links = Links("https://digest.example.org", KEY)
    assert links.leave(ID) == f"https://digest.example.org/u/{subscription_token(KEY, Purpose.LEAVE, ID)}"
    assert links.manage(ID) == f"https://digest.example.org/manage/{subscription_token(KEY, Purpose.MANAGE, ID)}"
    assert links.never(KEY, KEY) == f"https://digest.example.org/never/{never_token(KEY, KEY, KEY)}"
    assert links.confirm("abc") == "https://digest.example.org/confirm/abc"
    assert links.leave(ID) == links.leave_with(links.leave_token(ID))
    assert repr(KEY)[2:12] not in repr(links)
    assert links == Links("https://digest.example.org", KEY)
