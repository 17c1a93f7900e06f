"""The checks as the issue page shows them: what blocks, what to look at, what is fine; and reasons against. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from digest.issues.checks import Examined
from digest.issues.codes import CHECKS, Check
from digest.issues.outcomes import Finding, Override
from digest.settings import Newsletter
from digest.web.desk.page import local_time
from digest.web.form import Form

BECAUSE = "because-"
"""Begins the name of the field that takes a reason against a finding; the finding's key ends it."""


@dataclass(frozen=True)
class Row:
    """A finding, with what was typed against it."""

    finding: Finding
    because: str = ""
    when: str = ""
    """When it was overridden, on the newsroom's clock."""

    @property
    def place(self) -> str:
        """Where it is, as the beginning of a sentence."""
        return f"{self.finding.where[:1].upper()}{self.finding.where[1:]}"


@dataclass(frozen=True)
class Panel:
    """What `desk/findings.html` uses."""

    blocks: tuple[Row, ...]
    overridden: tuple[Row, ...]
    looks: tuple[Row, ...]
    passed: tuple[Check, ...]
    checks: int
    """How many checks there are."""
    links: int
    unknown: int
    """Links that nobody has asked yet."""
    waiting: int
    """Links that are being asked once more."""
    asked: str
    """When the links were asked, on the newsroom's clock; empty where they were not."""
    unasked: tuple[str, ...]
    """Hosts that are never asked."""

    @property
    def is_stuck(self) -> bool:
        """Whether something blocks that no reason helps against."""
        return any(row.finding.is_final for row in self.blocks)


def panel(examined: Examined, newsletter: Newsletter, reasons: Mapping[str, str]) -> Panel:
    """What the checks say; `reasons` are those that were typed and not taken, by the keys of their findings."""
    rows: dict[str, list[Row]] = {"blocks": [], "overridden": [], "warns": []}
    for finding in examined.findings:
        given = finding.overridden
        when = local_time(given.at, newsletter.timezone) if given else ""
        rows[finding.level].append(Row(finding, reasons.get(finding.key, ""), when))
    asked = examined.asked
    return Panel(
        blocks=tuple(rows["blocks"]),
        overridden=tuple(rows["overridden"]),
        looks=tuple(rows["warns"]),
        passed=examined.passed,
        checks=len(CHECKS),
        links=asked.links,
        unknown=asked.unknown,
        waiting=asked.waiting,
        asked=local_time(asked.since, newsletter.timezone) if asked.since else "",
        unasked=asked.unasked,
    )


def overrides_in(form: Form) -> tuple[Override, ...]:
    """The reasons that a publisher has typed against findings."""
    names = (name for name in form.fields if name.startswith(BECAUSE) and form.line(name))
    return tuple(Override(name.removeprefix(BECAUSE), form.line(name)) for name in names)
