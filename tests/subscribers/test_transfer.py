"""Moving in and out on real databases: nobody is brought back or there twice, and it can be stopped anywhere."""

import csv
import datetime as dt
import json
import multiprocessing
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subscribers.db import Database
from subscribers.forms import Address, mentions_address, parse_address
from subscribers.lifecycle import OWN_METHODS, Format, State
from subscribers.models import Subscriber, Subscription, Suppression
from subscribers.service import Service
from subscribers.tokens import Purpose, subscription_token
from subscribers.transfer import bringing, landing, runs
from subscribers.transfer.bringing import Bringing, HelperEnded, Request
from subscribers.transfer.leaving import count_readers, export
from subscribers.transfer.plan import Fate, Tally
from subscribers.transfer.sheet import BadSheet
from subscribers.vault import SUBSCRIBER_ADDRESS, CannotOpen, Keys, Vault
from tests.subscribers.house import Recorder

MAILCHIMP = "Email Address,OPTIN_TIME,CONFIRM_TIME,UNSUB_TIME,UNSUB_REASON,CLEAN_TIME\n"
THEN = "2024-01-01 10:00:00"


def reader(address: str) -> str:
    return f"{address},{THEN},{THEN},,,\n"


def gone(address: str, when: str = "2025-01-01 10:00:00", reason: str = "NORMAL") -> str:
    return f"{address},{THEN},{THEN},{when},{reason},\n"


def bounced(address: str) -> str:
    return f"{address},{THEN},{THEN},,,2025-01-01 10:00:00\n"


class Mover:
    """Imports what it is given as a Mailchimp export."""

    def __init__(self, database: Database, vault: Vault, folder: Path, now: dt.datetime) -> None:
        self.database, self.vault, self.folder, self.now = database, vault, folder, now
        self.rejected = folder / "list.csv.rejected.csv"

    def request(self, text: str, **more: object) -> Request:
        path = self.folder / "list.csv"
        path.write_text(text, encoding="utf-8", newline="")
        return Request(path, "watch", "en", **more)  # type: ignore[arg-type] # Whatever a test has to say.

    def run(self, text: str, **more: object) -> Bringing:
        return Bringing(self.database, self.vault, self.request(text, **more), self.now)

    def bring(self, text: str, **more: object) -> dict[Fate, int]:
        """First looks, then does it, and sees to it that what was shown is what was done."""
        before = self.everything()
        shown = counts(self.run(text, **more).survey())
        assert self.everything() == before
        done = counts(self.run(text, **more).bring(self.rejected))
        assert shown == done
        return done

    def everything(self) -> tuple[set[tuple[str, State]], set[tuple[bytes, str]]]:
        """Addresses with their state, and who must never be mailed."""
        with self.database.read() as session:
            rows = session.execute(
                sa.select(Subscriber, Subscription).join(Subscription, Subscription.subscriber_id == Subscriber.id)
            )
            people = {(self.open(row[0]), row[1].state) for row in rows}
            never = session.execute(sa.select(Suppression.address_hash, Suppression.reason))
            return people, {(row.address_hash, row.reason) for row in never}

    def open(self, person: Subscriber) -> str:
        return self.vault.open(person.address_sealed, SUBSCRIBER_ADDRESS, person.public_id)

    def rejects(self) -> list[list[str]]:
        with self.rejected.open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))

    def reasons(self) -> set[str]:
        return {reason for _, reason in self.everything()[1]}

    def subscription(self, address: str) -> Subscription:
        index = self.vault.blind_index(identity(address))
        with self.database.read() as session:
            query = sa.select(Subscription).join(Subscriber).where(Subscriber.blind_index == index)
            return session.scalars(query).one()


def identity(address: str) -> str:
    parsed = parse_address(address)
    assert isinstance(parsed, Address)
    return parsed.identity


def counts(tally: Tally) -> dict[Fate, int]:
    return {fate: count for fate, count in tally.fates.items() if count}


@pytest.fixture
def mover(database: Database, vault: Vault, tmp_path: Path, now: dt.datetime) -> Mover:
    return Mover(database, vault, tmp_path, now)


@pytest.fixture
def sqlite_mover(sqlite_database: Database, keys: Keys, tmp_path: Path, now: dt.datetime) -> Mover:
    return Mover(sqlite_database, Vault(sqlite_database, keys), tmp_path, now)


