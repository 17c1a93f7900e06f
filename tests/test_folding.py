"""What a word is, and which ways of writing it are one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.folding import WORD_LIMIT, fold, tokens, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Crème BRÛLÉE", "creme brulee"),
        ("Ёлка и Йод", "елка и иод"),
        ("STRASSE straße", "strasse strasse"),
        ("İstanbul", "istanbul"),
        ("the editor’s well-known foo_bar", "the editor s well known foo bar"),
        ("2,026 records; ۲۰۲۶ ٢٠٢٦ २०२६", "2 026 records 2026 2026 2026"),
        ("كتاب علي / کتاب علی", "کتاب علی کتاب علی"),
        ("مي‌شود می شود", "می شود می شود"),
        ("مَدْرَسَة مدرسه", "مدرسه مدرسه"),
        ("آزادی أحمد إيران", "ازادی احمد ایران"),
        ("خـبـر", "خبر"),
        ("ﬁne № 5", "fine 5"),
        ("हिन्दी", "हिनदी"),
        ("«…» — !? \u200b", ""),
    ],
)
def test_ways_of_writing_a_word_are_one(text: str, expected: str) -> None:
    assert " ".join(words(text)) == expected


def test_a_word_is_known_by_its_place() -> None:
    text = "A court’s RULING"
    assert [(one.word, text[one.start : one.end]) for one in tokens(text)] == [
        ("a", "A"),
        ("court", "court"),
        ("s", "s"),
        ("ruling", "RULING"),
    ]


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    for word in words(text):
        assert words(word) == (word,)
        assert 0 < len(word) <= WORD_LIMIT
        assert not set(word) & set("'\"\\:*&|!()<> \0")


@given(st.text())
def test_places_are_within_the_text_in_order_and_apart(text: str) -> None:
    found = list(tokens(text))
    assert tuple(one.word for one in found) == words(text)
    ends = [0, *(one.end for one in found)]
    assert all(end <= one.start < one.end <= len(text) for end, one in zip(ends, found, strict=False))
