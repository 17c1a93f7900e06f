"""Keys are rotated while everything runs: nothing is lost, nobody is found twice, what leaked opens nothing."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from subscribers.db import Base, Database
from subscribers.keys import BadKeys, KeysFile, make_keys, read_keys, replace_keys, write_keys
from subscribers.lifecycle import State
from subscribers.models import ClosedPair, DataKey, Subscriber, Subscription, Suppression
from subscribers.rotation import (
    DRAIN,
    CannotRotate,
    alone,
    begin,
    close,
    finish,
    forget,
    reseal,
    retire_all,
    standing,
)
from subscribers.sealed import check_keys, check_values, mend, without_hash
from subscribers.service import Entered, Outcome, Service
from subscribers.vault import (
    ARRIVAL,
    DELIVERY_CONTEXT,
    LOOK_EVERY,
    PLACES,
    STALE,
    SUBSCRIBER_ADDRESS,
    USER_ADDRESS,
    CannotOpen,
    Keys,
    Place,
    StoodStill,
    Vault,
    WrongKeys,
)
from tests.subscribers.house import WATCH, Recorder, make_service

NOW = dt.datetime(2026, 11, 18, 18, tzinfo=dt.UTC)
ROOT = Path(__file__).resolve().parents[2]
FIRST = make_keys()


@dataclass
class Clocks:
    """The wall's clock and a process's own, turned together."""

    now: dt.datetime = NOW
    ticks: float = 0.0

    def wall(self) -> dt.datetime:
        return self.now

    def own(self) -> float:
        return self.ticks

    def turn(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)
        self.ticks += seconds


@dataclass
class Process:
    """One process of the house: its keys, perhaps the file that it looks at, its vault and its service."""

    vault: Vault
    service: Service
    outbox: Recorder

    def enter(self, address: str, now: dt.datetime = NOW) -> Entered:
        entered = self.service.enter(WATCH.slug, address, "Signed a list.", now)
        assert isinstance(entered, Entered), entered
        return entered


@dataclass
class Installation:
    """A database, a keys file, and processes."""

    database: Database
    path: Path
    clocks: Clocks = field(default_factory=Clocks)

    def process(self, keys: Keys | None = None, path: Path | None = None) -> Process:
        """A process with the file's keys, or others; it sees its file change where it has one."""
        found, outbox = keys or read_keys(path or self.path), Recorder()
        vault = Vault(self.database, found, KeysFile(path) if path else None, self.clocks.own)
        return Process(vault, make_service(self.database, vault, found, outbox), outbox)

    @property
    def keys(self) -> Keys:
        return read_keys(self.path)

    def rotate(self) -> None:
        """A whole rotation, with the waiting done by turning the clock."""
        begin(self.database, self.path, self.clocks.now)
        self.finish()

    def finish(self) -> None:
        self.reseal()
        close(self.database, self.keys, self.clocks.now)
        self.reseal()
        self.clocks.turn(DRAIN.total_seconds())
        forget(self.database, self.clocks.now)
        assert finish(self.database, self.path, self.clocks.now)
        assert standing(self.database, self.keys).is_done

    def reseal(self) -> None:
        assert reseal(self.database, self.keys, self.clocks.wall) == []

    def addresses(self, vault: Vault | None = None) -> list[str]:
        vault = vault or Vault(self.database, self.keys)
        with self.database.read() as session:
            rows = session.execute(sa.select(Subscriber.address_sealed, Subscriber.public_id)).all()
        return sorted(vault.open(sealed, SUBSCRIBER_ADDRESS, row) for sealed, row in rows)

    def findings(self) -> list[str]:
        vault = Vault(self.database, self.keys)
        return [
            str(one)
            for one in [
                *check_keys(self.database, vault, self.keys),
                *check_values(self.database, vault, self.keys, None),
            ]
        ]

    def data_keys(self) -> list[DataKey]:
        with self.database.read() as session:
            return list(session.scalars(sa.select(DataKey).order_by(DataKey.id)))


