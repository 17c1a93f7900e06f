"""Text that cannot be told from its ground: contrast in the light palette, the dark one, and a simple inversion. Pure.

F-47; WCAG 2.2 §1.4.3, with its ratio of 4.5 for text of every size. What is computed is what a browser would show of
the very HTML that is sent: colours and grounds inherited through inline styles, `bgcolor` and its style sheets' rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, NamedTuple

import tinycss2
from lxml import html as lxml_html
from lxml.html import HtmlElement
from tinycss2.color4 import Color, parse_color

from digest.mail.lint_page import HIDDEN
from digest.mail.lint_sheet import Declared, Rule, declared, rules

ENOUGH = 4.5
Palette = Literal["light", "dark", "inverted"]
_SILENT = frozenset({"head", "title", "style", "script", "meta", "link"})


class Colour(NamedTuple):
    """An opaque colour, each part from 0 to 1 (sRGB)."""

    red: float
    green: float
    blue: float

    @property
    def hex(self) -> str:
        """As people write it."""
        return "#" + "".join(f"{round(part * 255):02x}" for part in self)


@dataclass(frozen=True)
class Faint:
    """Text whose contrast is too low; `text` is where it is met first."""

    palette: Palette
    ink: Colour
    ground: Colour
    ratio: float
    text: str


@dataclass(frozen=True)
class _Look:
    ink: Colour
    ground: Colour
    is_hidden: bool = False


@dataclass(frozen=True, eq=False)
class _Place:
    """An element with everything it stands in, and how it looks; elements that stand alike share one."""

    tag: str
    names: frozenset[str]
    around: _Place | None
    light: _Look
    dark: _Look
    within: dict[tuple[object, ...], _Place] = field(default_factory=dict)


WHITE, BLACK = Colour(1.0, 1.0, 1.0), Colour(0.0, 0.0, 0.0)
# What a browser shows of a page that says nothing of colours, and that says it knows dark ones.
_PAPER = _Look(BLACK, WHITE)
_NIGHT = _Look(WHITE, Colour(0.071, 0.071, 0.071))
_INHERITED = frozenset({"inherit", "currentcolor", "unset"})
_LINKS = {"light": "#0000ee", "dark": "#9e9eff"}


@lru_cache(maxsize=32)
def faint(source: str) -> tuple[Faint, ...]:
    """The text that has too little contrast, each pair of colours once a palette; none where all can be read."""
    if not source.strip():
        return ()
    root = lxml_html.document_fromstring(source)
    sheet = tuple(rule for style in root.iter("style") for rule in rules(style.text or ""))
    dark_page = "dark" in "".join(
        meta.get("content", "") for meta in root.iter("meta") if meta.get("name") == "color-scheme"
    )
    start = _Place("", frozenset(), None, _PAPER, _NIGHT if dark_page else _PAPER)
    found: dict[tuple[Palette, Colour, Colour], Faint] = {}
    _walk(root, start, sheet, found)
    return tuple(found.values())


def contrast(one: Colour, other: Colour) -> float:
    """The ratio of two colours' luminances, from 1 to 21 (WCAG 2.2)."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def inverted(colour: Colour) -> Colour:
    """What a program that simply turns colours round makes of one."""
    return Colour(*(1.0 - part for part in colour))


@lru_cache(maxsize=1024)
def _ratio(ink: Colour, ground: Colour) -> float:
    return contrast(ink, ground)


def _luminance(colour: Colour) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]  # noqa: PLR2004
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _walk(
    element: HtmlElement, around: _Place, sheet: tuple[Rule, ...], found: dict[tuple[Palette, Colour, Colour], Faint]
) -> None:
    tag = element.tag
    if not isinstance(tag, str) or tag in _SILENT:
        return
    key = (tag, *map(element.get, ("class", "id", "style", "bgcolor", "color", "hidden")), "href" in element.attrib)
    place = around.within.get(key)
    if place is None:
        place = around.within[key] = _placed(element, tag, around, sheet)
    _judge(element.text, place, found)
    for child in element:
        _walk(child, place, sheet, found)
        _judge(child.tail, place, found)


