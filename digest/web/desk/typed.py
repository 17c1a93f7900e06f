"""What an editor typed, beside what stands: so that nothing typed is lost and nobody is overwritten. Pure.

A page carries with each text field a short mark of the text that it showed. From the mark the server sees which fields
the editor has touched, and, where somebody else has changed the issue meanwhile, which of those were changed by both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from digest.issues.text import length
from digest.web.form import Form

ISSUE_FIELDS = ("subject", "preheader", "introduction")
ITEM_FIELDS = ("headline", "summary", "image_alt", "section")
LABELS = {
    "subject": "Subject",
    "preheader": "Preview line",
    "introduction": "Introduction",
    "headline": "Headline",
    "summary": "Summary",
    "image_alt": "Picture in words",
    "section": "Section",
}
"""What the page calls a field."""


@dataclass(frozen=True)
class Field:
    """A text field as a page shows it."""

    name: str
    value: str
    was: str
    """The mark of the text that stands."""
    stands: str | None = None
    """What stands, where it is not what the editor typed: both are shown."""
    clash: bool = False
    """Whether somebody else has changed it since the editor's page was made."""

    def __len__(self) -> int:
        return length(self.value)


def mark(text: str) -> str:
    """A short mark of a text; white space at the ends of lines makes no difference."""
    lines = (" ".join(line.split()) for line in text.strip().splitlines())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def touched(form: Form, name: str) -> bool:
    """Whether the editor changed this field on their page."""
    return name in form and mark(form.text(name)) != form.text(f"was-{name}")


def clashing(form: Form, standing: Mapping[str, str]) -> tuple[str, ...]:
    """The fields that the editor touched and somebody else has changed since, to something else."""
    return tuple(name for name, field in fields(standing, form).items() if field.clash)


def named(names: Iterable[str]) -> str:
    """Fields by what the page calls them, each once: `Subject, Headline`."""
    return ", ".join(dict.fromkeys(LABELS[name.partition("-")[0]] for name in names))


def fields(standing: Mapping[str, str], form: Form | None) -> dict[str, Field]:
    """Every field by its name: what was typed where it was touched, else what stands."""
    return {name: _field(name, text, form) for name, text in standing.items()}


def written(form: Form) -> tuple[tuple[str, str], ...]:
    """The texts that somebody has written, by what the page calls them: to be copied where they cannot be saved."""
    touched_names = [name for name in form.fields if f"was-{name}" in form and touched(form, name)]
    # A section is chosen and not written.
    texts = [(LABELS.get(name.partition("-")[0]), form.text(name)) for name in touched_names if "section-" not in name]
    return tuple((label, text) for label, text in texts if label and text)


def _field(name: str, stands: str, form: Form | None) -> Field:
    now = mark(stands)
    if form is None or not touched(form, name) or mark(form.text(name)) == now:
        return Field(name, stands, now)
    return Field(name, form.text(name), now, stands, clash=form.text(f"was-{name}") != now)
