"""Posts that change at their source after they were taken: the difference, taking it, keeping one's own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from digest.gather import store
from digest.gather.decide import Edited, fingerprint
from digest.gather.store import known_posts
from digest.issues import control, differences
from digest.issues.checks import examine
from digest.issues.draft import absorb_new_posts
from digest.issues.links import Answered, _keep, want
from digest.issues.outcomes import Done, Finding, Refused
from digest.issues.taking import follow, keep, take
from digest.models import IssueState, Item, Post, PostVersion
from tests.issues.newsroom import BASE_URL, DAY, HOUR, MAIN, THURSDAY, House, templates

LATER = THURSDAY + HOUR


def findings(house: House, issue_id: int) -> list[Finding]:
    with house.database.read() as session:
        said = examine(session, issue_id, house.newsletter, templates(), base_url=BASE_URL).findings
    return [one for one in said if one.code.startswith("post-")]


def edit(house: House, post_id: int, now: dt.datetime = LATER, **changes: Any) -> None:
    """The source says something else, and it is gathered: by the very code that stores it."""
    with house.database.read() as session:
        identity = session.get_one(Post, post_id).identity
    known = known_posts(house.database, "watchdog", [identity])[identity]
    with house.database.write() as session:
        session.execute(sa.update(Post).where(Post.id == post_id).values(fingerprint=fingerprint(known.entry)))
        entry = replace(known.entry, **changes)
        assert store.store(session, "watchdog", MAIN, [Edited(known, entry)], now).edited == 1


@pytest.fixture
def taken(thursday: House) -> tuple[int, Item]:
    """An issue, and the story in it that was taken from the third post."""
    post_id = thursday.post(
        "A post that will change", summary="It was said in one plain sentence.", body="<p>One.</p><p>Two.</p>", ago=HOUR
    )
    issue_id = thursday.draft().issue_id
    return issue_id, next(item for item in thursday.items(issue_id) if item.post_id == post_id)


def do(
    house: House, step: Callable[..., Done | Refused], issue_id: int, item_id: int, **more: object
) -> Done | Refused:
    with house.database.write() as session:
        return step(session, issue_id, item_id, who="anna", now=LATER + HOUR, **more)


def test_an_edit_is_told_with_what_has_changed_word_by_word(thursday: House, taken: tuple[int, Item]) -> None:
    issue_id, item = taken
    assert findings(thursday, issue_id) == []
    edit(
        thursday,
        item.post_id,
        title="A post that has changed",
        summary="It was said in two plain sentences.",
        body="<p>One.</p><p>Three.</p>",
    )
    (one,) = findings(thursday, issue_id)
    assert (one.level, one.code, one.field) == ("warns", "post-edited", f"story-{item.id}")
    assert [(part.label, part.pieces) for part in one.differences] == [
        ("Headline", (("same", "A post that"), ("gone", "will change"), ("new", "has changed"))),
        (
            "Summary",
            (
                ("same", "It was said in"),
                ("gone", "one"),
                ("new", "two"),
                ("same", "plain"),
                ("gone", "sentence."),
                ("new", "sentences."),
            ),
        ),
        ("Story", (("gone", "Two."), ("new", "Three."))),
    ]
    assert [remedy.step for remedy in one.remedies] == [f"items/{item.id}/take", f"items/{item.id}/keep"]


def test_what_is_compared_is_what_stood_when_it_was_taken(thursday: House, taken: tuple[int, Item]) -> None:
    issue_id, item = taken
    edit(thursday, item.post_id, title="A post that has changed once")
    edit(thursday, item.post_id, now=LATER + HOUR / 2, title="A post that has changed twice")
    (one,) = findings(thursday, issue_id)
    assert one.differences[0].pieces == (
        ("same", "A post that"),
        ("gone", "will change"),
        ("new", "has changed twice"),
    )


def test_taking_the_new_text_makes_it_the_story_s_and_is_another_revision(
    thursday: House, taken: tuple[int, Item]
) -> None:
    issue_id, item = taken
    edit(thursday, item.post_id, title="A post that has changed", summary="It was said in two plain sentences.")
    assert isinstance(do(thursday, take, issue_id, item.id, newsletter=thursday.newsletter), Done)
    now = next(one for one in thursday.items(issue_id) if one.id == item.id)
    assert (now.headline, now.summary) == ("A post that has changed", "It was said in two plain sentences.")
    assert thursday.issue(issue_id).revision == 2
    assert findings(thursday, issue_id) == []
    edit(thursday, item.post_id, now=LATER + 2 * HOUR, title="A post that has changed again")
    assert len(findings(thursday, issue_id)) == 1


def test_keeping_one_s_own_changes_nothing_that_readers_see(thursday: House, taken: tuple[int, Item]) -> None:
    issue_id, item = taken
    with thursday.database.write() as session:
        control.approve(session, issue_id, who="Paula", now=THURSDAY)
    edit(thursday, item.post_id, title="A post that has changed")
    assert isinstance(do(thursday, keep, issue_id, item.id), Done)
    issue = thursday.issue(issue_id)
    assert (issue.state, issue.revision) == (IssueState.APPROVED, 1)
    assert findings(thursday, issue_id) == []
    assert thursday.log()[-1].action == "keep"
    edit(thursday, item.post_id, now=LATER + 2 * HOUR, title="A post that has changed again")
    assert len(findings(thursday, issue_id)) == 1


def test_where_only_the_story_has_changed_there_is_no_new_text_to_take(
    thursday: House, taken: tuple[int, Item]
) -> None:
    issue_id, item = taken
    edit(thursday, item.post_id, body="<p>One.</p><p>Three.</p>")
    (one,) = findings(thursday, issue_id)
    assert [remedy.label for remedy in one.remedies] == ["Keep mine"]


def test_an_edit_before_it_was_offered_is_none(thursday: House) -> None:
    issue_id = thursday.draft().issue_id
    post_id = thursday.post("A late post", ago=HOUR / 2, gathered_at=LATER)
    edit(thursday, post_id, title="A late post that was corrected at once")
    with thursday.database.write() as session:
        absorb_new_posts(session, issue_id, thursday.newsletter, LATER + HOUR)
        session.execute(sa.update(Item).values(included=True))
    assert findings(thursday, issue_id) == []


def test_without_what_it_was_the_story_is_compared_with_its_source(thursday: House, taken: tuple[int, Item]) -> None:
    issue_id, item = taken
    edit(thursday, item.post_id, title="A post that has changed")
    with thursday.database.write() as session:
        session.execute(sa.delete(PostVersion))
    (one,) = findings(thursday, issue_id)
    assert one.differences[0].pieces[1:] == (("gone", "will change"), ("new", "has changed"))


def test_a_withdrawn_post_blocks_until_it_is_left_out_and_can_be_overridden(
    thursday: House, taken: tuple[int, Item]
) -> None:
    issue_id, item = taken
    thursday.change_post(item.post_id, withdrawn_at=LATER)
    (one,) = findings(thursday, issue_id)
    assert (one.level, one.code, one.is_final) == ("blocks", "post-withdrawn", False)


def test_a_change_is_refused_on_an_old_page_and_on_an_issue_that_is_out(
    thursday: House, taken: tuple[int, Item]
) -> None:
    issue_id, item = taken
    for step, more in ((keep, {}), (take, {"newsletter": thursday.newsletter}), (follow, {})):
        assert isinstance(do(thursday, step, issue_id, item.id, expected_revision=7, **more), Refused)
        assert isinstance(do(thursday, step, issue_id, 999, **more), Refused)
    thursday.set(issue_id, state=IssueState.SENT)
    for step, more in ((keep, {}), (take, {"newsletter": thursday.newsletter}), (follow, {})):
        assert isinstance(do(thursday, step, issue_id, item.id, **more), Refused)


def test_a_link_that_has_moved_is_followed_and_no_other(thursday: House, taken: tuple[int, Item]) -> None:
    issue_id, item = taken
    refused = do(thursday, follow, issue_id, item.id)
    assert isinstance(refused, Refused)
    with thursday.database.read() as session:
        link = session.get_one(Post, item.post_id).link
    with thursday.database.write() as session:
        want(session, [link], THURSDAY)
    _keep(thursday.database, Answered(link, "moved", final="https://news.example/new.html"), LATER)
    assert isinstance(do(thursday, follow, issue_id, item.id), Done)
    with thursday.database.read() as session:
        assert session.get_one(Post, item.post_id).link == "https://news.example/new.html"
    assert thursday.issue(issue_id).revision == 2


def test_gathering_keeps_how_a_post_read_before_and_not_what_was_only_filled_in(thursday: House) -> None:
    post_id = thursday.post("A post", summary="Said.", ago=DAY)
    edit(thursday, post_id, title="A post, corrected")
    with thursday.database.read() as session:
        (version,) = session.scalars(sa.select(PostVersion))
        assert (version.title, version.summary, version.until) == ("A post", "Said.", LATER)


WORDS = st.lists(st.sampled_from(["a", "b", "c", "d."]), max_size=30).map(" ".join)


@given(WORDS, WORDS)
def test_a_difference_holds_both_texts(old: str, new: str) -> None:
    found = differences.difference("Text", old, new)
    if old == new:
        assert found is None
        return
    assert found is not None
    if any(piece.endswith("…") or " … " in piece or piece.startswith("…") for _, piece in found.pieces):
        return  # What is the same for long is shortened.
    assert " ".join(piece for kind, piece in found.pieces if kind != "new" and piece) == old
    assert " ".join(piece for kind, piece in found.pieces if kind != "gone" and piece) == new


def test_a_long_story_s_difference_is_bounded() -> None:
    old = "".join(f"<p>Paragraph {number} as it was.</p>" for number in range(40))
    new = old.replace("was", "is")
    found = differences.in_story(old, new)
    assert len(found) == differences.PARAGRAPHS + 1
    assert found[-1].pieces == (("same", "… and 34 more paragraphs of the story"),)
    whole = differences.difference("Text", "x " * 5000, "y " * 5000)
    assert whole is not None
    assert [kind for kind, _ in whole.pieces] == ["gone", "new"]
    assert max(len(piece) for _, piece in whole.pieces) <= 600
