"""HTML as a row of blocks: paragraphs, headings, lists, quotes and, where asked for, pictures. Pure.

All that is told apart later (posts in a flow, debris in a story) is told apart on this row, so that bare text split by
`<br>` and proper paragraphs are the same thing from here on.
"""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from lxml import html as lxml_html
from lxml.html import HtmlElement

from digest.gather import junk
from digest.gather.dates import parse_date
from digest.gather.text import caption, plain

HEADINGS = {"h1": "h2", "h2": "h2", "h3": "h3", "h4": "h3", "h5": "h3", "h6": "h3"}
_MARKS = frozenset(
    {
        *("a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "i", "ins", "kbd", "mark", "q"),
        *("s", "samp", "strike", "strong", "sub", "sup", "tt", "u", "var"),
    }
)
_SEE_THROUGH = frozenset({"span", "font", "small", "label", "time", "data", "wbr", "nobr", "center", "acronym"})
_WITHIN_TEXT = frozenset({"script", "style", "noscript", "svg", "math", "input", "button", "link", "meta", "map"})
"""What is left out of a paragraph without parting it."""
_INLINE = _MARKS | _SEE_THROUGH | {"br", "img"}
_LONE_BREAKS = 3
"""So many single breaks in a run of bare text, and no double one, part paragraphs too."""


@dataclass(frozen=True)
class Picture:
    """An image of a page: its address as written there, and what is said about it."""

    url: str
    alt: str = ""
    caption: str = ""
    link: str = ""
    is_cover: bool = False


@dataclass(frozen=True)
class Block:
    """One block, detached from its page."""

    tag: str
    """`p h2 h3 ul ol blockquote pre`, or `figure` and `date`, which carry only their own field."""
    element: HtmlElement
    text: str = ""
    """Plain text on one line."""
    level: int = 0
    """Of a heading in its page: 1 to 6."""
    link: str = ""
    """Of a heading that is a link or has one: the address as written."""
    picture: Picture | None = None
    date: dt.datetime | None = None


def parse_html(text: str) -> HtmlElement:
    """The page's tree. Broken and empty pages give a tree too."""
    parser = lxml_html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=False)
    return lxml_html.document_fromstring(text.encode("utf-8", "replace").strip() or b"<html></html>", parser=parser)


def to_blocks(roots: Iterable[HtmlElement], *, with_pictures: bool = False) -> list[Block]:
    """The blocks of some parts of a page, in their order, without boxes that are no part of a story."""
    walk = _Walk(with_pictures=with_pictures)
    for root in roots:
        walk.enter(root)
        walk.flush()
    return walk.blocks


