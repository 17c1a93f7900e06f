"""What is different between two states of an issue: told word by word, and which stories were moved."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.issues.difference import Difference, StoryChange, compare
from digest.issues.moves import moved, moves
from digest.issues.snapshot import Snapshot, Story, pack, unpack
from digest.issues.wording import Piece, words

TEXT = st.lists(
    st.sampled_from(["the", "court", "frees", "editor,", "ТАСС", "زنان", "دادگاه", "۲۱۴", "判決", "a", ".", "\n\n"]),
    max_size=14,
).map(" ".join)
STORIES = st.builds(
    Story, st.integers(), st.sampled_from(["", "In Brief"]), st.booleans(), TEXT, TEXT, st.just("") | TEXT
)
SNAPSHOTS = st.builds(
    Snapshot, TEXT, TEXT, TEXT,
    st.lists(STORIES, max_size=7).map(
        lambda stories: tuple(replace(story, post_id=number) for number, story in enumerate(stories))
    ),
)  # fmt: skip


def told(old: str, new: str) -> str:
    signs = {"same": "{}", "gone": "[-{}-]", "new": "{{+{}+}}"}
    return "".join(signs[piece.kind].format(piece.text) for piece in words(old, new))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", ""),
        ("A court frees an editor", "A court frees an editor", "A court frees an editor"),
        ("", "New words", "{+New words+}"),
        ("Old words", "", "[-Old words-]"),
        ("A court frees one editor.", "A court frees two editors.", "A court frees [-one editor-]{+two editors+}."),
        # A small word between two changes helps nobody.
        ("Police search a flat", "Soldiers raid a house", "[-Police search a flat-]{+Soldiers raid a house+}"),
        ("and one of them", "and *one* of them", "and [-one -]{+*one* +}of them"),
        ("One. Two.", "One.\n\nTwo.", "One[-. -]{+.\n\n+}Two."),
        ("خبرنگار آزاد شد", "خبرنگار بازداشت شد", "خبرنگار [-آزاد -]{+بازداشت +}شد"),
        ("記者が釈放", "記者が拘束", "記者が[-釈放-]{+拘束+}"),
        ("हिन्दी में", "हिन्दी की", "हिन्दी [-में-]{+की+}"),
    ],
)  # fmt: skip
def test_words_are_told_as_they_changed(old: str, new: str, expected: str) -> None:
    assert told(old, new) == expected


def bare(text: str) -> list[str]:
    return text.split()


@given(TEXT, TEXT)
def test_both_texts_can_be_read_from_what_is_told(old: str, new: str) -> None:
    pieces = words(old, new)
    assert bare("".join(piece.text for piece in pieces if piece.kind != "new")) == bare(old)
    assert bare("".join(piece.text for piece in pieces if piece.kind != "gone")) == bare(new)
    assert all(before.kind != after.kind for before, after in pairwise(pieces))
    if old == new:
        assert pieces == ((Piece("same", new),) if new else ())


@given(SNAPSHOTS)
def test_a_snapshot_comes_back_as_it_was_kept(value: Snapshot) -> None:
    assert unpack(pack(value)) == value
    assert compare(value, value) == Difference()
    assert not compare(value, value)
    assert moved(value, value) == frozenset()


@given(SNAPSHOTS, SNAPSHOTS)
def test_two_states_differ_exactly_where_something_is_different(old: Snapshot, new: Snapshot) -> None:
    assert bool(compare(old, new)) is (old != new)


def ordered(order: str, headings: str = "") -> Snapshot:
    """Stories named by letters, in their order; those in `headings` stand in brief."""
    stories = (
        Story(ord(one), "In Brief" if one in headings else "", included=True, headline=one, summary="", image_alt="")
        for one in order
    )
    return Snapshot("", "", "", tuple(stories))


@pytest.mark.parametrize(
    ("old", "new", "may", "fewest"),
    [
        ("abc", "abc", "", 0),
        ("abc", "bac", "ab", 1),
        ("abcd", "dabc", "d", 1),
        ("abcd", "bcda", "a", 1),
        ("abcd", "badc", "abcd", 2),
        ("abc", "cba", "abc", 2),
        ("ab", "axb", "", 0),
        ("axb", "ab", "", 0),
    ],
)
def test_who_was_moved_is_seen_from_the_orders(old: str, new: str, may: str, fewest: int) -> None:
    before, after = ordered(old), ordered(new)
    assert moved(before, after) == {ord(one) for one in may}
    assert len(moves(before, after)) == fewest
    assert set(moves(before, after)) <= moved(before, after)


def test_under_another_heading_a_story_was_moved_and_its_new_neighbours_were_not() -> None:
    assert moved(ordered("abcd", "cd"), ordered("acbd", "bcd")) == {ord("b")}


@given(st.permutations("abcdefgh"), st.sampled_from("abcdefgh"), st.integers(0, 7))
def test_one_story_that_was_moved_is_always_named(order: list[str], one: str, to: int) -> None:
    rest = [other for other in order if other != one]
    new = [*rest[:to], one, *rest[to:]]
    before, after = ordered("".join(order)), ordered("".join(new))
    assert (ord(one) in moved(before, after)) is (new != order)
    # Beside it only a neighbour with which it changed places.
    assert len(moved(before, after)) <= 2
    assert len(moves(before, after)) == (new != order)


def test_a_story_s_changes_are_told_together() -> None:
    one = Story(1, "", included=True, headline="One", summary="Sum", image_alt="")
    two, three = (replace(one, post_id=number, headline=name) for number, name in ((2, "Two"), (3, "Three")))
    changed = replace(one, section="In Brief", included=False, summary="Sum of it", image_alt="Alt")
    four = replace(two, post_id=4, headline="Four", included=False)
    old = Snapshot("S", "P", "I", (one, two, three))
    new = Snapshot("S", "P", "I", (two, changed, four))
    change, offered, gone = compare(old, new).stories
    assert (change.came, change.section, change.way) == ("left out", ("", "In Brief"), None)
    assert [text.name for text in change.texts] == ["summary", "image_alt"]
    assert offered == StoryChange(4, "Four", "offered")
    assert gone == StoryChange(3, "Three", "gone")
