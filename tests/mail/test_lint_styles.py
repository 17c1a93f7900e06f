"""What mail programs do not know, and that what our own templates write is no false alarm."""

from __future__ import annotations

import datetime as dt

import pytest

from digest.mail.lint_styles import things, unknown
from digest.mail.render import IssueView, Renderer
from tests.mail.render_samples import ENGLISH, PERSIAN, RUSSIAN, TEMPLATES


def said(html: str) -> list[str]:
    return [one.said for one in unknown(html)]


@pytest.mark.parametrize("view", [ENGLISH, RUSSIAN, PERSIAN], ids=["en", "ru", "fa"])
def test_our_own_issues_use_nothing_that_falls_apart(view: IssueView) -> None:
    for rendered in Renderer([TEMPLATES]).renderings(view).values():
        assert said(rendered.html) == []


@pytest.mark.parametrize(
    ("html", "name"),
    [
        ('<p style="display: flex">x</p>', "display:flex"),
        ('<p style="DISPLAY:GRID">x</p>', "display:grid"),
        ('<p style="position:absolute">x</p>', "position"),
        ("<style>.a { background-image: none }</style><p>x</p>", "background-image"),
        ("<style>@media screen { .a { transform: none } }</style><p>x</p>", "transform"),
        ("<style>@font-face { font-family: x }</style><p>x</p>", "@font-face"),
        ("<style>@supports (display: block) { p { color: red } }</style><p>x</p>", "@supports"),
        ('<p style="color:var(--ink)">x</p>', "var()"),
        ('<p style="width:calc(100% - 2px)">x</p>', "calc()"),
        ('<p style="padding:min(1px,calc(2px))">x</p>', "calc()"),
        ('<p style="width:50vw">x</p>', "the unit vw"),
        ("<style>p:not(.a) { color: red }</style><p>x</p>", ":not()"),
        ("<style>p::before { content: 'x' }</style><p>x</p>", "::before"),
        ("<p><ruby>x</ruby></p>", "<ruby>"),
    ],
)
def test_what_is_not_known_everywhere_is_found(html: str, name: str) -> None:
    assert name in said(html)


@pytest.mark.parametrize(
    "html",
    [
        "",
        '<p style="color:red;float:left;border-radius:3px;max-width:9px">Harmless</p>',
        "<style>/* display:flex */ .flex-grid { color: red }</style><p>display:flex</p>",
        "<style>@media (prefers-color-scheme: dark) { p { color: red } } p:hover { color: blue }</style><p>x</p>",
        '<p style="display:inline-block;font-family:position">x</p>',
        '<p title="position:absolute">x</p>',
        '<p style="broken: (((">x</p>',
    ],
)
def test_what_is_harmless_or_only_looks_alike_is_none(html: str) -> None:
    assert said(html) == []


def test_each_fact_has_its_date_who_does_not_know_it_and_what_is_lost() -> None:
    programs = {"Gmail", "Outlook", "Apple Mail", "Yahoo"}
    for thing in things():
        assert thing.names
        assert thing.unknown
        assert set(thing.unknown) <= programs
        assert dt.date(2019, 1, 1) <= thing.tested <= dt.date(2025, 9, 9)
        assert bool(thing.harmless) is not bool(thing.loses and thing.instead)
    names = [(thing.kind, name) for thing in things() for name in thing.names]
    assert len(names) == len(set(names))
