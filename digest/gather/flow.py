"""A flow of whole posts whose headlines did not survive, cut into its posts (the blog page of the seed). Pure.

What marks them, the surest first: a container of text each; else a credit line at a post's end ("With reporting by …"),
and at its beginning a cover, a date, or a caption that a dateline follows.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lxml.html import HtmlElement

from digest.gather.article import STORY
from digest.gather.blocks import Block, Picture, to_blocks
from digest.gather.story import PROSE, is_debris, is_end

_CREDIT = re.compile(
    r"(?:with|based on|includes?)\s+(?:additional\s+|further\s+)?"
    r"(?:reporting|material|information|contributions?)\b.{0,200}"
    r"|(?:written|reported|compiled|translated|edited|produced|prepared)\b.{0,80}\bby\b.{0,200}"
    r"|(?:additional\s+|original\s+)?reporting\s+by\b.{0,200}|copyright \(c\).{0,200}",
    re.IGNORECASE,
)
_DATELINE = re.compile(r"[A-Z][A-Z'’./ -]{2,40}(?:,\s[^—–]{2,40}?)?\s+(?:--|—|–)\s+\S")
_STOPS = (".", "!", "?", "…", '"', "”")
_CAPTION = 160
"""Characters of a caption at most."""
_NAME = 120
"""Characters of a caption that only names somebody at most."""


@dataclass(frozen=True)
class Part:
    """The blocks of one post, with its caption as a picture without an address."""

    blocks: list[Block]
    is_marked: bool
    """Whether its beginning or its end is marked: then it is a whole post, however short."""


def parts(main: HtmlElement) -> list[Part]:
    """The rows of blocks that are a post each."""
    found: list[HtmlElement] = main.xpath(STORY)
    inside = set(found)
    stories = [one for one in found if inside.isdisjoint(one.iterancestors())]
    blocks = to_blocks([main], with_pictures=True)
    if len(stories) > 1:
        return [Part(row, is_marked=True) for row in _by_container(blocks, stories)]
    # A page with pictures marks its captions; only in a page that lost them is a caption a paragraph like others.
    has_pictures = any(block.picture for block in blocks)
    rows = _by_credit(_without_page_heading(blocks))
    return [Part(_caption_first(row, has_pictures=has_pictures), _is_marked(row)) for row in rows]


def credit(text: str) -> bool:
    """Whether a line says who reported: it ends a post."""
    return bool(_CREDIT.fullmatch(text))


def after_dateline(text: str) -> str:
    """A paragraph without "BILECA, Bosnia-Herzegovina -- " at its beginning."""
    found = _DATELINE.match(text)
    return text[found.end() - 1 :] if found else text


def _without_page_heading(blocks: list[Block]) -> list[Block]:
    """The blocks without the page's own heading, and its motto, before the first post."""
    heads = [at for at, block in enumerate(blocks) if block.level == 1]
    at = heads[0] if heads else 0
    if len(heads) != 1 or any(block.tag in PROSE and not is_debris(block) for block in blocks[:at]):
        return blocks
    rest = blocks[at + 1 :]
    return [*blocks[:at], *(rest[1:] if _is_motto(rest[:2]) else rest)]


def _is_motto(first: Sequence[Block]) -> bool:
    """Whether the line below the page's heading is followed by the beginning of a post, and so no caption itself."""
    if not first or first[0].tag != "p" or len(first[0].text) > _CAPTION or _DATELINE.match(first[0].text):
        return False
    return all(one.date is not None or _is_caption(one) for one in first[1:])


def _is_marked(row: Sequence[Block]) -> bool:
    """Whether a post ends in a credit line, or begins with a cover, a date or a dateline."""
    if any(credit(block.text) for block in row):
        return True
    told = [block for block in row if block.tag in ("date", "figure") or not is_debris(block)][:2]
    is_captioned = len(told) > 1 and _is_caption(told[0]) and bool(_DATELINE.match(told[1].text))
    return is_captioned or any(one.date or _is_cover(one) or _DATELINE.match(one.text) for one in told[:1])


def _by_container(blocks: list[Block], stories: Sequence[HtmlElement]) -> Iterator[list[Block]]:
    """Each container of text, with what stands between it and the one before: its picture, its date, its link."""
    places: dict[str, list[int]] = {}
    for at, block in enumerate(blocks):
        places.setdefault(block.text, []).append(at)
    end = 0
    for story in stories:
        inside = {block.text for block in to_blocks([story], with_pictures=True)}
        found = [n for text in inside - {""} if (n := _next(places.get(text, []), end)) is not None]
        if not found:
            continue  # It is empty, or in a box that is no part of a story.
        before, end = blocks[end : min(found)], min(found)
        start = end
        while end < len(blocks) and blocks[end].text in inside and not _is_cover(blocks[end]):
            end += 1
        yield [*_without_page_heading(before), *blocks[start:end]]


def _next(places: Sequence[int], at: int) -> int | None:
    """The first of some ascending places that is not before another."""
    n = bisect_left(places, at)
    return places[n] if n < len(places) else None


def _by_credit(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    part: list[Block] = []
    prose = 0
    has_ended = False
    for at, block in enumerate(blocks):
        if is_end(blocks, at):
            break
        is_credit = credit(block.text)
        is_next = has_ended and not is_credit and not is_debris(block)
        # A caption and one paragraph are no post yet.
        if is_next or (prose > 1 and _begins(blocks, at)):
            yield part
            part, prose, has_ended = [], 0, False
        part.append(block)
        prose += block.tag in PROSE
        has_ended = has_ended or (is_credit and prose > 1)
    yield part


def _begins(blocks: Sequence[Block], at: int) -> bool:
    """Whether a post begins here though no credit line ended the last one."""
    block = blocks[at]
    if block.date or _is_cover(block):
        return True
    if _DATELINE.match(block.text):
        return not _is_caption(blocks[at - 1])
    return _is_caption(block) and any(_DATELINE.match(one.text) for one in blocks[at + 1 : at + 2])


def _is_cover(block: Block) -> bool:
    return block.picture is not None and block.picture.is_cover


def _is_caption(block: Block) -> bool:
    """A picture, or the words of one: short, and naming somebody rather than telling something."""
    is_name = len(block.text) <= _NAME and not block.text.endswith(_STOPS)
    return block.picture is not None or (block.tag == "p" and is_name and not credit(block.text))


def _caption_first(row: list[Block], *, has_pictures: bool) -> list[Block]:
    """Where only the words of a picture are left at the beginning, they are its caption and no part of the story."""
    told = [block for block in row if block.tag not in ("date", "figure") and not is_debris(block)]
    if len(told) < 3 or told[0].tag != "p" or any(block.picture for block in row[: row.index(told[1])]):  # noqa: PLR2004
        return row
    first, second = told[0], told[1]
    is_short = len(first.text) <= min(_CAPTION, len(second.text)) and not _DATELINE.match(first.text)
    if not is_short or (has_pictures and not _is_caption(first)):
        return row
    at = row.index(first)
    picture = Picture("", caption=first.text, is_cover=True)
    return [*row[:at], replace(first, tag="figure", picture=picture), *row[at + 1 :]]
