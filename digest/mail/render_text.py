"""What every value goes through before a template sees it, and how foreign scripts are kept in order. Pure.

A headline comes from a page that somebody else wrote. Before it may enter a mail it loses what has no business in a
line of text: control characters (F-06), the C1 range that makes Gmail clip (F-43), bidi overrides that make one text
look like another (W-55), line breaks, and anything that looks like a reader's own link.
"""

from __future__ import annotations

import datetime as dt
import re
import textwrap
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

LINE = 78
"""Characters of a line of text (F-04)."""
_EMPTY_WORDS = re.compile(
    "|read more|more|here|click here|link|continue|continue reading|details|learn more|view in browser|"
    "подробнее|читать далее|читать|далее|здесь|ещё|بیشتر|ادامه|ادامه مطلب|اینجا"
)

# What differs per reader stands in the rendered parts as one of these, and is filled in on the wire (F-05).
UNSUBSCRIBE_SLOT = "@@UNSUBSCRIBE@@"
MANAGE_SLOT = "@@MANAGE@@"


class Slot(str):
    """A per-reader place: the one kind of text that is not cleaned, because it is ours."""

    __slots__ = ()


class Cleaned(str):
    """Text that has been cleaned, and whose blanks at its ends are part of what it says."""

    __slots__ = ()


# By looking around, so that two that share their signs are both found.
_SLOTS = re.compile("(?<=@@)(?:UNSUBSCRIBE|MANAGE)(?=@@)")
# Embeddings and overrides are never wanted; isolates are, where each has its end (U+2069).
_OVERRIDES = re.compile("[\u202a-\u202e]")
_ISOLATES = re.compile("[\u2066-\u2069]")
_UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufeff\ufffe\uffff\ud800-\udfff]")

_WORD = r"[0-9A-Za-zÀ-ɏͰ-ԯ]+"
_JOIN = r"(?:[ \u00a0]|[.'’/:@+#_?=&%~-]+)"
_LEFT_TO_RIGHT = re.compile(rf"{_WORD}(?:{_JOIN}{_WORD})*/?")
_LETTER = re.compile("[A-Za-zÀ-ɏͰ-ԯ]")
# Hebrew, Arabic and their neighbours, digits included: text without any of them is one run from end to end.
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")


def clean(text: str) -> str:
    """One line of plain text that no mail, parser or reader's eye can be tricked with."""
    return clean_run(text).strip()


def clean_run(text: str) -> str:
    """The same for a piece of a line, which may begin or end with a blank."""
    text = _UNWANTED.sub(_mend, _OVERRIDES.sub("", text))
    if not _balanced(text):
        text = _ISOLATES.sub("", text)
    # A title that spells out a slot would be given the reader's own link; in lower case it is just a word.
    text = _SLOTS.sub(lambda match: match[0].lower(), text)
    return re.sub(r"\s+", " ", text)


def says_nothing(words: str) -> bool:
    """Whether a link's words do not tell where it leads (F-49)."""
    return bool(_EMPTY_WORDS.fullmatch(words.strip(" .…→›»«").lower()))


def _mend(match: re.Match[str]) -> str:
    """A C1 character is nearly always Windows-1252 read as Latin-1: take what was meant, else leave it out."""
    character = match[0]
    if "\x80" <= character <= "\x9f":
        return bytes([ord(character)]).decode("cp1252", errors="ignore")
    return ""


def _balanced(text: str) -> bool:
    depth = 0
    for character in _ISOLATES.findall(text):
        depth += -1 if character == "\u2069" else 1
        if depth < 0:
            return False
    return depth == 0


def plain(value: Any) -> Any:
    """The value as a template may have it: only text (cleaned), numbers, dates, lists and dicts of them (W-60).

    Raises `TypeError` for anything else, so that no object with methods ever reaches a template.
    """
    match value:
        case Slot() | Cleaned() | bool() | int() | float() | dt.date() | None:
            return value
        case str():
            return clean(value)
        case Mapping():
            return {str(key): plain(one) for key, one in value.items()}
        case list() | tuple():
            return [plain(one) for one in value]
        case _ if is_dataclass(value):
            return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
        case _:
            raise TypeError(f"a template is given plain values, not a {type(value).__name__}")


def isolate(text: str, before: str, after: str) -> str:
    """Set runs of left-to-right script apart, so that they cannot disorder right-to-left text around them (F-48).

    `before` and `after` are `<bdi>` and `</bdi>` in HTML, U+2068 and U+2069 in plain text. An address that stands alone
    is left as it is: it must stay a link that can be pressed.
    """
    if re.fullmatch(r"\S+://\S+|\S+@\S+", text.strip()):
        return text
    if _LETTER.search(text) and not _RIGHT_TO_LEFT.search(text):
        return f"{before}{text}{after}"

    def one(match: re.Match[str]) -> str:
        # Numbers alone keep their order by themselves (UAX #9, W4 to W7).
        return f"{before}{match[0]}{after}" if _LETTER.search(match[0]) else match[0]

    return _LEFT_TO_RIGHT.sub(one, text)


def wrap(text: str, width: int = LINE, indent: str = "") -> str:
    """The text in lines of at most `width` characters; only a word that is longer stays longer (F-04)."""
    return textwrap.fill(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def underline(text: str, character: str = "=") -> str:
    """The text, wrapped, with a line of the character under it as long as its longest line."""
    lines = wrap(text)
    return f"{lines}\n{character * max(map(len, lines.splitlines()), default=0)}"


def tidy(text: str) -> str:
    """A text part as it should be: no blanks at line ends, never two empty lines, one line end at the end."""
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n"