def confirm(service: Service, outbox: Recorder, address: str, now: dt.datetime) -> None:
    service.join("watch", address, now)
    service.confirm(outbox.tokens("confirm_url")[-1], now)


def test_readers_come_with_their_evidence_and_those_who_ended_are_never_mailed(mover: Mover):
    text = MAILCHIMP + reader("Ann@Example.ORG") + gone("b@example.org") + gone("c@example.org", reason="SPAM")
    done = mover.bring(text + bounced("d@example.org") + "e@example.org,,,,,\n")
    assert done == {Fate.NEW: 1, Fate.LEFT: 1, Fate.COMPLAINED: 1, Fate.BOUNCED: 1, Fate.UNCONFIRMED: 1}
    people, _ = mover.everything()
    assert people == {("Ann@example.org", State.CONFIRMED)}
    assert mover.reasons() == {"left", "complaint", "bounce"}
    kept = mover.subscription("ann@example.org")
    assert kept.method == "import"
    assert json.loads(kept.evidence) == {
        "from": "Mailchimp",
        "asked": "2024-01-01T10:00:00+00:00",
        "confirmed": "2024-01-01T10:00:00+00:00",
    }
    assert kept.confirmed_at == dt.datetime(2024, 1, 1, 10, 0, tzinfo=dt.UTC)


def test_a_look_writes_nothing(mover: Mover, tmp_path: Path):
    tally = mover.run(MAILCHIMP + reader("a@example.org") + gone("b@example.org") + "nobody,,,,,\n").survey()
    assert counts(tally) == {Fate.NEW: 1, Fate.LEFT: 1, Fate.BAD: 1}
    assert mover.everything() == (set(), set())
    assert [path.name for path in tmp_path.glob("list*")] == ["list.csv"]


def test_whoever_left_here_or_must_never_be_mailed_is_not_brought_back(
    mover: Mover, service: Service, outbox: Recorder, now: dt.datetime
):
    confirm(service, outbox, "left@example.org", now)
    service.leave(leave_token(mover), now)
    service.join("watch", "never@example.org", now)
    service.never(outbox.tokens("never_url")[-1], now)
    done = mover.bring(MAILCHIMP + reader("left@example.org") + reader("never@example.org"))
    assert done == {Fate.LEFT_HERE: 1, Fate.SUPPRESSED_HERE: 1}
    assert {state for _, state in mover.everything()[0]} == {State.LEFT}


def leave_token(mover: Mover) -> str:
    public_id = mover.subscription("left@example.org").public_id
    return subscription_token(mover.vault._ring.keys.token, Purpose.LEAVE, public_id)


def test_whoever_left_here_and_was_typed_into_the_form_again_is_not_brought_back(
    mover: Mover, service: Service, outbox: Recorder, now: dt.datetime
):
    confirm(service, outbox, "left@example.org", now)
    service.leave(leave_token(mover), now)
    service.join("watch", "left@example.org", now + dt.timedelta(days=2))
    assert mover.bring(MAILCHIMP + reader("left@example.org")) == {Fate.LEFT_HERE: 1}


def test_whoever_waits_here_is_confirmed_by_the_list_and_their_old_link_is_spent(
    mover: Mover, service: Service, outbox: Recorder, now: dt.datetime
):
    service.join("watch", "a@example.org", now)
    assert mover.bring(MAILCHIMP + reader("a@example.org")) == {Fate.WAITED: 1}
    kept = mover.subscription("a@example.org")
    assert (kept.state, kept.method, kept.confirm_hash) == (State.CONFIRMED, "import", None)
    assert mover.bring(MAILCHIMP + reader("a@example.org")) == {Fate.ALREADY: 1}


