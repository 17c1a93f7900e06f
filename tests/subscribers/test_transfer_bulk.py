"""The short ways of an import say the same as the long ones that they stand for."""

from __future__ import annotations

import datetime as dt
import hmac
import json
import secrets
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from subscribers.db import Database
from subscribers.lifecycle import Format, State
from subscribers.models import Subscriber, Subscription, Suppression
from subscribers.transfer import bringing, bulk, cells
from subscribers.transfer import runs as module
from subscribers.transfer.bringing import Bringing, Request
from subscribers.transfer.bulk import BulkInsert, Lookup
from subscribers.transfer.landing import BATCH, Person
from subscribers.transfer.runs import Runs
from subscribers.transfer.sheet import open_sheet
from subscribers.transfer.systems import Entry, Standing
from subscribers.vault import Keys, Vault

NOW = dt.datetime(2026, 11, 19, 9, tzinfo=dt.UTC)
ZONES = st.timezones() | st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=-3, minutes=-30))])
FIRST, LAST = (NOW.replace(year=year, tzinfo=None) for year in (1980, 2030))
INSTANTS = st.datetimes(FIRST, LAST, timezones=ZONES)
NEVER, PEOPLE, TIES = (cast("sa.Table", one.__table__) for one in (Suppression, Subscriber, Subscription))


@given(INSTANTS)
def test_an_instant_is_stored_on_sqlite_as_the_mapper_stores_it(instant: dt.datetime) -> None:
    kind, dialect = PEOPLE.c.created_at.type, sa.create_engine("sqlite://").dialect
    bind = kind.dialect_impl(dialect).bind_processor(dialect)
    assert bind
    assert bulk._as_text(instant) == bind(instant)


def test_a_local_time_is_no_instant(database: Database) -> None:
    add = BulkInsert(PEOPLE, ("public_id",), database.engine.dialect, always=("created_at",))
    with database.write() as session, pytest.raises(ValueError, match="naive"):
        add(session.connection(), [(b"x",)], created_at=dt.datetime(2026, 1, 1))  # noqa: DTZ001 -- what is refused.


@given(st.datetimes(FIRST, LAST), st.sampled_from(" T"))
def test_a_common_instant_is_read_as_any_other(when: dt.datetime, between: str) -> None:
    text = when.replace(microsecond=0).isoformat(between)
    expected = cells._possible(dt.datetime.fromisoformat(text), NOW)
    assert cells.read_instant(text, NOW) == expected
    assert cells.read_instant(f"{text}Z", NOW) == expected


@given(st.text(alphabet="0123456789-:T +.Z", max_size=26))
def test_no_odd_instant_is_read_in_another_way(text: str) -> None:
    try:
        expected = cells._possible(dt.datetime.fromisoformat(text), NOW)
    except ValueError:
        return
    assert cells.read_instant(text, NOW) == expected


@given(
    st.text(min_size=1, max_size=40),
    st.text(max_size=40),
    st.text(max_size=20),
    st.none() | INSTANTS,
    st.none() | INSTANTS,
)
def test_evidence_is_the_json_that_the_library_writes(
    system: str, said: str, source: str, asked: dt.datetime | None, confirmed: dt.datetime | None
) -> None:
    run = object.__new__(Bringing)
    run.system, run._request = system, Request(cast("Any", None), "watch", "en", evidence=said)
    entry = Entry("a@example.org", Standing.READER, bool(asked), asked, confirmed, None, source, None)
    pairs = {
        "from": system,
        "asked": asked and asked.isoformat(),
        "confirmed": confirmed and confirmed.isoformat(),
        "source": source,
        "said": said,
    }
    expected = json.dumps({name: value for name, value in pairs.items() if value}, ensure_ascii=False)
    assert run._evidence(entry) == expected


@pytest.mark.parametrize("identity", ["ann@example.org", "жук@пример.рф", "", "a" * 300])
def test_a_keyed_hash_is_the_hmac_of_its_purpose_and_the_address(vault: Vault, keys: Keys, identity: str) -> None:
    def right(key: bytes, purpose: bytes) -> bytes:
        return hmac.digest(key, purpose + b"\0" + identity.encode(), "sha256")

    assert vault.blind_index(identity) == right(keys.index, b"subscriber-email")
    assert vault.suppression_hash(identity) == right(keys.suppression, b"suppression")
    assert vault.rate_key(identity) == right(keys.rate, b"letter-rate")


