"""What the issue room answers: it was done, or it was refused and why; and what a check found."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import Literal

from digest.issues.codes import FINAL, check_of
from digest.models import IssueState

Level = Literal["blocks", "warns", "overridden"]


@dataclass(frozen=True)
class Remedy:
    """A button that puts a finding right by itself."""

    step: str
    """Where it is asked for, under the issue's own address: `items/17/take`."""
    label: str


@dataclass(frozen=True)
class Difference:
    """A text as it was and as it is, in pieces: each is in both, only in the old one, or only in the new one."""

    label: str
    pieces: tuple[tuple[Literal["same", "gone", "new"], str], ...]


@dataclass(frozen=True)
class Override:
    """That somebody wants an issue out in spite of a finding: its key, and why."""

    key: str
    reason: str


@dataclass(frozen=True)
class Overridden:
    """Who has overridden a finding, when and why."""

    who: str
    at: dt.datetime
    reason: str


@dataclass(frozen=True)
class Finding:
    """Something a check has to say about an issue."""

    level: Level
    """`overridden`: it would block, and a publisher has said why it need not."""
    where: str
    """The place, in words an editor knows: `subject`, `story 3: …`."""
    why: str
    fix: str
    code: str = ""
    """What kind of finding it is, the same for ever: `link-dead`, `F-43`. `codes` lists them."""
    field: str = ""
    """The place on the issue's page, an id there: `subject`, `summary-17`, `story-17`."""
    about: str = ""
    """What it is about, letter by letter: a summary's text, a link. Another one makes it another finding."""
    remedies: tuple[Remedy, ...] = ()
    differences: tuple[Difference, ...] = ()
    overridden: Overridden | None = None

    @property
    def key(self) -> str:
        """What an override is of: the code, the place, and what it is about; nothing of what stands around it.

        A story that moves keeps its findings' keys; a text that changes, or a link that answers otherwise, does not.
        """
        told = "\0".join((self.code, self.field or self.where, self.about or self.why))
        return f"{self.code or 'other'}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    @property
    def is_final(self) -> bool:
        """Whether nobody can override it: a mail would break what readers are promised, or could not be sent at all."""
        return self.code in FINAL

    @property
    def matters(self) -> str:
        """Why its check is made at all, in a sentence."""
        check = check_of(self.code)
        return check.matters if check else ""


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
