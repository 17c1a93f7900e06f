"""What was typed beside what stands, and how the desk says times: rules of values alone."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.exceptions import ClientException

from digest.web.desk.page import count_of, local_time, span, until, utc_time
from digest.web.desk.typed import fields, mark, touched
from digest.web.form import Form, parse_form

NOW = dt.datetime(2026, 11, 12, 6, tzinfo=dt.UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)


@given(TEXT, TEXT, TEXT)
def test_nothing_typed_is_lost_and_nothing_untouched_is_kept(shown: str, typed: str, stands: str):
    form = Form({"a": typed, "was-a": mark(shown)})
    field = fields({"a": stands}, form)["a"]
    if mark(typed) == mark(shown) or mark(typed) == mark(stands):
        assert (field.value, field.stands, field.clash) == (stands, None, False)
    else:
        assert (field.value, field.stands) == (typed.strip(), stands)
        assert field.clash is (mark(stands) != mark(shown))
    assert field.was == mark(stands)


def test_a_field_that_was_not_sent_was_not_touched():
    assert not touched(Form({}), "a")
    assert fields({"a": "x"}, None)["a"].value == "x"


def test_ends_of_lines_make_no_difference():
    assert mark("a  b\r\n\r\nc ") == mark("a b\n\nc")
    assert mark("a\nb") != mark("a b")


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), TEXT, max_size=5))
def test_a_form_comes_back_as_it_was_sent(sent: dict[str, str]):
    from urllib.parse import urlencode

    assert parse_form(urlencode(sent).encode()).fields == sent


@given(st.binary(max_size=200))
def test_no_body_breaks_the_reading(body: bytes):
    try:
        form = parse_form(body)
    except ClientException:
        return
    assert all("\x00" not in value for value in form.fields.values())


def test_of_two_fields_with_one_name_the_first_counts():
    assert parse_form(b"a=1&a=2").text("a") == "1"


def test_controls_are_taken_out_and_lines_are_kept():
    form = parse_form(b"a=x%00y%1b%0d%0az%09t&b=1&c=x")
    assert form.raw("a") == "xy\nz\tt"
    assert form.line("a") == "xy z t"
    assert form.number("b") == 1
    with pytest.raises(ClientException, match="'c' is not a number"):
        form.number("c")
    assert "xy" not in repr(form)


def test_times_are_said_on_the_newsroom_s_clock():
    prague = ZoneInfo("Europe/Prague")
    assert local_time(NOW, prague) == "Thu 12 Nov 2026, 07:00 CET"
    assert utc_time(NOW) == "06:00 UTC"
    assert (
        span(NOW, NOW + dt.timedelta(days=7), prague).replace("\u00a0", " ") == "Thu 12 Nov, 07:00 to Thu 19 Nov, 07:00"
    )


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (0, "in 0 min"),
        (59, "in 59 min"),
        (60, "in 1 h"),
        (125, "in 2 h 5 min"),
        (13 * 60 + 5, "in 13 h"),
        (47 * 60, "in 47 h"),
        (3 * 1440, "in 3 days"),
        (-90, "1 h 30 min ago"),
        (-2 * 1440, "2 days ago"),
    ],
)
def test_how_far_ahead_something_is(minutes: int, words: str):
    assert until(NOW + dt.timedelta(minutes=minutes), NOW).replace("\u00a0", " ") == words


def test_numbers_have_their_words():
    assert [count_of(n, "story", "stories") for n in (0, 1, 12_400)] == ["0 stories", "1 story", "12,400 stories"]
