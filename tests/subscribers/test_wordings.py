"""What people agreed to is kept in words, once for each version, and goes into the files that show the evidence."""

import csv
import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from subscribers.db import Database
from subscribers.models import Subscriber, Wording
from subscribers.personal import personal_file
from subscribers.records import NoRecords
from subscribers.service import Service
from subscribers.transfer.bringing import Bringing, Request
from subscribers.transfer.leaving import export
from subscribers.vault import Keys, Vault
from subscribers.wordings import in_full
from tests.subscribers.house import NEGAH, WATCH, Recorder, make_service


def kept(database: Database) -> list[tuple[str, str]]:
    with database.read() as session:
        rows = session.execute(sa.select(Wording.hash, Wording.text).order_by(Wording.used_from))
        return [(row.hash, row.text) for row in rows]


def join(service: Service, outbox: Recorder, address: str, now: dt.datetime, newsletter: str = "watch") -> None:
    service.join(newsletter, address, now)
    service.confirm(outbox.tokens("confirm_url")[-1], now)


def test_each_version_is_kept_when_it_is_first_agreed_to(
    database: Database, vault: Vault, keys: Keys, outbox: Recorder, now: dt.datetime
) -> None:
    service = make_service(database, vault, keys, outbox)
    assert kept(database) == []
    join(service, outbox, "a@example.org", now)
    join(service, outbox, "b@example.org", now + dt.timedelta(minutes=1))
    anew = replace(WATCH, wording="Another sentence.")
    # Another process, and later another version.
    join(make_service(database, vault, keys, outbox), outbox, "c@example.org", now)
    join(make_service(database, vault, keys, outbox, anew), outbox, "d@example.org", now + dt.timedelta(days=1))
    assert kept(database) == [(WATCH.wording_hash, WATCH.wording), (anew.wording_hash, anew.wording)]


def test_whether_it_is_kept_tells_nothing_of_an_address(service: Service, database: Database, now: dt.datetime) -> None:
    service.join("watch", "a@example.org", now, is_meant=False)
    assert kept(database) == [(WATCH.wording_hash, WATCH.wording)]


def test_a_reader_s_own_file_has_the_words(
    service: Service, database: Database, outbox: Recorder, now: dt.datetime
) -> None:
    join(service, outbox, "a@example.org", now, "negah")
    with database.read() as session:
        person = session.scalars(sa.select(Subscriber)).one()
        text = personal_file(session, NoRecords(), person, service.newsletters, now)
    (subscription,) = json.loads(text)["subscriptions"]
    assert subscription["evidence_of_consent"]["wording"] == NEGAH.wording_hash
    assert subscription["evidence_of_consent"]["words"] == NEGAH.wording


def test_an_export_has_the_words_and_they_come_in_again(
    service: Service, database: Database, vault: Vault, outbox: Recorder, now: dt.datetime, tmp_path: Path
) -> None:
    join(service, outbox, "a@example.org", now, "negah")
    export(database, vault, "negah", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert json.loads(row["evidence"])["words"] == NEGAH.wording
    run = Bringing(database, vault, Request(tmp_path / "out.csv", "elsewhere", "fa"), now)
    run.bring(tmp_path / "rejected.csv")
    export(database, vault, "elsewhere", tmp_path / "again.csv")
    with (tmp_path / "again.csv").open(newline="", encoding="utf-8") as file:
        (again,) = csv.DictReader(file)
    assert again["evidence"] == row["evidence"]


@pytest.mark.parametrize("evidence", ["Signed a list at the fair.", '{"wording": "unknown"}', "[1]", "7"])
def test_other_evidence_stays_as_it_is(evidence: str) -> None:
    assert in_full(evidence, {WATCH.wording_hash: WATCH.wording}) == evidence
