"""Contrast as a browser would show it: inherited, overridden, half transparent, in the dark, turned round."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.mail.lint_colours import BLACK, WHITE, Colour, Faint, contrast, faint, inverted
from digest.mail.render import IssueView, Renderer
from tests.mail.render_samples import ENGLISH, PERSIAN, RUSSIAN, TEMPLATES

PARTS = st.floats(0, 1)
COLOURS = st.builds(Colour, PARTS, PARTS, PARTS)
DARK = "<style>@media (prefers-color-scheme: dark) {{ {} }}</style>"


def found(html: str) -> list[tuple[str, str, str]]:
    return [(one.palette, one.ink.hex, one.ground.hex) for one in faint(f"<html><body>{html}</body></html>")]


@pytest.mark.parametrize("view", [ENGLISH, RUSSIAN, PERSIAN], ids=["en", "ru", "fa"])
def test_our_own_issues_can_be_read_in_every_palette(view: IssueView) -> None:
    for rendered in Renderer([TEMPLATES]).renderings(view).values():
        assert faint(rendered.html) == ()


def test_our_own_issues_are_looked_at_in_both_palettes() -> None:
    html = Renderer([TEMPLATES]).issue(ENGLISH).html
    assert {one.palette for one in faint(html.replace("#5c564c", "#b0aaa0"))} == {"light", "inverted"}
    assert {one.palette for one in faint(html.replace("#b3aca0", "#4b4740"))} == {"dark"}


def test_grey_on_white_is_too_faint_and_names_where() -> None:
    (light, _) = faint('<p style="color:#888">So faint</p>')
    assert light == Faint("light", Colour(*[136 / 255] * 3), WHITE, light.ratio, "So faint")
    assert round(light.ratio, 2) == 3.54


@pytest.mark.parametrize(
    "html",
    [
        '<p style="color:#767676">Just enough</p>',
        '<p style="color:#eee;background:#222">Light on dark</p>',
        '<td bgcolor="#222222"><font color="#ffffff">By attributes</font></td>',
        '<p style="color:#fff;display:none">Hidden</p>',
        '<div style="display:none"><p style="color:#fff">Hidden with its parent</p></div>',
        '<p style="color:#fff" hidden>Hidden by an attribute</p>',
        '<p style="color:#fff">\u00a0· —</p>',
        "<style>p.pale{color:#fff}</style><p>Another class</p>",
        '<style>p{color:#fff}</style><p style="color:#000">Inline wins</p>',
        "<style>@media (max-width:480px){p{color:#fff}}</style><p>Only when narrow</p>",
        '<style>a:hover{color:#fff}</style><p><a href="x" style="color:#000">Only for a moment</a></p>',
        '<p style="background:url(x.png) #222;color:#fff">A ground with a picture and a colour</p>',
    ],
)
def test_what_can_be_read_or_is_not_seen_is_no_finding(html: str) -> None:
    assert [one for one in found(html) if one[0] == "light"] == []


@pytest.mark.parametrize(
    ("html", "ink", "ground"),
    [
        ('<div style="color:#999"><p>Inherited <b>twice</b></p></div>', "#999999", "#ffffff"),
        ('<div style="background:#777"><p style="color:#000">On its parent\'s ground</p></div>', "", ""),
        ('<div style="background-color:#333"><p>Black on dark</p></div>', "#000000", "#333333"),
        ('<p style="color:rgba(0,0,0,.4)">Half transparent</p>', "#999999", "#ffffff"),
        ('<style>p{color:#999!important}</style><p style="color:#000">Important wins</p>', "#999999", "#ffffff"),
        ('<style>.a p{color:#999}</style><div class="b a"><div><p>Inside</p></div></div>', "#999999", "#ffffff"),
        ('<style>.a > p{color:#999}</style><div class="a"><p>A child</p></div>', "#999999", "#ffffff"),
        ('<style>#x{color:#999} p{color:#000}</style><p id="x">An id weighs more</p>', "#999999", "#ffffff"),
        ("<style>p{color:#000} p{color:#999}</style><p>The last one wins</p>", "#999999", "#ffffff"),
        ('<p style="background:#333"><a href="x">A bare link on dark</a></p>', "#0000ee", "#333333"),
        ('<table bgcolor="#444444"><tr><td>By an attribute</td></tr></table>', "#000000", "#444444"),
        ('<p style="background:linear-gradient(#000,#000) #333">Black on it</p>', "#000000", "#333333"),
    ],
)
def test_colours_are_found_where_they_come_from(html: str, ink: str, ground: str) -> None:
    light = [one for one in found(html) if one[0] == "light"]
    assert light == ([("light", ink, ground)] if ink else [])


def test_a_child_rule_does_not_reach_deeper() -> None:
    assert found('<style>.a > p{color:#999}</style><div class="a"><div><p>Deeper</p></div></div>') == []


def test_the_dark_rules_are_the_dark_palette_s_alone() -> None:
    sheet = DARK.format("body { background:#111 !important } p { color:#333 !important }")
    assert found(f"{sheet}<p style='color:#000'>Ink</p>") == [("dark", "#333333", "#111111")]
    light = "<style>@media (prefers-color-scheme: light) { p { color:#999 } }</style>"
    assert [one[0] for one in found(f"{light}<p>Ink</p>")] == ["light", "inverted"]


def test_dark_rules_that_forget_the_ink_are_found() -> None:
    sheet = DARK.format(".paper { background:#111 !important }")
    html = f'{sheet}<div class="paper" style="background:#fff;color:#000"><p>Ink</p></div>'
    assert found(html) == [("dark", "#000000", "#111111")]


def test_a_mail_that_knows_dark_has_a_dark_paper_of_its_own() -> None:
    meta = '<meta name="color-scheme" content="light dark">'
    assert faint(f"<html><head>{meta}</head><body><p>White on night</p></body></html>") == ()
    assert found_dark(f'<html><head>{meta}</head><body><p style="color:#000">Black on night</p></body></html>')


def found_dark(html: str) -> bool:
    return [one.palette for one in faint(html)] == ["dark"]


def test_what_is_broken_is_read_as_far_as_it_goes() -> None:
    assert faint("") == ()
    assert found('<style>@media { p {</style><p style="color:;background:(">Ink') == []
    assert found("<style>p:::x, [a=b] p, p + p { color: #fff }</style><p>Ink</p><p>Ink</p>") == []


@given(COLOURS, COLOURS)
def test_contrast_is_the_same_both_ways_and_within_its_bounds(one: Colour, other: Colour) -> None:
    assert contrast(one, other) == contrast(other, one)
    assert 1 <= contrast(one, other) <= 21.0001
    assert contrast(one, one) == 1


@given(COLOURS)
def test_turned_round_twice_it_is_the_same(one: Colour) -> None:
    assert inverted(inverted(one)) == pytest.approx(one)


def test_black_on_white_is_all_there_can_be() -> None:
    assert round(contrast(BLACK, WHITE), 6) == 21
