"""Whatever editors do, in any order: nothing is lost, positions stay whole, and no approval outlives a change."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from digest.issues import control, edit, revisions
from digest.issues.add import add_post
from digest.issues.draft import absorb_new_posts
from digest.issues.outcomes import Done, Refused
from digest.issues.snapshot import Snapshot, snapshot
from digest.models import IssueState
from subscribers.db import Database
from tests.issues.newsroom import HOUR, THURSDAY, House

SECTIONS = ("", "In Brief", "Journalists in Trouble")
PLACES = st.integers(0, 30)
WORDS = st.sampled_from(["", "One", "Two words", "سه", "- a\n- b"])


class Desk(RuleBasedStateMachine):
    """Two editors and an issue, with all that it has said."""

    house: House

    @initialize()
    def open_draft(self) -> None:
        """Each story of the machine has an issue of its own week."""
        self.week = next(_weeks)
        now = self.now = THURSDAY + self.week * dt.timedelta(weeks=1)
        for number in range(3):
            self.house.post(f"Story {number} of week {self.week}", published_at=now - (number + 5) * HOUR)
        self.issue_id = self.house.draft(now).issue_id
        self.states = {1: self.says()}
        self.undone: list[Snapshot] = []
        self.done = [self.says()]
        """The states that undoing goes back through, the standing one last."""

    def says(self) -> Snapshot:
        return snapshot(self.house.issue(self.issue_id), self.house.items(self.issue_id))

    def item(self, at: int) -> int:
        items = self.house.items(self.issue_id)
        return items[at % len(items)].id

    def do(self, change: Any, *args: Any, **values: Any) -> Done | Refused:
        """A change by somebody, and what holds for each."""
        before = self.house.issue(self.issue_id)
        with self.house.database.write() as session:
            result: Done | Refused = change(session, self.issue_id, *args, who="Ada", now=self.now, **values)
        after = self.house.issue(self.issue_id)
        if isinstance(result, Done):
            assert result.revision == after.revision
            assert after.revision - before.revision in (0, 1)
            if after.revision > before.revision:
                assert after.state is not IssueState.APPROVED
                assert after.approved_by is None
                self.states[after.revision] = self.says()
            else:
                assert after.state is before.state
        else:
            assert (after.revision, after.state) == (before.revision, before.state)
        return result

    def changed(self, result: Done | Refused) -> None:
        """After a change that is no going back."""
        now = self.says()
        if isinstance(result, Done) and now != self.done[-1]:
            self.done.append(now)
            self.undone.clear()

    @rule(at=PLACES, text=WORDS, what=st.sampled_from(["headline", "summary", "image_alt"]))
    def write(self, at: int, text: str, what: str) -> None:
        self.changed(self.do(edit.edit_item, self.item(at), **{what: text}))

    @rule(text=WORDS, what=st.sampled_from(["subject", "preheader", "introduction"]))
    def write_around(self, text: str, what: str) -> None:
        self.changed(self.do(edit.edit_issue, **{what: text}))

    @rule(at=PLACES, change=st.sampled_from([edit.include, edit.leave_out]))
    def take(self, at: int, change: Any) -> None:
        self.changed(self.do(change, self.item(at)))

    @rule(at=PLACES, way=st.sampled_from(["up", "down"]))
    def move(self, at: int, way: str) -> None:
        self.changed(self.do(edit.move, self.item(at), way, sections=SECTIONS))

    @rule(at=PLACES, section=st.sampled_from(SECTIONS), before=st.none() | PLACES)
    def place(self, at: int, section: str, before: int | None) -> None:
        follower = None if before is None else self.item(before)
        self.changed(self.do(edit.place, self.item(at), section, follower, sections=SECTIONS))

    @rule(section=st.sampled_from(SECTIONS))
    def add(self, section: str) -> None:
        post = self.house.post("Added", published_at=self.now - 30 * HOUR, gathered_at=self.now)
        self.changed(self.do(add_post, post, section, sections=SECTIONS))

    @rule()
    def offer(self) -> None:
        """A post comes in late; that is no revision, and what stands on record has it from the next change on."""
        self.house.post("Late", published_at=self.now - 2 * HOUR)
        with self.house.database.write() as session:
            absorb_new_posts(session, self.issue_id, self.house.newsletter, self.now)
        self.done[-1] = self.says()
        self.states[self.house.issue(self.issue_id).revision] = self.done[-1]

    @rule()
    def approve(self) -> None:
        with self.house.database.write() as session:
            control.approve(session, self.issue_id, who="Cleo", now=self.now)

    def like(self, wanted: Snapshot) -> Snapshot:
        """What the issue says when it says again what it said: what came in since is left out, at the end."""
        now = self.says()
        assert now.of([story.post_id for story in wanted.stories]) == wanted
        assert not any(story.included for story in now.stories[len(wanted.stories) :])
        return now

    @rule()
    def undo(self) -> None:
        result = self.do(revisions.undo)
        assert isinstance(result, Refused) is (len(self.done) == 1)
        if isinstance(result, Done):
            self.undone.append(self.done.pop())
            self.done[-1] = self.like(self.done[-1])

    @rule()
    def redo(self) -> None:
        result = self.do(revisions.redo)
        assert isinstance(result, Refused) is (not self.undone)
        if isinstance(result, Done):
            self.done.append(self.like(self.undone.pop()))

    @rule(at=PLACES)
    def go_back(self, at: int) -> None:
        number = sorted(self.states)[at % len(self.states)]
        wanted = self.states[number]
        result = self.do(revisions.restore, number)
        assert isinstance(result, Done)
        self.like(wanted)
        self.changed(result)

    @rule()
    def come_too_late(self) -> None:
        standing = self.house.issue(self.issue_id).revision
        assert isinstance(self.do(revisions.undo, expected_revision=standing + 1), Refused)

    @invariant()
    def positions_are_whole(self) -> None:
        items = self.house.items(self.issue_id)
        assert [item.position for item in items] == list(range(len(items)))

    @invariant()
    def nothing_is_lost(self) -> None:
        with self.house.database.read() as session:
            issue = self.house.issue(self.issue_id)
            found = revisions.kept(session, issue, before=None, count=1000)
            within = revisions.within(session, issue)
        assert [line.number for line, _ in found] == list(range(issue.revision, 0, -1))
        older = {line.number: value for line, value in found if line.number < issue.revision}
        assert older == {number: value for number, value in self.states.items() if number < issue.revision}
        assert (within.undo is not None, within.redo is not None) == (len(self.done) > 1, bool(self.undone))


_weeks = iter(range(1, 100_000))


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_whatever_editors_do(request: pytest.FixtureRequest, kind: str) -> None:
    database: Database = request.getfixturevalue(f"{kind}_database")
    Desk.house = House(database)
    Desk.house.well()
    run_state_machine_as_test(
        Desk,
        settings=settings(
            max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
