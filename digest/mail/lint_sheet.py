"""The style sheets of a mail, as far as colours need them: which rules speak of which elements, and how strongly. Pure.

Selectors of names, classes and ids are read, several of them inside each other, too. Whatever else stands in one
(states, attributes, neighbours) is left aside, since it holds for single programs or moments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import tinycss2

READ = frozenset({"color", "background", "background-color", "display", "visibility"})
"""The properties that say what can be read, and in which colours."""
_COMPOUND = re.compile(r"(\*|[a-z][a-z0-9]*)?((?:[.#][-\w]+)*)(:root|:link|:visited)?")
_DARK = re.compile(r"prefers-color-scheme\s*:\s*dark")
_LIGHT = re.compile(r"prefers-color-scheme\s*:\s*light")
_NARROW = re.compile(r"(?:max|min)-(?:device-)?width|print|orientation|hover|resolution")


@dataclass(frozen=True)
class Declared:
    """What one declaration says; its value as it was written."""

    name: str
    value: str
    is_important: bool


@dataclass(frozen=True)
class Simple:
    """One element's part of a selector: `p.muted`."""

    tag: str
    names: frozenset[str]
    """Classes with their dot, ids with their sign."""
    is_root: bool

    def fits(self, tag: str, names: frozenset[str]) -> bool:
        """Whether an element is meant."""
        return (not self.tag or self.tag == tag) and self.names <= names and (not self.is_root or tag == "html")


@dataclass(frozen=True)
class Rule:
    """A rule: whom it means, what it says, and in which palettes."""

    parts: tuple[Simple, ...]
    """The element itself first, then what it stands in, outwards."""
    child: tuple[bool, ...]
    """Between two parts: whether the outer one has to be the parent."""
    declared: tuple[Declared, ...]
    weight: tuple[int, int, int]
    """Specificity (Selectors 4 §17)."""
    in_light: bool
    in_dark: bool


@lru_cache(maxsize=64)
def rules(sheet: str) -> tuple[Rule, ...]:
    """The rules of a style sheet, in order."""
    return tuple(
        _rules(tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True), light=True, dark=True)
    )


@lru_cache(maxsize=2048)
def declared(style: str) -> tuple[Declared, ...]:
    """What an inline style, or the inside of a rule, says of colours."""
    return tuple(_declared(tinycss2.parse_blocks_contents(style, skip_comments=True, skip_whitespace=True)))


def _rules(nodes: Sequence[Any], *, light: bool, dark: bool) -> Iterator[Rule]:
    for node in nodes:
        if node.type == "qualified-rule":
            said = tuple(
                _declared(tinycss2.parse_blocks_contents(node.content, skip_comments=True, skip_whitespace=True))
            )
            for selector in tinycss2.serialize(node.prelude).split(",") if said else ():
                if rule := _rule(selector.strip().lower(), said, light=light, dark=dark):
                    yield rule
        elif node.type == "at-rule" and node.lower_at_keyword == "media" and node.content is not None:
            query = tinycss2.serialize(node.prelude).lower()
            if not _NARROW.search(query):
                inner = tinycss2.parse_rule_list(node.content, skip_comments=True, skip_whitespace=True)
                yield from _rules(
                    inner, light=light and not _DARK.search(query), dark=dark and not _LIGHT.search(query)
                )


def _declared(nodes: Sequence[Any]) -> Iterator[Declared]:
    for node in nodes:
        if node.type == "declaration" and node.lower_name in READ:
            yield Declared(node.lower_name, tinycss2.serialize(node.value).strip().lower(), node.important)


def _rule(selector: str, said: tuple[Declared, ...], *, light: bool, dark: bool) -> Rule | None:
    pieces = re.split(r"(\s*>\s*|\s+)", selector)
    parts = []
    for piece in pieces[::2]:
        match = _COMPOUND.fullmatch(piece)
        if not match or not piece:
            return None
        tag = match[1] if match[1] and match[1] != "*" else ""
        parts.append(Simple(tag, frozenset(re.findall(r"[.#][-\w]+", match[2])), match[3] == ":root"))
    ids = sum(name.startswith("#") for part in parts for name in part.names)
    classes = sum(len(part.names) + part.is_root for part in parts) - ids
    weight = (ids, classes, sum(bool(part.tag) for part in parts))
    child = tuple(">" in between for between in pieces[1::2])
    return Rule(tuple(reversed(parts)), tuple(reversed(child)), said, weight, light, dark)
