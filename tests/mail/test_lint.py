"""The linter: each rule finds what it is there for, and nothing in a mail that is right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from digest.mail.lint import Fault, lint
from digest.mail.lint_page import Page, css_loads
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT, Rendered, Renderer
from digest.mail.render_fit import ENCODED_LIMIT, HTML_LIMIT
from tests.mail.render_samples import ENGLISH, HOSTS, TEMPLATES, many

GOOD = Renderer([TEMPLATES]).issue(ENGLISH)


def faults(rendered: Rendered) -> tuple[Fault, ...]:
    return lint(rendered, allowed_hosts=HOSTS)


def with_body(markup: str) -> Rendered:
    """The good issue with one more piece of markup at its end."""
    assert GOOD.html.count("</body>") == 1
    return replace(GOOD, html=GOOD.html.replace("</body>", f"{markup}</body>"))


def only(found: tuple[Fault, ...]) -> Fault:
    assert len(found) == 1, found
    assert all((found[0].where, found[0].why, found[0].fix))
    return found[0]


def test_a_good_issue_has_no_fault() -> None:
    assert faults(GOOD) == ()


@pytest.mark.parametrize(
    "markup",
    [
        '<img alt="" src="https://evil.example/a.png">',
        '<img alt="" src="//evil.example/a.png">',
        '<img alt="" src="https://images.example.org@evil.example/a.png">',
        '<img alt="" src="https://evil.example\\@images.example.org/a.png">',
        '<img alt="" src="https://images.example.org/a.png" srcset="https://evil.example/b.png 2x">',
        '<img alt="" src="data:image/png;base64,AAAA">',
        '<img alt="" src="relative.png">',
        '<img alt="" src="http://[broken/a.png">',
        '<table role="presentation" background="https://evil.example/a.png"></table>',
        '<p style="background:url(https://evil.example/a.png)">a</p>',
        "<p style=\"background:url('https://evil.example/a.png')\">a</p>",
        '<p style="background:u\\72l(https://evil.example/a.png)">a</p>',
        '<p style="background:url/**/(https://evil.example/a.png)">a</p>',
        '<p style="background:image-set(&quot;https://evil.example/a.png&quot; 1x)">a</p>',
        '<style>@import "https://evil.example/a.css";</style>',
        "<style>@import url(https://evil.example/a.css);</style>",
        "<style>@font-face{font-family:a;src:url(https://evil.example/a.woff2)}</style>",
        "<!--[if mso]><img src='https://evil.example/a.png'><![endif]-->",
        '<!--[if mso]><v:fill src="https://evil.example/a.png"/><![endif]-->',
        '<a href="https://ok.example/" ping="https://evil.example/">a story</a>',
    ],
)
def test_nothing_may_be_loaded_from_elsewhere(markup: str) -> None:
    assert "F-40" in {fault.code for fault in faults(with_body(markup))}


def test_what_google_would_be_told_is_a_fault() -> None:
    """Trap T5, as the linter sees it."""
    markup = '<link href="https://fonts.googleapis.com/css?family=Ubuntu" rel="stylesheet" type="text/css">'
    assert {fault.code for fault in faults(with_body(markup))} == {"F-40", "F-51"}


def test_images_of_an_allowed_host_are_no_fault() -> None:
    assert faults(with_body('<img alt="a" src="https://IMAGES.example.org/a.png">')) == ()
    assert "F-40" in {fault.code for fault in lint(GOOD, allowed_hosts=frozenset())}


@pytest.mark.parametrize(
    "markup",
    [
        '<img alt="" src="https://images.example.org/a.gif" width="1" height="1">',
        '<img alt="" src="https://images.example.org/a.gif" style="width:1px;height:1px">',
        '<img alt="" src="https://images.example.org/a.gif" style="display:none">',
        '<img alt="" src="https://images.example.org/a.gif" height="0">',
        '<div style="opacity:0"><img alt="" src="https://images.example.org/a.gif"></div>',
    ],
)
def test_a_tracking_pixel_is_found_even_on_an_allowed_host(markup: str) -> None:
    assert only(faults(with_body(markup))).code == "F-41"


@pytest.mark.parametrize(
    "href", ["javascript:alert(1)", "data:text/html,x", "/relative", "//host/x", "ftp://a.example/", ""]
)
def test_a_link_leads_to_a_web_address(href: str) -> None:
    found = faults(with_body(f'<a href="{href}">a story with a name</a>'))
    assert {"F-40"} <= {fault.code for fault in found} <= {"F-40", "F-02"}


@pytest.mark.parametrize(
    "markup",
    [
        "<script>1</script>",
        "<form></form>",
        "<iframe></iframe>",
        "<object></object>",
        "<svg></svg>",
        "<picture></picture>",
        "<video></video>",
        "<input>",
        '<meta http-equiv="refresh" content="0;https://evil.example/">',
        '<p onclick="x()">a</p>',
        "<!--[if mso]><script>1</script><![endif]-->",
    ],
)
def test_what_mail_programs_forbid_is_a_fault(markup: str) -> None:
    assert only(faults(with_body(markup))).code == "F-51"


@pytest.mark.parametrize("markup", ["<p>a", "a</p>", "<b><i>a</b></i>"])
def test_markup_that_is_not_closed_is_a_fault(markup: str) -> None:
    assert "F-50" in {fault.code for fault in faults(with_body(markup))}


@pytest.mark.parametrize(
    "markup",
    [
        '<img src="https://images.example.org/a.png">',
        "<table><tr><td>a</td></tr></table>",
        "<!--[if mso]><table><tr><td><![endif]-->",
        "<h4>Watchdog</h4>",
        '<a href="https://digest.example.org/">Read more …</a>',
        '<a href="https://digest.example.org/">ادامه</a>',
        '<a href="https://digest.example.org/"></a>',
        '<a href="https://digest.example.org/"><img alt="" src="https://images.example.org/a.png"></a>',
        "<h1>Watchdog</h1>",
        "<h2> </h2>",
    ],
)
def test_what_shuts_readers_out_is_a_fault(markup: str) -> None:
    assert only(faults(with_body(markup))).code == "F-49"


def test_a_linked_picture_is_named_by_its_description() -> None:
    linked = '<a href="https://digest.example.org/"><img alt="The form" src="https://images.example.org/a.png"></a>'
    assert faults(with_body(linked)) == ()


@pytest.mark.parametrize("mark", ['lang="en" ', 'dir="ltr" '])
def test_language_and_direction_must_be_said(mark: str) -> None:
    assert GOOD.html.startswith('<!doctype html><html lang="en" dir="ltr" ')
    assert only(faults(replace(GOOD, html=GOOD.html.replace(mark, "", 1)))).code == "F-49"


def test_an_issue_that_is_too_big_is_a_fault() -> None:
    assert only(faults(with_body(f"<p>{'word ' * 16_000}</p>"))).code == "F-43"
    cyrillic = "слово " * 6_500
    raw = with_body(f"<p>{cyrillic}</p>").html.encode()
    assert len(raw) < HTML_LIMIT < ENCODED_LIMIT
    assert "encoded" in only(faults(with_body(f"<p>{cyrillic}</p>"))).why


def test_forty_stories_have_no_fault() -> None:
    renderer = Renderer([TEMPLATES])
    assert faults(renderer.issue(many(40))) == ()
    assert faults(renderer.issue(many(40, "fa"))) == ()


@pytest.mark.parametrize(
    ("character", "code"), [("\x00", "F-06"), ("\x0b", "F-06"), ("\x92", "F-43"), ("\x7f", "F-06")]
)
def test_control_characters_are_faults_in_either_part(character: str, code: str) -> None:
    assert code in {fault.code for fault in faults(with_body(f"<p>{character}</p>"))}
    assert code in {fault.code for fault in faults(replace(GOOD, text=GOOD.text + character))}


def test_a_placeholder_that_was_not_filled_is_a_fault() -> None:
    assert only(faults(with_body("<p>zq12qz</p>"))).code == "F-50"
    assert faults(replace(with_body("<p>zq12qz</p>"), text=f"{GOOD.text}\nzq12qz\n")) == ()


def test_both_unsubscribe_links_are_needed_and_must_be_seen() -> None:
    link = f'href="{UNSUBSCRIBE_SLOT}" style="'
    assert GOOD.html.count(link) == 2
    hidden = replace(GOOD, html=GOOD.html.replace(link, f"{link}display:none;", 1))
    assert only(faults(hidden)).code == "F-44"
    tiny = replace(GOOD, html=GOOD.html.replace(link, f"{link}font-size:1px;", 1))
    assert only(faults(tiny)).code == "F-44"
    late = replace(GOOD, html=GOOD.html.replace("<h1", f"<!--{'x' * 13_000}--><h1"))
    assert only(faults(late)).code == "F-44"


@pytest.mark.parametrize("slot", [UNSUBSCRIBE_SLOT, MANAGE_SLOT])
def test_a_readers_places_stand_where_they_belong_and_nowhere_else(slot: str) -> None:
    other = "https://digest.example.org/"
    assert {fault.code for fault in faults(replace(GOOD, html=GOOD.html.replace(slot, other)))} >= {"F-44"}
    assert {fault.code for fault in faults(replace(GOOD, text=GOOD.text.replace(slot, other)))} >= {"F-04"}
    assert only(faults(with_body(f"<p>{slot}</p>"))).code == "F-41"
    assert only(faults(replace(GOOD, text=f"{GOOD.text}\nhere: {slot}\n"))).code == "F-41"
    assert only(faults(replace(GOOD, subject=slot))).code == "F-41"


def test_a_letter_has_no_places_for_a_reader() -> None:
    html = '<html lang="en" dir="ltr"><body><h1>Watchdog</h1></body></html>'
    letter = Rendered("Subject", "Watchdog\n", html)
    assert lint(letter, allowed_hosts=frozenset(), kind="confirm") == ()
    broken = replace(letter, text=f"Watchdog\n\n{MANAGE_SLOT}\n")
    assert "F-41" in {fault.code for fault in lint(broken, allowed_hosts=frozenset(), kind="confirm")}


def test_a_link_in_one_part_alone_is_a_fault() -> None:
    assert only(faults(with_body('<a href="https://www.example.org/more">Another story</a>'))).code == "F-02"
    assert only(faults(replace(GOOD, text=f"{GOOD.text}\nhttps://www.example.org/more\n"))).code == "F-02"
    # An address that a summary spells out is text in both parts, wherever its line happens to break.
    spelt = with_body("<p>They wrote to https://www.example.org/more</p>")
    assert faults(replace(spelt, text=f"{GOOD.text}\nThey wrote to\nhttps://www.example.org/more\n")) == ()


def test_a_headline_in_one_part_alone_is_a_fault() -> None:
    assert only(faults(with_body("<h2>A Story Nobody Told</h2>"))).code == "F-02"


@pytest.mark.parametrize("entity", ["&amp;", "&nbsp;", "&#39;", "&#x27;", "&copy"])
def test_an_entity_in_the_text_part_is_a_fault_unless_the_story_says_it(entity: str) -> None:
    text = f"{GOOD.text}\nTom {entity} Anna\n"
    assert only(faults(replace(GOOD, text=text))).code == "F-04"
    said = with_body(f"<p>Tom {entity.replace('&', '&amp;')} Anna</p>")
    assert faults(replace(said, text=text)) == ()


def test_the_text_part_is_wrapped_and_is_there() -> None:
    assert only(faults(replace(GOOD, text=f"{GOOD.text}\n{'word ' * 20}\n"))).code == "F-04"
    assert "F-04" in {fault.code for fault in faults(replace(GOOD, text=" \n"))}


@pytest.mark.parametrize("subject", ["", "two\nlines", "x" * 151])
def test_a_subject_is_one_line_of_some_length(subject: str) -> None:
    assert only(faults(replace(GOOD, subject=subject))).code == "F-16"


def test_a_fault_is_named_once_however_often_it_is_there() -> None:
    assert only(faults(with_body("<script></script>" * 5))).code == "F-51"


def test_css_is_read_through_its_escapes() -> None:
    assert [load.url for load in css_loads(r"a{b:url( 'x.png' )} @IMPORT 'y.css'; c:u\000072l(z)", "here")] == [
        "x.png",
        "y.css",
        "z",
    ]
    assert list(css_loads(r"a{b:'\110000 '}", "here")) == []


def test_text_that_is_not_shown_is_not_text() -> None:
    page = Page('<title>a</title><style>b</style><div style="display: none">c</div><p>d <b>e</b></p>')
    assert page.text == "d e"
