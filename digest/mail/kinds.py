"""The kinds of readers: what they chose decides which of an issue's few messages they are sent. Pure.

Three formats and two subjects make six messages of four renderings: who wants text alone is sent the text part of the
summaries.
"""

from __future__ import annotations

from typing import NamedTuple

from subscribers.lifecycle import Format


class Kind(NamedTuple):
    """What a reader chose: a value that is equal to `(format, is_neutral)` of a delivery."""

    format: Format = Format.SUMMARIES
    is_neutral: bool = False
    """Subject and preheader give nothing away (F-52)."""

    @property
    def name(self) -> str:
        """How it is named to people: `whole stories, neutral subject`."""
        return f"{_NAMES[self.format]}, neutral subject" if self.is_neutral else _NAMES[self.format]


_NAMES = {Format.SUMMARIES: "summaries", Format.FULL: "whole stories", Format.TEXT: "text only"}

ORDINARY = Kind()
"""What most readers get, and what the archive shows."""
KINDS = tuple(Kind(one, is_neutral) for one in Format for is_neutral in (False, True))
RENDERED = tuple(kind for kind in KINDS if kind.format is not Format.TEXT)
"""The kinds that are rendered and kept."""
