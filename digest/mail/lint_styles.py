"""Styles and elements that mail programs do not know, by the facts of `programs.toml`. Pure, but for that file."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Literal

import tinycss2
from lxml import html as lxml_html

Kind = Literal["property", "value", "at-rule", "function", "unit", "selector", "element"]
_BLOCKS = frozenset({"function", "() block", "[] block", "{} block"})


@dataclass(frozen=True)
class Thing:
    """Something that not every mail program knows."""

    kind: Kind
    names: tuple[str, ...]
    unknown: tuple[str, ...]
    """The families of programs that do not know it."""
    tested: dt.date
    loses: str = ""
    """What a reader misses there."""
    instead: str = ""
    harmless: str = ""
    """Why it is no finding all the same."""


@dataclass(frozen=True)
class Unknown:
    """A thing that a mail uses; `name` is the one of its names that stands in the mail."""

    name: str
    thing: Thing

    @property
    def said(self) -> str:
        """How people are told of it: `@font-face`, `display:flex`, `var()`."""
        match self.thing.kind:
            case "at-rule":
                return f"@{self.name}"
            case "function":
                return f"{self.name}()"
            case "element":
                return f"<{self.name}>"
            case "unit":
                return f"the unit {self.name}"
            case _:
                return f"{self.name})" if self.name.endswith("(") else self.name


@cache
def things() -> tuple[Thing, ...]:
    """The table."""
    text = resources.files("digest.mail").joinpath("programs.toml").read_text(encoding="utf-8")
    return tuple(
        Thing(**{**row, "names": tuple(row["names"]), "unknown": tuple(row["unknown"])})
        for row in tomllib.loads(text)["thing"]
    )


@lru_cache(maxsize=32)
def unknown(source: str) -> tuple[Unknown, ...]:
    """What an HTML part uses that some programs do not know, in the order of the table; harmless things left out."""
    if not source.strip():
        return ()
    root = lxml_html.document_fromstring(source)
    used: set[tuple[str, str]] = set()
    for style in {element.get("style", "") for element in root.iter("*")} - {""}:
        used |= _of_style(style)
    for sheet in root.iter("style"):
        used |= _of_sheet(sheet.text or "")
    used |= {("element", str(element.tag)) for element in root.iter("*")}
    return tuple(
        Unknown(next(name for name in thing.names if (thing.kind, name) in used), thing)
        for thing in things()
        if not thing.harmless and any((thing.kind, name) in used for name in thing.names)
    )


@lru_cache(maxsize=2048)
def _of_style(style: str) -> frozenset[tuple[str, str]]:
    return frozenset(_declared(tinycss2.parse_blocks_contents(style, skip_comments=True, skip_whitespace=True)))


@lru_cache(maxsize=64)
def _of_sheet(sheet: str) -> frozenset[tuple[str, str]]:
    return frozenset(_ruled(tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True)))


def _ruled(nodes: Sequence[Any]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if node.type == "qualified-rule":
            selector = tinycss2.serialize(node.prelude).lower()
            yield from (("selector", name) for name in re.findall(r"::?[a-z-]+\(?", selector))
            yield from _declared(tinycss2.parse_blocks_contents(node.content, skip_comments=True, skip_whitespace=True))
        elif node.type == "at-rule":
            yield "at-rule", node.lower_at_keyword.removeprefix("-webkit-")
            if node.content is not None:
                inside = tinycss2.parse_blocks_contents(node.content, skip_comments=True, skip_whitespace=True)
                yield from _ruled(inside)
                yield from _declared(inside)


def _declared(nodes: Sequence[Any]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if node.type == "declaration":
            yield "property", node.lower_name
            yield from _valued(node.lower_name, node.value)


def _valued(name: str, value: Sequence[Any]) -> Iterator[tuple[str, str]]:
    for node in value:
        if node.type == "ident":
            yield "value", f"{name}:{node.lower_value}"
        elif node.type == "dimension":
            yield "unit", node.lower_unit
        elif node.type in _BLOCKS:
            if node.type == "function":
                yield "function", node.lower_name
            yield from _valued(name, node.arguments if node.type == "function" else node.content)
