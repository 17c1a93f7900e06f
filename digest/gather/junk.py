"""What a page has besides its story: boxes known by their marks, lines known by their words. Pure.

The words are those that RFE/RL's publishing system leaves in a page's text; the marks are that system's class names and
the common ones of other sites. A new kind of debris is a new line in one of these lists, and a pair in `tests/corpus`.
"""

from __future__ import annotations

import re

from lxml.html import HtmlElement

TAGS = frozenset(
    {
        *("script", "style", "noscript", "template", "link", "meta", "head", "title", "dialog"),
        *("iframe", "object", "embed", "svg", "math", "audio", "video", "canvas", "map"),
        *("form", "button", "input", "select", "textarea", "nav", "aside", "footer"),
    }
)
_ROLES = frozenset({"navigation", "complementary", "search", "banner", "contentinfo", "dialog", "alert", "toolbar"})


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE | re.DOTALL)


_BOX = _any(
    # Players and embedded things of other sites.
    r"mediareplacer|externalmedia|external-content.*|media-pholder.*|media-download.*|c-mmp.*|c-sticky.*|c-spinner.*",
    r"c-lightbox.*|player.*|wsw__(?:embed|related|promo|audio|video|quiz|poll|gallery|infographic).*|infgraphicsattach",
    r"content-redirect.*|content-advisory.*|quiz.*|poll",
    # Promotions, newsletters, advertising.
    r"(?:[a-z]+[-_])*promo(?:[-_].*)?|newsletter.*|(?:[a-z]+[-_])*subscri(?:be|ption)(?:[-_].*)?|sign-?up.*|donat.*",
    r"advert.*|ad|ads|ad-.*|outbrain.*|taboola.*|undesirable.*",
    # Sharing, comments, other stories.
    r"share(?:[-_].*)?|sharing.*|social.*|follow-.*|comments?(?:[-_].*)?|related(?:[-_].*)?|see-also.*|read-more.*",
    r"recommend.*|widget.*|link-more|link-print|link-function|ctc|ctc-.*",
    # The page's own machinery, and what is hidden.
    r"btn|btn-.*|print-.*|pager.*|paging|pagination.*|load-more.*|breadcrumbs?.*|cookie.*|popup.*|modal.*|overlay.*",
    r"sr-only|visually-hidden|screen-reader.*|hidden|noprint|no-print",
)
_LINE = _any(
    # Players.
    r"please wait|no media source currently available|(?:\d{1,2}:\d{2}(?::\d{2})?\s*)+|play|loading\.*|direct link",
    r"(?:auto\s*)?(?:\d{3,4}p[\s|]*(?:[\d.]+ ?[KMG]B\s*)?)+(?:auto)?|pop-?out player|embed(?: share)?|download",
    r"width px height px",
    r"(?:the (?:code|url)|link) has been copied.*|the width is currently set to.*|photo gallery:?|previous|next",
    r"(?:we are )?sorry,? but this feature is currently not available\.?|click to reveal",
    r"this (?:image|video) contains sensitive content.*",
    # Pagers, access, sharing.
    r"accessibility links|skip to (?:main )?(?:content|navigation|search)|xs|sm|md|lg|xs sm md lg|show more|print",
    r"share(?: on \w+)?|follow us(?: on .{1,30})?|comments?|tags:?|breaking news",
    # Pointers elsewhere that stand alone.
    r"related(?: articles| stories| news)?:?|see also:?|also read:?|read more:?|(?:to find out more, )?click here\.?",
    r"advertisement|sponsored|sign up|subscribe(?: here| now)?\.?",
)
# A short paragraph that begins so points to something else than the story.
_POINTER = _any(
    r"(?:watch|listen|see also|also read|read also|read more|read the full story|related|photo gallery|live briefing"
    r"|subscribe|sign up)\s*(?::|\s[-–—]+\s)\s*\S"
)
_PROMO = _any(
    r"subscribe to (?:rfe/rl.s|our|the|this) .*|to subscribe, .*|download (?:our|the) .{0,30}\bapp\b.*",
    r".*\b(?:in|to) your (?:in-?box|mailbox)\b.{0,60}\b(?:here|subscribe|sign up)\b.{0,20}",
    r".*\b(?:subscribe|sign up|register) (?:here|now|for (?:our|the) .{0,60}newsletter)\b.{0,30}",
    r"follow (?:us|rfe/rl|[\w.]+) on .{0,80}|get (?:your|our|the) .{0,80} (?:newsletter|in-?box)\b.{0,40}",
    r"sign up (?:with your email|for) .*|by (?:submitting|entering) your (?:information|e-?mail).*",
    r"join our .{0,40}forum",
    r"got a story\?.*|for more stories like this.*|this is a breaking news? story.*|more ?: .{5,150}",
    # The notice for readers in Russia, in its parts.
    r"rfe/rl has been declared an .undesirable organi[sz]ation. by the russian government.*",
    r"if you are in russia or the russia-controlled parts of ukraine and hold a russian passport.*",
)
# From here on a page is about other things.
_END = _any(
    r"more news|all of the latest news|(?:the )?latest news|top stories|most (?:popular|read|viewed)|trending",
    r"editors?['’]?s?['’]? picks?|load more|about this (?:blog|newsletter)|blog archive|journalists in trouble",
    r"recommended(?: for you)?|you (?:may|might) also like|back to top|see all news updates.*",
)
# The same, unless the story goes on below: a story may have such a subhead.
_LIKELY_END = _any(r"more (?:on|from) .{1,40}|more [a-z ]{0,20}stories")
_POINTER_LENGTH = 220
_PROMO_LENGTH = 700
_PLACEHOLDER = "please wait"


def is_box(element: HtmlElement) -> bool:
    """Whether an element is by its marks no part of a story: a player, a promotion, a share bar, hidden text."""
    if element.tag in TAGS or element.get("role") in _ROLES or element.get("hidden") is not None:
        return True
    if re.search(r"display:\s*none|visibility:\s*hidden", element.get("style") or "", re.IGNORECASE):
        return True
    return any(_BOX.fullmatch(token) for token in (element.get("class") or "").split())


def is_line(text: str, *, has_link: bool = False) -> bool:
    """Whether a block's text is debris whatever stands around it. `has_link`: there is a link in it."""
    if not text or _LINE.fullmatch(text) or (_is_pointer(text) and (has_link or not _is_sentence(text))):
        return True
    return len(text) <= _PROMO_LENGTH and bool(_PROMO.fullmatch(text))


def _is_pointer(text: str) -> bool:
    return len(text) <= _POINTER_LENGTH and bool(_POINTER.match(text))


def _is_sentence(text: str) -> bool:
    """Whether it ends in a full stop that is not an abbreviation's: titles do not."""
    return bool(re.search(r"(?<!\b[A-Z])\.[\"'”’»)]*$", text))


def is_placeholder(text: str) -> bool:
    """Whether it is a player that waits for its video, with or without the video's title before it."""
    return len(text) <= _POINTER_LENGTH and text.lower().endswith(_PLACEHOLDER)


def pointed_to(text: str) -> str:
    """The title in "WATCH: A Title"; empty for other lines."""
    return text.partition(":")[2].strip() if _is_pointer(text) else ""


def is_end(text: str) -> bool:
    """Whether a short line says that the story is over and something else begins."""
    return bool(_END.fullmatch(text.strip(" :»>"))) or is_likely_end(text)


def is_likely_end(text: str) -> bool:
    """Whether a line that `is_end` may be a subhead as well: what follows it tells."""
    return bool(_LIKELY_END.fullmatch(text.strip(" :»>")))
