"""A flow of whole posts whose headlines did not survive, cut into its posts (the blog page of the seed). Pure.

What marks them, the surest first: a container of text each; else a credit line at a post's end ("With reporting by …"),
and at its beginning a cover, a date, or a caption that a dateline follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from lxml.html import HtmlElement

from digest.gather import junk
from digest.gather.article import STORY
from digest.gather.blocks import Block, Picture, to_blocks
from digest.gather.story import PROSE

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


def parts(main: HtmlElement) -> list[list[Block]]:
    """The rows of blocks that are a post each, with its caption as a picture without an address."""
    found: list[HtmlElement] = main.xpath(STORY)
    inside = set(found)
    stories = [one for one in found if inside.isdisjoint(one.iterancestors())]
    blocks = to_blocks([main], with_pictures=True)
    if len(stories) > 1:
        return list(_by_container(blocks, stories))
    # A page with pictures marks its captions; only in a page that lost them is a caption a paragraph like others.
    has_pictures = any(block.picture for block in blocks)
    return [_caption_first(row, has_pictures=has_pictures) for row in _by_credit(blocks)]


def credit(text: str) -> bool:
    """Whether a line says who reported: it ends a post."""
    return bool(_CREDIT.fullmatch(text))


def after_dateline(text: str) -> str:
    """A paragraph without "BILECA, Bosnia-Herzegovina -- " at its beginning."""
    found = _DATELINE.match(text)
    return text[found.end() - 1 :] if found else text


def _by_container(blocks: list[Block], stories: Sequence[HtmlElement]) -> Iterator[list[Block]]:
    """Each container of text, with what stands between it and the one before: its picture, its date, its link."""
    for story in stories:
        inside = {block.text for block in to_blocks([story], with_pictures=True)}
        start = next((at for at, block in enumerate(blocks) if block.text and block.text in inside), len(blocks))
        end = start
        while end < len(blocks) and blocks[end].text in inside and not _is_cover(blocks[end]):
            end += 1
        yield blocks[:end]
        blocks = blocks[end:]


def _by_credit(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    part: list[Block] = []
    has_ended = False
    for at, block in enumerate(blocks):
        if junk.is_end(block.text):
            break
        is_credit = credit(block.text)
        if (has_ended and not is_credit and not junk.is_line(block.text)) or _begins(blocks, at, part):
            yield part
            part, has_ended = [], False
        part.append(block)
        has_ended = has_ended or (is_credit and _is_post(part))
    yield part


def _begins(blocks: Sequence[Block], at: int, part: Sequence[Block]) -> bool:
    """Whether a post begins here though no credit line ended the last one."""
    if not _is_post(part):
        return False
    block = blocks[at]
    if block.date or _is_cover(block):
        return True
    if _DATELINE.match(block.text):
        return not _is_caption(blocks[at - 1])
    return _is_caption(block) and any(_DATELINE.match(one.text) for one in blocks[at + 1 : at + 2])


def _is_post(part: Sequence[Block]) -> bool:
    """A caption and one paragraph are no post yet."""
    prose = (block for block in part if block.tag in PROSE)
    return next(prose, None) is not None and next(prose, None) is not None


def _is_cover(block: Block) -> bool:
    return block.picture is not None and block.picture.is_cover


def _is_caption(block: Block) -> bool:
    """A picture, or the words of one: short, and naming somebody rather than telling something."""
    is_name = len(block.text) <= _NAME and not block.text.endswith(_STOPS)
    return block.picture is not None or (block.tag == "p" and is_name and not credit(block.text))


def _caption_first(row: list[Block], *, has_pictures: bool) -> list[Block]:
    """Where only the words of a picture are left at the beginning, they are its caption and no part of the story."""
    told = [block for block in row if block.tag not in ("date", "figure") and not junk.is_line(block.text)]
    if len(told) < 3 or told[0].tag != "p" or any(block.picture for block in row[: row.index(told[1])]):  # noqa: PLR2004
        return row
    first, second = told[0], told[1]
    is_short = len(first.text) <= min(_CAPTION, len(second.text)) and not _DATELINE.match(first.text)
    if not is_short or (has_pictures and not _is_caption(first)):
        return row
    at = row.index(first)
    picture = Picture("", caption=first.text, is_cover=True)
    return [*row[:at], replace(first, tag="figure", picture=picture), *row[at + 1 :]]
