"""A text as the words that search compares, the same on both databases. Pure.

A word is a run of letters, digits and their marks. It is compared without case, without accents and vowel signs (é is
e, ё is е, a fatha is nothing), with the Arabic and Persian forms of a letter as one (ي and ی, ك and ک) and with every
script's digits as 0 to 9. A zero-width non-joiner parts words, as a space does: Persian is written both ways. No
language's grammar is known here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

WORD_LIMIT = 60
"""Characters of a word that count; far below the 2,046 octets that a PostgreSQL lexeme may have."""
# Letters that Unicode keeps apart and writers do not. What NFKD takes apart (أ, ؤ, ئ, ۀ) is not among them.
_SAME = str.maketrans({"ي": "ی", "ى": "ی", "ك": "ک", "ە": "ه", "ہ": "ه", "ة": "ه", "\u0640": ""})


@dataclass(frozen=True)
class Token:
    """A word of a text, and where it stands there."""

    word: str
    start: int
    end: int


def fold(text: str) -> str:
    """A piece of text as it is compared: nothing but folded letters and digits; empty where it has none."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold()).translate(_SAME)
    return "".join(map(_folded, plain))


def tokens(text: str) -> Iterator[Token]:
    """The words of a text in order."""
    for run in _RUN.finditer(_parted(text)):
        if word := _fold_word(run[0]):
            yield Token(word, run.start(), run.end())


def words(text: str) -> tuple[str, ...]:
    """The folded words of a text in order."""
    return tuple(filter(None, map(_fold_word, _RUN.findall(_parted(text)))))


def _parted(text: str) -> str:
    # An underscore is a letter to Python, and parts words for everybody else.
    return text.replace("_", " ")


@lru_cache(maxsize=20_000)
def _fold_word(run: str) -> str:
    return fold(run)[:WORD_LIMIT]


def _folded(character: str) -> str:
    kind = unicodedata.category(character)
    if kind == "Nd":
        return str(unicodedata.decimal(character))
    # Signs that stand on a letter go, those that take room beside it (in Indic scripts) belong to the word.
    return character if kind[0] in "LN" or kind == "Mc" else ""


# Letters and digits, and the marks upon them, which Python does not count as parts of a word.
_MARKS = "".join(chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code))[0] == "M")
_RUN = re.compile(f"[\\w{_MARKS}]+")
