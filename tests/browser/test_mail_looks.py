"""How the mails look in a real browser: widths, dark colours, contrast, and what is left when programs drop things.

The pictures land in `screenshots/`, for people to look at.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route

from digest.mail.kinds import Kind
from digest.mail.render import IssueView, Renderer
from subscribers.lifecycle import Format
from tests.browser.album import Album
from tests.mail.render_samples import ENGLISH, PERSIAN, RUSSIAN, TEMPLATES

pytestmark = pytest.mark.browser

ISSUES = {"en": ENGLISH, "ru": RUSSIAN, "fa": PERSIAN}
Scheme = Literal["light", "dark"]

# A house at night with one lit window: what every picture of the samples shows.
PICTURE = """<svg xmlns="http://www.w3.org/2000/svg" width="1200" height="800">
<rect width="1200" height="800" fill="#41535f"/><rect x="260" y="260" width="680" height="430" fill="#141c23"/>
<rect x="620" y="330" width="80" height="120" fill="#f1c76b"/><rect y="690" width="1200" height="110" fill="#0f151a"/>
</svg>"""

# Every piece of text that is shown: its colour, what it stands on, its size and its line's height.
TEXTS = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    let around = element;
    while (around && getComputedStyle(around).backgroundColor === 'rgba(0, 0, 0, 0)') around = around.parentElement;
    found.push({
      text, colour: style.color, ground: around ? getComputedStyle(around).backgroundColor : 'rgb(255, 255, 255)',
      size: parseFloat(style.fontSize), line: parseFloat(style.lineHeight) / parseFloat(style.fontSize),
      heading: Boolean(element.closest('h1, h2, h3')),
    });
  }
  return found;
}"""


def opened(browser: Browser, html: str, width: int, scheme: Scheme = "light", *, pictures: bool = True) -> Page:
    """The mail in a window of its own; whatever it asks the network for is answered here, or not at all."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)

    def answer(route: Route) -> None:
        if pictures and route.request.url.startswith("https://images.example.org/"):
            route.fulfill(body=PICTURE, content_type="image/svg+xml")
        else:
            route.abort()

    page.route("**/*", answer)
    page.set_content(html, wait_until="load")
    return page


def rendered(view: IssueView) -> str:
    return Renderer([TEMPLATES]).issue(view).html


STORY = {
    "en": (
        "<p>The hearing began <em>after</em> the last tram had left, and <strong>nobody</strong> had been told of it. "
        "Our colleagues copied the <a href='https://www.example.org/record'>record</a> by hand, page after page.</p>"
        "<h2>Four pages and no witness</h2><blockquote><p>“It was said to be public.”</p></blockquote>"
        "<ul><li>the register of the night shift,</li><li>the order itself.</li></ul><ol><li>One</li><li>Two</li></ol>"
        "<pre>No. 14/b   closed</pre><p>Write to <a href='mailto:desk@example.org'>the desk</a>.</p>"
    ),
    "fa": (
        "<p>جلسه <em>پس از</em> رفتن آخرین قطار آغاز شد و <strong>هیچ‌کس</strong> خبر نداشت. "
        "همکاران ما در Harbour Review "
        "<a href='https://www.example.org/record'>صورت‌جلسه</a> را صفحه به صفحه با دست رونویسی کردند.</p>"
        "<h2>چهار صفحه و هیچ شاهدی</h2><blockquote><p>«گفتند علنی است.»</p></blockquote>"
        "<ul><li>دفتر شیفت شب،</li><li>خود دستور.</li></ul><ol><li>یک</li><li>دو</li></ol>"
    ),
}


def whole(language: str) -> str:
    """An issue for readers who want the whole stories, in every story's text all that a story can have."""
    view = ISSUES[language]
    assert view.lead
    sections = tuple(
        replace(part, stories=tuple(replace(one, body=STORY[one.language or language]) for one in part.stories))
        for part in view.sections
    )
    view = replace(view, lead=replace(view.lead, body=STORY[language]), sections=sections)
    return Renderer([TEMPLATES]).renderings(view)[Kind(Format.FULL)].html


def without_styles(html: str) -> str:
    return re.sub(r"<style.*?</style>", "", html, flags=re.DOTALL)


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def channels(colour: str) -> tuple[float, ...]:
    red, green, blue, *alpha = map(float, re.findall(r"[\d.]+", colour))
    assert alpha in ([], [1.0]), f"{colour} is not opaque"
    return red, green, blue


