"""Keys files: whose are taken, what is in them while keys are rotated, what is left where one cannot be written."""

from __future__ import annotations

import pytest
import structlog

from subscribers.keys import BadKeys, make_keys, read_keys, replace_keys, write_keys
from subscribers.rotation import (
    CannotRotate,
    alone,
    begin,
)
from subscribers.vault import (
    LOOK_EVERY,
)
from tests.subscribers.installation import FIRST, NOW, Installation


def test_running_processes_see_the_new_file_by_themselves(house: Installation) -> None:
    running = house.process(path=house.path)
    running.enter("mina@example.org")
    begin(house.database, house.path, house.clocks.now)
    house.process().enter("omid@example.org")
    # It opens what is sealed to a pair that it has never heard of.
    assert house.addresses(running.vault) == ["mina@example.org", "omid@example.org"]
    house.clocks.turn(LOOK_EVERY)
    house.finish()
    running.enter("sara@example.org")
    assert {one.pair for one in house.data_keys()} == {house.keys.pair}
    assert house.findings() == []


def test_keys_of_another_installation_rotate_nothing(house: Installation) -> None:
    house.process().enter("mina@example.org")
    other = house.path.with_name("other.keys")
    write_keys(other, make_keys())
    before = other.read_bytes()
    with pytest.raises(CannotRotate, match="other keys"):
        begin(house.database, other, NOW)
    assert other.read_bytes() == before


def test_a_web_machine_s_keys_rotate_nothing(small: Installation) -> None:
    web = small.path.with_name("web.keys")
    write_keys(web, FIRST.for_web())
    with pytest.raises(BadKeys, match="no `private`"):
        begin(small.database, web, NOW)
    begin(small.database, small.path, NOW)
    with pytest.raises(BadKeys, match="not done yet"):
        begin(small.database, small.path, NOW)


def test_two_rotations_at_once_are_one(small: Installation) -> None:
    with alone(small.path), pytest.raises(CannotRotate, match="Another"), alone(small.path):
        pass
    with alone(small.path):
        pass


def test_a_keys_file_that_is_not_ours_is_not_taken(small: Installation) -> None:
    running = small.process(path=small.path)
    running.enter("mina@example.org")
    for wrong in (make_keys(), FIRST.for_web()):
        replace_keys(small.path, wrong)
        small.clocks.turn(LOOK_EVERY)
        with structlog.testing.capture_logs() as said:
            running.enter(f"reader-{small.clocks.ticks}@example.org")
        assert [one["log_level"] for one in said] == ["warning"]
    small.path.write_text("nonsense")
    small.clocks.turn(LOOK_EVERY)
    with structlog.testing.capture_logs() as said:
        running.enter("omid@example.org")
    assert "cannot be used" in said[0]["event"]
    replace_keys(small.path, FIRST)
    assert len(small.addresses()) == 4


def test_the_file_keeps_the_pair_before_until_the_end(small: Installation) -> None:
    following = begin(small.database, small.path, NOW)
    assert read_keys(small.path) == following
    assert following.previous is not None
    assert (following.previous.private, following.previous.since) == (FIRST.private, NOW)
    assert small.path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in small.path.parent.glob("*.keys*")] == ["digest.keys"]
    text = small.path.read_text()
    for wrong in (
        text.replace("since", "sinse"),
        text.replace("2026-11-18T18:00:00+00:00", "2026-11-18T18:00:00"),
        text.partition("[previous]")[0] + "previous = 3\n",
        text.rpartition("private")[0],
    ):
        small.path.write_text(wrong)
        with pytest.raises(BadKeys, match=r"\[previous\]"):
            read_keys(small.path)


def test_a_file_that_cannot_be_written_changes_nothing(small: Installation) -> None:
    small.process().enter("mina@example.org")
    small.path.with_name(".digest.keys.x").mkdir()
    with pytest.raises(OSError, match="directory"):
        replace_keys(small.path.with_name(".digest.keys.x"), FIRST)
    assert sorted(one.name for one in small.path.parent.iterdir() if "keys" in one.name) == [
        ".digest.keys.x",
        "digest.keys",
    ]
