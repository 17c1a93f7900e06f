"""What a rendered mail must not be: the rules of email.md §1.1 and §1.4 that can be read off the mail itself. Pure.

Every fault found here blocks a send. The rules look at the result, whatever template made it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from digest.mail.lint_page import Element, Page
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT, Rendered
from digest.mail.render_fit import ENCODED_LIMIT, HTML_LIMIT, encoded_size
from digest.mail.render_layout import TOKEN
from digest.mail.render_text import LINE, says_nothing

SUBJECT_LIMIT = 150
"""Characters (F-16)."""
TOP = 12_000
"""Characters of HTML within which the first unsubscribe link must stand (F-44)."""

FORBIDDEN = re.compile(
    "script|form|iframe|object|embed|applet|svg|math|picture|video|audio|link|base|input|button|textarea|select|"
    "frame|frameset|noscript|template|dialog|portal"
)
_SLOTS = (UNSUBSCRIBE_SLOT, MANAGE_SLOT)
_UNSENDABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_ENTITY = re.compile(r"&(?:#\d+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);?")
_ISOLATES = re.compile("[\u2066-\u2069]")


@dataclass(frozen=True)
class Fault:
    """One reason not to send: the requirement's id, the place, what is wrong, and what would be right."""

    code: str
    where: str
    why: str
    fix: str


def lint(rendered: Rendered, *, allowed_hosts: frozenset[str], kind: str = "issue") -> tuple[Fault, ...]:
    """All faults of a mail; none means that it may be sent.

    `allowed_hosts` are the hosts that images may come from, in lower case. An issue must have its per-reader places; a
    letter of another `kind` must have none, for nothing would fill them.
    """
    page = Page(rendered.html)
    found = [
        *_subject(rendered.subject),
        *_characters(rendered),
        *_sizes(rendered.html),
        *_elements(page),
        *_loads(page, allowed_hosts),
        *_pixels(page),
        *_links(page),
        *_accessibility(page),
        *_slots(rendered, page, wanted=kind == "issue"),
        *_same(rendered.text, page),
        *_text(rendered.text, page),
    ]
    return tuple(dict.fromkeys(found))


def _subject(subject: str) -> Iterator[Fault]:
    if not subject or len(subject) > SUBJECT_LIMIT or subject.splitlines() != [subject]:
        yield Fault(
            "F-16",
            "the subject",
            f"it has {len(subject)} characters, or more than one line",
            f"write one line of 1 to {SUBJECT_LIMIT} characters",
        )


def _characters(rendered: Rendered) -> Iterator[Fault]:
    for where, text in (("the text part", rendered.text), ("the HTML part", rendered.html)):
        if match := _UNSENDABLE.search(text):
            name = f"U+{ord(match[0]):04X}"
            # The C1 range is what Gmail clips at; the rest may not be in a mail at all.
            code = "F-43" if "\x80" <= match[0] <= "\x9f" else "F-06"
            yield Fault(code, where, f"it has the control character {name}", "leave the character out")
    for token in {match[0] for match in TOKEN.finditer(rendered.html)}:
        # A headline may be about our tokens; then the text part has it too.
        if token not in rendered.text:
            yield Fault("F-50", "the HTML part", f"{token} stands where a value should", "mend the template")


def _sizes(source: str) -> Iterator[Fault]:
    raw = source.encode("utf-8", errors="replace")
    if len(raw) > HTML_LIMIT:
        yield _too_big(f"it has {len(raw):,} bytes; mail programs clip what has more than {HTML_LIMIT:,}")
        return
    encoded = encoded_size(raw)
    if encoded > ENCODED_LIMIT:
        yield _too_big(
            f"it has {encoded:,} bytes when encoded; mail programs clip what has more than {ENCODED_LIMIT:,}"
        )


def _too_big(why: str) -> Fault:
    return Fault("F-43", "the HTML part", why, "leave out some stories, or shorten their summaries")


def _elements(page: Page) -> Iterator[Fault]:
    for element in page.elements:
        if FORBIDDEN.fullmatch(element.tag):
            yield Fault("F-51", element.name, "mail programs drop it or warn of it", "leave the element out")
        if element.tag == "meta" and element.attributes.get("http-equiv", "").lower() == "refresh":
            yield Fault("F-51", element.name, "it would lead the reader away", "leave the element out")
        for name in element.attributes:
            if name.startswith("on"):
                yield Fault("F-51", f"{name} of <{element.tag}>", "it is a script", "leave the attribute out")
    for name in page.unbalanced:
        yield Fault("F-50", name, "the element has no end or no beginning", "close every element that is opened")


def _loads(page: Page, allowed_hosts: frozenset[str]) -> Iterator[Fault]:
    for load in page.loads:
        if (host := _host(load.url)) is None:
            yield Fault(
                "F-40", load.where, f"{load.url[:80]!r} is no plain web address", "name an http or https address"
            )
        elif host not in allowed_hosts:
            yield Fault(
                "F-40",
                load.where,
                f"it is loaded from {host}, which would learn who opens the mail, and when",
                "leave it out, or choose an image of an allowed host",
            )


def _host(url: str) -> str | None:
    """The host of an address that every program reads alike; none for any other."""
    if re.search(r"[\\\s\x00-\x1f\x7f]", url):
        return None
    try:
        parts = urlsplit(url)
        return parts.hostname if parts.scheme in ("http", "https") and "@" not in parts.netloc else None
    except ValueError:
        return None


