"""What the people's side knows of the newsletters; they are declared in the configuration."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


class UnknownNewsletter(LookupError):
    """There is no newsletter of that name."""


@dataclass(frozen=True)
class Sentence:
    """Words and their language, which is not always the newsletter's: where we have none in that, they are English."""

    text: str
    language: str
    direction: str
    """`ltr` or `rtl`"""


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
    """What people agree to; its hash is kept as evidence (O-50), and the words themselves once (`wordings`)."""
    wording_parts: tuple[Sentence, ...] = ()
    """The same in pieces, where not all of it is in the newsletter's language."""
    neutral_subject: Sentence = Sentence("Weekly digest", "en", "ltr")
    """The subject of the mails of those who want it to give nothing away."""

    @property
    def agreed(self) -> tuple[Sentence, ...]:
        """What people agree to, as a page shows it: each piece in its language."""
        return self.wording_parts or (Sentence(self.wording, self.language, self.direction),)

    @property
    def wording_hash(self) -> str:
        """Names the version of the wording."""
        return hashlib.sha256(self.wording.encode()).hexdigest()