class _Walk:
    """Goes through a tree, gathering inline pieces into the paragraph that is open."""

    def __init__(self, *, with_pictures: bool) -> None:
        self.blocks: list[Block] = []
        self._with_pictures = with_pictures
        self._open: HtmlElement | None = None
        self._last: HtmlElement | None = None
        self._heading: tuple[str, int, str] | None = None
        self._link = ""
        self._words: list[str] = []
        """Text of the open paragraph that is not in its tree yet: joined once, however many pieces it comes in."""

    def enter(self, element: HtmlElement) -> None:
        """Take all that is in an element."""
        self._text(element.text)
        for child in element:
            self._child(child)
            self._text(child.tail)

    def flush(self, *, is_paragraph: bool = False) -> None:
        """Close the open paragraph or heading."""
        self._settle()
        run, self._open, self._last = self._open, None, None
        if run is None:
            return
        tag, level, link = self._heading or ("p", 0, "")
        for piece in _parted(run, is_paragraph=is_paragraph or bool(level)):
            text = plain(str(piece.text_content()))
            if text:
                piece.tag = tag
                self.blocks.append(Block(tag, piece, text, level, link or _first_link(piece) if level else ""))

    def _child(self, child: HtmlElement) -> None:
        tag = child.tag
        if not isinstance(tag, str):
            return
        if junk.is_box(child):
            if tag not in _INLINE and tag not in _WITHIN_TEXT:
                self.flush()
        elif tag in ("figure", "img") or _has_class(child, "cover-media"):
            self._picture(child)
        elif tag == "time" or (tag == "span" and _has_class(child, "date")) or _is_linked_date(child):
            self._date(child)
        elif tag in _SEE_THROUGH and not (child.get("dir") or child.get("lang")):
            self.enter(child)
        elif tag in _INLINE and not _has_blocks(child):
            self._inline(child)
        else:
            self._block(child, tag)

    def _block(self, child: HtmlElement, tag: str) -> None:
        self.flush()
        if tag in HEADINGS or _has_class(child, "pg-title"):
            level = int(tag[1]) if tag in HEADINGS else 1
            self._heading = (HEADINGS.get(tag, "h2"), level, self._link or _first_link(child))
            self.enter(child)
            self.flush()
            self._heading = None
        elif tag in ("ul", "ol", "blockquote", "pre"):
            self._compound(child, tag)
        else:
            self._container(child, tag)

    def _container(self, child: HtmlElement, tag: str) -> None:
        before, self._link = self._link, child.get("href") or self._link
        self.enter(child)
        self.flush(is_paragraph=tag == "p")
        self._link = before

    def _compound(self, child: HtmlElement, tag: str) -> None:
        """A list, a quotation or a preformatted text becomes one block, cleaned of boxes within."""
        if tag in ("ul", "ol") and (_has_headings(child) or (self._with_pictures and _is_listing(child))):
            self.enter(child)
            self.flush()
            return
        whole = lxml_html.Element(tag)
        if tag == "pre":
            whole.text = str(child.text_content())
        for part in child if tag in ("ul", "ol") else [child] if tag == "blockquote" else []:
            inner = to_blocks([part]) if isinstance(part.tag, str) and not junk.is_box(part) else []
            target = whole if tag == "blockquote" or not inner else _sub(whole, "li")
            for block in inner:
                _take(target, block, is_flat=tag != "blockquote" and len(inner) == 1)
        text = plain(" ".join(str(piece) for piece in whole.itertext()))
        if text and not (tag in ("ul", "ol") and _is_menu(whole)):
            self.blocks.append(Block(tag, whole, text))

    def _inline(self, child: HtmlElement) -> None:
        piece = copy.deepcopy(child)
        piece.tail = None
        for inner in list(piece.iterdescendants()):
            if isinstance(inner.tag, str) and junk.is_box(inner) and inner.getparent() is not None:
                inner.drop_tree()
        if self._with_pictures:
            for image in child.iter("img"):
                self._picture(image, link=child.get("href") or "")
        if self._open is None:
            if child.tag == "br" or not str(piece.text_content()).strip():
                return
            self._open = lxml_html.Element("p")
        self._settle()
        self._open.append(piece)
        self._last = piece

    def _text(self, text: str | None) -> None:
        if not text or (self._open is None and not text.strip()):
            return
        if self._open is None:
            self._open = lxml_html.Element("p")
        self._words.append(text)

    def _settle(self) -> None:
        words, self._words = "".join(self._words), []
        if self._open is None or not words:
            return
        # Counting an element's children goes through them all: the last one is remembered.
        if self._last is not None:
            self._last.tail = words
        else:
            self._open.text = words

    def _picture(self, child: HtmlElement, link: str = "") -> None:
        if child.tag != "img":
            self.flush()
        picture = picture_of(child, link or self._link)
        if self._with_pictures and picture:
            self.blocks.append(Block("figure", child, picture.caption, picture=picture))

    def _date(self, child: HtmlElement) -> None:
        date = date_of(child)
        if date is None or self._open is not None:
            self.enter(child)
        elif self._with_pictures:
            self.blocks.append(Block("date", child, date=date))


def picture_of(element: HtmlElement, link: str = "") -> Picture | None:
    """The picture of a figure, a cover or an img; the real address of a lazy one. None where there is no address."""
    images = [element] if element.tag == "img" else list(element.iter("img"))
    for image in images:
        url = (image.get("src") or "").strip() or (image.get("data-src") or "").strip()
        if (image.get("src") or "").startswith("data:"):
            url = (image.get("data-src") or "").strip()
        if url and not _is_pixel(image):
            holder = element.find(".//a") if element.tag != "img" else None
            return Picture(
                url,
                caption(image.get("alt")),
                _caption_of(element),
                link or (holder.get("href") or "" if holder is not None else ""),
                _has_class(element, "cover-media")
                or any(_has_class(up, "cover-media") for up in element.iterancestors()),
            )
    return None


