"""What the linter sees in an HTML part: its elements in order, its text, what it links to and what it would load. Pure.

Outlook reads what stands in conditional comments, so that they are read here too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = re.compile("area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr")
# Attributes whose address is fetched without anybody pressing anything.
LOADING = re.compile(
    "src|srcset|background|poster|data|action|formaction|ping|codebase|classid|archive|manifest|lowsrc|dynsrc|xlink:href|"
    "imagesrcset|icon"
)
_CONDITIONAL = re.compile(r"\[if[^\]]*\]>(.*?)<!\[endif\]", re.DOTALL | re.IGNORECASE)
HIDDEN = re.compile(r"display:none|visibility:hidden|opacity:0(?:\.0*)?(?:;|$)|max-height:0|text-indent:-")
_SIZE = re.compile(r"font(?:-size)?:")
_TINY = re.compile(r"font-size:[0-4](?:\.\d+)?(?:px|pt)|font-size:0(?:;|$)")


@dataclass
class Element:
    """One element: where it starts in the source (in characters), its attributes, and what is read inside it."""

    tag: str
    attributes: dict[str, str]
    offset: int
    hidden: bool = False
    """By its own inline style or by that of something around it."""
    tiny: bool = False
    """Its text would be too small to see; layouts set 0 on a cell against gaps, and a size again on what is inside."""
    words: list[str] = field(default_factory=list)
    alternatives: list[str] = field(default_factory=list)
    """The `alt` texts inside it."""

    @property
    def text(self) -> str:
        """What a reader sees in it, in one line."""
        return " ".join("".join(self.words).split())

    @property
    def name(self) -> str:
        """How a message to people names it."""
        return f"<{self.tag}> {self.text[:40]!r}" if self.text else f"<{self.tag}>"


@dataclass(frozen=True)
class Load:
    """An address that reading the mail would fetch, and the place that asks for it."""

    url: str
    where: str


class Page(HTMLParser):
    """A parsed HTML part."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.loads: list[Load] = []
        self.unbalanced: list[str] = []
        self.seen: list[str] = []
        """The visible text, piece by piece."""
        self._open: list[Element] = []
        self._lines = [0, *(match.end() for match in re.finditer("\n", html))]
        self.feed(html)
        self.close()
        self.unbalanced += [element.name for element in self._open]

    def all(self, *tags: str) -> Iterator[Element]:
        """The elements of these names, in order."""
        return (element for element in self.elements if element.tag in tags)

    @property
    def text(self) -> str:
        """All visible text, blanks collapsed."""
        return " ".join("".join(self.seen).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the element, and what it loads."""
        attributes = {name: value or "" for name, value in attrs}
        line, column = self.getpos()
        around = self._open[-1] if self._open else Element("", {}, 0)
        style = re.sub(r"\s", "", attributes.get("style", "").lower())
        hidden = around.hidden or "hidden" in attributes or bool(HIDDEN.search(style))
        tiny = bool(_TINY.search(style)) if _SIZE.search(style) else around.tiny
        element = Element(tag, attributes, self._lines[line - 1] + column, hidden, tiny)
        self.elements.append(element)
        self.loads.extend(_loads(element))
        for outer in self._open:
            outer.alternatives.append(attributes.get("alt", "") if tag == "img" else "")
        if not VOID.fullmatch(tag):
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element written `<br />`."""
        self.handle_starttag(tag, attrs)
        if not VOID.fullmatch(tag):
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Close the element; what has no beginning, or is closed too late, is noted."""
        if self._open and self._open[-1].tag == tag:
            self._open.pop()
            return
        self.unbalanced.append(f"</{tag}>")
        if any(element.tag == tag for element in self._open):
            while self._open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        """Keep text, with every element that it stands in; the text of a style is read for what it loads."""
        inside = self._open[-1] if self._open else None
        if inside and inside.tag == "style":
            self.loads.extend(css_loads(data, "a <style>"))
            return
        if inside and inside.tag == "title":
            return
        if not (inside and inside.hidden):
            self.seen.append(data)
        for element in self._open:
            element.words.append(data)

    def handle_comment(self, data: str) -> None:
        """Read what only Outlook reads."""
        for match in _CONDITIONAL.finditer(data):
            inner = Page(match[1])
            self.loads += inner.loads
            # Its tables open and close around what other programs read, so that balance means nothing in it.
            self.elements += [Element(one.tag, one.attributes, 0, hidden=True) for one in inner.all("table", "script")]


def _loads(element: Element) -> Iterator[Load]:
    for name, value in element.attributes.items():
        where = f"{name} of <{element.tag}>"
        if name in ("srcset", "imagesrcset"):
            yield from (Load(part.split()[0], where) for part in value.split(",") if part.split())
        elif LOADING.fullmatch(name) or (name == "href" and element.tag not in ("a", "area")):
            yield Load(value, where)
        elif name == "style":
            yield from css_loads(value, where)


def css_loads(css: str, where: str) -> Iterator[Load]:
    """What a piece of CSS would fetch: `url(…)`, `@import` and `image-set(…)`, also when spelt with escapes."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    css = re.sub(r"\\([0-9a-fA-F]{1,6})\s?", lambda match: _character(int(match[1], 16)), css)
    css = re.sub(r"\\(.)", r"\1", css)
    for match in re.finditer(
        r"url\(\s*(?:\"([^\"]*)\"|'([^']*)'|([^)]*))|@import\s*[\"']([^\"']*)", css, re.IGNORECASE
    ):
        yield Load(next(part for part in match.groups() if part is not None).strip(), where)
    for match in re.finditer(r"image-set\(([^)]*)", css, re.IGNORECASE):
        yield from (Load(url, where) for url in re.findall(r"[\"']([^\"']*)[\"']", match[1]))


def _character(number: int) -> str:
    return chr(number) if 0 < number < 0x110000 else "\ufffd"  # noqa: PLR2004 -- the end of Unicode
