"""Picks: order, sections, summaries, subject and preheader."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.issues.select import LEAD_LIMIT, SUMMARY_LIMIT, Candidate, Pick, preheader, select, subject

START = dt.datetime(2026, 11, 12, 5, tzinfo=dt.UTC)
SECTIONS = ("", "In Brief", "Journalists in Trouble")
SENTENCE = "The court in the capital heard the case for a third day and put off its decision again. "


def candidate(number: int, section: str = "", **values: str) -> Candidate:
    at = START + number * dt.timedelta(hours=1)
    return Candidate(number, section, values.pop("title", f"Headline {number}"), at, **values)


def summary_of(lead: bool = False, **values: str) -> str:
    """The summary that a story gets, as the lead or after one."""
    candidates = [candidate(1, **values)] + ([] if lead else [candidate(2)])
    return next(one.summary for one in select(candidates, SECTIONS, 25) if one.post_id == 1)


def pick(headline: str, summary: str = "", included: bool = True) -> Pick:
    return Pick(0, "", headline, summary, included)


def test_the_newest_leads_and_sections_follow_in_the_newsletter_s_order() -> None:
    found = select([candidate(1), candidate(9, SECTIONS[2]), candidate(4, SECTIONS[1]), candidate(3)], SECTIONS, 25)
    assert [one.post_id for one in found] == [3, 1, 4, 9]


def test_a_section_that_the_newsletter_does_not_know_comes_last() -> None:
    assert [one.post_id for one in select([candidate(2, "Gone"), candidate(1)], SECTIONS, 25)] == [1, 2]


def test_beyond_the_cap_stories_are_offered_and_not_included() -> None:
    found = select([candidate(number) for number in range(5)], SECTIONS, 3)
    assert [(one.post_id, one.included) for one in found] == [(4, True), (3, True), (2, True), (1, False), (0, False)]


stories = st.lists(st.tuples(st.integers(0, 500), st.sampled_from([*SECTIONS, "Other"])), unique_by=lambda s: s[0])


@given(stories, st.integers(1, 40))
def test_every_post_has_one_place_and_each_section_is_newest_first(drawn: list[tuple[int, str]], cap: int) -> None:
    found = select([candidate(number, section) for number, section in drawn], SECTIONS, cap)
    assert sorted(one.post_id for one in found) == sorted(number for number, _ in drawn)
    assert sum(one.included for one in found) == min(cap, len(drawn))
    ranks = [[*SECTIONS, "Other"].index(one.section) for one in found]
    assert ranks == sorted(ranks)
    for section in {one.section for one in found}:
        numbers = [one.post_id for one in found if one.section == section]
        assert numbers == sorted(numbers, reverse=True)


def test_a_long_summary_is_cut_at_a_sentence() -> None:
    assert summary_of(summary=SENTENCE * 8) == (SENTENCE * 3).strip()
    assert len((SENTENCE * 3).strip()) <= SUMMARY_LIMIT


def test_the_lead_has_a_longer_one() -> None:
    assert summary_of(lead=True, summary=SENTENCE * 8) == (SENTENCE * 6).strip()
    assert SUMMARY_LIMIT < len((SENTENCE * 6).strip()) <= LEAD_LIMIT


@pytest.mark.parametrize("summary", ["", "  ", "Headline 1", "HEADLINE 1!", "Headline", "Headline 1 - News"])
def test_a_summary_that_says_nothing_is_taken_from_the_body(summary: str) -> None:
    body = f"<p>Headline 1</p><p>{SENTENCE}</p><p>{SENTENCE}</p>"
    assert summary_of(summary=summary, body=body) == (SENTENCE * 2).strip()


def test_a_teaser_that_was_cut_off_gives_way_to_the_body() -> None:
    assert summary_of(summary="The court in the capital heard the…", body=f"<p>{SENTENCE}</p>") == SENTENCE.strip()
    assert summary_of(summary="The court in the capital heard the…") == "The court in the capital heard the…"


def test_a_lead_whose_summary_is_its_body_s_opening_goes_on_with_the_body() -> None:
    body = f"<p>{SENTENCE}</p>" * 8
    assert summary_of(lead=True, summary=SENTENCE, body=body) == (SENTENCE * 6).strip()


def test_a_lead_with_a_standfirst_of_its_own_keeps_it() -> None:
    assert summary_of(lead=True, summary="What the ruling means for editors.", body=f"<p>{SENTENCE}</p>") == (
        "What the ruling means for editors."
    )


def test_a_post_without_any_text_has_an_empty_summary() -> None:
    assert summary_of() == ""


def test_a_short_headline_is_the_subject() -> None:
    assert subject([pick("Left out", included=False), pick("A court orders it"), pick("Other")]) == "A court orders it"
    assert subject([]) == ""


def test_a_long_headline_ends_before_its_dash() -> None:
    long = "A court in the capital orders a station off the air -- and the station says it will go on broadcasting"
    assert subject([pick(long)]) == "A court in the capital orders a station off the air"


def test_a_long_headline_without_a_break_is_the_subject_up_to_150() -> None:
    assert subject([pick("word " * 20 + "end")]) == "word " * 20 + "end"
    assert len(subject([pick("word " * 60)])) <= 150


def test_the_preheader_names_the_other_stories_whole() -> None:
    picks = [pick("The lead"), pick("Parliament passes a law on agents"), pick("Police search a flat"), pick("x" * 90)]
    assert preheader(picks) == "Parliament passes a law on agents · Police search a flat"


def test_a_preheader_that_says_too_little_goes_on_with_summaries() -> None:
    assert preheader([pick("The lead", "Why it matters."), pick("Short one", SENTENCE.strip())]) == (
        "Short one · " + SENTENCE.strip() + " · Why it matters."
    )
    assert preheader([pick("Alone", SENTENCE * 3)]).endswith("…")


@given(st.lists(st.builds(pick, st.text(min_size=1, max_size=300), st.text(max_size=400)), max_size=6))
def test_subject_and_preheader_keep_their_bounds(picks: list[Pick]) -> None:
    assert len(subject(picks)) <= 150
    assert len(preheader(picks)) <= 130
