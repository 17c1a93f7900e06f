"""What the issue room answers: it was done, or it was refused and why; and what a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from digest.models import IssueState


@dataclass(frozen=True)
class Finding:
    """Something a check has to say about an issue."""

    level: Literal["blocks", "warns"]
    where: str
    """The place, in words an editor knows: `subject`, `story 3: …`."""
    why: str
    fix: str


@dataclass(frozen=True)
class Done:
    """A change was made (or nothing needed changing, and then the revision is the old one)."""

    issue_id: int
    revision: int
    state: IssueState
    note: str = ""
    """A sentence for the person, where there is more to say than "saved"."""


@dataclass(frozen=True)
class Refused:
    """Nothing was changed; `reason` is a sentence for the person who asked."""

    reason: str
    findings: tuple[Finding, ...] = ()
    """The findings that block, where it was they."""
