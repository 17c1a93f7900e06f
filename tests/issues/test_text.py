"""Clean text, whole characters, whole sentences."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.issues.sentences import first_sentences, sentence_ends
from digest.issues.text import ELLIPSIS, cut, fold, grapheme_boundary, one_line, paragraphs, plain


def sentences(text: str) -> list[str]:
    starts = (0, *sentence_ends(text))
    return [text[a:b].strip() for a, b in zip(starts, sentence_ends(text), strict=False)]


@pytest.mark.parametrize(
    "text",
    [
        "The U.S. government answered. Moscow did not.",
        "Mr. Smith met Dr. Jones in St. Petersburg. They talked.",
        "J. K. Rowling and A.S. Byatt signed it. Others followed.",
        "He arrived at 10 a.m. on Monday. Nobody came.",
        "Prices rose by 3.5 percent. Wages fell.",
        "It was published on example.org. Nobody noticed.",
        "Police took no. 5 away. It was empty.",
        "On Jan. 7 she was freed. Her lawyer waited.",
        "“Why?” he asked. No one knew.",
        "He said “No.” Then he left.",
        "They waited... and waited. Nothing came.",
        "Суд отложил заседание. А. С. Иванов не пришёл.",
        "В 2024 г. Москва ввела запрет. Он действует.",
        "Его арестовали, т.е. задержали. Суд завтра.",
        "او آزاد شد؟ هنوز نه.",
        "أُفرج عنه؟ ليس بعد.",
        "وہ رہا ہو گیا۔ کب تک؟",
        "他被释放了。何时回家？",
        "Was it legal?! The court says so.",
    ],
)
def test_two_sentences_are_two(text: str) -> None:
    found = sentences(text)
    assert len(found) == 2, found
    assert "".join("".join(found).split()) == "".join(text.split())


def test_a_no_that_ends_a_sentence_ends_it() -> None:
    assert sentences("The answer was no. They left.") == ["The answer was no.", "They left."]


def test_a_closing_quotation_mark_belongs_to_its_sentence() -> None:
    assert sentences("He called it “a lie.” She did not.")[0] == "He called it “a lie.”"


def test_whole_sentences_are_kept_and_no_more_than_fit() -> None:
    text = "One is short. Two is a little longer. Three would be too much."
    assert first_sentences(text, 40) == "One is short. Two is a little longer."
    assert first_sentences(text, 13) == "One is short."
    assert first_sentences(text, 300) == text


def test_a_first_sentence_that_is_too_long_is_cut_between_words() -> None:
    assert first_sentences("A very long sentence that never comes to its end, not even here.", 30) == (
        "A very long sentence that" + ELLIPSIS
    )


def test_chinese_is_cut_at_its_own_full_stop() -> None:
    assert first_sentences("他被释放了。然后他回家了。谁也不知道。", 10) == "他被释放了。"


@given(st.text(), st.integers(2, 200))
def test_what_is_cut_never_exceeds_the_limit(text: str, limit: int) -> None:
    clean = one_line(text)
    assert len(first_sentences(clean, limit)) <= limit
    assert len(cut(clean, limit)) <= limit


@pytest.mark.parametrize(
    "character",
    [
        "e\u0301",
        "👩‍👩‍👧‍👦",
        "👍🏽",
        "🇨🇿",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "각",
        "क्षि",
        "مِ",
        "☎️",
    ],
)
def test_no_character_is_cut_in_two(character: str) -> None:
    text = f"ab{character}{character}cd"
    whole = {0, 1, 2, 2 + len(character), 2 + 2 * len(character), len(text) - 1, len(text)}
    assert {grapheme_boundary(text, place) for place in range(len(text) + 1)} <= whole


@given(
    st.text(alphabet=st.characters(categories=["Lu", "Mn", "Cf", "So", "Zs", "Sk"]), max_size=40), st.integers(1, 40)
)
def test_a_cut_never_leaves_a_mark_without_its_letter(text: str, limit: int) -> None:
    place = grapheme_boundary(text, limit)
    assert place <= limit
    assert place in (0, len(text)) or unicodedata.category(text[place]) != "Mn"


def test_a_headline_is_one_clean_line() -> None:
    assert (
        one_line("  A\r\nheadline\t with\u2028breaks\x00 and\x85 controls\x1b ")
        == "A headline with breaks and controls"
    )
    assert one_line("Tom &amp; Jerry <b>") == "Tom &amp; Jerry <b>"


def test_overrides_go_and_isolates_that_close_stay() -> None:
    assert one_line("safe\u202egnp.exe\u202c") == "safegnp.exe"
    assert one_line("a \u2068نام\u2069 b") == "a \u2068نام\u2069 b"
    assert one_line("a \u2067b \u2068c\u2069") == "a b \u2068c\u2069"
    assert one_line("a\u2069 b") == "a b"


def test_the_joiners_that_persian_and_emoji_need_stay() -> None:
    assert one_line("می\u200cشود 👩\u200d👧") == "می\u200cشود 👩\u200d👧"


def test_a_lone_surrogate_goes() -> None:
    assert one_line("a\ud800b") == "ab"


@given(st.text())
def test_one_line_is_what_it_says_and_settled(text: str) -> None:
    line = one_line(text)
    assert line.splitlines() in ([], [line])
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in line)
    assert line == line.strip()
    assert one_line(line) == line


def test_blank_lines_part_paragraphs() -> None:
    assert paragraphs("One\r\nline.\r\n\r\n \r\nTwo.\u2029Three.\n") == ("One line.", "Two.", "Three.")
    assert paragraphs(" \n\n ") == ()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("- one\n- two", ("- one\n- two",)),
        ("Here:\n* one\n•  two\r\nAnd on.", ("Here:", "- one\n- two", "And on.")),
        ("1) one\n2. two", ("1. one\n2. two",)),
        ("۱. یک\n۲. دو", ("1. یک\n2. دو",)),
        # A dash may begin a line of speech, a year a sentence, and a sum is no list.
        ("- Who are you?\nhe asked.", ("- Who are you? he asked.",)),
        ("86. It was a year.\n87. So was that.", ("86. It was a year. 87. So was that.",)),
        ("1. one\n3. three", ("1. one 3. three",)),
        ("-one\n-two", ("-one -two",)),
        ("- one\n\n- two", ("- one", "- two")),
        ("- a\n- b\n1. c\n2. d", ("- a\n- b", "1. c\n2. d")),
        ("- \u202e\n- b", ("- - b",)),
    ],
)
def test_short_lists_are_told_from_what_only_looks_like_one(text: str, parts: tuple[str, ...]) -> None:
    assert paragraphs(text) == parts
    assert paragraphs("\n\n".join(parts)) == parts


@given(st.text() | st.lists(st.sampled_from(["- a", "* b", "1. c", "2) d", "e", "", "-", "\u2067f"])).map("\n".join))
def test_paragraphs_are_settled_once_written(text: str) -> None:
    once = paragraphs(text)
    assert paragraphs("\n\n".join(once)) == once


def test_the_body_s_running_text_has_no_captions() -> None:
    body = (
        "<figure><img src='x'/><figcaption><p>Caption.</p></figcaption></figure><h2>Head</h2>"
        "<p>First &amp; <em>foremost</em>.<br/>Then this.</p><p> </p><blockquote><p>Quoted.</p></blockquote>"
    )
    assert plain(body) == ("First & foremost. Then this.", "Quoted.")


def test_a_body_of_bare_text_is_read_too() -> None:
    assert plain("Bare text.<br/><br/>More of it.") == ("Bare text. More of it.",)
    assert plain(" ") == ()


def test_texts_are_compared_by_letters_alone() -> None:
    assert fold("“Free” the Press!") == fold("free THE press")