@pytest.fixture
def house(database: Database, tmp_path: Path) -> Installation:
    write_keys(tmp_path / "digest.keys", FIRST)
    return Installation(database, tmp_path / "digest.keys")


@pytest.fixture
def small(sqlite_database: Database, tmp_path: Path) -> Installation:
    write_keys(tmp_path / "digest.keys", FIRST)
    return Installation(sqlite_database, tmp_path / "digest.keys")


def people(count_: int) -> list[str]:
    return sorted(f"reader-{number}@example.org" for number in range(count_))


def test_every_column_of_sealed_values_is_known() -> None:
    """A new one must be rotated and searched too."""
    found = {
        Place(table.name, column.name)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if "sealed" in column.name and table.name != "data_keys"
    }
    assert found == set(PLACES)
    for place in PLACES:
        assert {"id", "public_id"} <= set(Base.metadata.tables[place.table].columns.keys())


def test_after_a_rotation_the_new_keys_open_all_and_the_old_ones_nothing(house: Installation) -> None:
    old = house.process()
    for address in people(5):
        old.enter(address)
    before = house.data_keys()
    house.rotate()
    assert house.keys.previous is None
    assert (house.keys.pair, house.keys.index) != (FIRST.pair, FIRST.index)
    assert house.keys.is_next_of(FIRST)
    assert house.addresses() == people(5)
    assert house.findings() == []
    assert not {one.id for one in before} & {one.id for one in house.data_keys()}
    for kept in house.data_keys():
        with pytest.raises(WrongKeys):
            Vault(house.database, FIRST).check_data_key(kept.id)
    # A data key that leaked, from the memory of a web process, opens nothing any more either.
    with house.database.read() as session:
        for sealed, row in session.execute(sa.select(Subscriber.address_sealed, Subscriber.public_id)):
            with pytest.raises(CannotOpen):
                old.vault.open(sealed, SUBSCRIBER_ADDRESS, row)


def test_values_of_every_place_are_sealed_anew(house: Installation) -> None:
    vault = Vault(house.database, FIRST)
    texts = {USER_ADDRESS: "anna@newsroom.example", DELIVERY_CONTEXT: '{"a": "b"}', ARRIVAL: "To: x@example.org\n" * 90}
    fill = {
        "users": {"name": "anna", "password_hash": "x", "role": "editor", "created_at": NOW},
        "deliveries": {
            "letter": "confirm", "newsletter": "watch", "attempts": 0, "state": "QUEUED",
            "due_at": NOW, "created_at": NOW, "give_up_at": NOW,
        },
        "arrivals": {"source": "mail", "key": b"k" * 32, "arrived_at": NOW, "state": "WAITING", "outcome": ""},
    }  # fmt: skip
    for number, (place, text) in enumerate(texts.items()):
        row = bytes([number]) * 16
        table = Base.metadata.tables[place.table]
        values = {**fill[place.table], "public_id": row, place.column: vault.seal(text, place, row)}
        if "state" in values:
            values["state"] = table.c.state.type.python_type[values["state"]]
        with house.database.write() as session:
            session.execute(sa.insert(table).values(values))
    house.rotate()
    after = Vault(house.database, house.keys)
    for number, (place, text) in enumerate(texts.items()):
        table = Base.metadata.tables[place.table]
        with house.database.read() as session:
            sealed = session.scalars(sa.select(table.c[place.column])).one()
        assert after.open(sealed, place, bytes([number]) * 16) == text
        with pytest.raises(CannotOpen):
            vault.open(sealed, place, bytes([number]) * 16)


def test_only_the_data_keys_can_be_made_anew(house: Installation) -> None:
    taken = house.process()
    for address in people(3):
        taken.enter(address)
    retire_all(house.database, NOW)
    house.reseal()
    assert forget(house.database, NOW + DRAIN - dt.timedelta(seconds=1)) == 0
    assert forget(house.database, NOW + DRAIN) == 1
    assert house.keys == FIRST
    assert house.addresses() == people(3)
    assert standing(house.database, FIRST).is_done


