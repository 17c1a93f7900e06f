"""`digest form` prints a form for another site, and the form works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from digest.cli.context import Failed
from digest.cli.form import form_of
from digest.configuration import BadSettings, parse
from digest.mail.render import Renderer
from digest.pages import make_server
from digest.settings import Settings
from digest.wiring import build, info_of, template_folders
from subscribers.budgets import FormRules
from subscribers.keys import make_keys, write_keys
from tests.web.house import make_settings


def with_sections(**sections: object) -> Settings:
    declared = make_settings().newsletters["watchdog"].model_dump(mode="json", include={"title", "language"})
    newsletter = {
        **declared,
        "sender": "Watchdog <digest@example.org>",
        "sources": [{"feed": "https://www.example.org/"}],
    }
    return parse({"newsletters": {"watchdog": newsletter}, **sections}, {}, Path("/nowhere/digest.toml"))


def test_the_form_posts_to_us_and_has_no_script() -> None:
    html = form_of(make_settings("https://digest.example.org"), "watchdog")
    assert 'action="https://digest.example.org/subscribe" method="post"' in html
    assert sorted(re.findall(r'name="(\w+)"', html)) == ["email", "newsletter", "website"]
    assert not re.search(r"<script|\son\w+=|style=|src=", html)


def several() -> Settings:
    paper = {"sender": "Watchdog <digest@example.org>", "sources": [{"feed": "https://www.example.org/"}]}
    declared = {
        "watchdog": {**paper, "title": "Watchdog", "language": "en", "description": "Every Thursday."},
        "obzor": {**paper, "title": "Обзор", "language": "ru", "description": "Каждый четверг."},
        "negah": {**paper, "title": "نگاه", "language": "fa"},
        "sholu": {**paper, "title": "Шолу", "language": "kk", "description": "Бейсенбіде."},
        "own": {**paper, "title": "Шолу", "language": "kk", "wording": "Маған жіберіңіз."},
    }
    return parse({"newsletters": declared}, {}, Path("/nowhere/digest.toml"))


AGREED = {
    "watchdog": '<span lang="en" dir="ltr">Send me Watchdog by e-mail. Every Thursday.</span>',
    "obzor": '<span lang="ru" dir="ltr">Присылайте мне «Обзор» по электронной почте. Каждый четверг.</span>',
    "negah": '<span lang="fa" dir="rtl">«نگاه» را با ایمیل برایم بفرستید.</span>',
    # We have no words in it; the newsroom has its own.
    "sholu": '<span lang="en" dir="ltr">Send me Шолу by e-mail.</span> <span lang="kk" dir="ltr">Бейсенбіде.</span>',
    "own": '<span lang="kk" dir="ltr">Маған жіберіңіз.</span>',
}


@pytest.mark.parametrize("slug", AGREED)
def test_what_readers_agree_to_is_shown_in_the_newsletter_s_language(slug: str) -> None:
    html = form_of(several(), slug)
    assert AGREED[slug] in html
    info = info_of(several().newsletters[slug], Renderer(template_folders(several(), "email")))
    assert info.wording == re.sub("<[^>]+>", "", AGREED[slug])
    assert [text for text in AGREED.values() if text in form_of(several(), None)] == [*AGREED.values()]


def test_a_newsletter_that_there_is_not_is_said() -> None:
    with pytest.raises(Failed, match="no newsletter 'nonsense'"):
        form_of(make_settings(), "nonsense")


def test_the_budgets_can_be_set() -> None:
    assert with_sections().form.rules == FormRules()
    assert with_sections(form={"per_hour": 5, "pause_at": 7}).form.rules == FormRules(per_hour=5, pause_at=7)


@pytest.mark.parametrize("origin", ["www.example.org", "https://www.example.org/", "https://www.example.org/a", "*"])
def test_an_origin_that_is_none_is_refused(origin: str) -> None:
    with pytest.raises(BadSettings, match="is not a site"):
        with_sections(form={"origins": [origin]})


def test_a_proxy_that_is_no_address_is_refused() -> None:
    assert with_sections(web={"proxies": ["127.0.0.1", "10.0.0.0/8"]}).web.proxies == ("127.0.0.1", "10.0.0.0/8")
    with pytest.raises(BadSettings, match="not an address or network"):
        with_sections(web={"proxies": ["proxy.example.org"]})


@pytest.mark.parametrize(("proxies", "believed"), [([], False), (["127.0.0.1"], True)])
def test_the_server_believes_the_proxies_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxies: list[str], believed: bool
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    write_keys(tmp_path / "digest.keys", make_keys())
    settings = with_sections(web={"proxies": proxies}).model_copy(update={"keys": tmp_path / "digest.keys"})
    database = settings.database.model_copy(update={"url": f"sqlite:///{tmp_path / 'digest.db'}"})
    house = build(settings.model_copy(update={"database": database}))
    config = make_server(house).config
    house.database.close()
    assert (config.proxy_headers, config.forwarded_allow_ips) == (believed, proxies)
