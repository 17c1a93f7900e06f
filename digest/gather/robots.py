"""robots.txt (RFC 9309): whether a site asks robots to leave an address alone. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

LIMIT = 500 * 1024
"""Characters of a robots.txt that are read: RFC 9309 §2.5 asks for 500 KiB at least."""


@dataclass(frozen=True)
class Rules:
    """The allow and disallow lines that are meant for us."""

    lines: tuple[tuple[bool, str], ...] = ()

    def allow(self, url: str) -> bool:
        """Whether the address may be read: the longest rule that matches wins, and allow wins a draw (§2.2.2)."""
        parts = urlsplit(url)
        path = _normal(parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        best = max(
            ((len(pattern), allowed) for allowed, pattern in self.lines if _matches(pattern, path)),
            default=(0, True),
        )
        return best[1]


def parse(text: str, agent: str) -> Rules:
    """The rules for a robot of this name (`WatchdogDigest/0.1` is known as `watchdogdigest`), else those for `*`.

    A text longer than `LIMIT` is read up to there (§2.5).
    """
    name = re.match(r"[A-Za-z_-]*", agent)
    product = (name[0] if name else "").lower()
    groups = _groups(text[:LIMIT], {product, "*"})
    return Rules(tuple(groups.get(product) or groups.get("*") or ()))


def _groups(text: str, wanted: set[str]) -> dict[str, list[tuple[bool, str]]]:
    """The rules of each robot that is wanted; no other's are kept, however many names stand before them."""
    groups: dict[str, list[tuple[bool, str]]] = {}
    agents: set[str] = set()
    in_rules = False
    for line in text.splitlines():
        key, _, value = line.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if key == "user-agent":
            agents = set() if in_rules else agents
            agents |= {value.lower()} & wanted
            in_rules = False
        elif key in ("allow", "disallow"):
            in_rules = True
            for agent in agents:
                # An empty pattern matches nothing: an empty Disallow allows all. It still makes the group known.
                groups.setdefault(agent, []).append((key == "allow", _normal(value)))
    return groups


def _normal(path: str) -> str:
    return quote(unquote(path), safe="/*$?=&;:@!,+~()'%")


def _matches(pattern: str, path: str) -> bool:
    if not pattern:
        return False
    anchored = pattern.endswith("$")
    # Stars are taken one by one from the left, so that a hostile pattern costs no more than its length times the path.
    first, *rest = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    at = len(first)
    for piece in rest[:-1] if anchored and rest else rest:
        found = path.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    if not anchored:
        return True
    return path.endswith(rest[-1]) and len(path) - len(rest[-1]) >= at if rest else at == len(path)