def test_processes_with_the_old_and_the_new_keys_find_and_make_nobody_twice(house: Installation) -> None:
    old = house.process()
    for address in people(3):
        old.enter(address)
    begin(house.database, house.path, house.clocks.now)
    new, sender = house.process(), house.process()
    for stage in count():
        for address in people(3):
            assert old.enter(address).already
            assert new.enter(address).already
        old.enter(f"by-old-{stage}@example.org")
        assert new.enter(f"By-Old-{stage}@Example.org").already
        new.enter(f"by-new-{stage}@example.org")
        assert old.enter(f"by-new-{stage}@example.org").already
        # The sender opens what either has sealed, at every moment.
        assert len(house.addresses(sender.vault)) == 5 + 2 * stage
        if stage == 2:
            break
        house.reseal()
    assert standing(house.database, house.keys).others == 1
    # The old one goes only now, so its last look was a while ago, and it would find its data key gone.
    house.finish()
    assert len(house.addresses()) == 9
    assert house.findings() == []
    with pytest.raises(WrongKeys, match="rotated away"):
        old.enter("late@example.org")
    assert new.enter("late@example.org").already is False


def test_the_database_itself_refuses_one_person_twice_while_two_index_keys_are_used(house: Installation) -> None:
    house.process().enter("mina@example.org")
    begin(house.database, house.path, house.clocks.now)
    vault = Vault(house.database, house.keys)
    row = b"r" * 16
    twice = Subscriber(
        public_id=row,
        address_sealed=vault.seal("mina@example.org", SUBSCRIBER_ADDRESS, row),
        blind_index=vault.blind_index("mina@example.org"),
        suppression_hash=vault.suppression_hash("mina@example.org"),
        created_at=NOW,
    )
    with pytest.raises(sa.exc.IntegrityError), house.database.write() as session:
        session.add(twice)


def test_a_link_of_before_works_after(house: Installation) -> None:
    """F-24: whoever finds a letter of years ago can still leave, and can still say never."""
    process = house.process()
    process.service.join(WATCH.slug, "mina@example.org", NOW)
    (confirm,), (never,) = process.outbox.tokens("confirm_url"), process.outbox.tokens("never_url")
    assert process.service.confirm(confirm, NOW) is Outcome.DONE
    for _ in range(2):
        house.rotate()
    after = house.process()
    assert after.service.is_confirmed(confirm, NOW)
    assert after.service.never(never, NOW) is Outcome.DONE
    with house.database.read() as session:
        assert session.scalars(sa.select(Subscription.state)).all() == [State.LEFT]
        assert len(session.scalars(sa.select(Suppression)).all()) == 1
    assert not isinstance(after.service.enter(WATCH.slug, "mina@example.org", "Signed.", NOW), Entered)


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


def test_a_process_that_stood_still_seals_nothing_with_a_key_that_is_gone(house: Installation) -> None:
    frozen = house.process()
    frozen.vault.prepare()
    retire_all(house.database, house.clocks.now)
    house.reseal()
    house.clocks.turn(STALE - 1)
    frozen.vault.seal("a@example.org", SUBSCRIBER_ADDRESS, b"r")
    house.clocks.turn(DRAIN.total_seconds())
    assert forget(house.database, house.clocks.now) == 1
    with pytest.raises(StoodStill):
        frozen.vault.seal("a@example.org", SUBSCRIBER_ADDRESS, b"r")
    frozen.vault.prepare()
    sealed = frozen.vault.seal("a@example.org", SUBSCRIBER_ADDRESS, b"r")
    assert Vault(house.database, FIRST).open(sealed, SUBSCRIBER_ADDRESS, b"r") == "a@example.org"


