"""The letters that are not issues: small, plain, in three languages."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from markupsafe import escape

from digest.mail.lint import lint
from digest.mail.lint_page import Page
from digest.mail.render import Rendered, Renderer
from tests.mail.render_samples import ENGLISH, TEMPLATES

RENDERER = Renderer([TEMPLATES])

LETTERS: dict[str, dict[str, Any]] = {
    "confirm": {
        "publisher": ENGLISH.publisher,
        "confirm_url": f"https://digest.example.org/confirm/{'c' * 43}",
        "never_url": f"https://digest.example.org/never/{'n' * 43}",
        "hours": 48,
    },
    "already-subscribed": {
        "publisher": ENGLISH.publisher,
        "mine_url": f"https://digest.example.org/mine/{'f' * 43}",
        "manage_url": f"https://digest.example.org/manage/{'m' * 43}",
    },
    "manage": {
        "publisher": ENGLISH.publisher,
        "mine_url": f"https://digest.example.org/mine/{'f' * 43}",
        "never_url": f"https://digest.example.org/never/{'n' * 107}",
    },
    "reminder": {
        "issue_name": "watchdog/2026-W47",
        "send_at_local": "Thursday 10:00 (Europe/Prague)",
        "desk_url": "https://digest.example.org/desk/",
        "reasons": ["The blog could not be read.", "There is no introduction & no lead."],
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
    "invited": {"person": "edith", "hours": 72, "link_url": f"https://digest.example.org/desk/invited/{'i' * 43}"},
    "address": {"person": "edith", "hours": 24, "link_url": f"https://digest.example.org/desk/address/{'a' * 43}"},
}


def letter(kind: str, language: str) -> Rendered:
    direction = "rtl" if language == "fa" else "ltr"
    return RENDERER.letter(
        kind, {**LETTERS[kind], "newsletter_title": "Watchdog", "language": language, "direction": direction}
    )


@pytest.mark.parametrize("language", ["en", "ru", "fa"])
@pytest.mark.parametrize("kind", list(LETTERS))
def test_a_letter_has_no_fault_and_no_picture(kind: str, language: str) -> None:
    rendered = letter(kind, language)
    assert lint(rendered, allowed_hosts=frozenset(), kind=kind) == ()
    assert not Page(rendered.html).loads
    assert rendered.subject
    assert f"<title>{escape(rendered.subject)}</title>" in rendered.html


@pytest.mark.parametrize("language", ["en", "ru", "fa"])
@pytest.mark.parametrize("kind", ["confirm", "manage", "already-subscribed"])
def test_a_letter_that_anybody_can_ask_for_is_small(kind: str, language: str) -> None:
    """O-22: at most 8 KB in all; 2 KB are left for the headers with their DKIM signature."""
    rendered = letter(kind, language)
    assert sum(len(base64.encodebytes(part.encode())) for part in (rendered.text, rendered.html)) <= 6_000


def test_a_confirmation_says_what_to_do_and_that_nothing_needs_doing() -> None:
    text = letter("confirm", "en").text
    assert "Someone, perhaps you" in text
    assert "you need do nothing" in " ".join(text.split())
    assert "48 hours" in text
    for name in ("confirm_url", "never_url"):
        assert LETTERS["confirm"][name] in text.splitlines()


def test_a_fresh_link_comes_without_never_where_there_is_no_hash_to_make_it_of() -> None:
    context = {**LETTERS["manage"], "newsletter_title": "Watchdog", "language": "en", "direction": "ltr"}
    without = RENDERER.letter("manage", {**context, "never_url": ""})
    assert "Never" not in without.text + without.html
    assert LETTERS["manage"]["mine_url"] in without.text.splitlines()
    assert LETTERS["manage"]["never_url"] in letter("manage", "en").text.splitlines()


def test_numbers_are_written_as_the_language_writes_them() -> None:
    assert "۴۸ ساعت" in letter("confirm", "fa").text


@pytest.mark.parametrize("language", ["en", "ru", "fa"])
def test_whoever_is_subscribed_already_gets_the_link_that_they_came_for(language: str) -> None:
    rendered = letter("already-subscribed", language)
    urls = [LETTERS["already-subscribed"][name] for name in ("mine_url", "manage_url")]
    assert [line for line in rendered.text.splitlines() if line.strip("\u2066\u2067\u2068\u2069") in urls]
    assert all(url in rendered.text and url in rendered.html for url in urls)
    # One that was posted by an earlier version has the lasting link alone.
    older = {name: value for name, value in LETTERS["already-subscribed"].items() if name != "mine_url"}
    given = {**older, "newsletter_title": "Watchdog", "language": language, "direction": "ltr"}
    assert urls[1] in RENDERER.letter("already-subscribed", given).text


def test_a_reminder_takes_its_reasons_as_a_list_or_as_lines() -> None:
    listed = letter("reminder", "en")
    context = {**LETTERS["reminder"], "newsletter_title": "Watchdog", "language": "en", "direction": "ltr"}
    lined = RENDERER.letter("reminder", {**context, "reasons": "\n".join(LETTERS["reminder"]["reasons"])})
    assert listed == lined
    assert "* There is no introduction & no lead." in listed.text
