"""Which characters a text from outside may keep: those that write, and none that steer what shows it. Pure.

Not `str.isprintable`, which calls the joiners unprintable that Persian, Urdu and many scripts of India are written with
(U+200C, U+200D), and the space that does not break (U+00A0).
"""

from __future__ import annotations

import unicodedata

_STEERING = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Controls, halves of characters, and the separators of lines and paragraphs."""
# They reorder what stands around them, so that a line can read as something it is not.
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def steers(char: str) -> bool:
    """Whether a character is none of a text's own: it moves a cursor, ends a line or turns others round."""
    return unicodedata.category(char) in _STEERING or char in _REORDERING


def steering(text: str) -> str:
    """The first such character by its number and name, for a message; empty where there is none."""
    found = next(filter(steers, text), "")
    return f"U+{ord(found):04X} ({unicodedata.name(found, 'a control character').lower()})" if found else ""


def cleaned(text: str) -> str:
    """The text in one line without such characters, each of them a space; blanks that were several are one."""
    if not text.isprintable():
        text = "".join(" " if steers(char) else char for char in text)
    return " ".join(text.split())