def _judge(text: str | None, place: _Place, found: dict[tuple[Palette, Colour, Colour], Faint]) -> None:
    if not text or not any(map(str.isalnum, text)):
        return
    seen: tuple[tuple[Palette, _Look], ...] = (
        ("light", place.light),
        ("dark", place.dark),
        ("inverted", place.light),
    )
    for palette, look in seen:
        ink, ground = look.ink, look.ground
        if palette == "inverted":
            ink, ground = inverted(ink), inverted(ground)
        ratio = _ratio(ink, ground)
        if ratio < ENOUGH and not look.is_hidden:
            found.setdefault((palette, ink, ground), Faint(palette, ink, ground, ratio, " ".join(text.split())[:60]))


def _placed(element: HtmlElement, tag: str, around: _Place, sheet: tuple[Rule, ...]) -> _Place:
    names = frozenset(
        [*(f".{name.lower()}" for name in element.get("class", "").split())]
        + [f"#{name.lower()}" for name in element.get("id", "").split()]
    )
    place = _Place(tag, names, around, around.light, around.dark)
    fitting = [(number, rule) for number, rule in enumerate(sheet) if _fits(rule, place)]
    inline = declared(element.get("style", ""))
    looks: dict[str, _Look] = {}
    for palette, look in (("light", around.light), ("dark", around.dark)):
        winners = _winners(element, tag, palette, fitting, inline)
        looks[palette] = _look(winners, look, element)
    return replace(place, light=looks["light"], dark=looks["dark"])


def _fits(rule: Rule, place: _Place) -> bool:
    """Whether a rule speaks of a place; what it stands in is looked for outwards."""
    if not rule.parts[0].fits(place.tag, place.names):
        return False
    here: _Place | None = place.around
    for part, is_child in zip(rule.parts[1:], rule.child, strict=True):
        while here is not None and not part.fits(here.tag, here.names):
            here = None if is_child else here.around
        if here is None:
            return False
        here = here.around
    return True


def _winners(
    element: HtmlElement, tag: str, palette: str, fitting: list[tuple[int, Rule]], inline: tuple[Declared, ...]
) -> dict[str, str]:
    """The value that wins of each property (CSS Cascade 5 §6)."""
    ranked: list[tuple[tuple[object, ...], str, str]] = []
    if tag == "a" and element.get("href") is not None:
        ranked.append(((False, -2), "color", _LINKS[palette]))
    for attribute, name in (("bgcolor", "background-color"), ("color", "color")):
        if value := element.get(attribute):
            ranked.append(((False, -1), name, value.lower()))
    for number, rule in fitting:
        if rule.in_light if palette == "light" else rule.in_dark:
            ranked += [((one.is_important, 0, rule.weight, number), one.name, one.value) for one in rule.declared]
    ranked += [((one.is_important, 1), one.name, one.value) for one in inline]
    # A colour that cannot be read is no declaration at all (CSS Syntax 3 §9); `inherit` is what is around.
    ranked = [one for one in ranked if one[1] != "color" or _parsed(one[2]) or one[2] in _INHERITED]
    ranked.sort(key=lambda one: one[0])
    return {("background-color" if name == "background" else name): value for _, name, value in ranked}


def _look(winners: dict[str, str], around: _Look, element: HtmlElement) -> _Look:
    ground = _over(_ground(winners.get("background-color", "")), around.ground)
    colour = _parsed(winners.get("color", ""))
    ink = _over(colour, ground) if colour else around.ink
    style = "".join(element.get("style", "").lower().split())
    is_hidden = winners.get("display") == "none" or winners.get("visibility") == "hidden" or bool(HIDDEN.search(style))
    return _Look(ink, ground, around.is_hidden or is_hidden or element.get("hidden") is not None)


@lru_cache(maxsize=1024)
def _ground(value: str) -> Color | None:
    """The colour in a background, which may say more than that."""
    if colour := _parsed(value):
        return colour
    parts = (parse_color(node) for node in tinycss2.parse_component_value_list(value) if node.type != "whitespace")
    return next((one for one in parts if isinstance(one, Color)), None)


@lru_cache(maxsize=1024)
def _parsed(value: str) -> Color | None:
    found = parse_color(value)
    return found if isinstance(found, Color) else None


def _over(colour: Color | None, ground: Colour) -> Colour:
    """A colour as it is seen on a ground: one that is half transparent lets it through; none is the ground itself."""
    if colour is None:
        return ground
    try:
        parts = colour.to("srgb").coordinates
    except NotImplementedError:
        return ground
    alpha = float(colour.alpha)
    return Colour(*(alpha * (part or 0.0) + (1 - alpha) * under for part, under in zip(parts, ground, strict=True)))
