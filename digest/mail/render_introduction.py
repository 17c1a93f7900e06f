"""An introduction's small Markdown: emphasis, strong words, links; and paragraphs and short lists around them. Pure.

What an editor types becomes the same blocks as a post's whole story (`render_story`), which are plain text with marks
of their own: no markup that anybody typed is ever in a mail. Raw HTML is text like any other, and so is whatever else
Markdown knows: headings, images, code, tables, entities.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from markdown_it import MarkdownIt

from digest.mail.render_story import Block, link, told

_LIST = re.compile(r"(?:(?:-|\d+\.) .+(?:\n(?!\Z)|\Z)){2,}")


def introduction(parts: Iterable[str]) -> tuple[Block, ...]:
    """The blocks of an introduction: each part is a paragraph, or a list with an item a line (`issues.text`)."""
    return told(
        "".join(_list(part.split("\n")) if _LIST.fullmatch(part) else f"<p>{_inline(part)}</p>" for part in parts)
    )


def _list(lines: list[str]) -> str:
    tag = "ul" if lines[0].startswith("-") else "ol"
    items = "".join(f"<li>{_inline(line.partition(' ')[2])}</li>" for line in lines)
    return f"<{tag}>{items}</{tag}>"


def _inline(text: str) -> str:
    """A line's emphasis and links as HTML, everything else escaped."""
    rendered: str = _MARKDOWN.renderInline(text)
    return rendered


def _markdown() -> MarkdownIt:
    """A parser that knows three things. An address that no mail may have is no link, and stays to be seen."""
    parser = MarkdownIt("zero").enable(["emphasis", "escape", "link"])
    parser.validateLink = lambda url: bool(link(url))  # type: ignore[method-assign]
    return parser


_MARKDOWN = _markdown()
