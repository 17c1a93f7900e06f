"""What our mail server wrote of a mail is believed, and nothing that somebody else could have put there (RFC 8601)."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.inbound.authentication import is_authentic, sender_of
from digest.inbound.mime import plain

OURS = "mx.example.org"
FROM = ("from", "reader@reader.example")
PASS = "dkim=pass header.d=reader.example"


def vouched(*said: str, below: tuple[tuple[str, str], ...] = ()) -> bool:
    """Whether a mail of a reader is authentic, with these fields on top, each in our server's name."""
    ours = tuple(("authentication-results", f"{OURS}; {one}") for one in said)
    return is_authentic((("received", "x"), *ours, *below, FROM), OURS)


@pytest.mark.parametrize(
    "said",
    [
        PASS,
        "dmarc=pass header.from=reader.example",
        "dmarc=pass (p=none; sp=none) header.from=reader.example; dkim=none",
        'dkim=pass reason="2048-bit key; unprotected" header.d="reader.example"',
        "dkim=pass header.i=@news.reader.example",
        'spf=pass smtp.mailfrom="a b; c"@reader.example; dkim=pass header.d=reader.example header.s=x',
        "dkim=fail header.d=relay.example; dkim=pass header.d=reader.example",
        "dkim=neutral (no key) header.d=reader.example header.s=ed; dkim=pass header.d=reader.example header.s=rsa",
        "dkim / 1 = pass header . d = reader.example",
    ],
)
def test_what_our_server_vouches_for_is_authentic(said: str) -> None:
    assert vouched(said)


@pytest.mark.parametrize(
    "said",
    [
        # The local part is the stranger's, and a quoted one holds whatever they like.
        'spf=pass smtp.mailfrom="x; dmarc=pass header.from=reader.example; y"@stranger.example',
        'spf=pass smtp.mailfrom="x; dkim=pass header.d=reader.example; y"@stranger.example; dkim=none',
        r'spf=pass smtp.mailfrom="x\"; dmarc=pass header.from=reader.example; \""@stranger.example',
        'dkim=fail reason="(" header.d=reader.example (") ; dkim=pass header.d=reader.example")',
        'dkim=pass reason="header.d=reader.example" header.d=stranger.example',
        'dkim=pass header.i="x header.d=reader.example "@stranger.example',
        "dkim=pass header.d=stranger.example header.i=x header.d=reader.example y@stranger.example",
        # Our server has been made to leave something open.
        'spf=pass smtp.mailfrom="@stranger.example; dkim=pass header.d=reader.example',
        "dkim=pass header.d=reader.example (and no end",
        # One of several is not outvoted.
        f"dkim=fail header.d=reader.example; {PASS}",
        f"dkim=none; {PASS}",
        f"dmarc=fail header.from=reader.example; {PASS}",
        "dmarc=none header.from=reader.example; dmarc=pass header.from=reader.example",
        "dmarc=pass header.from=stranger.example",
        "dmarc=pass header.from=reader.example header.from=stranger.example",
        'dmarc=pass header.from="reader.example; x"',
        "none",
        "",
    ],
)
def test_what_a_stranger_could_have_written_is_not(said: str) -> None:
    assert not vouched(said)


def test_several_fields_of_our_server_count_together_and_nothing_below_the_first_other_one() -> None:
    assert vouched("dmarc=none header.from=reader.example", PASS)
    forged = ("authentication-results", f"{OURS}; {PASS}")
    for between in (("received", "x"), ("dkim-signature", "x"), ("subject", "x")):
        assert not vouched("spf=pass", below=(between, forged))
    assert not vouched("dkim=fail header.d=reader.example", below=(forged,))


def test_a_field_in_our_servers_name_is_found_however_the_name_is_written() -> None:
    for named in (f"{OURS} 1", f'"{OURS}"', f"(ours) {OURS.upper()} (still)"):
        assert is_authentic((("authentication-results", f"{named}; {PASS}"), FROM), OURS)
    for named in ("mx.elsewhere.example", f'"{OURS};"', f"x {OURS}", ""):
        assert not is_authentic((("authentication-results", f"{named}; {PASS}"), FROM), OURS)
    assert not is_authentic((("authentication-results", f"; {PASS}"), FROM), None)


QUOTABLE = st.text(string.printable, max_size=60).map(lambda text: text.replace("\\", r"\\").replace('"', r"\""))


@given(QUOTABLE)
def test_nothing_that_stands_in_a_quoted_string_vouches_for_anybody(inside: str) -> None:
    assert not vouched(f'spf=pass smtp.mailfrom="{inside}"@stranger.example; dkim=pass header.d=stranger.example')
    assert vouched(f'spf=pass smtp.mailfrom="{inside}"@stranger.example; {PASS}')


@given(QUOTABLE)
def test_nothing_that_stands_in_a_comment_vouches_for_anybody(inside: str) -> None:
    inside = inside.replace("(", "").replace(")", "")
    assert not vouched(f"spf=pass ({inside}) smtp.mailfrom=stranger.example")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a (b) c", "a   c"),
        ("a (b (c) d) e", "a   e"),
        ('a "(" b (") c', "a   b   c"),
        (r'a (\)) b "\"" c', "a   b   c"),
        ("a ) b", "a ) b"),
        ('a "b', None),
        ("a (b", None),
        (r"a (b\)", None),
    ],
)
def test_comments_and_quotes_are_told_apart_in_one_pass(text: str, expected: str | None) -> None:
    assert plain(text) == expected


def test_a_quoted_bracket_hides_no_sender() -> None:
    assert sender_of((("from", '"(" <boss@reader.example> ")" <reader@stranger.example>'),)) == ""
    assert sender_of((("from", 'Reader <reader@reader.example> "'),)) == ""