def test_a_data_key_lasts_until_nobody_can_be_reading_what_it_sealed(small: Installation) -> None:
    """A sender may have read a row a moment before it was sealed anew: the key is counted from then."""
    small.process().enter("mina@example.org")
    retire_all(small.database, small.clocks.now)
    small.clocks.turn(3600)
    small.reseal()
    assert forget(small.database, small.clocks.now) == 0
    small.clocks.turn(DRAIN.total_seconds())
    assert forget(small.database, small.clocks.now) == 1


def test_the_number_of_a_data_key_is_never_given_again(small: Installation) -> None:
    """A sender that runs on remembers data keys by their numbers."""
    seen = set[int]()
    for turn in range(4):
        if turn % 2:
            small.process().enter(f"reader-{turn}@example.org")
        retire_all(small.database, small.clocks.now)
        small.reseal()
        small.clocks.turn(DRAIN.total_seconds())
        forget(small.database, small.clocks.now)
        (now,) = {one.id for one in small.data_keys()}
        assert now not in seen
        seen.add(now)


def test_rows_older_than_the_suppression_hash_get_theirs_before_the_index_key_changes(house: Installation) -> None:
    for address in people(3):
        house.process().enter(address)
    with house.database.write() as session:
        session.execute(sa.update(Subscriber).where(Subscriber.id != 2).values(suppression_hash=None))
    assert [text.partition(":")[0] for text in house.findings()] == ["subscribers row 1", "subscribers row 3"]
    begin(house.database, house.path, house.clocks.now)
    assert without_hash(house.database) == []
    new = house.process()
    assert all(new.enter(address).already for address in people(3))


def test_wrong_hashes_are_found_and_mended(house: Installation) -> None:
    for address in people(2):
        house.process().enter(address)
    with house.database.write() as session:
        session.execute(sa.update(Subscriber).where(Subscriber.id == 2).values(blind_index=b"x" * 32))
    assert "row 2: its blind index" in house.findings()[0]
    assert mend(house.database, Vault(house.database, house.keys), [2]) == []
    assert house.findings() == []
    house.process().enter(people(2)[1])
    assert len(house.addresses()) == 2


def test_one_person_in_two_rows_is_said_and_the_others_are_mended(house: Installation) -> None:
    process = house.process()
    for address in people(3):
        process.enter(address)
    row = b"r" * 16
    twice = process.vault.seal(people(3)[0], SUBSCRIBER_ADDRESS, row)
    with house.database.write() as session:
        session.execute(sa.update(Subscriber).values(suppression_hash=None))
        session.add(Subscriber(public_id=row, address_sealed=twice, blind_index=b"b" * 32, created_at=NOW))
    left = mend(house.database, Vault(house.database, house.keys), without_hash(house.database))
    assert [str(one) for one in left] == ["subscribers row 4: another row is the same person's; erase one of the two."]
    assert without_hash(house.database) == [4]


def test_a_value_that_does_not_open_is_named_and_holds_up_nothing_else(house: Installation) -> None:
    for address in people(3):
        house.process().enter(address)
    with house.database.write() as session:
        broken = session.get_one(Subscriber, 2)
        broken.address_sealed = broken.address_sealed[:-1] + bytes([broken.address_sealed[-1] ^ 1])
    begin(house.database, house.path, house.clocks.now)
    close(house.database, house.keys, house.clocks.now)
    left = reseal(house.database, house.keys, house.clocks.wall)
    assert [(one.table, one.row) for one in left] == [("subscribers", 2)]
    assert "damaged" in str(left[0])
    house.clocks.turn(DRAIN.total_seconds())
    # Its key stays, and so does the pair before: from a backup the row could still be put right.
    assert forget(house.database, house.clocks.now) == 2
    assert not finish(house.database, house.path, house.clocks.now)
    with house.database.write() as session:
        session.execute(sa.delete(Subscription).where(Subscription.subscriber_id == 2))
        session.execute(sa.delete(Subscriber).where(Subscriber.id == 2))
    house.clocks.turn(DRAIN.total_seconds())
    house.finish()


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