@pytest.mark.parametrize("method", sorted(OWN_METHODS))
def test_ones_own_confirmation_here_outlasts_how_they_ended_there_unless_that_was_later(
    mover: Mover, service: Service, outbox: Recorder, now: dt.datetime, method: str
):
    for name in ("before", "after", "undated"):
        confirm(service, outbox, f"{name}@example.org", now - dt.timedelta(days=30))
    with mover.database.write() as session:
        session.execute(sa.update(Subscription).values(method=method))
    text = gone("before@example.org") + gone("after@example.org", f"{now - dt.timedelta(days=1):%Y-%m-%d %H:%M:%S}")
    assert mover.bring(MAILCHIMP + text) == {Fate.STAYS: 1, Fate.LEFT: 1}
    substack = "email,active_subscription,email_disabled,created_at\nundated@example.org,false,true,2024-01-01\n"
    assert mover.bring(substack) == {Fate.STAYS: 1}
    states = {address.partition("@")[0]: state for address, state in mover.everything()[0]}
    assert states == {"before": State.CONFIRMED, "after": State.LEFT, "undated": State.CONFIRMED}


def test_whoever_was_imported_and_has_ended_there_since_is_let_go(mover: Mover):
    mover.bring(MAILCHIMP + reader("a@example.org") + reader("b@example.org"))
    assert mover.bring(MAILCHIMP + gone("a@example.org") + bounced("b@example.org")) == {Fate.LEFT: 1, Fate.BOUNCED: 1}
    assert {state for _, state in mover.everything()[0]} == {State.LEFT}
    assert mover.subscription("b@example.org").left_reason == "bounce"
    assert mover.subscription("a@example.org").left_reason is None
    # A graver reason takes the place of a lighter one.
    assert mover.bring(MAILCHIMP + gone("b@example.org", reason="SPAM")) == {Fate.SUPPRESSED_HERE: 1}
    assert mover.reasons() == {"left", "complaint"}


@pytest.mark.parametrize("turned", [False, True])
def test_the_heavier_of_two_rows_about_one_person_counts_whichever_is_first(mover: Mover, turned: bool):
    rows = [reader("a@example.org"), gone("A@EXAMPLE.org"), "a@example.org,,,,,\n"]
    done = mover.bring(MAILCHIMP + "".join(reversed(rows) if turned else rows))
    assert done == {Fate.LEFT: 1, Fate.REPEATED: 2}


@pytest.mark.parametrize("turned", [False, True])
def test_so_it_is_also_where_they_stand_in_different_batches(
    mover: Mover, turned: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bringing, "BATCH", 1)
    rows = [reader("a@example.org"), gone("A@EXAMPLE.org"), "a@example.org,,,,,\n", reader("z@example.org")]
    text = MAILCHIMP + "".join(reversed(rows) if turned else rows)
    assert mover.bring(text) == {Fate.LEFT: 1, Fate.REPEATED: 2, Fate.NEW: 1}
    assert {address for address, state in mover.everything()[0] if state is State.CONFIRMED} == {"z@example.org"}


def test_without_evidence_nobody_comes_in_and_with_a_sentence_it_is_kept(mover: Mover):
    assert mover.bring("ann@example.org\n") == {Fate.UNPROVEN: 1}
    assert mover.rejects()[1][0::2] == ["1", "ann@example.org"]
    assert mover.bring("ann@example.org\n", evidence="They all wrote to the list themselves.") == {Fate.NEW: 1}
    kept = json.loads(mover.subscription("ann@example.org").evidence)
    assert kept == {"from": "Mailman", "said": "They all wrote to the list themselves."}


def test_bad_rows_go_to_a_file_for_its_owner_alone_with_reasons_and_no_formulas(mover: Mover):
    mover.rejected.write_text("of another time, for everybody")
    mover.rejected.chmod(0o644)
    text = MAILCHIMP + "=cmd()|x,,,,,\n" + reader("a@example.org") + 'short,"1"\n' + '"open,\n'
    assert mover.bring(text) == {Fate.NEW: 1, Fate.BAD: 3}
    assert mover.rejected.stat().st_mode & 0o777 == 0o600
    rows = mover.rejects()
    assert rows[0][:3] == ["line", "reason", "Email Address"]
    assert [(row[0], row[2]) for row in rows[1:]] == [("2", "'=cmd()|x"), ("4", "short"), ("5", '"open,')]
    assert all(row[1] for row in rows)


def test_only_the_rows_that_are_wanted_are_taken(mover: Mover):
    text = '"Email","Subscription time","List status","Global status","List"\n' + "".join(
        f'"{name}@example.org","{THEN}","subscribed","subscribed","{which}"\n'
        for name, which in (("a", "Weekly"), ("b", "Shop"))
    )
    run = mover.run(text, only={"list": "weekly"})
    assert counts(run.bring(mover.rejected)) == {Fate.NEW: 1}
    assert run.passed_by == 1


