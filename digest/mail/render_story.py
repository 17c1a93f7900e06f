"""A post's whole story as blocks of plain text: what its cleaned HTML says, without any of its markup. Pure.

The templates write the markup anew (`issue/story.mjml`), with the styles that mail programs need, so that nothing of a
post's own HTML is ever in a mail (F-50): no image (F-42), no style, no address that is not a plain link. Whatever the
body is, well-formed or not, some blocks come of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal
from urllib.parse import urlsplit

from lxml import html as lxml_html
from lxml.html import HtmlElement

from digest.mail.render_text import Cleaned, clean, clean_run, plain, says_nothing

Direction = Literal["", "ltr", "rtl"]
_DIRECTIONS: dict[str, Direction] = {"ltr": "ltr", "rtl": "rtl"}


@dataclass(frozen=True)
class Run:
    """A piece of a line that is all alike. Its text keeps the blanks at its ends."""

    text: str
    href: str = ""
    is_strong: bool = False
    is_slanted: bool = False
    is_code: bool = False
    language: str = ""
    direction: Direction = ""
    """Where the post itself says that a piece is in another language, or runs the other way."""
    is_break: bool = False


@dataclass(frozen=True)
class Block:
    """A part of a story; of `runs`, `text` and `items` it has the one that its kind needs."""

    kind: Literal["paragraph", "heading", "quote", "bullets", "numbers", "verbatim"]
    runs: tuple[Run, ...] = ()
    """Of a paragraph."""
    text: str = ""
    """Of a heading, and of what is shown as it was typed."""
    level: int = 0
    """Of a heading: one below the story's own headline is 1; none is skipped (F-49)."""
    items: tuple[tuple[Block, ...], ...] = ()
    """Of a list; a quote has one."""


_DROPPED = frozenset(
    {"figure", "figcaption", "img", "script", "style", "head", "title", "template", "iframe", "object"}
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LISTS = frozenset({"ul", "ol"})
_CONTAINERS = frozenset(
    {
        "p",
        "div",
        "section",
        "article",
        "main",
        "header",
        "footer",
        "aside",
        "address",
        "li",
        "dl",
        "dt",
        "dd",
        "details",
    }
    | {"summary", "table", "caption", "thead", "tbody", "tfoot", "tr", "td", "th", "hr", "body", "html", "center"}
)
_BLOCKS = _CONTAINERS | _HEADINGS.keys() | _LISTS | {"blockquote", "pre"}
_DEEPEST = 4
"""Lists and quotes within each other: what is nested deeper is shown at this depth."""
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")


def told(body: str) -> tuple[Block, ...]:
    """The blocks of a story, from its cleaned HTML."""
    source = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]", "", body)
    if not source.strip():
        return ()
    return tuple(_levelled(list(_blocks(lxml_html.fragment_fromstring(source, create_parent="div"), 0))))


def words(blocks: Iterable[Block]) -> str:
    """All that the blocks say, as one text."""
    return " ".join(part for block in blocks for part in _said(block))


def shown(block: Block) -> dict[str, Any]:
    """The block as a template has it: plain values, what is linked together in one piece."""
    return {
        "kind": block.kind,
        "text": block.text,
        "level": block.level,
        "pieces": [_piece(href, list(same)) for href, same in groupby(block.runs, lambda run: run.href)],
        "items": [[shown(one) for one in item] for item in block.items],
    }


def _piece(href: str, runs: list[Run]) -> dict[str, Any]:
    said = clean("".join(run.text for run in runs))
    # "Here" is no name for a link (F-49), and the words are the writer's: whoever hears it read is told its host too.
    label = f"{said} ({urlsplit(href).hostname or href})" if href and says_nothing(said) else ""
    return {"href": href, "label": label, "runs": plain(runs)}


def _said(block: Block) -> Iterator[str]:
    yield block.text or "".join(run.text for run in block.runs)
    for item in block.items:
        yield words(item)


def _blocks(element: HtmlElement, depth: int) -> Iterator[Block]:
    """What stands in an element: its blocks, and as paragraphs the running text between them."""
    line: list[Run] = [Run(element.text or "")]
    for child in element:
        tag = child.tag if isinstance(child.tag, str) else ""
        if tag in _BLOCKS:
            yield from _paragraphs(line)
            yield from _block(child, tag, depth)
            line = []
        else:
            line += _runs(child, Run(""))
        line.append(Run(child.tail or ""))
    yield from _paragraphs(line)


