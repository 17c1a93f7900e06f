"""Templates print and choose; they reach nothing else. They do it in the language of whoever reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError
from jinja2.exceptions import SecurityError

from subscribers.languages import Wish
from subscribers.pages import Frame, Pages
from tests.subscribers.house import NEGAH, TEMPLATES, WATCH


@pytest.mark.parametrize(
    "template",
    [
        "{{ word.__class__.__mro__[-1].__subclasses__() }}",
        "{{ words.append(word) }}",
        "{{ '{0.__class__.__init__.__globals__}'.format(function) }}",
        "{{ function.__globals__ }}",
        "{{ _.__globals__ }}",
    ],
)
def test_a_template_cannot_reach_for_more_than_its_values(tmp_path: Path, template: str) -> None:
    (tmp_path / "page.html").write_text(template)
    with pytest.raises((SecurityError, UndefinedError)):
        Pages([tmp_path]).render("page.html", word="x", words=[], function=Pages.render)


def test_values_are_escaped_and_a_name_that_was_not_given_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("{{ word }}{% trans %}, {{ word }}{% endtrans %}")
    assert Pages([tmp_path]).render("page.html", word="<b>&") == "&lt;b&gt;&amp;, &lt;b&gt;&amp;"
    with pytest.raises(UndefinedError):
        Pages([tmp_path]).render("page.html")


@pytest.mark.parametrize(
    ("wanted", "language", "direction"),
    [("fa", "fa", "rtl"), ("fa-AF", "fa-AF", "rtl"), ("ru", "ru", "ltr"), ("de", "en", "ltr"), ("ar", "en", "ltr")],
)
def test_a_page_says_the_language_that_its_words_are_in(wanted: str, language: str, direction: str) -> None:
    page = Pages([TEMPLATES]).render("base.html", Frame(wanted))
    assert f'<html lang="{language}" dir="{direction}">' in page
    assert ("Skip to the content" in page) == (language == "en")


def test_the_title_at_the_head_says_its_own_language() -> None:
    page = Pages([TEMPLATES]).render("base.html", Frame("en", head=NEGAH))
    assert f'lang="fa" dir="rtl">{NEGAH.title}</a>' in page


def test_a_site_with_one_newsletter_speaks_its_language_and_no_other() -> None:
    pages = Pages([TEMPLATES])
    asked = Wish("en", ("en", "ru"))
    assert pages.frame([NEGAH], asked) == Frame("fa", head=NEGAH)
    assert [one.tag for one in pages.offered([WATCH, NEGAH])] == ["en", "fa"]
    assert [one.tag for one in pages.offered([NEGAH, NEGAH])] == ["fa", "en"]


def test_latin_figures_are_not_taken_from_the_arabic_face() -> None:
    css = (TEMPLATES / "static" / "tokens.css").read_text()
    [stack] = [line for line in css.splitlines() if line.strip().startswith("--serif:")]
    families = [one.strip(' ;"') for one in stack.partition(":")[2].split(",")]
    assert families[-2:] == ["serif", "Noto Naskh Arabic"]