def test_a_large_file_is_read_by_a_process_of_its_own_with_the_same_result(
    sqlite_mover: Mover, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bringing, "LARGE", 1)
    text = MAILCHIMP + "".join(reader(f"r{n}@example.org") + "bad,,,,,\n" for n in range(1500)) + gone("x@example.org")
    mover = sqlite_mover
    run = Bringing(mover.database, mover.vault, mover.request(text), mover.now, keys)
    assert counts(run.bring(mover.rejected)) == {Fate.NEW: 1500, Fate.BAD: 1500, Fate.LEFT: 1}
    assert run.position == run.size
    assert mover.everything()[0] == {(f"r{n}@example.org", State.CONFIRMED) for n in range(1500)}
    assert len(mover.rejects()) == 1501


def test_what_stops_the_reading_process_is_said_by_the_other(sqlite_mover: Mover, keys: Keys):
    request = sqlite_mover.request("Mail,Name\na@example.org,Ann\n")
    batches = bringing.ahead(sqlite_mover.database.url, keys, request, sqlite_mover.now, is_sealed=True)
    with pytest.raises(BadSheet, match="Say which is which"):
        next(batches)


def test_a_reading_process_that_was_killed_is_told_of_as_that_and_not_as_the_file_s_fault():
    ours, theirs = multiprocessing.Pipe(duplex=False)
    theirs.close()
    with pytest.raises(HelperEnded, match="second process"):
        bringing._receive(ours)


class Killed(Exception):
    pass


@pytest.mark.parametrize("after", [0, 1, 3])
def test_stopped_anywhere_and_run_again_it_ends_as_if_it_had_run_once(
    mover: Mover, after: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bringing, "BATCH", 5)
    monkeypatch.setattr(runs, "BATCH", 5)
    text = MAILCHIMP + "".join(reader(f"r{n}@example.org") + gone(f"g{n}@example.org") for n in range(12))
    text += gone("r3@example.org")
    landed: list[int] = []
    land, turn_away = landing.Landing.land, landing.Landing._turn_away

    def count(self, people, now):
        fates = land(self, people, now)
        landed.append(len(people))
        return fates

    def kill(self, *arguments):
        turn_away(self, *arguments)
        if len(landed) == after:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(landing.Landing, "land", count)
        patch.setattr(landing.Landing, "_turn_away", kill)
        with pytest.raises(Killed):
            mover.run(text).bring(mover.rejected)
    # The batch that it was killed in is not there at all.
    people, never = mover.everything()
    assert len(landed) == after
    assert len(people) + len(never) == sum(landed)
    mover.run(text).bring(mover.rejected)
    people, never = mover.everything()
    assert {address for address, state in people if state is State.CONFIRMED} == {
        f"r{n}@example.org" for n in range(12) if n != 3
    }
    assert len(never) == 13
    with mover.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Subscriber)) == len(people)


def test_sign_ups_go_on_meanwhile_even_of_the_same_people(mover: Mover, service: Service, now: dt.datetime):
    text = MAILCHIMP + "".join(reader(f"r{n}@example.org") for n in range(1500))
    problems: list[Exception] = []

    def sign_up() -> None:
        try:
            for number in range(0, 1500, 100):
                service.join("watch", f"r{number}@example.org", now)
        except Exception as error:  # noqa: BLE001 -- the main thread fails on it.
            problems.append(error)

    thread = threading.Thread(target=sign_up)
    thread.start()
    mover.run(text).bring(mover.rejected)
    thread.join()
    assert problems == []
    people, _ = mover.everything()
    assert len(people) == 1500
    # Who typed themselves in before was confirmed by the list; who did so after got a letter that says so already.
    assert {state for _, state in people} == {State.CONFIRMED}


def test_no_address_stands_in_what_is_stored_or_shown(sqlite_mover: Mover):
    text = MAILCHIMP + reader("canary.bird@example.org") + gone("canary.fish@example.org")
    run = sqlite_mover.run(text)
    run.bring(sqlite_mover.rejected)
    sqlite_mover.database.close()
    for path in sqlite_mover.folder.glob("digest.db*"):
        assert b"canary" not in path.read_bytes().lower()
    assert "canary" not in repr(run.tally)


