"""The table, for a terminal and as Markdown for the docs. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.rows import Line

HEADINGS = ("what", "goal", "median", "range", "", "of these figures")


def as_markdown(lines: Sequence[Line]) -> str:
    """The table as Markdown."""
    head = ["| " + " | ".join(HEADINGS) + " |", "|" + " --- |" * len(HEADINGS)]
    return "\n".join([*head, *("| " + " | ".join(_cells(line)) + " |" for line in lines)])


def show(lines: Sequence[Line], console: Console) -> None:
    """Print the table for people."""
    table = Table(*HEADINGS, show_lines=True)
    for line in lines:
        table.add_row(*_cells(line), style="" if line.is_met else "bold")
    console.print(table)


def _cells(line: Line) -> tuple[str, ...]:
    return (line.what, line.goal, line.median, line.range, line.verdict, line.said)