def test_many_are_found_by_either_of_two_columns(database: Database) -> None:
    dialect, some = database.engine.dialect, [secrets.token_bytes(32) for _ in range(6)]
    add = BulkInsert(
        PEOPLE, ("public_id", "address_sealed", "blind_index", "suppression_hash"), dialect, always=("created_at",)
    )
    find = Lookup(PEOPLE, ("id", "blind_index"), ("blind_index", "suppression_hash"), dialect)
    with database.write() as session:
        rows = [(secrets.token_bytes(16), b"x", some[n], some[n + 1]) for n in (0, 2, 4)]
        add(session.connection(), rows, created_at=NOW)
        add(session.connection(), [], created_at=NOW)
        found = find(session.connection(), some[:1], [some[3], secrets.token_bytes(32)], hold_by="id")
        assert [row.blind_index for row in found] == [some[0], some[2]]
        assert find(session.connection(), [], []) == []
        person = session.scalars(sa.select(Subscriber).order_by(Subscriber.id)).first()
    assert person
    assert person.created_at == NOW


def test_what_all_rows_have_in_common_is_stored_in_each(database: Database) -> None:
    dialect = database.engine.dialect
    what = ("language", "requested_at", "confirmed_at", "evidence", "format", "is_neutral")
    columns = ("public_id", "subscriber_id", *what)
    with database.write() as session:
        person = Subscriber(public_id=b"1" * 16, address_sealed=b"x", blind_index=b"2" * 32, created_at=NOW)
        session.add(person)
        session.flush()
        row = (b"3" * 16, person.id, "en", NOW, None, "{}", Format.TEXT, True)
        add = BulkInsert(TIES, columns, dialect, always=("newsletter", "state", "method"))
        add(session.connection(), [row], newsletter="watch", state=State.CONFIRMED, method="import")
    with database.read() as session:
        one = session.scalars(sa.select(Subscription)).one()
    assert (one.newsletter, one.state, one.method) == ("watch", State.CONFIRMED, "import")
    assert (one.requested_at, one.confirmed_at, one.format, one.is_neutral) == (NOW, None, Format.TEXT, True)


def person(line: int, blind_index: bytes) -> Person:
    return Person(
        line=line,
        cells=(),
        standing=Standing.READER,
        is_shown=True,
        blind_index=blind_index,
        suppression_hash=b"",
        mailbox_hash=None,
        public_id=b"",
        address="ann@example.org",
        sealed=b"",
        asked_at=NOW,
        confirmed_at=NOW,
        ended_at=None,
        evidence="",
        language="en",
    )


@given(st.lists(st.integers(0, 70), max_size=40), st.integers(1, 200))
def test_whatever_comes_in_goes_out_once_and_soon(sizes: list[int], most: int) -> None:
    runs, line, out = Runs(most), 0, list[Person]()
    for size in sizes:
        came = [person(line + n, secrets.token_bytes(1)) for n in range(size)]
        line += size
        went = runs.exchange(came)
        assert len(went) <= size
        out += went
        assert line - len(out) <= 2 * most + 3 * max(sizes)
    for left in runs.rest():
        assert 0 < len(left) <= BATCH
        out += left
    assert sorted(one.line for one in out) == list(range(line))
    assert len({one.public_id for one in out}) == line


def test_a_short_list_is_one_run_in_order() -> None:
    runs = Runs()
    assert runs.exchange([person(n, bytes([n * 37 % 256])) for n in range(250)]) == []
    (left,) = runs.rest()
    assert [one.blind_index[0] for one in left] == sorted(one.blind_index[0] for one in left)
    assert [one.public_id for one in left] == sorted(one.public_id for one in left)


def test_a_long_list_is_given_out_in_runs_that_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 10)
    runs, out = Runs(80), list[Person]()
    for batch in range(100):
        out += runs.exchange([person(10 * batch + n, secrets.token_bytes(8)) for n in range(10)])
    out += [one for left in runs.rest() for one in left]
    began = [0, *(n for n in range(1, 1000) if out[n - 1].public_id > out[n].public_id), 1000]
    lengths = [to - at for at, to in pairwise(began)]
    assert lengths[:4] == [10, 20, 40, 80]
    assert lengths[4:-2] == [80] * len(lengths[4:-2])


def test_who_waited_while_the_keys_were_rotated_is_indexed_by_the_new_one(
    database: Database, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, path = Vault(database, keys), tmp_path / "list.csv"
    path.write_text("ann@example.org\nBob@Example.org\n")
    rotated = Vault(database, keys.rotated(NOW))

    class Slow(Runs):
        def rest(self) -> Iterator[list[Person]]:
            vault._ring = rotated._ring
            return super().rest()

    monkeypatch.setattr(bringing, "Runs", Slow)
    run = Bringing(database, vault, Request(path, "watch", "en", "They asked."), NOW)
    with open_sheet(path) as sheet:
        batches = list(run.batches(sheet, run.open(sheet), is_sealed=True))
    found = {one.blind_index for batch in batches for one in batch.rows if isinstance(one, Person)}
    assert found == {rotated.blind_index(name) for name in ("ann@example.org", "bob@example.org")}
    assert vault.blind_index("ann@example.org") != Vault(database, keys).blind_index("ann@example.org")
