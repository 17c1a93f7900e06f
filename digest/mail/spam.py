"""What a spam filter on this machine says of a mail: SpamAssassin, by `spamc -R` or `spamassassin -t`.

The filter's own command is run with the mail on its standard input, no shell between, and for a bounded time. It is to
tell nobody else: `spamassassin` is told to use its local tests alone, and spamd has to be started like that (`-L`).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

COMMANDS = {"spamc": ("spamc", "-R"), "spamassassin": ("spamassassin", "-t", "-L")}
"""How each is called; both answer with a report whose first line has the points."""
_POINTS = re.compile(
    r"Content analysis details:\s*\(\s*(-?\d+(?:\.\d+)?) (?:hits|points),\s*(-?\d+(?:\.\d+)?) required\)"
)
_LINE = re.compile(r"^\s*(-?\d+\.\d+)\s+([A-Z][A-Z0-9_]+)\s+(.*)$", re.MULTILINE)
MOST = 12
"""Rules that are kept of a report."""


@dataclass(frozen=True)
class Score:
    """A filter's opinion: `score` points, and from `required` on it is spam."""

    score: float
    required: float
    said: tuple[str, ...] = ()
    """The rules that counted against it, the heaviest first: `2.3 SUBJ_ALL_CAPS Subject is all capitals`."""


@dataclass(frozen=True)
class NoScore:
    """There is none; `reason` is a sentence for an operator."""

    reason: str


def score(mail: bytes, command: Sequence[str], timeout: float) -> Score | NoScore:
    """Have a mail scored. `timeout` is in seconds. Never raises for what the command does."""
    try:
        done = subprocess.run(list(command), input=mail, capture_output=True, timeout=timeout, check=False)  # noqa: S603 -- one of COMMANDS, or a test's.
    except FileNotFoundError:
        return NoScore(f'The command {command[0]} is not on this machine; install it, or set [checks] spam = "off".')
    except subprocess.TimeoutExpired:
        return NoScore(f"{command[0]} did not answer within {timeout:g} seconds ([checks] spam_timeout).")
    except OSError as error:
        return NoScore(f"{command[0]} could not be run: {error.strerror}.")
    return read(done.stdout.decode("utf-8", "replace"), command[0])


def read(report: str, name: str) -> Score | NoScore:
    """The points in a filter's report. Pure."""
    match = _POINTS.search(report)
    if match is None:
        return NoScore(f"{name} gave no report; does its daemon run?")
    rules = [
        (float(points), f"{points} {rule} {' '.join(what.split())}") for points, rule, what in _LINE.findall(report)
    ]
    against = sorted((one for one in rules if one[0] > 0), reverse=True)
    return Score(float(match[1]), float(match[2]), tuple(said for _, said in against[:MOST]))
