"""The checks by name, the codes of what they find, and which of these nobody can override. Pure.

A code stays what it is for ever: overrides and other programs (`digest check --json`) go by it. Those that begin with
`F-` are the requirements that `mail.lint` and its neighbours read off the mail.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One of the things that are looked at."""

    title: str
    """What is so where it finds nothing: a line of the list of what is fine."""
    matters: str
    """Why it is looked at, in a sentence for an editor."""
    codes: tuple[str, ...]


CHECKS = (
    Check("It has stories", "An empty mail teaches readers not to open the next one.", ("empty", "summary-missing")),
    Check(
        "Subject and preview line have a good length",
        "In-boxes cut what is long, and fill what is short with text of their own.",
        ("subject-missing", "subject-long", "preheader-short", "preheader-long", "F-16"),
    ),
    Check(
        "Nothing waits to be filled in",
        "What is sent cannot be called back, a note to oneself included.",
        ("placeholder", "placeholder-maybe"),
    ),
    Check(
        "It is small enough",
        "Gmail cuts a mail at about 100 KB, and the way out is at its end.",
        ("F-43", "size-near"),
    ),
    Check(
        "No link is dead or leads elsewhere",
        "A reader who meets a dead link does not press the next one.",
        ("link-dead", "link-unreachable", "link-moved"),
    ),
    Check(
        "Nothing is loaded from elsewhere, and nobody is tracked",
        "Whatever is loaded or counted tells a third party who reads this, from where and when.",
        ("F-40", "F-41", "picture-foreign", "link-tracked"),
    ),
    Check(
        "Pictures have words",
        "Readers who do not see a picture, or do not load it, have its description alone.",
        ("alt-missing",),
    ),
    Check(
        "Text and HTML say the same",
        "Some readers have the text part alone, by choice or because images and HTML betray them.",
        ("F-02", "F-04"),
    ),
    Check(
        "Language and direction are right",
        "Screen readers speak, and letters stand, as these two say.",
        ("language", "direction", "script"),
    ),
    Check("Headings and links can be heard", "Who listens to a mail goes by its headings and link texts.", ("F-49",)),
    Check(
        "Colours have contrast, light and dark",
        "Text under 4.5 to 1 is lost in sunlight and to weak eyes (WCAG 1.4.3).",
        ("contrast-light", "contrast-dark", "contrast-inverted"),
    ),
    Check(
        "No story is there twice",
        "The same story twice makes a reader doubt the rest.",
        ("twice-link", "twice-headline", "twice-nearly"),
    ),
    Check("Nothing was in an earlier issue", "Readers have had it already.", ("earlier-post", "earlier-headline")),
    Check(
        "Spam filters have no reason",
        "What looks like junk is filed as junk, and the sender is remembered for it.",
        ("spam-capitals", "spam-marks", "spam-reply", "spam-encoded", "spam-hidden", "spam-score"),
    ),
    Check(
        "Mail programs know its styles",
        "A style that a program does not know is left out there, and what hangs on it falls apart.",
        ("css-unknown",),
    ),
    Check(
        "The sources still say what it says",
        "What was corrected or withdrawn at its source should not go out uncorrected.",
        ("post-edited", "post-withdrawn"),
    ),
    Check(
        "The ways out are there",
        "Who cannot leave with one press reports the mail as spam, and some must leave in a hurry.",
        ("F-44",),
    ),
    Check(
        "The templates made a sound mail",
        "A mail that is broken is shown differently by every program, or by none.",
        ("template", "F-06", "F-50", "F-51"),
    ),
)

FINAL = frozenset(
    {"", "empty", "subject-missing", "subject-long", "template"}
    | {"F-04", "F-06", "F-16", "F-40", "F-41", "F-43", "F-44", "F-50", "F-51"}
)
"""Nobody can override these: a mail that cannot be sent or is cut off, one without a way out, or one that tells on its
readers (DESIGN 6). A finding without a code is somebody else's, and is not overridden either."""

_BY_CODE = {code: check for check in CHECKS for code in check.codes}


def check_of(code: str) -> Check | None:
    """The check whose finding has this code."""
    return _BY_CODE.get(code)
