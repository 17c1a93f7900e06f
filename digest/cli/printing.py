"""How commands print. What comes from outside (headlines, addresses, a relay's words) is text, and never more."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from subscribers.characters import steers

WIDEST = 10_000
"""Columns of a table that goes to a file or a pipe: it is as wide as it needs to be, and nothing is folded."""

out = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
"""Standard output. Print to it by `say`, `print_table` and `print_json`."""


def plain(text: str) -> str:
    """A text without the characters that steer a terminal; its lines stay."""
    kept = (char for char in text.expandtabs(4) if char == "\n" or not steers(char))
    return "".join(kept)


def one_line(text: str) -> str:
    """A text for a cell of a table or the middle of a sentence: its lines joined, nothing in it that steers."""
    return " ".join(plain(" ".join(text.splitlines())).split())


def indented(text: str) -> str:
    """A text of several lines, for standing behind a label: what follows the first line is set in."""
    return "\n  ".join(line for line in (one_line(part) for part in text.splitlines()) if line)


def counted(number: int, one: str, several: str = "") -> str:
    """A number with its noun: `1 reader`, `2,000 readers`."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def say(text: str = "") -> None:
    """Print a line for people."""
    out.print(Text(plain(text)))


def print_json(value: Any) -> None:
    """Print a value for programs."""
    out.print_json(json.dumps(value, default=str), indent=2, highlight=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print rows for people. On a terminal long words are folded, so that two addresses never look the same."""
    heads = (Column(Text(name), overflow="fold") for name in columns)
    heading = None if title is None else Text(one_line(title))
    table = Table(*heads, title=heading, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text("" if cell is None else one_line(str(cell))) for cell in row))
    if out.is_terminal:
        out.print(table, soft_wrap=False)
    else:
        wide = Console(width=WIDEST, markup=False, emoji=False, highlight=False, file=io.StringIO())
        wide.print(table)
        # Each line as long as what it says, and not as the longest of the table.
        lines = wide.file.getvalue().splitlines()  # type: ignore[attr-defined] # It is the one from above.
        out.file.write("".join(f"{line.rstrip()}\n" for line in lines))
