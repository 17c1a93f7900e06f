"""A whole story in the text part: paragraphs, quotes and lists in lines that fit, its links numbered below it. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from digest.mail.render_story import Block, Run
from digest.mail.render_text import LINE, Cleaned, clean, underline

_INDENT = "    "


def story_text(blocks: Iterable[Block], numeral: Callable[[int], str]) -> str:
    """The story as plain text; `numeral` writes a number as the mail's language does.

    Each address stands on a line of its own (F-04), so that it can be pressed, and is told once.
    """
    links: dict[str, str] = {}
    told = "\n\n".join(_written(blocks, "", links, numeral))
    notes = "\n".join(f"{_filled(f'[{numeral(number)}] {said}', '', '')}\n{href}"
                      for number, (href, said) in enumerate(links.items(), 1))  # fmt: skip
    # What is no slot in pieces is none in one either (F-41); an address was made harmless when it was read.
    return Cleaned("\n".join(clean_line(line) for line in f"{told}\n\n{notes}".strip().splitlines()))


def clean_line(line: str) -> str:
    """A line cleaned once more as a whole, its indent kept."""
    kept = line.lstrip(" ")
    return " " * (len(line) - len(kept)) + clean(kept) if "@@" in line else line


def _written(
    blocks: Iterable[Block], indent: str, links: dict[str, str], numeral: Callable[[int], str]
) -> Iterator[str]:
    for block in blocks:
        match block.kind:
            case "heading":
                yield underline(block.text, "~")
            case "paragraph":
                yield "\n".join(_filled(line, indent, indent) for line in _line(block.runs, links, numeral).split("\n"))
            case "verbatim":
                yield "\n".join(_filled(line, indent + _INDENT, indent + _INDENT) for line in block.text.split("\n"))
            case "quote":
                yield from _written(block.items[0], indent + _INDENT, links, numeral)
            case _:
                yield "\n".join(_items(block, indent, links, numeral))


def _items(block: Block, indent: str, links: dict[str, str], numeral: Callable[[int], str]) -> Iterator[str]:
    for number, item in enumerate(block.items, 1):
        mark = f"{numeral(number)}. " if block.kind == "numbers" else "- "
        under = indent + " " * len(mark)
        written = "\n\n".join(_written(item, under, links, numeral))
        yield indent + mark + written.removeprefix(under)


def _filled(line: str, first: str, rest: str) -> str:
    """The line wrapped; where something stands before it a word without end is broken, for a line has to fit."""
    return textwrap.fill(
        line, LINE, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False,
        break_long_words=bool(first or line.startswith("[")),
    ) if line else ""  # fmt: skip


def _line(runs: Iterable[Run], links: dict[str, str], numeral: Callable[[int], str]) -> str:
    """The running text of a paragraph, a number behind what is linked."""
    pieces = []
    for href, same in groupby(runs, lambda run: run.href):
        said = "".join("\n" if run.is_break else run.text for run in same)
        pieces.append(said if not href or not said.strip() else _linked(said, href, links, numeral))
    return "".join(pieces).strip()


def _linked(said: str, href: str, links: dict[str, str], numeral: Callable[[int], str]) -> str:
    kept = said.rstrip()
    blank = said[len(kept) :]
    if href.startswith("mailto:"):
        address = href.removeprefix("mailto:")
        return said if address in said else f"{kept} ({address}){blank}"
    links.setdefault(href, " ".join(kept.split()))
    return f"{kept} [{numeral(list(links).index(href) + 1)}]{blank}"
