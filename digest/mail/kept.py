"""An issue's renderings as its row keeps them, from the freeze on: what was sent, whatever changes afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from digest.mail.kinds import Kind
from digest.mail.render import Rendered
from digest.models import Issue
from subscribers.lifecycle import Format


def keep(issue: Issue, rendered: Mapping[Kind, Rendered]) -> None:
    """Put the renderings of a frozen issue into its row; there is one for each of `kinds.RENDERED`."""
    for kind, one in rendered.items():
        # Whole stories have the subject of the summaries.
        for column, said in zip(_columns(kind), (one.subject, one.text, one.html), strict=True):
            setattr(issue, column, said)


def rendering(issue: Issue, kind: Kind) -> Rendered | None:
    """What a kind of reader is sent of an issue; none where it is not frozen, or was frozen without that kind."""
    subject, text, html = (getattr(issue, column) for column in _columns(kind))
    if html is None:
        return None
    rendered = Rendered(subject or "", text or "", html)
    return replace(rendered, html="") if kind.format is Format.TEXT else rendered


def _columns(kind: Kind) -> tuple[str, str, str]:
    neutral = "_neutral" if kind.is_neutral else ""
    full = "_full" if kind.format is Format.FULL else ""
    return f"rendered{neutral}_subject", f"rendered{neutral}{full}_text", f"rendered{neutral}{full}_html"