def _pixels(page: Page) -> Iterator[Fault]:
    for image in page.all("img"):
        style = re.sub(r"\s", "", image.attributes.get("style", "").lower())
        sizes = [image.attributes.get("width", ""), image.attributes.get("height", "")]
        sizes += re.findall(r"(?:^|;)(?:max-)?(?:width|height):([\d.]+)(?:px)?(?=;|!|$)", style)
        if image.hidden or any(re.fullmatch(r"0*[012](?:\.\d*)?(?:px)?", size) for size in sizes):
            yield Fault("F-41", _source(image), "an image that nobody can see is a tracking pixel", "leave it out")


def _source(image: Element) -> str:
    return f"the image {image.attributes.get('src', '')[:80]}"


def _links(page: Page) -> Iterator[Fault]:
    for link in page.all("a", "area"):
        href = link.attributes.get("href", "")
        if href not in _SLOTS and _host(href) is None and not re.fullmatch(r"mailto:[^\s@<>]+@[^\s@<>]+", href):
            yield Fault("F-40", link.name, f"{href[:80]!r} is no plain web address", "link to an http or https address")
        words = link.attributes.get("aria-label") or link.text or " ".join(link.alternatives).strip()
        if says_nothing(words):
            yield Fault(
                "F-49", f"the link to {href[:80]}", f"its text {words!r} does not say where it leads", "name it"
            )


def _accessibility(page: Page) -> Iterator[Fault]:
    for image in page.all("img"):
        if "alt" not in image.attributes:
            yield Fault(
                "F-49", _source(image), "it has no alt attribute", 'describe it, or write alt="" for decoration'
            )
    for table in page.all("table"):
        if table.attributes.get("role") not in ("presentation", "none"):
            yield Fault("F-49", "a <table>", "it is read out as a table of data", 'give it role="presentation"')
    root = next(page.all("html"), None)
    for name in ("lang", "dir"):
        if root is None or root.attributes.get(name, "") in ("", "und", "auto"):
            yield Fault("F-49", "<html>", f"its {name} says nothing", f"set {name} to the newsletter's")
    yield from _headings(list(page.all("h1", "h2", "h3", "h4", "h5", "h6")))


def _headings(headings: list[Element]) -> Iterator[Fault]:
    first = [heading for heading in headings if heading.tag == "h1"]
    if len(first) != 1:
        yield Fault("F-49", "the headings", f"there are {len(first)} <h1>", "have exactly one")
    before = 0
    for heading in headings:
        level = int(heading.tag[1])
        if level > before + 1:
            yield Fault("F-49", heading.name, f"it follows a level {before or 'nothing'}", "skip no level of headings")
        if not heading.text:
            yield Fault("F-49", heading.name, "the heading is empty", "give it words, or leave it out")
        before = level


def _slots(rendered: Rendered, page: Page, *, wanted: bool) -> Iterator[Fault]:
    leave = [
        link
        for link in page.all("a")
        if link.attributes.get("href") == UNSUBSCRIBE_SLOT and not (link.hidden or link.tiny) and link.text
    ]
    if wanted and (len(leave) < 2 or leave[0].offset > TOP):  # noqa: PLR2004 -- one at the top and one in the foot
        yield Fault(
            "F-44", "the HTML part", "an unsubscribe link is missing", "have one near the top and one in the foot"
        )
    lines = [line.strip() for line in rendered.text.splitlines()]
    for slot in _SLOTS:
        links = sum(link.attributes.get("href") == slot for link in page.all("a"))
        if wanted and not links:
            yield Fault("F-44", "the HTML part", f"no link has {slot} as its address", "put the link back")
        if wanted and slot not in lines:
            yield Fault("F-04", "the text part", f"{slot} has no line of its own", "put the line back")
        odd = rendered.html.count(slot) != links or rendered.text.count(slot) != lines.count(slot)
        if odd or slot in rendered.subject or (not wanted and slot in rendered.html + rendered.text):
            yield Fault("F-41", "the mail", f"{slot} stands where it is not a link", "leave it out there")


def _same(text: str, page: Page) -> Iterator[Fault]:
    """F-02: both parts say the same. A line of the text part that is nothing but an address is a link."""
    in_html = {link.attributes.get("href", "") for link in page.all("a")} - {""}
    in_text = {line.strip() for line in text.splitlines() if re.fullmatch(r"\s*(?:https?://\S+|@@[A-Z]+@@)\s*", line)}
    for url in sorted(one for one in in_html - in_text if not one.startswith("mailto:")):
        yield Fault(
            "F-02", "the text part", f"the link {url[:80]} is only in the HTML part", "put it on a line of its own"
        )
    for url in sorted(one for one in in_text - in_html if one not in page.text):
        yield Fault("F-02", "the HTML part", f"the link {url[:80]} is only in the text part", "link to it in both")
    words = _one_line(text)
    for heading in page.all("h1", "h2", "h3"):
        if _one_line(heading.text) not in words:
            yield Fault(
                "F-02", "the text part", f"the heading {heading.text[:60]!r} is missing", "have it in both parts"
            )


def _one_line(text: str) -> str:
    return " ".join(_ISOLATES.sub("", text).split())


def _text(text: str, page: Page) -> Iterator[Fault]:
    if not text.strip():
        yield Fault("F-04", "the text part", "it is empty", "write it by its own template")
    said = page.text + " ".join(link.attributes.get("href", "") for link in page.all("a"))
    for match in _ENTITY.finditer(text):
        # A story may be about entities; what it says of them is then in the HTML part too, as text.
        if html.unescape(match[0]) != match[0] and match[0] not in said:
            yield Fault("F-04", "the text part", f"{match[0]} is an HTML entity", "do not escape text")
    for line in text.splitlines():
        if len(_ISOLATES.sub("", line)) > LINE and " " in line.strip():
            yield Fault("F-04", f"the line {line[:40]!r}", f"it has {len(line)} characters", f"wrap at {LINE}")
