"""A contact sheet: every look of an issue on one page, for a wall, an archive, or somebody without the desk. Pure.

The sheet is one file that needs nothing else. Each look is a frame with the mail within, sandboxed: nothing in it runs.
The sheet's own few lines of script only make each frame as tall as its mail.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from digest.mail.looks import Colours, Look, in_look

PHONE, DESKTOP = 390, 680
"""Widths in CSS pixels."""
TALLEST = 6000
"""A mail is cut there: whole stories can be very long."""


@dataclass(frozen=True)
class Tile:
    """One look of the mail, at one width."""

    title: str
    document: str
    width: int


_STYLE = """
body { margin: 0; padding: 32px; background: #e9e7e1; color: #1c1d21; font: 16px/1.5 system-ui, sans-serif }
h1 { margin: 0; font: 600 28px/1.2 Georgia, "Noto Serif", serif }
p { margin: 4px 0 28px; font-size: 18px }
main { display: flex; flex-wrap: wrap; gap: 28px; align-items: flex-start }
figure { margin: 0 }
figcaption { margin-bottom: 8px; font-size: 15px }
iframe, pre { box-sizing: border-box; border: 1px solid #7d7a72; border-radius: 10px; background: #fff }
iframe { display: block }
pre { width: 680px; margin: 0; padding: 20px; font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace }
pre { white-space: pre-wrap; overflow-wrap: anywhere }
"""
_SCRIPT = f"""
addEventListener("load", () => {{
  for (const frame of document.querySelectorAll("iframe")) {{
    frame.height = Math.min(frame.contentDocument.documentElement.scrollHeight, {TALLEST});
  }}
  document.documentElement.dataset.height = document.documentElement.scrollHeight;
}});
"""
LOOKS: tuple[tuple[str, Look, int], ...] = (
    ("Phone, light", Look(Colours.LIGHT), PHONE),
    ("Phone, dark", Look(Colours.DARK), PHONE),
    ("Desktop, light", Look(Colours.LIGHT), DESKTOP),
    ("Desktop, dark", Look(Colours.DARK), DESKTOP),
    ("Phone, colours turned over", Look(Colours.TURNED), PHONE),
    ("Phone, without pictures", Look(Colours.LIGHT, has_images=False), PHONE),
    ("Phone, without style sheets", Look(Colours.LIGHT, has_styles=False), PHONE),
)
"""What is on every sheet, in its order."""


def tiles(document: str) -> tuple[Tile, ...]:
    """A mail in every look."""
    return tuple(Tile(title, in_look(document, look), width) for title, look, width in LOOKS)


def sheet(heading: str, subject: str, shown: Sequence[Tile], text: str, *, language: str, direction: str) -> str:
    """The sheet as one HTML file; the text part stands last."""
    tongue = f'lang="{html.escape(language)}" dir="{html.escape(direction)}"'
    figures = "\n".join(_figure(tile) for tile in shown)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(heading)}</title><style>{_STYLE}</style></head><body>
<h1>{html.escape(heading)}</h1>
<p {tongue}>{html.escape(subject)}</p>
<main>
{figures}
<figure><figcaption>As text</figcaption><pre {tongue}>{html.escape(text)}</pre></figure>
</main>
<script>{_SCRIPT}</script>
</body></html>
"""


def _figure(tile: Tile) -> str:
    # Without `allow-scripts` nothing runs in the frame; `allow-same-origin` lets the sheet see how tall the mail is.
    return (
        f"<figure><figcaption>{html.escape(tile.title)}</figcaption>"
        f'<iframe sandbox="allow-same-origin" referrerpolicy="no-referrer" width="{tile.width}" height="800" '
        f'title="{html.escape(tile.title)}" srcdoc="{html.escape(tile.document)}"></iframe></figure>'
    )
