"""What the people's side knows of the newsletters; they are declared in the configuration."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


class UnknownNewsletter(LookupError):
    """There is no newsletter of that name."""


@dataclass(frozen=True)
class NewsletterInfo:
    """What the people's side knows of a newsletter."""

    slug: str
    title: str
    description: str
    language: str
    direction: str
    """`ltr` or `rtl`"""
    publisher: str
    wording: str
    """The sentence that people agree to; its hash is kept as evidence (O-50)."""

    @property
    def wording_hash(self) -> str:
        """Names the version of the wording."""
        return hashlib.sha256(self.wording.encode()).hexdigest()
