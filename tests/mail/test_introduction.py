"""An introduction's small Markdown in both parts of a mail: what it may say, and that nothing typed can do harm."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape

from digest.issues.text import paragraphs
from digest.mail.compose import NOBODY, issue_mailing
from digest.mail.lint import lint
from digest.mail.lint_page import Page
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT, IssueView, Rendered, Renderer
from digest.mail.render_introduction import introduction
from digest.mail.render_story import shown
from digest.settings import Mailbox, Newsletter, Source
from subscribers.tokens import Links
from tests.issues.newsroom import templates
from tests.mail.render_samples import ENGLISH, PERSIAN

RENDERER: Renderer = templates()
HOSTS = frozenset({"images.example.org"})
LINKS = Links("https://digest.example.org", b"k" * 32)
NEWSLETTER = Newsletter(
    slug="watchdog",
    title="Watchdog",
    sender=Mailbox(name="Watchdog", address="digest@example.org"),
    sources=(Source(feed="https://www.example.org/"),),
)


def mail(text: str, view: IssueView = ENGLISH) -> Rendered:
    rendered: Rendered = RENDERER.issue(replace(view, introduction=paragraphs(text)))
    return rendered


def opening(rendered: Rendered) -> str:
    """The introduction's HTML, without its styles."""
    found = re.search(r'<div [^>]*>((?:<(?:p|ul|ol) style="margin:0;font:19px.*?))</div>', rendered.html)
    assert found is not None
    return re.sub(r' style="[^"]*"', "", found[1])


def written(rendered: Rendered) -> str:
    """The introduction in the text part."""
    return rendered.text.partition(f"{UNSUBSCRIBE_SLOT}\n\n")[2].partition("\n\n1. ")[0]


@pytest.mark.parametrize(
    ("text", "html", "plain"),
    [
        ("One.\n\nTwo.", "<p>One.</p><p>Two.</p>", "One.\n\nTwo."),
        ("*Soft* and **strong**.", "<p><em>Soft</em> and <strong>strong</strong>.</p>", "Soft and strong."),
        (
            "See [the record](https://a.example/x_y?a=1&b=2).",
            '<p>See <a href="https://a.example/x_y?a=1&amp;b=2">the record</a>.</p>',
            "See the record [1].\n\n[1] the record\nhttps://a.example/x_y?a=1&b=2",
        ),
        (
            "Write [to us](mailto:desk@example.org)",
            '<p>Write <a href="mailto:desk@example.org">to us</a></p>',
            "Write to us (desk@example.org)",
        ),
        ("So:\n- one\n- *two*", "<p>So:</p><ul><li>one</li><li><em>two</em></li></ul>", "So:\n\n- one\n- two"),
        ("1. one\n2. two", "<ol><li>one</li><li>two</li></ol>", None),
        ("A \\*star\\* stays", "<p>A *star* stays</p>", "A *star* stays"),
    ],
)
def test_what_it_may_say(text: str, html: str, plain: str | None) -> None:
    rendered = mail(text)
    assert opening(rendered) == html
    if plain is not None:
        assert written(rendered) == plain
    assert lint(rendered, allowed_hosts=HOSTS) == ()


@pytest.mark.parametrize(
    "text",
    [
        "<b>Bold</b> & <script>alert(1)</script>",
        "Five * three * two, snake_case_name, &amp; &copy; C:\\temp",
        "# A heading? `code`, ~~gone~~, | a | table |, > quoted, --- and <https://a.example/>",
        "[no link](ftp://a.example/), [nor this](javascript:alert(1)), [nor](/relative), [nor](//a.example/)",
        "[who](https://user:pass@a.example/), [lone], (https://a.example/) https://a.example/",
        "- A lone dash begins a line of speech",
        "1986. It was a year",
    ],
)
def test_what_is_no_markdown_of_ours_looks_as_it_was_typed(text: str) -> None:
    rendered = mail(text)
    assert opening(rendered) == f"<p>{escape(text)}</p>"
    assert " ".join(written(rendered).split()) == text
    assert lint(rendered, allowed_hosts=HOSTS) == ()


def test_right_to_left_keeps_its_order_and_its_digits() -> None:
    rendered = mail("از [گزارش RFE/RL](https://a.example/x) بخوانید\n\n1. یک\n2. دو", PERSIAN)
    assert "<bdi>RFE/RL</bdi>" in opening(rendered)
    assert "list-style-type:persian" in rendered.html
    assert "\nhttps://a.example/x\n" in rendered.text
    assert "۱. یک" in rendered.text
    assert lint(rendered, allowed_hosts=HOSTS) == ()


PIECES = [
    "*", "**", "_", "[", "]", "(", ")", "](https://a.example/", "](mailto:a@b.example)", "\\", "@", "@@",
    UNSUBSCRIBE_SLOT, MANAGE_SLOT, "UNSUBSCRIBE", "MANAGE", "@\\@", "\n", "\n\n", "- ", "1. ", "2. ", "<", ">", "&lt;",
    "zq0qz", "{{ x }}", '"', "word", "واژه", "слово", " ", "\u202e", "\u2067", "\x85", "here", "<!--", "]]>", "x" * 90,
]  # fmt: skip
TYPED = st.lists(st.sampled_from(PIECES), max_size=24).map("".join) | st.text(max_size=200)


@settings(max_examples=200, deadline=None)
@given(TYPED, st.sampled_from([ENGLISH, PERSIAN]))
def test_whatever_is_typed_the_mail_stays_whole(text: str, view: IssueView) -> None:
    bare, rendered = RENDERER.issue(replace(view, introduction=())), mail(text, view)
    assert lint(rendered, allowed_hosts=HOSTS) == ()
    # Nobody can write a reader's own link, whatever it is put together of.
    for slot in (UNSUBSCRIBE_SLOT, MANAGE_SLOT):
        assert rendered.html.count(slot) == bare.html.count(slot)
        assert rendered.text.count(slot) == bare.text.count(slot)
    known = {"ul", "ol", "li", "em", "strong", "bdi", "br"} | {element.tag for element in Page(bare.html).elements}
    assert {element.tag for element in Page(rendered.html).elements} <= known
    # What the strict reader finds fault with is not sent (F-14, T-ALL): it raises.
    made = issue_mailing(
        NEWSLETTER, rendered, LINKS, week="2026-W47", made_at=dt.datetime(2026, 11, 19, 9, tzinfo=dt.UTC), by_hand=True
    )
    assert b"".join(made.copy("reader@example.org", NOBODY, NOBODY))


@given(TYPED)
def test_no_address_but_a_plain_one_becomes_a_link(text: str) -> None:
    for block in introduction(paragraphs(text)):
        for part in [block, *(one for item in block.items for one in item)]:
            for piece in shown(part)["pieces"]:
                assert re.match(r"$|https?://|mailto:", piece["href"])


def test_every_kind_of_reader_is_told_it() -> None:
    for kind, rendered in RENDERER.renderings(replace(ENGLISH, introduction=("So it *is*.",))).items():
        assert "So it <em>is</em>." in rendered.html, kind
        assert "So it is." in rendered.text, kind