ADDRESS = st.from_regex(r"[a-z=+'@-]?[a-z0-9=+'-]{1,8}@(example\.org|b[a-z]{2}\.example)", fullmatch=True).filter(
    lambda text: isinstance(parse_address(text), Address)
)
INSTANT = st.integers(800_000_000, 1_790_000_000).map(lambda second: dt.datetime.fromtimestamp(second, dt.UTC))
Choice = tuple[str, dt.datetime, Format, bool, dt.datetime | None, str, bool]
SAID = st.text(max_size=20).filter(lambda text: not mentions_address(json.dumps(text)))
CHOICE = st.tuples(ADDRESS, INSTANT, st.sampled_from(Format), st.booleans(), st.none() | INSTANT, SAID, st.booleans())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CHOICE, max_size=6, unique_by=lambda one: identity(one[0])))
def test_what_is_exported_can_be_imported_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, keys: Keys, now: dt.datetime, people: list[Choice]
):
    folder = tmp_path_factory.mktemp("round")
    first, second = (Database(f"sqlite:///{folder / name}.db") for name in ("first", "second"))
    for database in (first, second):
        Subscriber.metadata.create_all(database.engine)
    vault = Vault(first, keys)
    fill(first, vault, people, now)
    file = folder / "list.csv"
    assert export(first, vault, "watch", file) == count_readers(first, "watch")
    assert file.stat().st_mode & 0o777 == 0o600
    run = Bringing(second, Vault(second, keys), Request(file, "watch", "xx"), now)
    run.bring(folder / "rejected.csv")
    assert stored(second, Vault(second, keys)) == stored(first, vault)
    for database in (first, second):
        database.close()


def fill(database: Database, vault: Vault, people: list[Choice], now: dt.datetime) -> None:
    vault.prepare()
    with database.write() as session:
        for number, (address, at, form, is_neutral, paused, said, has_left) in enumerate(people):
            public_id = number.to_bytes(16, "big")
            who = Subscriber(
                public_id=public_id,
                address_sealed=vault.seal(address, SUBSCRIBER_ADDRESS, public_id),
                blind_index=vault.blind_index(identity(address)),
                suppression_hash=vault.suppression_hash(identity(address)),
                created_at=now,
            )
            session.add(who)
            session.flush()
            session.add(
                Subscription(
                    public_id=public_id,
                    subscriber_id=who.id,
                    newsletter="watch",
                    state=State.LEFT if has_left else State.CONFIRMED,
                    language="fa",
                    requested_at=at,
                    confirmed_at=at + dt.timedelta(minutes=3),
                    method="form",
                    evidence=json.dumps({"wording": said}),
                    format=form,
                    is_neutral=is_neutral,
                    paused_until=paused,
                )
            )


def stored(database: Database, vault: Vault) -> set[tuple[Any, ...]]:
    with database.read() as session:
        rows = session.execute(
            sa.select(Subscriber, Subscription)
            .join(Subscription, Subscription.subscriber_id == Subscriber.id)
            .where(Subscription.state == State.CONFIRMED)
        )
        return {
            (
                vault.open(person.address_sealed, SUBSCRIBER_ADDRESS, person.public_id),
                tie.requested_at,
                tie.confirmed_at,
                tie.language,
                tie.format,
                tie.is_neutral,
                tie.paused_until,
                tie.evidence,
            )
            for person, tie in rows
        }


def test_an_export_never_writes_over_a_file_and_leaves_nothing_half_written(mover: Mover, tmp_path: Path):
    there = tmp_path / "there.csv"
    there.write_text("mine")
    with pytest.raises(FileExistsError):
        export(mover.database, mover.vault, "watch", there)
    assert there.read_text() == "mine"
    mover.bring(MAILCHIMP + reader("a@example.org"))
    with mover.database.write() as session:
        session.execute(sa.update(Subscriber).values(address_sealed=b"\1 damaged"))
    with pytest.raises(CannotOpen):
        export(mover.database, mover.vault, "watch", tmp_path / "new.csv")
    assert not [path for path in tmp_path.iterdir() if "new.csv" in path.name]
