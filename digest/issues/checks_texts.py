"""What there is to say of an issue's own texts: lengths, what waits to be filled in, what filters dislike. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from digest.issues.outcomes import Finding, Level
from digest.issues.select import PREHEADER_LIMITS, SUBJECT_AIM, SUBJECT_LIMIT
from digest.mail.render import IssueView, stories_of
from digest.models import Issue, Post

# What writers put where something is still to come: "TK", "XXX", a template's braces, a bracketed note to oneself.
_PLACEHOLDER = re.compile(r"\bTK\b|\bXXX+\b|\{\{|\}\}|\[(?:TODO|TBC|TBD)\b[^\]]*\]|\blorem ipsum\b")
_REPLY = re.compile(r"\s*(?:re|fwd?|aw|wg)\s*(?:\[\d+\])?\s*:", re.IGNORECASE)
_MARKS = re.compile(r"[!?！？؟]{3,}|!{2,}|[$€£]{2,}|%\s*(?:off|free)", re.IGNORECASE)
_ENCODED = re.compile(r"=\?[^?\s]*\?[bq]?|\?=\s*=\?", re.IGNORECASE)
_INVISIBLE = re.compile("[\u200b\u2060-\u2064\u180e]")
CAPITALS = 0.7
"""The part of a subject's letters from which on it shouts."""
_SHOUTED = re.compile(r"[^\W\d_]{6,}")
"""A word too long for an abbreviation."""


def of_texts(issue: Issue, shown: IssueView) -> Iterator[Finding]:
    """Subject, preview line and introduction; `shown` is what readers would see of them."""
    if not stories_of(shown):
        yield Finding("blocks", "issue", "There is no story in it.", "Include at least one.", "empty", "stories")
    yield from _of_subject(shown.subject)
    yield from _of_preheader(shown.preheader)
    for where in ("subject", "preheader", "introduction"):
        yield from placeholders(where, where, getattr(issue, where))


def placeholders(where: str, field: str, text: str, post: Post | None = None) -> Iterator[Finding]:
    """What was left to be filled in; where the post itself has the same letters, it may be its own."""
    for marker in dict.fromkeys(match[0] for match in _PLACEHOLDER.finditer(text)):
        own = post is not None and any(marker in part for part in (post.title, post.summary, post.body))
        why = f"It has {marker!r} in it, which looks like a place to be filled in."
        level: Level = "warns" if own else "blocks"
        code = "placeholder-maybe" if own else "placeholder"
        yield Finding(level, where, why, "Fill it in or take it out.", code, field, about=f"{marker}\0{text}")


def _of_subject(subject: str) -> Iterator[Finding]:
    if not subject:
        fix = "Write one; the lead's headline is a good start."
        yield Finding("blocks", "subject", "There is none.", fix, "subject-missing", "subject")
        return
    if len(subject) > SUBJECT_LIMIT:
        why = _long(subject, SUBJECT_LIMIT)
        yield Finding("blocks", "subject", why, "Shorten it.", "subject-long", "subject", subject)
    elif len(subject) > SUBJECT_AIM:
        fix = "In-boxes cut it; shorten it if you can."
        yield Finding("warns", "subject", _long(subject, SUBJECT_AIM), fix, "subject-long", "subject", subject)
    for code, why, fix in _disliked(subject):
        yield Finding("warns", "subject", why, fix, code, "subject", subject)


def _disliked(subject: str) -> Iterator[tuple[str, str, str]]:
    """What spam filters, and people, take for junk."""
    letters = [one for one in subject if one.isalpha() and (one.isupper() or one.islower())]
    shouts = any(word.isupper() for word in _SHOUTED.findall(subject))
    if shouts and sum(one.isupper() for one in letters) > CAPITALS * len(letters):
        yield (
            "spam-capitals",
            "Most of its letters are capitals, which filters and people read as shouting.",
            "Write it as a sentence.",
        )
    if match := _MARKS.search(subject):
        yield "spam-marks", f"{match[0]!r} is what advertising looks like.", "One mark is enough."
    if match := _REPLY.match(subject):
        yield "spam-reply", f"It begins with {match[0].strip()!r}, as if it answered something.", "Begin with the news."
    if _ENCODED.search(subject):
        why = (
            "It has signs in it that mail programs take for an encoded word (RFC 2047) and may show as something else."
        )
        yield "spam-encoded", why, "Take the =? or ?= out."
    if match := _INVISIBLE.search(subject):
        name = unicodedata.name(match[0], f"U+{ord(match[0]):04X}").lower()
        yield (
            "spam-hidden",
            f"It has an invisible character in it ({name}), as those who trick filters use.",
            "Type it anew.",
        )


def _of_preheader(preheader: str) -> Iterator[Finding]:
    low, high = PREHEADER_LIMITS
    if len(preheader) < low:
        why = f"It has {len(preheader)} characters, so that in-boxes fill up with other text."
        fix = f"Name other stories of the issue in {low} to {high} characters."
        yield Finding("warns", "preheader", why, fix, "preheader-short", "preheader", preheader)
    elif len(preheader) > high:
        why = _long(preheader, high)
        yield Finding("warns", "preheader", why, "Shorten it.", "preheader-long", "preheader", preheader)


def _long(text: str, limit: int) -> str:
    return f"It has {len(text)} characters; {limit} are the limit."