def _block(element: HtmlElement, tag: str, depth: int) -> Iterator[Block]:
    if tag in _HEADINGS:
        if text := clean(element.text_content()):
            yield Block("heading", text=Cleaned(text), level=_HEADINGS[tag])
    elif tag == "pre":
        lines = [_typed(line) for line in element.text_content().expandtabs(4).splitlines()]
        if any(lines):
            yield Block("verbatim", text=Cleaned("\n".join(lines).strip("\n")))
    elif depth < _DEEPEST and tag in _LISTS:
        items = tuple(tuple(_blocks(item, depth + 1)) for item in element if item.tag == "li")
        if any(items):
            yield Block("bullets" if tag == "ul" else "numbers", items=tuple(filter(None, items)))
    elif depth < _DEEPEST and tag == "blockquote":
        if quoted := tuple(_blocks(element, depth + 1)):
            yield Block("quote", items=(quoted,))
    else:
        yield from _blocks(element, depth)


def _typed(line: str) -> str:
    """A line cleaned, all its blanks kept."""
    return re.sub(r"[^ ]+", lambda word: clean_run(word[0]), line).rstrip()


def _runs(element: HtmlElement, around: Run) -> Iterator[Run]:
    """The pieces of a line in an element, each with what the elements around it say of it."""
    tag = element.tag if isinstance(element.tag, str) else "script"
    if tag in _DROPPED:
        return
    if tag == "br":
        yield replace(around, text="", is_break=True)
        return
    here = _formed(element, tag, around)
    yield replace(here, text=element.text or "")
    for child in element:
        yield from _runs(child, here)
        yield replace(here, text=child.tail or "")


def _formed(element: HtmlElement, tag: str, around: Run) -> Run:
    language = element.get("lang", "")
    direction = _DIRECTIONS.get(element.get("dir", "").lower(), "")
    return replace(
        around,
        href=(link(element.get("href", "")) if tag == "a" else "") or around.href,
        is_strong=around.is_strong or tag in ("b", "strong"),
        is_slanted=around.is_slanted or tag in ("i", "em", "cite"),
        is_code=around.is_code or tag in ("code", "kbd", "samp", "tt"),
        language=language if _LANGUAGE.fullmatch(language) else around.language,
        direction=direction or around.direction,
    )


def link(href: str) -> str:
    """The address if it is one that a mail may have, else nothing; no slot can be in it."""
    href = href.strip().replace("@@", "%40%40")
    if re.fullmatch(r"mailto:[^\s@<>?&%]+@[^\s@<>?&%]+", href):
        return href
    if re.search(r"[\\\s\x00-\x1f\x7f-\x9f]", href):
        return ""
    try:
        parts = urlsplit(href)
        return href if parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc else ""
    except ValueError:
        return ""


def _paragraphs(line: list[Run]) -> Iterator[Block]:
    """A line as paragraphs: where two breaks follow each other, people see a new one."""
    paragraph: list[Run] = []
    for run in _joined(line):
        if run.is_break and paragraph and paragraph[-1].is_break:
            yield from _paragraph(paragraph)
            paragraph = []
        else:
            paragraph.append(run)
    yield from _paragraph(paragraph)


def _joined(line: list[Run]) -> Iterator[Run]:
    """The runs with those that are alike made one, cleaned, and never two blanks on end.

    Joined before they are cleaned: what is no slot in two pieces must not become one (F-41).
    """
    is_at_blank = True
    for alike, same in groupby(line, lambda run: replace(run, text="")):
        some = [run.text for run in same]
        if alike.is_break:
            yield from [alike] * len(some)
            is_at_blank = True
        elif text := clean_run("".join(some)).removeprefix(" " if is_at_blank else ""):
            yield replace(alike, text=Cleaned(text))
            is_at_blank = text.endswith(" ")


def _paragraph(runs: list[Run]) -> Iterator[Block]:
    while runs and runs[-1].is_break:
        runs.pop()
    while runs and runs[0].is_break:
        runs.pop(0)
    if any(run.text.strip() for run in runs):
        yield Block("paragraph", runs=tuple(_unlinked(runs)))


def _unlinked(runs: list[Run]) -> Iterator[Run]:
    """The runs, no link without words: nobody could press it."""
    for href, same in groupby(runs, lambda run: run.href):
        some = list(same)
        has_words = any(run.text.strip() for run in some)
        yield from some if has_words or not href else (replace(run, href="") for run in some)


def _levelled(blocks: list[Block]) -> Iterator[Block]:
    """Headings moved under the story's headline, in their order, without skipping a level (F-49)."""
    highest = min((block.level for block in blocks if block.kind == "heading"), default=1)
    before = 0
    for block in blocks:
        if block.kind == "heading":
            before = min(block.level - highest + 1, before + 1)
            yield replace(block, level=before)
        elif block.kind in ("quote", "bullets", "numbers"):
            yield replace(block, items=tuple(tuple(map(_unheaded, item)) for item in block.items))
        else:
            yield block


def _unheaded(block: Block) -> Block:
    """In a list or a quote a heading is a strong line: it heads nothing of the story's."""
    if block.kind == "heading":
        return Block("paragraph", runs=(Run(block.text, is_strong=True),))
    return replace(block, items=tuple(tuple(map(_unheaded, item)) for item in block.items))
