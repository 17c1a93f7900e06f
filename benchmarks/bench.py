"""Measure the rows and say which fall short: 1 where one does, 2 without tools."""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmarks.experiments import EXPERIMENTS, LONG, Bench, Found
from benchmarks.ground import on_disk
from benchmarks.rows import Measured, NotMeasured, judged, rows
from benchmarks.signing import CannotMeasure
from benchmarks.sizes import FULL, QUICK, Sizes
from benchmarks.table import as_markdown, show
from benchmarks.tools import PLACES, Failed, Missing, find_tools
from digest.cli.logs import set_up_logs

WIDTH = 150
"""Columns of the table where no terminal says how many there are."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; returns the exit code."""
    asked = _parser().parse_args(arguments)
    sizes = QUICK if asked.quick else FULL
    if asked.rounds:
        sizes = replace(sizes, rounds=asked.rounds, long_rounds=asked.rounds)
    set_up_logs(quiet=True)
    try:
        tools = find_tools(PLACES)
    except Missing as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    wanted = [row for row in rows(sizes) if not asked.row or row.name in asked.row]
    place = on_disk(asked.folder)
    busy = _how_busy()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="digest-bench-", dir=place))
        found = _measure(Bench(tools, sizes, Path(folder), stack), {row.name for row in wanted})
    lines = [judged(row, found[row.name]) for row in wanted]
    print(f"{_conditions(sizes)}; {busy}")
    if asked.markdown:
        print(as_markdown(lines))
    else:
        show(lines, Console(width=None if sys.stdout.isatty() else WIDTH))
    return 0 if all(line.is_met for line in lines) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller audiences: under two minutes")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    names = [row.name for row in rows(FULL)]
    parser.add_argument(
        "--row", action="append", choices=names, metavar="NAME", help=f"only this row: {', '.join(names)}"
    )
    parser.add_argument("--rounds", type=int, help="so many rounds of everything")
    parser.add_argument("--folder", type=Path, help="where the databases are kept; a disk, not memory")
    return parser


def _measure(bench: Bench, wanted: set[str]) -> dict[str, list[Measured] | NotMeasured]:
    """Run the experiments that the wanted rows need."""
    found: dict[str, list[Measured] | NotMeasured] = {}
    for experiment, names in EXPERIMENTS.items():
        if wanted.intersection(names):
            found |= _rounds(bench, experiment, names)
    return found


def _rounds(
    bench: Bench, experiment: Callable[[Bench, int], Found], names: Sequence[str]
) -> dict[str, list[Measured] | NotMeasured]:
    rounds = bench.sizes.long_rounds if experiment in LONG else bench.sizes.rounds
    found: list[Found] = []
    try:
        for turn in range(rounds):
            found.append(experiment(bench, turn))
            _progress(f"{experiment.__name__} {turn + 1}/{rounds}", found[-1])
    except (Failed, CannotMeasure) as error:
        # A run that failed spoils its row, however well the others went.
        print(f"{experiment.__name__}: {error}", file=sys.stderr, flush=True)
        return {name: NotMeasured(str(error)) for name in names}
    return {name: [one[name] for one in found] for name in names}


def _progress(what: str, found: Found) -> None:
    figures = "; ".join(f"{name} {one.value:,.2f} ({one.said})" for name, one in found.items())
    print(f"{what}: {figures}", file=sys.stderr, flush=True)


def _conditions(sizes: Sizes) -> str:
    """On what it was measured; nothing that names the machine."""
    cores = len(os.sched_getaffinity(0))
    return (
        f"{sizes.rounds} rounds of {sizes.audience:,} messages, {sizes.long_rounds} of {sizes.large:,}, medians;"
        f" {cores} cores, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.system()};"
        " everything on loopback of one machine, sink and databases included"
    )


def _how_busy() -> str:
    """What else the machine does: that is in every figure too."""
    load = os.getloadavg()[0]
    return f"load before the start {load:.1f}" + (", so others had a share of the cores" if load > 1 else "")
