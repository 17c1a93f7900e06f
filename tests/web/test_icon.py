"""The picture in a browser's tab, and pages about problems in the visitor's language."""

from __future__ import annotations

from dataclasses import replace

import pytest

from digest.web.app import Parts
from tests.web.house import Browser, make_client


def test_the_icon_is_where_browsers_look_for_it_unasked(browser: Browser) -> None:
    answer = browser.get("/favicon.ico")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/x-icon"
    assert answer.content[:6] == bytes([0, 0, 1, 0, 1, 0])
    assert 'href="/favicon.ico"' in browser.get("/").text


@pytest.mark.parametrize(("path", "language"), [("/nowhere", "fa"), ("/desk/nowhere", "en")])
def test_a_problem_is_told_to_readers_in_their_language_and_to_the_newsroom_in_english(
    parts: Parts, path: str, language: str
) -> None:
    settings = parts.settings
    persian = {slug: one.model_copy(update={"language": "fa"}) for slug, one in settings.newsletters.items()}
    with make_client(replace(parts, settings=settings.model_copy(update={"newsletters": persian}))) as client:
        answer = client.get(path)
    assert answer.status_code == 404
    assert f'<html lang="{language}"' in answer.text
    assert ("اینجا چیزی نیست" in answer.text) == (language == "fa")