def luminance(colour: tuple[float, ...]) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [value / 255 for value in colour]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def texts(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(TEXTS)
    assert len(found) > 5
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 600, 1024])
@pytest.mark.parametrize("language", list(ISSUES))
def test_an_issue_fits_at_every_width(
    browser: Browser, album: Album, language: str, width: int, scheme: Scheme
) -> None:
    page = opened(browser, rendered(ISSUES[language]), width, scheme)
    album.keep(page, f"mail-issue-{language}-{scheme}-{width}")
    assert fits(page)
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    column = page.evaluate("document.querySelector('h1').getBoundingClientRect().width")
    assert min(width, 640) - 60 <= column <= 640
    page.close()


@pytest.mark.parametrize("width", [320, 600])
@pytest.mark.parametrize("language", ["en", "fa"])
def test_an_issue_is_readable_without_its_styles(browser: Browser, album: Album, language: str, width: int) -> None:
    """F-46: some programs drop every <style>."""
    page = opened(browser, without_styles(rendered(ISSUES[language])), width)
    album.keep(page, f"mail-issue-{language}-no-styles-{width}")
    assert fits(page)
    assert page.locator("h1").evaluate("element => getComputedStyle(element).fontSize") == "46px"
    assert min(one["size"] for one in texts(page)) >= 14
    page.close()


def test_an_issue_says_all_without_its_pictures(browser: Browser, album: Album) -> None:
    page = opened(browser, rendered(ENGLISH), 320, pictures=False)
    album.keep(page, "mail-issue-en-no-pictures-320")
    assert fits(page)
    assert page.get_by_alt_text("A courthouse with one lit window").count() == 1
    page.close()


@pytest.mark.parametrize("styles", [True, False])
def test_a_word_without_end_does_not_widen_the_page(browser: Browser, *, styles: bool) -> None:
    assert ENGLISH.lead
    endless = "Unbreakable" * 20
    view = replace(ENGLISH, newsletter_title=endless, publisher=endless, introduction=(endless,))
    view = replace(view, lead=replace(ENGLISH.lead, headline=endless, summary=endless, byline=endless))
    html = rendered(view)
    page = opened(browser, html if styles else without_styles(html), 320)
    assert fits(page)
    page.close()


@pytest.mark.parametrize("language", list(ISSUES))
@pytest.mark.parametrize("look", ["light", "dark", "inverted"])
def test_text_stands_out_from_its_ground(browser: Browser, language: str, look: str) -> None:
    """F-47: at least 4.5:1 in the light set, the dark set, and where a program turns the light set round."""
    page = opened(browser, rendered(ISSUES[language]), 600, "dark" if look == "dark" else "light")
    for one in texts(page):
        pair = [channels(one[name]) for name in ("colour", "ground")]
        if look == "inverted":
            pair = [tuple(255 - value for value in colour) for colour in pair]
        assert contrast(*pair) >= 4.5, one
    page.close()


def test_the_dark_set_is_dark(browser: Browser) -> None:
    page = opened(browser, rendered(ENGLISH), 600, "dark")
    assert all(luminance(channels(one["ground"])) < 0.05 for one in texts(page))
    page.close()


@pytest.mark.parametrize("language", list(ISSUES))
def test_text_is_large_enough_and_lines_have_room(browser: Browser, language: str) -> None:
    page = opened(browser, rendered(ISSUES[language]), 600)
    for one in texts(page):
        assert one["size"] >= 14, one
        assert one["line"] >= (1.1 if one["heading"] else 1.4), one
    page.close()


def test_the_ways_out_can_be_hit_with_a_thumb(browser: Browser) -> None:
    page = opened(browser, rendered(ENGLISH), 320)
    heights = page.evaluate("[...document.querySelectorAll('.panel a')].map(a => a.getBoundingClientRect().height)")
    assert len(heights) == 6
    assert min(heights) >= 24
    page.close()


def test_a_right_to_left_issue_is_a_mirror(browser: Browser) -> None:
    """F-48: headlines start at the right edge, pictures stand at the left, a story in English starts at the left."""
    page = opened(browser, rendered(PERSIAN), 600)
    edges = page.evaluate("""() => {
      const edge = (element) => {
        const range = document.createRange(); range.selectNodeContents(element);
        const box = range.getBoundingClientRect(); return [box.left, box.right];
      };
      return {
        title: edge(document.querySelector('h1')),
        english: edge(document.querySelector('div[lang=en] a')),
        float: getComputedStyle(document.querySelector('img[align]')).float,
      };
    }""")
    assert edges["title"][1] == pytest.approx(576, abs=2)
    assert edges["english"][0] == pytest.approx(24, abs=2)
    assert edges["float"] == "left"
    page.close()


