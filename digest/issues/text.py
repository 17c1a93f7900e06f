"""Text rules (W-55): what comes in becomes clean plain text, and is only ever cut between whole characters. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby

from lxml import html

ELLIPSIS = "…"
_ISOLATES = "\u2066\u2067\u2068"
_POP = "\u2069"
_ISOLATING = re.compile(f"[{_ISOLATES}{_POP}]")
_JOINER = "\u200d"
_VIRAMA = 9
"""The combining class of the sign that binds the letters of an Indic conjunct."""
# Embeddings and overrides reorder what stands around them; isolates do the same job and can be kept where they close.
_FORBIDDEN = "\u202a-\u202e\ufeff\u00ad\ufffe\uffff"
# With the controls and the lone surrogates (Cc and Cs, which Unicode adds nothing to any more).
_HARMFUL = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff{_FORBIDDEN}]")
_HARMFUL_IN_LINES = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff{_FORBIDDEN}]")
_BULLET, _NUMBER = "bullet", "number"
_ITEM = re.compile(r"(?:[-*•]|(?P<number>\d{1,2})[.)]) \S")
# Paragraphs of these are not the story's own running text.
_ASIDE = frozenset({"figure", "figcaption", "aside", "table", "pre"})


def one_line(text: str) -> str:
    """A headline's text: no controls, no line breaks, no bidi trick that reaches beyond it, single spaces."""
    # White space first, for a line break is a control; and again, for what is taken out can leave two spaces.
    return " ".join(_balanced(_clean(" ".join(text.split()))).split())


def paragraphs(text: str) -> tuple[str, ...]:
    """The paragraphs and short lists of a plain text.

    Blank lines part paragraphs, each comes back as one line. Two lines or more that begin with `-`, `*` or `•`, or with
    1., 2. and so on, are a list, which comes back with an item a line, marked `-` or `1.`
    """
    lines = re.split(r"\r\n|[\n\r\u2028\x0b\x0c\x85]", text.replace("\u2029", "\n\n"))
    blocks = re.split(r"\n{2,}", "\n".join(line.strip() for line in lines))
    return tuple(part for block in blocks for part in _parted(block.split("\n")) if part)


def _parted(lines: Sequence[str]) -> Iterator[str]:
    """Lines without a blank one between them: the lists among them, and the text around as one line each."""
    running: list[str] = []
    for kind, same in groupby(map(one_line, lines), _item_kind):
        items = list(same)
        if kind and _is_list(kind, items):
            yield one_line(" ".join(running))
            running = []
            marks = ["-"] * len(items) if kind == _BULLET else [f"{number}." for number in range(1, len(items) + 1)]
            yield "\n".join(f"{mark} {item.split(' ', 1)[1]}" for mark, item in zip(marks, items, strict=True))
        else:
            running += items
    yield one_line(" ".join(running))


def _item_kind(line: str) -> str:
    found = _ITEM.match(line)
    return "" if found is None else _NUMBER if found["number"] else _BULLET


def _is_list(kind: str, items: Sequence[str]) -> bool:
    """A dash may begin a line of speech, and a year a sentence: one is no list, and numbers begin with 1."""
    if kind == _NUMBER:
        numbers = [int(re.split("[.)]", item)[0]) for item in items]
        return len(items) > 1 and numbers == list(range(1, len(items) + 1))
    return len(items) > 1


def plain(fragment: str) -> tuple[str, ...]:
    """The running paragraphs of a cleaned HTML body as plain text, captions and asides left out."""
    if not fragment.strip():
        return ()
    root = html.fragment_fromstring(_clean(fragment, _HARMFUL_IN_LINES), create_parent="div")
    for rule in root.iter("br"):
        rule.tail = f"\n{rule.tail or ''}"
    found = [one_line(p.text_content()) for p in root.iter("p") if not _is_aside(p)]
    if not any(found):
        # A body of bare text with line breaks has no paragraphs to find.
        found = [one_line(root.text_content())]
    return tuple(text for text in found if text)


def fold(text: str) -> str:
    """The letters and digits alone, without case: what two texts are compared by."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in folded if character.isalnum())


def cut(text: str, limit: int) -> str:
    """The text in at most `limit` code points: whole, or cut between words (else graphemes), with an ellipsis."""
    if len(text) <= limit:
        return text
    end = grapheme_boundary(text, limit - 1)
    space = text.rfind(" ", 0, end + 1)
    if space >= end * 2 // 3:
        end = space
    return _balanced(text[:end].rstrip(" ,;:–—-")) + ELLIPSIS


def grapheme_boundary(text: str, limit: int) -> int:
    """The last place at or before `limit` where no character is cut in two (after UAX #29, extended clusters)."""
    place = min(limit, len(text))
    while 0 < place < len(text) and _joined(text, place):
        place -= 1
    return place


def length(text: str) -> int:
    """How many characters people see: a letter with its marks is one, and so is a flag."""
    return sum(place == 0 or not _joined(text, place) for place in range(len(text)))


def _joined(text: str, place: int) -> bool:
    """Whether the code points on both sides of a place belong to one character as people see it."""
    before, after = text[place - 1], text[place]
    if unicodedata.category(after) in ("Mn", "Me", "Mc") or after in (_JOINER, "\u200c") or before == _JOINER:
        return True
    if unicodedata.combining(before) == _VIRAMA and unicodedata.category(after) == "Lo":
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\U000e0020" <= after <= "\U000e007f":
        return True
    if _is_flag_letter(before) and _is_flag_letter(after):
        run = len(text[:place]) - len(text[:place].rstrip(_FLAG_LETTERS))
        return run % 2 == 1
    return _is_jamo(before) and _is_jamo(after)


_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))


def _is_flag_letter(character: str) -> bool:
    return character in _FLAG_LETTERS


def _is_jamo(character: str) -> bool:
    return "\u1100" <= character <= "\u11ff"


def _clean(text: str, harmful: re.Pattern[str] = _HARMFUL) -> str:
    return unicodedata.normalize("NFC", harmful.sub("", text))


def _balanced(text: str) -> str:
    """Drop every directional isolate that does not open and close within the text."""
    if not _ISOLATING.search(text):
        return text
    open_at: list[int] = []
    lone: set[int] = set()
    for place, character in enumerate(text):
        if character in _ISOLATES:
            open_at.append(place)
        elif character == _POP:
            if open_at:
                open_at.pop()
            else:
                lone.add(place)
    lone.update(open_at)
    return "".join(c for place, c in enumerate(text) if place not in lone) if lone else text


def _is_aside(element: html.HtmlElement) -> bool:
    return any(ancestor.tag in _ASIDE for ancestor in element.iterancestors())
