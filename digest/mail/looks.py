"""How readers' mail programs change what they are sent: dark or light, without pictures, without style sheets. Pure.

A preview's frame is sandboxed and cannot be told what its reader prefers, so the document is changed the way a mail
program would: the question in its style sheet is answered, pictures are left out, `<style>` is dropped as Gmail's
mobile web page does (F-46), colours are turned over as Gmail's and Outlook's apps do by themselves (F-47).
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

_DARK = re.compile(r"\(\s*prefers-color-scheme\s*:\s*dark\s*\)")
_STYLE = re.compile(r"<style\b[^>]*>.*?</style\s*>", re.DOTALL | re.IGNORECASE)
_SOURCE = re.compile(r"(<img\b[^>]*?)\ssrc=\"[^\"]*\"", re.IGNORECASE)
_HEAD_ENDS = re.compile(r"</head\s*>", re.IGNORECASE)
# A picture is turned back, as those programs leave pictures alone.
_TURNED = (
    "<style>html{filter:invert(1) hue-rotate(180deg);background:#fff}img{filter:invert(1) hue-rotate(180deg)}</style>"
)


class Colours(enum.StrEnum):
    """Which colours a reader sees."""

    OWN = "own"
    """Whatever the machine that shows it prefers."""
    LIGHT = "light"
    DARK = "dark"
    TURNED = "turned"
    """The light ones turned over by the mail program itself."""


@dataclass(frozen=True)
class Look:
    """How a mail is shown to somebody."""

    colours: Colours = Colours.OWN
    has_images: bool = True
    has_styles: bool = True

    @property
    def name(self) -> str:
        """What people call it: `dark, without pictures`."""
        words = [_NAMES[self.colours], *["without pictures"] * (not self.has_images)]
        return ", ".join([*words, *["without style sheets"] * (not self.has_styles)])


_NAMES = {
    Colours.OWN: "as on this screen",
    Colours.LIGHT: "light",
    Colours.DARK: "dark",
    Colours.TURNED: "colours turned over",
}


def in_look(document: str, look: Look) -> str:
    """The document as somebody sees it in that look."""
    if look.colours is not Colours.OWN:
        answer = "(min-width: 0)" if look.colours is Colours.DARK else "(max-width: 0)"
        document = _DARK.sub(answer, document)
    if not look.has_styles:
        document = _STYLE.sub("", document)
    if not look.has_images:
        document = _SOURCE.sub(r"\1", document)
    # Last, so that it is not taken out with the mail's own.
    return (
        _HEAD_ENDS.sub(lambda end: _TURNED + end[0], document, count=1) if look.colours is Colours.TURNED else document
    )