def date_of(element: HtmlElement) -> dt.datetime | None:
    """The instant of a `time` element, or of a date written out."""
    for one in [element, *element.iter("time")]:
        if date := parse_date(one.get("datetime")):
            return date
    return parse_date(plain(str(element.text_content())))


def _caption_of(element: HtmlElement) -> str:
    for path in (".//*[contains(concat(' ', normalize-space(@class), ' '), ' caption ')]", ".//figcaption"):
        for found in element.xpath(path) if element.tag != "img" else []:
            if text := caption(str(found.text_content())):
                return text
    return ""


def _is_pixel(image: HtmlElement) -> bool:
    return any((image.get(side) or "").strip(" px") in ("0", "1") for side in ("width", "height"))


def _has_class(element: HtmlElement, name: str) -> bool:
    return name in (element.get("class") or "").split()


def _has_blocks(element: HtmlElement) -> bool:
    return any(isinstance(inner.tag, str) and inner.tag not in _INLINE for inner in element.iterdescendants())


def _has_headings(element: HtmlElement) -> bool:
    return any(inner.tag in HEADINGS for inner in element.iterdescendants())


def _is_linked_date(element: HtmlElement) -> bool:
    """A date that is a link: on blogs, a post's link to itself."""
    time = element.find(".//time") if element.tag == "a" else None
    return time is not None and str(element.text_content()).strip() == str(time.text_content()).strip()


def _is_listing(element: HtmlElement) -> bool:
    return element.find(".//img") is not None


def _first_link(element: HtmlElement) -> str:
    """The link that an element is in, is, or has first."""
    for one in (element, *element.iterancestors("a"), *element.iter("a")):
        if one.tag == "a" and one.get("href"):
            return str(one.get("href"))
    return ""


def _is_menu(whole: HtmlElement) -> bool:
    """A list of nothing but links, more than one, is a menu or a box of related stories."""
    items = list(whole)
    linked = [plain("".join(str(a.text_content()) for a in item.iter("a"))) for item in items]
    return len(items) > 1 and all(
        text and text == plain(str(item.text_content())) for text, item in zip(linked, items, strict=True)
    )


def _sub(parent: HtmlElement, tag: str) -> HtmlElement:
    child = lxml_html.Element(tag)
    parent.append(child)
    return child


def _take(target: HtmlElement, block: Block, *, is_flat: bool) -> None:
    """Put a block into a list item (its content alone, if it is the only one) or a quotation."""
    if not is_flat:
        target.append(block.element)
        return
    target.text = block.element.text
    target.extend(list(block.element))


def _parted(run: HtmlElement, *, is_paragraph: bool) -> list[HtmlElement]:
    """A run of inline pieces as paragraphs: parted at double breaks, or at single ones if a bare run has no others."""
    breaks = _breaks(run)
    doubles = [group for group in breaks if len(group) > 1]
    if not doubles and not is_paragraph and len(breaks) >= _LONE_BREAKS:
        doubles = breaks
    edges = [group for group in breaks if group[0] == 0 and not (run.text or "").strip()]
    cuts = {at for group in (*doubles, *edges) for at in group}
    pieces = [lxml_html.Element("p")]
    pieces[0].text = run.text
    for at, child in enumerate(list(run)):
        if at in cuts:
            pieces.append(lxml_html.Element("p"))
            pieces[-1].text = child.tail
        else:
            pieces[-1].append(child)
    return pieces


def _breaks(run: HtmlElement) -> list[list[int]]:
    """The groups of `<br>` with nothing but blanks between them, by their places in the run."""
    groups: list[list[int]] = []
    before: HtmlElement | None = None
    for at, child in enumerate(run):
        if child.tag == "br":
            if before is not None and before.tag == "br" and not (before.tail or "").strip():
                groups[-1].append(at)
            else:
                groups.append([at])
        before = child
    return groups
