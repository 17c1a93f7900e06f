"""Whole stories: whatever a post's body is, what comes of it may be sent, says the same twice, and loads nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from digest.mail.kinds import KINDS, ORDINARY, RENDERED, Kind
from digest.mail.lint import lint
from digest.mail.lint_page import Page
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT, IssueView, Rendered, Renderer, of_kind, stories_of
from digest.mail.render_fit import ENCODED_LIMIT, HTML_LIMIT, burden, encoded_size, fitting
from digest.mail.render_story import link, told, words
from subscribers.lifecycle import Format
from tests.mail.render_samples import ENGLISH, HOSTS, PERSIAN, RUSSIAN, TEMPLATES, many

RENDERER = Renderer([TEMPLATES])
FULL = Kind(Format.FULL)
LATIN = "<p>The council met for the third time, and nobody wrote down what it had decided or why it had met.</p>"
ARABIC = "<p>شورا برای سومین بار تشکیل شد و هیچ‌کس ننوشت که چه تصمیمی گرفته شد و چرا تشکیل شده بود.</p>"


def faults(rendered: Rendered) -> tuple[object, ...]:
    return lint(rendered, allowed_hosts=HOSTS)


def with_lead(body: str, view: IssueView = ENGLISH) -> IssueView:
    assert view.lead
    return replace(view, lead=replace(view.lead, body=body))


def full(body: str, view: IssueView = ENGLISH) -> Rendered:
    return RENDERER.renderings(with_lead(body, view))[FULL]


def with_bodies(view: IssueView, body: str) -> IssueView:
    sections = tuple(
        replace(part, stories=tuple(replace(one, body=body) for one in part.stories)) for part in view.sections
    )
    return replace(with_lead(body, view), sections=sections)


def test_a_story_is_told_with_all_its_parts() -> None:
    rendered = full(
        "<p>It began <b>early <i>indeed</i></b> with <a href='https://www.example.org/log'>a <em>log</em></a>.</p>"
        "<h2>The night shift</h2><blockquote><p>“Nobody asked.”</p></blockquote>"
        "<ul><li>a pen</li><li>a lamp<ol><li>its wick</li></ol></li></ul><pre>one\n  two</pre><p>a<br/>b</p>"
    )
    assert faults(rendered) == ()
    page = Page(rendered.html)
    # Slanted pieces and strong ones keep the blanks around them.
    assert "It began early indeed with a log." in page.text
    assert [one.text for one in page.all("a") if one.attributes["href"] == "https://www.example.org/log"] == ["a log"]
    assert [one.tag for one in page.all("h3") if one.text == "The night shift"] == ["h3"]
    assert "\n    “Nobody asked.”\n" in rendered.text
    assert "\n- a pen\n- a lamp\n" in rendered.text
    assert "\n  1. its wick\n" in rendered.text
    assert "\n    one\n      two\n" in rendered.text
    assert "with a log [1].\n" in rendered.text
    assert "\n[1] a log\nhttps://www.example.org/log\n" in rendered.text


def test_headings_of_a_story_stand_under_its_own_and_skip_no_level() -> None:
    levels = [block.level for block in told("<h3>a</h3><p>x</p><h2>b</h2><h3>c</h3><h6>d</h6><h2>e</h2>")]
    assert levels == [1, 0, 1, 2, 3, 1]
    deep = with_bodies(ENGLISH, "<h2>a</h2><h3>b</h3><p>x</p>")
    assert faults(RENDERER.renderings(deep)[FULL]) == ()


def test_pictures_of_a_story_are_left_out_with_their_captions() -> None:
    rendered = full(
        "<figure><img src='https://t.example.net/a.gif'/><figcaption>A bridge</figcaption></figure>"
        "<p>Text <img src='https://t.example.net/1.gif' width='1'/> goes on</p>"
    )
    assert "t.example.net" not in rendered.html + rendered.text
    assert "A bridge" not in rendered.html + rendered.text
    assert "Text goes on" in Page(rendered.html).text


def test_a_link_that_says_only_here_is_named_for_whoever_hears_it() -> None:
    rendered = full("<p>The letter is <a href='https://archive.example.org/l'>here</a>.</p>")
    assert faults(rendered) == ()
    assert 'aria-label="here (archive.example.org)"' in rendered.html


@pytest.mark.parametrize(
    "href",
    ["javascript:alert(1)", "data:text/html,x", "//x.example/", "https://a@b.example/", "https://a b/", "http://[",
     "mailto:a@example.org?bcc=b@example.org", "", "#top"],
)  # fmt: skip
def test_an_address_that_is_no_plain_link_is_not_linked(href: str) -> None:
    assert link(href) == ""
    rendered = full(f"<p>See <a href='{href}'>the page</a>.</p>")
    assert faults(rendered) == ()
    assert "See the page." in Page(rendered.html).text


def test_a_mail_address_is_told_in_the_text_too() -> None:
    text = full("<p>Write to <a href='mailto:a@example.org'>us</a>, a@example.org.</p>").text
    assert "Write to us (a@example.org), a@example.org." in text


SMUGGLED = "@@UNSUB<u>SCRIBE@@</u> @<b>@MANAGE@</b>@ @@MANAGE@@ <a href='https://x.example/@@MANAGE@@'>x y</a>"


@pytest.mark.parametrize("tag", ["p", "h2", "blockquote", "pre"])
def test_no_story_can_ask_for_a_reader_s_link(tag: str) -> None:
    before, after = ENGLISH, full(f"<{tag}>{SMUGGLED}</{tag}>")
    for slot in (UNSUBSCRIBE_SLOT, MANAGE_SLOT):
        plain = RENDERER.issue(before)
        assert (after.html.count(slot), after.text.count(slot)) == (plain.html.count(slot), plain.text.count(slot))


PIECES = [
    *"ab \n.@&;<>\"'=",
    *(
        "<p>",
        "</p>",
        "<b>",
        "<h2>",
        "<h4>",
        "</h4>",
        "<ul><li>",
        "<ol>",
        "<br>",
        "<blockquote>",
        "<pre>",
        "<table><td>",
    ),
    *("<a href=https://x.example/é>", "</a>", "<a href=mailto:a@b>", "<span dir=rtl lang=fa>", "</span>"),
    *("<img src=x>", "<script>", "<svg onload=x>", "<!--", "@@UNSUBSCRIBE@@", "zq1qz", "دنیا", "Ж", "&amp;amp;"),
    *("\x00", "\x85", "\u202e", "\u2068", "\u2028", "\ud800", "x" * 90, "https://x.example/" + "y" * 80),
]


@settings(max_examples=60, deadline=None)
@given(body=st.lists(st.sampled_from(PIECES), max_size=30).map("".join), view=st.sampled_from([ENGLISH, PERSIAN]))
@example(body="<blockquote>" * 300 + "x", view=ENGLISH)
@example(body="<b>" * 300 + "x" + "<ul><li>" * 300 + "y", view=PERSIAN)
@example(body="<li>" + "x" * 200 + "<pre>" + "y" * 200, view=ENGLISH)
def test_whatever_a_body_is_the_mail_may_be_sent(body: str, view: IssueView) -> None:
    rendered = full(body, view)
    assert faults(rendered) == ()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]", rendered.html + rendered.text)


@given(st.text(st.sampled_from("ab <>/p&;"), max_size=80))
def test_what_a_story_says_is_kept(body: str) -> None:
    escaped = body.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert words(told(f"<p>{escaped}</p>")).split() == body.split()


def test_latin_runs_in_a_persian_story_are_set_apart() -> None:
    rendered = full("<p>به گزارش <a href='https://x.example/'>Harbour Review</a> در Velin</p>", PERSIAN)
    assert "<bdi>Harbour Review</bdi></a>" in rendered.html
    assert "<bdi>Velin</bdi>" in rendered.html
    assert "direction:ltr" not in rendered.html
    assert "\u2068Harbour Review\u2069 [۱]" in rendered.text


def test_a_summary_that_the_story_repeats_is_not_told_twice() -> None:
    assert ENGLISH.lead
    repeated = full(f"<p>{ENGLISH.lead.summary}</p><p>And more.</p>")
    assert Page(repeated.html).text.count(ENGLISH.lead.summary) == 1
    apart = full("<p>Another beginning.</p>")
    assert Page(apart.html).text.count(ENGLISH.lead.summary) == 1


def test_a_story_without_a_body_is_told_by_its_summary() -> None:
    rendered = RENDERER.renderings(ENGLISH)
    assert rendered[FULL] == rendered[ORDINARY]
    assert faults(full("<p>Told.</p>")) == ()


@pytest.mark.parametrize(("language", "body"), [("en", LATIN), ("fa", ARABIC)])
def test_as_many_stories_are_whole_as_a_mail_can_hold_and_the_lead_is_the_first(
    language: Literal["en", "fa"], body: str
) -> None:
    view = with_bodies(many(20, language), body * 40)
    rendered = RENDERER.renderings(view)[FULL]
    assert faults(rendered) == ()
    size = len(rendered.html.encode())
    assert size <= HTML_LIMIT
    assert encoded_size(rendered.html.encode()) <= ENCODED_LIMIT
    one_story = len(body.encode()) * 40
    whole = [one.link for one in stories_of(view) if _is_whole(rendered, one.link, body)]
    assert 1 <= len(whole) < 20
    assert whole == [one.link for one in stories_of(view)][: len(whole)]
    # There was no room for another.
    assert burden(rendered.html) + one_story / HTML_LIMIT > 0.94
    links = {one.attributes["href"] for one in Page(rendered.html).all("a")}
    assert {one.link for one in stories_of(view)} <= links


def _is_whole(rendered: Rendered, its_link: str, body: str) -> bool:
    said = rendered.text[: rendered.text.index(f"\n{its_link}\n")].rpartition("https://www.example.org/")[2]
    return " ".join(re.sub("<[^>]*>", "", body).split()[:6]) in " ".join(said.replace("\u2068", "").split())


def test_a_story_that_is_too_long_is_passed_over_and_shorter_ones_follow() -> None:
    assert fitting((50, 900, 0, 40, 10), 0.11) == (0, 3, 4)
    assert fitting((), 1) == ()
    rendered = full(LATIN * 2000)
    assert faults(rendered) == ()
    assert "nobody wrote down" not in rendered.html


@pytest.mark.parametrize("view", [ENGLISH, RUSSIAN, PERSIAN], ids=lambda view: view.language)
def test_every_kind_may_be_sent(view: IssueView) -> None:
    made = RENDERER.renderings(with_bodies(view, LATIN))
    assert tuple(sorted(made)) == tuple(sorted(RENDERED))
    assert [faults(one) for one in made.values()] == [()] * len(RENDERED)
    for kind in KINDS:
        assert bool(of_kind(made, kind).html) is (kind.format is not Format.TEXT)
        assert RENDERER.rendering(with_bodies(view, LATIN), kind) == of_kind(made, kind)


@pytest.mark.parametrize("view", [ENGLISH, RUSSIAN, PERSIAN], ids=lambda view: view.language)
@pytest.mark.parametrize("wanted", [Format.SUMMARIES, Format.FULL])
def test_a_neutral_subject_changes_nothing_but_what_shows_of_a_closed_mail(view: IssueView, wanted: Format) -> None:
    """F-52: what shows is the subject, and the first words, which are the preheader."""
    made = RENDERER.renderings(with_bodies(view, LATIN))
    telling, neutral = made[Kind(wanted)], made[Kind(wanted, is_neutral=True)]
    assert telling.subject == view.subject
    hidden = neutral.text.partition("\n\n")[0]
    shown = " ".join(hidden.split())
    assert neutral.text == f"{hidden}\n\n{telling.text}"
    assert neutral.html.replace(neutral.subject, view.subject).replace(shown, view.preheader, 1) == telling.html
    # An in-box shows the beginning of the text where the preheader is too short.
    assert len(shown) >= 150
    said = f"{neutral.subject} {shown}"
    assert not [word for word in (view.newsletter_title, *view.subject.split()) if len(word) > 4 and word in said]
