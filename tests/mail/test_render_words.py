"""Words and dates in the languages of the newsletters."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.mail.render_words import BadWords, date_text, load_words, solar_hijri, words_for
from digest.settings import direction_of
from tests.mail.render_samples import TEMPLATES

LANGUAGES = load_words([TEMPLATES])


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Thursday, 19 November 2026"),
        ("ru", "четверг, 19 ноября 2026 года"),
        ("fa", "پنج‌شنبه ۲۸ آبان ۱۴۰۵"),
        ("fa-AF", "پنج‌شنبه ۲۸ آبان ۱۴۰۵"),
        ("xx", "Thursday, 19 November 2026"),
    ],
)
def test_a_date_is_written_as_the_language_writes_it(language: str, text: str) -> None:
    assert date_text(dt.date(2026, 11, 19), words_for(LANGUAGES, language)) == text


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (dt.date(1925, 3, 21), (1304, 1, 1)),
        (dt.date(1979, 2, 11), (1357, 11, 22)),
        (dt.date(2021, 3, 20), (1399, 12, 30)),
        (dt.date(2024, 3, 20), (1403, 1, 1)),
        (dt.date(2025, 3, 20), (1403, 12, 30)),
        (dt.date(2026, 3, 20), (1404, 12, 29)),
        (dt.date(2026, 3, 21), (1405, 1, 1)),
        (dt.date(2026, 9, 22), (1405, 6, 31)),
        (dt.date(2026, 9, 23), (1405, 7, 1)),
    ],
)
def test_solar_hijri_dates_are_the_calendars(day: dt.date, expected: tuple[int, int, int]) -> None:
    assert solar_hijri(day) == expected


@given(st.dates(dt.date(1925, 3, 21), dt.date(2088, 3, 19)))
def test_each_solar_hijri_day_follows_the_one_before(day: dt.date) -> None:
    year, month, number = solar_hijri(day)
    after = solar_hijri(day + dt.timedelta(days=1))
    assert after in {(year, month, number + 1), (year, month + 1, 1), (year + 1, 1, 1)}
    assert (month <= 12, number <= (31 if month <= 6 else 30)) == (True, True)


def test_every_language_has_every_word_and_the_same_places_in_it() -> None:
    english = LANGUAGES["en"]
    for language, words in LANGUAGES.items():
        assert set(english) - set(words) <= {"digits", "calendar", "fonts"}, language
        for name, text in words.items():
            if isinstance(text, str):
                places = {part.split("}")[0] for part in text.split("{")[1:]}
                assert places == {part.split("}")[0] for part in english[name].split("{")[1:]}, (language, name)


@pytest.mark.parametrize(
    ("language", "direction"),
    [("fa", "rtl"), ("en-GB", "ltr"), ("uz-Arab", "rtl"), ("ks-Deva-IN", "ltr"), ("fa-Latn", "ltr"), ("ar-EG", "rtl")],
)
def test_a_languages_script_has_a_direction(language: str, direction: str) -> None:
    assert direction_of(language) == direction


def test_a_words_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "_base").mkdir()
    (tmp_path / "_base" / "words.toml").write_text("[en\n")
    with pytest.raises(BadWords, match=r"words\.toml"):
        load_words([tmp_path, TEMPLATES])


def test_folders_without_english_words_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadWords, match=tmp_path.name):
        load_words([tmp_path])
