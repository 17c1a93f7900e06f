"""Text for people, made of what feeds and pages hold: titles, summaries, captions (W-55). Pure."""

from __future__ import annotations

import html
import re
import unicodedata

_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<!\[CDATA\[|\]\]>")
_BREAK = re.compile(r"</?(?:p|br|div|li|h[1-6]|tr|blockquote)\b[^<>]*>", re.IGNORECASE)
_HIDDEN = tuple(
    (re.compile(begin, re.IGNORECASE), re.compile(end, re.IGNORECASE))
    for begin, end in (("<!--", "-->"), (r"<script\b", r"</script\s*>"), (r"<style\b", r"</style\s*>"))
)
# Embeddings and overrides change how all that follows is shown; nothing honest in a headline needs them.
_OVERRIDES = dict.fromkeys([*range(0x202A, 0x202F)])
_ISOLATES = dict.fromkeys([*range(0x2066, 0x206A)])
# Invisible: soft hyphen, zero-width space, word joiner, BOM. The joiners U+200C and U+200D stay: Persian needs them.
_INVISIBLE = dict.fromkeys([0xAD, 0x200B, 0x2060, 0xFEFF, 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)])
_CONTROLS = dict.fromkeys([*range(0x20), 0x7F], " ")
# Bytes of Windows-1252 that were read as Latin-1 end up here (F-43); the five it has no character for go.
_MOJIBAKE = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)}
_ENTITY = re.compile(r"&(?:[a-zA-Z]{2,8}|#\d{1,6}|#x[0-9a-fA-F]{1,5});")
# A full stop after these, or after a single capital letter, does not end a sentence.
_SHORT = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Gen|Col|Lt|Sgt|Sen|Rep|Gov|Jr|Sr|No|vs|etc|Inc|Co|Ltd|Jan|Feb|Mar|Apr|Aug|Sept?"
    r"|Oct|Nov|Dec)|\b[A-Z]|\b[a-z]\.[a-z])\.$"
)
SUMMARY = 2000
"""Characters of a summary at most: more than any card shows, less than a whole story."""
_END = re.compile(r"[.!?…。！？؟۔।]+[\"'”’»)\]]*(?=\s|$)|[。！？]")


def plain(value: str | None) -> str:
    """Plain text on one line: C1 mojibake mapped, controls, overrides and invisible characters gone, NFC."""
    text = (value or "").translate(_MOJIBAKE).translate(_CONTROLS).translate(_OVERRIDES).translate(_INVISIBLE)
    if not _is_balanced(text):
        text = text.translate(_ISOLATES)
    return " ".join(unicodedata.normalize("NFC", text).split())


def scrub(value: str | None) -> str | None:
    """The same for a piece of running text inside HTML, whose blanks stay."""
    if not value:
        return value
    text = value.translate(_MOJIBAKE).translate(_OVERRIDES).translate(_INVISIBLE)
    text = text if _is_balanced(text) else text.translate(_ISOLATES)
    return unicodedata.normalize("NFC", re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "", text))


def from_html(value: str | None) -> str:
    """Plain text of a fragment of HTML: tags stripped, then entities decoded once."""
    bare = value or ""
    for begin, end in _HIDDEN:
        bare = _without(bare, begin, end)
    bare = _TAG.sub("", _BREAK.sub(" ", bare))
    return plain(html.unescape(bare))


def _without(text: str, begin: re.Pattern[str], end: re.Pattern[str]) -> str:
    """A text without what stands between two marks; what is never closed stays. One pass, whatever the text."""
    kept, at = [], 0
    while opened := begin.search(text, at):
        closed = end.search(text, opened.end())
        if closed is None:
            break
        kept.append(text[at : opened.start()])
        at = closed.end()
    return " ".join([*kept, text[at:]]) if kept else text


def caption(value: str | None) -> str:
    """The text of an attribute or caption that is often escaped twice (`&amp;quot;`): decoded once more if so."""
    text = value or ""
    return plain(html.unescape(text) if _ENTITY.search(text) else text)


def sentences(text: str) -> list[str]:
    """The sentences of a line of text; an abbreviation or an initial ends none."""
    found, start = [], 0
    for end in _END.finditer(text):
        sentence = text[start : end.end()].strip()
        if not sentence or _SHORT.search(sentence):
            continue
        found.append(sentence)
        start = end.end()
    rest = text[start:].strip()
    return [*found, rest] if rest else found


def headline(text: str, limit: int = 120) -> str:
    """A headline made of a text's first sentence, cut at a word, for a post that has none."""
    first = next(iter(sentences(text[: 4 * limit])), "")
    return shortened(first, limit) if len(first) > limit else first.rstrip(".。")


def shortened(text: str, limit: int) -> str:
    """A text of at most so many characters and an ellipsis, cut between words where it has any."""
    if len(text) <= limit:
        return text
    head = text[:limit]
    return (head.rpartition(" ")[0] or head).rstrip(" ,;:-–—") + "…"


def opening(paragraphs: list[str], enough: int = 300) -> str:
    """The first paragraphs of a story, until there is enough to cut a summary from."""
    taken: list[str] = []
    for paragraph in paragraphs:
        taken.append(paragraph)
        if sum(map(len, taken)) >= enough:
            break
    return shortened(" ".join(taken), SUMMARY)


def _is_balanced(text: str) -> bool:
    depth = 0
    for character in text:
        if "\u2066" <= character <= "\u2068":
            depth += 1
        elif character == "\u2069":
            depth -= 1
            if depth < 0:
                return False
    return depth == 0
