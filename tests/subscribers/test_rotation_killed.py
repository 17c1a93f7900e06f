"""Killed at any step, a rotation is gone on with; in whatever order its steps come, everybody is found and opens."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from subscribers.db import Base, Database
from subscribers.keys import write_keys
from subscribers.models import ClosedPair, Subscriber
from subscribers.rotation import (
    DRAIN,
    begin,
    close,
    finish,
    forget,
    retire_all,
)
from subscribers.vault import (
    LOOK_EVERY,
    STALE,
    WrongKeys,
)
from tests.subscribers.installation import FIRST, ROOT, Installation


class Dying:
    """A rotating process that is killed in the middle of things."""

    def __init__(self, house: Installation) -> None:
        url = house.database.url.render_as_string(hide_password=False)
        self.command = [sys.executable, "-m", "tests.subscribers.rotator", url, str(house.path)]

    def run(self, steps: int | None) -> list[str]:
        """Let it do so many steps and kill it there; without a number let it end. Returns the steps."""
        with subprocess.Popen(
            self.command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            done = list[str]()
            for line in process.stdout:
                done.append(line.strip())
                if steps is not None and len(done) == steps:
                    process.send_signal(signal.SIGKILL)
                    break
                process.stdin.write("\n")
                process.stdin.flush()
        assert process.returncode == (-signal.SIGKILL if steps is not None else 0)
        return done


def test_killed_at_any_step_it_is_gone_on_with(house: Installation) -> None:
    """`kill -9` after the file, after retiring, in the middle of the values: always everybody opens and is found."""
    house.clocks.now = dt.datetime.now(dt.UTC)
    readers = [f"reader-{number}@example.org" for number in range(120)]
    old, new = house.process(), None
    for address in readers:
        old.enter(address)
    dying = Dying(house)
    for steps in (1, 2, 4, 4):
        done = dying.run(steps)
        assert len(done) == steps
        new = house.process()
        for number, process in enumerate((old, new)):
            assert process.enter(readers[steps]).already
            # An old process is shut out once its pair is closed, and a refused sign-up is not a lost one.
            joined = f"joined-{steps}-{number}-{len(readers)}@example.org"
            try:
                process.enter(joined)
            except WrongKeys:
                assert process is old
                continue
            readers.append(joined)
        assert house.addresses() == sorted(readers)
    assert dying.run(None)[-1] == "forgotten"
    assert house.keys.previous is not None
    house.clocks.now = dt.datetime.now(dt.UTC)
    house.finish()
    assert house.addresses() == sorted(readers)
    assert house.findings() == []
    after = house.process()
    assert all(after.enter(address).already for address in readers[::25])


ADDRESSES = ("mina@example.org", "Omid@example.org", "sara@example.org")


class Turning(RuleBasedStateMachine):
    """Sign-ups by processes of all ages, and the steps of rotations, in any order."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "digest.keys"
        write_keys(path, FIRST)
        # In a file: in memory there would be one connection, and a rotation reads keys while it writes.
        database = Database(f"sqlite:///{self.folder.name}/digest.db")
        Base.metadata.create_all(database.engine)
        self.house = Installation(database, path)
        self.processes = [self.house.process(path=path)]
        self.known = set[str]()
        self.copies = [self.house.keys.for_web()]

    def teardown(self) -> None:
        if hasattr(self, "house"):
            self.house.database.close()
            self.folder.cleanup()

    @rule(data=st.data(), address=st.sampled_from(ADDRESSES))
    def enter(self, data: st.DataObject, address: str) -> None:
        process = data.draw(st.sampled_from(self.processes))
        try:
            entered = process.enter(address)
        except WrongKeys:
            return
        assert entered.already is (address in self.known)
        self.known.add(address)

    @rule()
    def start_with_the_file(self) -> None:
        self.processes = [*self.processes[-3:], self.house.process(path=self.house.path)]

    @rule(data=st.data())
    def start_with_a_copy(self, data: st.DataObject) -> None:
        self.copies = [*self.copies[-2:], self.house.keys.for_web()]
        self.processes = [*self.processes[-3:], self.house.process(data.draw(st.sampled_from(self.copies)))]

    @precondition(lambda self: not self.house.keys.previous)
    @rule()
    def begin(self) -> None:
        begin(self.house.database, self.house.path, self.house.clocks.now)

    @rule()
    def retire(self) -> None:
        retire_all(self.house.database, self.house.clocks.now)

    @rule()
    def reseal(self) -> None:
        self.house.reseal()

    @precondition(lambda self: self.house.keys.previous)
    @rule()
    def close(self) -> None:
        close(self.house.database, self.house.keys, self.house.clocks.now)

    @rule(seconds=st.sampled_from([1.0, LOOK_EVERY, STALE, DRAIN.total_seconds()]))
    def wait(self, seconds: float) -> None:
        self.house.clocks.turn(seconds)

    @rule()
    def forget_and_finish(self) -> None:
        self.house.reseal()
        forget(self.house.database, self.house.clocks.now)
        finish(self.house.database, self.house.path, self.house.clocks.now)

    @invariant()
    def everybody_opens(self) -> None:
        assert self.house.addresses() == sorted(self.known)

    @invariant()
    def nobody_can_be_entered_unseen(self) -> None:
        with self.house.database.read() as session:
            closed = session.scalars(sa.select(ClosedPair.pair)).all()
            hashes = session.scalars(sa.select(Subscriber.suppression_hash)).all()
        assert self.house.keys.pair not in closed
        assert len(set(hashes)) == len(self.known)


TestTurning = Turning.TestCase
TestTurning.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
