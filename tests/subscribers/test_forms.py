"""What is typed becomes an address, or a sentence that says what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscribers.forms import Address, BadAddress, budget_form, parse_address


def parsed(text: str) -> Address:
    address = parse_address(text)
    assert isinstance(address, Address)
    return address


@pytest.mark.parametrize(
    ("typed", "delivery", "identity"),
    [
        ("reader@example.org", "reader@example.org", "reader@example.org"),
        ("  reader@example.org\n", "reader@example.org", "reader@example.org"),
        ("Mina.Reader@Example.ORG", "Mina.Reader@example.org", "mina.reader@example.org"),
        ("reader+watch@example.org", "reader+watch@example.org", "reader+watch@example.org"),
        ("reader@bücher.example.org", "reader@xn--bcher-kva.example.org", "reader@xn--bcher-kva.example.org"),
        ("reader@XN--BCHER-KVA.example.org", "reader@xn--bcher-kva.example.org", "reader@xn--bcher-kva.example.org"),
        ("o'neill@example.org", "o'neill@example.org", "o'neill@example.org"),
        ("Postmaster@example.org", "Postmaster@example.org", "postmaster@example.org"),
    ],
)
def test_an_address_has_the_form_it_is_mailed_to_and_the_form_it_is_known_by(typed, delivery, identity) -> None:
    assert parsed(typed) == Address(delivery, identity)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        "reader",
        "reader@",
        "@example.org",
        "reader@example",
        "reader@@example.org",
        "reader@localhost",
        "reader@news.test",
        "reader@[192.0.2.1]",
        '"reader"@example.org',
        "Reader <reader@example.org>",
        "reader@example.org\r\nBcc: other@example.org",
        "reader\r\n@example.org",
        "rea der@example.org",
        "reader@exa mple.org",
        "reader@example.org,other@example.org",
        "reader@example..org",
        ".reader@example.org",
        "reader\0@example.org",
        "a" * 65 + "@example.org",
        "reader@" + "a" * 64 + ".org",
        "a" * 400,
        "читатель@example.org",
        "ａ@example.org",
        "аdmin@example.org",
    ],
)
def test_what_is_no_address_that_we_can_mail_gets_a_sentence(typed: str) -> None:
    answer = parse_address(typed)
    assert isinstance(answer, BadAddress)
    assert answer.reason.endswith(".")


@given(st.text())
def test_whatever_is_typed_gets_an_answer(typed: str) -> None:
    assert isinstance(parse_address(typed), Address | BadAddress)


@given(st.emails())
def test_reading_an_address_again_changes_nothing(typed: str) -> None:
    address = parse_address(typed)
    if isinstance(address, Address):
        again = parsed(address.delivery)
        assert again == address
        assert parsed(address.identity).identity == address.identity


def test_an_address_is_not_shown_by_its_repr() -> None:
    assert "reader" not in repr(parsed("reader@example.org"))


@pytest.mark.parametrize(
    ("identity", "folded"),
    [
        ("reader@example.org", "reader@example.org"),
        ("reader+watch@example.org", "reader@example.org"),
        ("re.ader@example.org", "re.ader@example.org"),
        ("re.ader+watch@gmail.com", "reader@gmail.com"),
        ("reader@googlemail.com", "reader@gmail.com"),
        ("+watch@example.org", "+watch@example.org"),
    ],
)
def test_budgets_are_counted_by_mailbox(identity: str, folded: str) -> None:
    assert budget_form(identity) == folded