LETTERS: dict[str, dict[str, object]] = {
    "confirm": {
        "publisher": ENGLISH.publisher,
        "confirm_url": "https://digest.example.org/confirm/c",
        "never_url": "https://digest.example.org/never/n",
        "hours": 48,
    },
    "already-subscribed": {"publisher": ENGLISH.publisher, "manage_url": "https://digest.example.org/manage/m"},
    "reminder": {
        "issue_name": "watchdog/2026-W47",
        "send_at_local": "Thursday 10:00 (Europe/Prague)",
        "desk_url": "https://digest.example.org/desk/",
        "reasons": ["The blog could not be read."],
    },
    "stopped": {
        "issue_name": "watchdog/2026-W47",
        "stopped_at_local": "2026-11-19 10:04 (Europe/Prague)",
        "accepted": "8,120",
        "audience": "12,400",
        "waiting": "4,277",
        "unknown": "3",
        "report_url": "https://digest.example.org/desk/issues/watchdog/2026-W47/report",
        "desk_url": "https://digest.example.org/desk/issues/watchdog/2026-W47",
        "reasons": ["10 copies in a row were refused alike: 550 5.7.1 Message rejected as unsolicited"],
    },
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "fa"])
@pytest.mark.parametrize("kind", list(LETTERS))
def test_a_letter_is_plain_and_fits(browser: Browser, album: Album, kind: str, language: str, scheme: Scheme) -> None:
    context = {"newsletter_title": "Watchdog", "language": language, "direction": "rtl" if language == "fa" else "ltr"}
    html = Renderer([TEMPLATES]).letter(kind, {**context, **LETTERS[kind]}).html
    page = opened(browser, html, 320, scheme)
    album.keep(page, f"mail-{kind}-{language}-{scheme}-320")
    assert fits(page)
    for one in texts(page):
        colour, ground = channels(one["colour"]), channels(one["ground"])
        assert contrast(colour, ground) >= 4.5, one
        turned = [tuple(255 - value for value in part) for part in (colour, ground)]
        assert contrast(*turned) >= 4.5, one
        assert one["size"] >= 16
    page.close()


@pytest.mark.parametrize("language", list(ISSUES))
def test_axe_finds_nothing_serious(browser: Browser, language: str) -> None:
    """Landmarks are a page's, not a mail's: the program that shows it has them."""
    page = opened(browser, rendered(ISSUES[language]), 600)
    rules = {name: {"enabled": False} for name in ("region", "landmark-one-main", "bypass")}
    results = Axe().run(page, options={"resultTypes": ["violations"], "rules": rules}).response
    assert results["passes"], "axe looked at nothing"
    assert [one["id"] for one in results["violations"] if one["impact"] in ("serious", "critical")] == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 800])
@pytest.mark.parametrize("language", list(STORY))
def test_whole_stories_are_calm_to_read(
    browser: Browser, album: Album, language: str, width: int, scheme: Scheme
) -> None:
    """Lines of no more than some 75 characters, letters of book size, and room between the lines."""
    page = opened(browser, whole(language), width, scheme)
    album.keep(page, f"mail-whole-{language}-{scheme}-{width}")
    assert fits(page)
    paragraph = page.locator("p", has=page.locator("a[href$='record']")).first
    style = "element => { const s = getComputedStyle(element); return [s.fontSize, s.lineHeight].map(parseFloat) }"
    size, line = paragraph.evaluate(style)
    assert size >= 18
    assert line / size >= 1.6
    lines = paragraph.evaluate(f"element => Math.round(element.getBoundingClientRect().height / {line})")
    assert len(paragraph.inner_text()) / lines <= 75
    for one in texts(page):
        assert contrast(channels(one["colour"]), channels(one["ground"])) >= 4.5, one
    page.close()


@pytest.mark.parametrize("language", list(STORY))
def test_whole_stories_are_readable_without_styles_and_by_those_who_hear_them(browser: Browser, language: str) -> None:
    page = opened(browser, without_styles(whole(language)), 375)
    assert fits(page)
    assert min(one["size"] for one in texts(page)) >= 14
    rules = {name: {"enabled": False} for name in ("region", "landmark-one-main", "bypass")}
    found = Axe().run(page, options={"resultTypes": ["violations"], "rules": rules}).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    page.close()
