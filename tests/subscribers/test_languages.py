"""The pages' words: complete in every language, and the right language for whoever comes."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.testing import TestClient

from subscribers.catalogues import collect, complete, main
from subscribers.forms import BadAddress, parse_address
from subscribers.languages import (
    BadCatalogue,
    Tongue,
    Wish,
    choose,
    faults,
    is_said,
    read_catalogue,
    read_catalogues,
    tongue,
    wish,
)
from subscribers.newsletters import NewsletterInfo
from subscribers.pages import Frame, Pages
from subscribers.vault import Vault
from tests.subscribers.house import NEGAH, TEMPLATES, WATCH, make_app, make_service

CATALOGUES = sorted((TEMPLATES / "locale").glob("*.po"))
ENGLISH, PERSIAN, RUSSIAN = (tongue(tag) for tag in ("en", "fa", "ru"))
OBZOR = NewsletterInfo(
    slug="obzor",
    title="Обзор недели",
    description="Главное за неделю, каждый четверг.",
    language="ru",
    direction="ltr",
    publisher="The Watch, 1 Example Street, Exampleville",
    wording="Присылайте мне обзор раз в неделю.",
)
TITLE = {"en": "Our newsletters, in your in-box", "fa": "خبرنامه‌های ما", "ru": "Наши рассылки"}


class TestTheCatalogues:
    def test_there_are_russian_and_persian(self) -> None:
        assert [path.stem for path in CATALOGUES] == ["fa", "ru"]

    @pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
    def test_each_says_everything_that_the_pages_say_and_nothing_else(self, path: Path) -> None:
        catalogue = read_catalogue(path)
        said = {message.id for message in collect() if message.id}
        assert len(said) > 80
        assert {message.id for message in catalogue if message.id and is_said(message)} == said
        assert not catalogue.obsolete
        assert list(faults(catalogue)) == []

    @pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
    def test_each_fills_in_the_same_and_marks_up_the_same(self, path: Path) -> None:
        def parts(text: str) -> Counter[str]:
            return Counter(re.findall(r"%\(\w+\)s|<[^>]+>", text))

        for message in read_catalogue(path):
            if message.id and isinstance(message.id, str) and isinstance(message.string, str):
                assert parts(message.string) == parts(message.id), message.id

    def test_collecting_again_changes_no_file(self, tmp_path: Path) -> None:
        said = collect()
        for path in CATALOGUES:
            copy = Path(shutil.copy(path, tmp_path))
            assert complete(copy, said) == 0
            assert copy.read_bytes() == path.read_bytes()

    def test_a_new_language_is_begun_with_everything_to_say(self, tmp_path: Path) -> None:
        said = collect()
        assert complete(tmp_path / "de.po", said) == len(said)
        assert read_catalogues([tmp_path]) == {}
        (tmp_path / "locale").mkdir()
        (tmp_path / "de.po").rename(tmp_path / "locale" / "de.po")
        assert Pages([TEMPLATES, tmp_path]).say("Leave", "de") == "Leave"

    def test_a_tag_that_names_no_language_begins_nothing(self) -> None:
        with pytest.raises(ValueError, match="there is no language 'xx'"):
            main(["xx"])

    def test_a_newsroom_s_own_words_are_laid_over_ours(self, tmp_path: Path) -> None:
        (tmp_path / "locale").mkdir()
        (tmp_path / "locale" / "fa.po").write_text('msgid "Leave"\nmsgstr "خروج"\n')
        pages = Pages([tmp_path, TEMPLATES])
        assert pages.say("Leave", "fa") == "خروج"
        assert pages.say("Subscribe", "fa") == "اشتراک"

    @pytest.mark.parametrize(
        ("name", "text", "reason"),
        [
            ("fa.po", 'msgid "Leave %(title)s?"\nmsgstr "%(titel)s?"\n', "titel"),
            ("fa.po", 'msgid "Leave"\nmsgstr "100 %"\n', "%%"),
            ("fa.po", "no catalogue at all\n", r"fa\.po"),
            ("xx.po", 'msgid "Leave"\nmsgstr "x"\n', "xx"),
        ],
    )
    def test_a_catalogue_that_would_break_a_page_is_refused(self, tmp_path, name, text, reason) -> None:
        (tmp_path / "locale").mkdir()
        (tmp_path / "locale" / name).write_text(text)
        with pytest.raises(BadCatalogue, match=reason):
            Pages([tmp_path])


class TestTheChoice:
    @pytest.mark.parametrize(
        ("header", "read"),
        [
            ("", ()),
            ("ru", ("ru",)),
            ("en-US,en;q=0.5", ("en-US", "en")),
            ("en;q=0.3, fa;q=0.9, ru ; q=0.5", ("fa", "ru", "en")),
            ("fa;q=0, *;q=0.5, ru;q=x, en;q=1.5", ()),
            ("<script>, ru", ("ru",)),
        ],
    )
    def test_what_the_browser_is_set_to_is_read_by_its_weights(self, header: str, read: tuple[str, ...]) -> None:
        assert wish("", header).accepted == read

    @pytest.mark.parametrize(
        ("wished", "own", "shown"),
        [
            (Wish("ru", ("fa",)), PERSIAN, RUSSIAN),
            (Wish("de", ("ru",)), PERSIAN, PERSIAN),
            (Wish("", ("de", "fa-IR", "ru")), None, PERSIAN),
            (Wish("", ("de",)), None, ENGLISH),
            (Wish(), None, ENGLISH),
        ],
    )
    def test_a_link_s_choice_counts_most_then_the_page_s_own_then_the_browser_s(
        self, wished: Wish, own: Tongue | None, shown: Tongue
    ) -> None:
        assert choose([ENGLISH, PERSIAN, RUSSIAN], wished, own) is shown

    def test_a_region_s_language_is_served_by_another_region_s(self) -> None:
        brazilian = tongue("pt-BR")
        assert choose([ENGLISH, brazilian], Wish("", ("pt-PT",))) is brazilian

    @given(st.text(max_size=300), st.text(max_size=300))
    def test_whatever_is_asked_gets_one_that_is_offered(self, asked: str, header: str) -> None:
        assert choose([ENGLISH, PERSIAN], wish(asked, header)) in (ENGLISH, PERSIAN)


@pytest.fixture
def client(sqlite_database, keys, outbox, clock):
    service = make_service(sqlite_database, Vault(sqlite_database, keys), keys, outbox, WATCH, NEGAH, OBZOR)
    with TestClient(make_app(service, clock)) as client:
        yield client


class TestThePages:
    @pytest.mark.parametrize("language", TITLE)
    def test_the_form_comes_in_the_language_that_is_asked_for(self, client, language: str) -> None:
        for answer in (
            client.get("/", params={"lang": language}),
            client.get("/", headers={"accept-language": f"{language}-XX,de;q=0.9"}),
        ):
            assert TITLE[language] in answer.text
            assert f'<html lang="{language}" dir="{"rtl" if language == "fa" else "ltr"}">' in answer.text
            assert f'action="/subscribe?lang={language}"' in answer.text
            assert f'href="/issues/?lang={language}"' in answer.text

    def test_each_language_has_a_link_in_its_own_name(self, client) -> None:
        text = client.get("/?lang=ru").text
        assert '<a href="?lang=fa" hreflang="fa" lang="fa" dir="rtl">فارسی</a>' in text
        assert '<a href="?lang=en" hreflang="en" lang="en" dir="ltr">English</a>' in text
        assert '<span aria-current="true">Русский</span>' in text

    def test_the_first_newsletter_s_language_is_for_whoever_asks_for_none(self, client) -> None:
        assert TITLE["en"] in client.get("/").text
        assert TITLE["en"] in client.get("/", headers={"accept-language": "de"}).text

    def test_a_link_to_a_newsletter_s_form_is_in_its_language(self, client) -> None:
        assert TITLE["ru"] in client.get("/?newsletter=obzor", headers={"accept-language": "en"}).text

    @pytest.mark.parametrize(
        ("language", "sentence"),
        [("ru", "После знака @ ничего нет."), ("fa", "پس از نشان @ چیزی نیست."), ("en", "nothing after the @-sign")],
    )
    def test_what_is_wrong_with_a_form_is_said_in_the_form_s_language(self, client, clock, language, sentence) -> None:
        form = client.get(f"/?lang={language}").text
        filled = re.findall(r'name="filled" value="([^"]*)"', form)[0]
        clock.turn(seconds=20)
        fields = {"newsletter": "watch", "email": "me@", "filled": filled}
        answer = client.post(f"/subscribe?lang={language}", data=fields)
        assert sentence in answer.text
        # An answer to a form is not there to be opened again in another language.
        assert 'hreflang="' not in answer.text

    def test_what_a_letter_leads_to_is_in_the_newsletter_s_language(self, client, clock, outbox) -> None:
        filled = re.findall(r'name="filled" value="([^"]*)"', client.get("/").text)[0]
        clock.turn(seconds=20)
        fields = {"newsletter": "negah", "email": "reader@example.org", "filled": filled}
        assert "صندوق ایمیل" in client.post("/subscribe?lang=fa", data=fields).text
        link = f"/confirm/{outbox.tokens('confirm_url')[0]}"
        page = client.get(link, headers={"accept-language": "en"}).text
        assert "بله، مشترک می‌شوم" in page
        proof = re.findall(r'name="proof" value="([^"]*)"', page)[0]
        assert "اشتراک شما ثبت شد" in client.post(link, data={"proof": proof}).text

    def test_no_page_mixes_its_languages(self, client) -> None:
        """Latin words stand in Russian and Persian pages only where something says that they are English."""
        for language in ("ru", "fa"):
            text = client.get(f"/?lang={language}").text
            body = re.sub(r"<(\w+)[^>]*\blang=\"en\".*?</\1>", "", text.partition("<body>")[2], flags=re.S)
            # Russian has no other word for the feed.
            assert {*re.findall(r"[A-Za-z]{3,}", re.sub(r"<[^>]*>", "", body))} <= {"RSS"}

    def test_what_was_typed_is_never_taken_for_a_sentence_of_ours(self) -> None:
        pages = Pages([TEMPLATES])
        assert pages.say("<b>100 %</b>", "fa") == "<b>100 %</b>"
        page = pages.render("archive/problem.html", Frame("fa"), title="<i>", sentence="<b>100 %", number=None)
        assert "&lt;b&gt;100 %" in page


@pytest.mark.parametrize(
    "typed",
    ["", "a", "@a.org", "a@", "a b@a.org", "a@a@a.org", "a@b", "я@a.org", ".a@a.org", "a" * 65 + "@a.org", "a" * 400],
)
def test_every_reason_why_an_address_is_not_taken_has_its_words_in_each_language(typed: str) -> None:
    answer = parse_address(typed)
    assert isinstance(answer, BadAddress)
    pages = Pages([TEMPLATES])
    assert len({pages.say(answer.reason, language) for language in ("en", "ru", "fa")}) == 3
