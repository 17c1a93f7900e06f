"""A story out of blocks: debris left out, the end found, and its body as clean, well-formed HTML (W-54). Pure."""

from __future__ import annotations

from collections.abc import Sequence

import nh3
from lxml import etree
from lxml import html as lxml_html
from lxml.html import HtmlElement

from digest.gather import junk
from digest.gather.blocks import Block
from digest.gather.links import article_number, tidy, web_link
from digest.gather.text import scrub

_ALLOWED = {
    *("p", "br", "strong", "em", "b", "i", "u", "a", "ul", "ol", "li", "blockquote", "h2", "h3"),
    *("figure", "figcaption", "code", "pre", "bdi", "span"),
}
_ATTRIBUTES = {"a": {"href"}, "span": {"dir", "lang"}, "bdi": {"dir"}}
PROSE = ("p", "blockquote", "ul", "ol", "pre")
_TITLE_LEVEL = 2
"""A heading of this level or above is a story's headline, not a subhead."""


def tell(blocks: Sequence[Block], own_link: str = "") -> list[Block]:
    """The blocks of one story, from its beginning to its end, without debris between them."""
    story: list[Block] = []
    pointed = ""
    for at, block in enumerate(blocks):
        if block.tag in ("figure", "date"):
            continue
        if not story and block.level == 1:
            continue  # The headline itself.
        if story and (is_end(blocks, at) or _begins_another(block, blocks[at + 1 : at + 4], own_link)):
            break
        if junk.is_placeholder(block.text):
            _drop_player_title(story, pointed)
        if block.text == pointed or is_debris(block) or is_end(blocks, at) or _is_teaser(block, own_link):
            pointed = junk.pointed_to(block.text) or pointed
        elif not junk.is_placeholder(block.text):
            story.append(block)
    return _without_hanging_headings(story)


def body_html(blocks: Sequence[Block], base: str) -> str:
    """The story as XHTML: only the tags of W-54, no images (F-42), links absolute. Empty for no blocks."""
    pieces = []
    for block in blocks:
        for anchor in block.element.iter("a"):
            href = anchor.attrib.pop("href", "")
            link = href if href.startswith("mailto:") else tidy(web_link(href, base))
            if link:
                anchor.set("href", link)
        pieces.append(lxml_html.tostring(block.element, encoding="unicode", with_tail=False))
    return clean("".join(pieces))


def clean(fragment: str) -> str:
    """Any HTML as well-formed XHTML of the allowed tags alone (W-54)."""
    safe = nh3.clean(
        fragment,
        tags=_ALLOWED,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
        strip_comments=True,
    )
    holder = lxml_html.fragment_fromstring(safe, create_parent="div")
    for element in list(holder.iterdescendants()):
        element.text, element.tail = scrub(element.text), scrub(element.tail)
    holder.text = scrub(holder.text)
    _prune(holder)
    whole: str = etree.tostring(holder, encoding="unicode", method="xml")
    return whole.removeprefix("<div>").removesuffix("</div>").removesuffix("<div/>").strip()


def paragraphs(blocks: Sequence[Block]) -> list[str]:
    """The prose of a story as plain text, headings left out."""
    return [block.text for block in blocks if block.tag in PROSE]


def is_end(blocks: Sequence[Block], at: int) -> bool:
    """Whether a page is about other things from a block on; a subhead with prose of the story below it is no end."""
    block, following = blocks[at], blocks[at + 1 : at + 2]
    if not junk.is_end(block.text):
        return False
    is_subhead = junk.is_likely_end(block.text) and block.level > _TITLE_LEVEL and not block.link
    return not (is_subhead and any(one.tag in PROSE and not _is_pure_link(one) for one in following))


def is_debris(block: Block) -> bool:
    """Whether a block is debris whatever stands around it."""
    return junk.is_line(block.text, has_link=_has_link(block))


def _has_link(block: Block) -> bool:
    return next(block.element.iter("a"), None) is not None


def _is_pure_link(block: Block) -> bool:
    return _has_link(block) and _is_all_link(block)


def _begins_another(block: Block, following: Sequence[Block], own_link: str) -> bool:
    if not block.level:
        return False
    if block.level == 1:
        return True
    if not _is_elsewhere(block, own_link):
        return False
    return block.level <= _TITLE_LEVEL or any(one.tag == "date" for one in following)


def _is_elsewhere(block: Block, own_link: str) -> bool:
    """Whether a block is, as a whole, a link to another article."""
    number = article_number(web_link(block.link, own_link or "https://x.invalid/")) if block.link else ""
    return bool(number) and number != article_number(own_link) and _is_all_link(block)


def _is_all_link(block: Block) -> bool:
    anchors = list(block.element.iter("a"))
    # A heading inside a link has no link of its own any more.
    return not anchors or len("".join(str(a.text_content()) for a in anchors).strip()) >= len(block.text) - 1


def _is_teaser(block: Block, own_link: str) -> bool:
    """A subhead that is a link to another article, left by a box of related stories."""
    return bool(block.level) and _is_elsewhere(block, own_link)


def _drop_player_title(story: list[Block], pointed: str) -> None:
    """A waiting player repeats its video's title, as a line of its own without a full stop, just before it."""
    if story and story[-1].tag == "p" and (story[-1].text == pointed or story[-1].text[-1:] not in ".!?…\"'”’:)"):
        del story[-1]


def _without_hanging_headings(story: list[Block]) -> list[Block]:
    while story and story[-1].level:
        del story[-1]
    return story


def _prune(holder: HtmlElement) -> None:
    """Take out what is empty (it would be read as never closed) and links to nowhere."""
    for element in reversed(list(holder.iterdescendants())):
        if element.tag in ("a", "span") and not element.attrib:
            element.drop_tag()
        elif element.tag != "br" and not len(element) and not (element.text or "").strip():
            if element.text:
                _keep_blank(element)
            element.drop_tree()


def _keep_blank(element: HtmlElement) -> None:
    element.tail = f"{element.text}{element.tail or ''}"
