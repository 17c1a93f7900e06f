"""What can be read off the rendered mails: `mail.lint` and its neighbours, in the words of a finding. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from urllib.parse import urlsplit

from digest.issues.outcomes import Finding, Level
from digest.issues.select import SUBJECT_LIMIT
from digest.issues.view import is_home
from digest.mail.kinds import ORDINARY, Kind
from digest.mail.lint import Fault, lint
from digest.mail.lint_colours import Faint, faint
from digest.mail.lint_styles import unknown
from digest.mail.render import IssueView, Rendered, stories_of
from digest.mail.render_fit import HTML_LIMIT
from digest.mail.spam import Score
from digest.settings import Newsletter

SIZE_WARNING = 80_000
"""Bytes of the HTML part from which an editor is warned (F-43)."""
_HTML = re.compile(r"<html\b([^>]*)>", re.IGNORECASE)
_PALETTES = {"light": "the light colours", "dark": "the dark colours", "inverted": "the light colours turned round"}


def of_mails(
    renderings: Mapping[Kind, Rendered], shown: IssueView, newsletter: Newsletter, base_url: str
) -> Iterator[Finding]:
    """What the mail side has to say of each rendering; what is so of the summaries is not said of the others again."""
    ordinary = tuple(_of_mail(renderings[ORDINARY], shown, newsletter, base_url))
    yield from ordinary
    for kind, rendered in renderings.items():
        if kind == ORDINARY:
            continue
        for finding in _of_mail(rendered, shown, newsletter, base_url):
            # How large whole stories may be is decided when they are chosen; an editor need not look after it.
            if finding not in ordinary and finding.level == "blocks":
                yield replace(finding, where=f"{finding.where} ({kind.name})")


def of_score(score: Score) -> Iterator[Finding]:
    """What a spam filter on this machine said of the summaries."""
    if score.score < score.required / 2:
        return
    level = "would call it spam" if score.score >= score.required else "has something against it"
    why = f"SpamAssassin {level}: {score.score:g} points of {score.required:g}. {'; '.join(score.said[:5])}".strip()
    yield Finding(
        "warns", "the mail", why, "See which rules count, and write it otherwise.", "spam-score", about=str(score)
    )


@lru_cache(maxsize=32)
def _faults(rendered: Rendered, hosts: frozenset[str]) -> tuple[Fault, ...]:
    return lint(rendered, allowed_hosts=hosts)


def _of_mail(rendered: Rendered, shown: IssueView, newsletter: Newsletter, base_url: str) -> Iterator[Finding]:
    """What there is to say of the rendered parts; pictures may come from the newsletter's homes alone."""
    urls = [base_url, *(one.image_url for one in stories_of(shown) if is_home(one.image_url, newsletter))]
    hosts = frozenset(host for host in (urlsplit(url).hostname for url in urls) if host)
    for fault in _faults(rendered, hosts):
        # A subject that is missing or too long has been named already, in an editor's words.
        if fault.code != "F-16" or 0 < len(shown.subject) <= SUBJECT_LIMIT:
            yield Finding("blocks", fault.where, _sentence(fault.why), _sentence(fault.fix), fault.code)
    size = len(rendered.html.encode())
    if size > SIZE_WARNING:
        why = f"The mail has {size:,} bytes; beyond {HTML_LIMIT:,} it is not sent."
        yield Finding(
            "warns", "size", why, "Leave out some stories, or shorten their summaries.", "size-near", "stories"
        )
    yield from _of_language(rendered.html, newsletter)
    for colours in faint(rendered.html):
        yield _of_colours(colours)
    for thing in unknown(rendered.html):
        programs = " and ".join(filter(None, (", ".join(thing.thing.unknown[:-1]), thing.thing.unknown[-1])))
        verb = "does" if len(thing.thing.unknown) == 1 else "do"
        why = f"{programs} {verb} not know {thing.said}: {thing.thing.loses}."
        fix = f"{thing.thing.instead} (Tested {thing.thing.tested:%B %Y}.)"
        yield Finding("warns", "the templates", why, fix, "css-unknown", about=thing.said)


def _of_language(source: str, newsletter: Newsletter) -> Iterator[Finding]:
    """Both as the newsletter's are; where one is missing altogether, the mail's own rules say so (F-49)."""
    if not (root := _HTML.search(source)):
        return
    fix = "Mend the template: it has the newsletter's own as `language` and `direction`."
    for name, code, wanted in (("lang", "language", newsletter.language), ("dir", "direction", newsletter.direction)):
        match = re.search(rf"\b{name}=\"([^\"]*)\"", root[1])
        said = match[1] if match else ""
        if said not in ("", "und", "auto") and said.lower() != wanted.lower():
            why = f"Its {name} is {said!r}, and the newsletter's is {wanted!r}."
            yield Finding("blocks", "<html>", why, fix, code, about=said)
    if newsletter.direction == "rtl" and re.search(r"direction:\s*ltr", source):
        why = "A part of it is set to run from left to right (F-48)."
        yield Finding(
            "blocks", "the templates", why, "Take `direction:ltr` out; `<bdi>` sets a name apart.", "direction"
        )


def _of_colours(one: Faint) -> Finding:
    palette = _PALETTES[one.palette]
    why = f"“{one.text}” has a contrast of {one.ratio:.1f} to 1 in {palette}: {one.ink.hex} on {one.ground.hex}."
    fix = "Choose colours with at least 4.5 to 1, in email/_base/palette.mjml of the templates."
    # How a program turns colours round is its own affair; the two palettes are ours.
    level: Level = "warns" if one.palette == "inverted" else "blocks"
    about = f"{one.ink.hex}\0{one.ground.hex}"
    return Finding(level, "the templates", why, fix, f"contrast-{one.palette}", about=about)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
