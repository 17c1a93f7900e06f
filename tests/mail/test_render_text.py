"""Cleaning, isolating and wrapping text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.mail.render_text import MANAGE_SLOT, UNSUBSCRIBE_SLOT, Slot, clean, isolate, plain, tidy, underline, wrap

ANY = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("dirty", "clean_text"),
    [
        ("it\x92s \x93so\x94", "it’s “so”"),
        ("a\r\nb\u2028c\td", "a b c d"),
        ("nul\x00 and \x81", "nul and"),
        ("\u202ereversed\u202c", "reversed"),
        ("\u2067kept\u2069", "\u2067kept\u2069"),
        ("\u2069astray\u2066", "astray"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("a @@UNSUBSCRIBE@@ b", "a @@unsubscribe@@ b"),
        ("@@@@MANAGE@@MANAGE@@@@", "@@@@manage@@manage@@@@"),
        ("half a pair \ud83d", "half a pair"),
    ],
)
def test_text_is_cleaned_of_what_no_line_should_hold(dirty: str, clean_text: str) -> None:
    assert clean(dirty) == clean_text


@given(ANY)
def test_cleaning_is_done_at_once_and_leaves_what_can_be_sent(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert once.encode().decode() == once
    assert not any(ord(character) < 32 or 0x7F <= ord(character) <= 0x9F for character in once)
    assert UNSUBSCRIBE_SLOT not in once
    assert MANAGE_SLOT not in once


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=80))
def test_ordinary_text_is_kept(text: str) -> None:
    assert clean(text) == " ".join(text.split())


def test_a_slot_is_left_as_it_is() -> None:
    assert plain({"address": Slot(UNSUBSCRIBE_SLOT)}) == {"address": UNSUBSCRIBE_SLOT}


@pytest.mark.parametrize(
    ("text", "isolated"),
    [
        ("گزارش Human Rights Watch (HRW) است", "گزارش [Human Rights Watch] ([HRW]) است"),
        ("سال 2026 است", "سال 2026 است"),
        ("The Harbour Review, 12 Lantern Street", "[The Harbour Review, 12 Lantern Street]"),
        ("https://www.example.org/a?b=c", "https://www.example.org/a?b=c"),
        ("در https://www.example.org/a?b=c هست", "در [https://www.example.org/a?b=c] هست"),
        ("۳. Dorsk", "۳. [Dorsk]"),
        ("", ""),
    ],
)
def test_latin_runs_are_set_apart(text: str, isolated: str) -> None:
    assert isolate(text, "[", "]") == isolated


@given(st.text(st.characters(exclude_characters="[]")))
def test_isolating_adds_marks_in_pairs_and_changes_nothing_else(text: str) -> None:
    isolated = isolate(text, "[", "]")
    assert isolated.replace("[", "").replace("]", "") == text
    assert isolated.count("[") == isolated.count("]")
    assert "[[" not in isolated


@given(st.text("ab ", max_size=400), st.integers(20, 78))
def test_wrapping_keeps_the_words_and_the_width(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert lines.split() == text.split()
    assert all(len(line) <= width or " " not in line for line in lines.splitlines())


def test_a_title_is_underlined_as_long_as_its_longest_line() -> None:
    assert underline("Watchdog") == "Watchdog\n========"
    *lines, rule = underline("a long title " * 10, "-").splitlines()
    assert rule == "-" * max(map(len, lines))


def test_a_tidy_text_ends_in_one_line_end() -> None:
    assert tidy("\n\na  \n\n\n\nb\n\n") == "a\n\nb\n"
