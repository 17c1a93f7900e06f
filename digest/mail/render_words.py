"""The fixed words of the mails in each language, and dates written the way its readers write them.

The words stand in `_base/words.toml` of a templates folder, one table a language. A newsroom's own file is laid over
the package's word by word; a word that a language lacks is English. Pure, but for reading the files.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Words = dict[str, Any]

FILE = Path("_base") / "words.toml"
FALLBACK = "en"


class BadWords(Exception):
    """A words file cannot be used; the message names the file and the reason."""


def load_words(folders: Sequence[Path]) -> dict[str, Words]:
    """All languages' words; the first folder's win. Raises `BadWords`."""
    languages: dict[str, Words] = {}
    for folder in reversed(folders):
        for language, words in _read(folder / FILE).items():
            languages[language] = {**languages.get(language, {}), **words}
    if FALLBACK not in languages:
        raise BadWords(f"no folder has English words in {FILE}: {', '.join(map(str, folders))}")
    return languages


def _read(path: Path) -> dict[str, Words]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadWords(f"{path}: {error}") from error


def words_for(languages: dict[str, Words], language: str) -> Words:
    """The words of a language tag (`fa-AF` finds `fa`), filled up with English."""
    return {**languages[FALLBACK], **_own(languages, language)}


def has_words(languages: dict[str, Words], language: str) -> bool:
    """Whether a language tag has words of its own."""
    return bool(_own(languages, language))


def has_word(languages: dict[str, Words], language: str, word: str) -> bool:
    """Whether a language tag has this word of its own."""
    return word in _own(languages, language)


def _own(languages: dict[str, Words], language: str) -> Words:
    tag = language.lower()
    return languages.get(tag) or languages.get(tag.partition("-")[0]) or {}


def date_text(day: dt.date, words: Words, pattern: str = "date") -> str:
    """A date in words, by the language's calendar; `pattern` is `date`, `plain_date` or `short_date` of the words."""
    year, month, number = (day.year, day.month, day.day)
    if words.get("calendar") == "persian":
        year, month, number = solar_hijri(day)
    text: str = words[pattern].format(
        weekday=words["weekdays"][day.weekday()], day=number, month=words["months"][month - 1], year=year
    )
    return digits(text, words)


def digits(text: str, words: Words) -> str:
    """The text with the language's own digits."""
    return text.translate(str.maketrans("0123456789", words.get("digits", "0123456789")))


def solar_hijri(day: dt.date) -> tuple[int, int, int]:
    """Year, month and day in the Solar Hijri calendar, which Iran and its press use.

    By the 33-year cycle of leap years, right for 1925 to 2088: the years 1304 to 1467.
    """
    # 1 Farvardin 1304, the first year of its official use, was 21 March 1925.
    left = (day - dt.date(1925, 3, 21)).days
    year = 1304
    while left >= (length := 366 if year % 33 in (1, 5, 9, 13, 17, 22, 26, 30) else 365):
        left -= length
        year += 1
    # Six months of 31 days, then months of 30; the last has what is left.
    if left < (half := 6 * 31):
        return year, left // 31 + 1, left % 31 + 1
    return year, (left - half) // 30 + 7, (left - half) % 30 + 1
