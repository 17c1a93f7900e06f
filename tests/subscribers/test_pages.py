"""Templates print and choose; they reach nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError
from jinja2.exceptions import SecurityError

from subscribers.pages import Pages
from tests.subscribers.house import TEMPLATES


@pytest.mark.parametrize(
    "template",
    [
        "{{ word.__class__.__mro__[-1].__subclasses__() }}",
        "{{ words.append(word) }}",
        "{{ '{0.__class__.__init__.__globals__}'.format(function) }}",
        "{{ function.__globals__ }}",
    ],
)
def test_a_template_cannot_reach_for_more_than_its_values(tmp_path: Path, template: str) -> None:
    (tmp_path / "page.html").write_text(template)
    with pytest.raises((SecurityError, UndefinedError)):
        Pages([tmp_path]).render("page.html", word="x", words=[], function=Pages.render)


def test_values_are_escaped_and_a_name_that_was_not_given_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("{{ word }}")
    assert Pages([tmp_path]).render("page.html", word="<b>&") == "&lt;b&gt;&amp;"
    with pytest.raises(UndefinedError):
        Pages([tmp_path]).render("page.html")


@pytest.mark.parametrize(("language", "marks"), [("fa", 3), ("de", 3), ("en", 0), ("en-GB", 0)])
def test_the_frame_s_english_words_say_so_in_another_language_s_page(language: str, marks: int) -> None:
    page = Pages([TEMPLATES], language=language, direction="ltr").render("base.html")
    assert f'<html lang="{language}" dir="ltr">' in page
    found = [line for line in page.splitlines() if 'lang="en" dir="ltr"' in line and "<html" not in line]
    assert len(found) == marks
    if marks:
        assert all(any(one in line for line in found) for one in ('class="skip"', "<nav", 'class="frame"'))


@pytest.mark.parametrize("sheet", ["site.css", "desk.css"])
def test_latin_figures_are_not_taken_from_the_arabic_face(sheet: str) -> None:
    css = (TEMPLATES / "static" / sheet).read_text()
    [stack] = [line for line in css.splitlines() if line.strip().startswith("--serif:")]
    families = [one.strip(' ;"') for one in stack.partition(":")[2].split(",")]
    assert families[-2:] == ["serif", "Noto Naskh Arabic"]
