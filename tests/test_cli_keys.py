"""The commands about the keys file, as an operator uses them; and the drill: what a thief has of what was taken."""

from __future__ import annotations

import datetime as dt
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa

from subscribers.db import Database
from subscribers.keys import read_keys, replace_keys
from subscribers.models import DataKey, Subscriber
from subscribers.vault import PLACES, CannotOpen, Vault
from tests.commands import run
from tests.seizure import Loot, open_everything

READERS = ("mina@example.org", "omid@example.org", "sara@example.org")


class Desk:
    """A folder with an installation, and the command in it; in this process, since there are many."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str, code: int = 0, **environ: str) -> str:
        ended, said = run(self.folder, *words, **environ)
        assert ended == code, said
        assert "Traceback" not in said
        return said


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made("init")
    return made


def add(desk: Desk, *addresses: str) -> None:
    for address in addresses:
        desk("subscribers", "add", address, "-n", "watchdog", "--confirmed", "--evidence", "signed a list")


def database(desk: Desk) -> Database:
    return Database(f"sqlite:///{desk.folder / 'digest.db'}")


def test_keys_are_made_split_and_never_overwritten(desk: Desk) -> None:
    assert "digest.keys is there already; nothing was changed" in desk("keys", "make", code=1)
    assert "digest.keys is there" in desk("keys", "make", "--if-missing")
    desk("keys", "make", "second.keys")
    assert read_keys(desk.folder / "second.keys") != read_keys(desk.folder / "digest.keys")
    assert "opens nothing" in desk("keys", "split", "web.keys")
    web = desk.folder / "web.keys"
    assert stat.S_IMODE(web.stat().st_mode) == 0o600
    assert read_keys(web) == read_keys(desk.folder / "digest.keys").for_web()
    assert "private =" not in web.read_text()
    before = web.read_bytes()
    assert "cannot be written" in desk("keys", "split", "web.keys", code=1)
    assert web.read_bytes() == before


def test_a_keys_file_is_checked_against_the_database(desk: Desk) -> None:
    add(desk, *READERS)
    assert "the keys fit the database" in desk("keys", "check", "--all")
    desk("keys", "split", "web.keys")
    assert "and open nothing in it" in desk("keys", "check", "web.keys")
    desk("keys", "make", "other.keys")
    said = desk("keys", "check", "other.keys", code=1)
    assert "data_keys row 1: the database was sealed to other keys" in said
    assert "use the keys file that belongs to this database" in said
    with sqlite3.connect(desk.folder / "digest.db") as connection:
        connection.execute("UPDATE subscribers SET suppression_hash = NULL WHERE id = 1")
        connection.execute("UPDATE subscribers SET blind_index = zeroblob(32) WHERE id = 2")
        connection.execute(
            "UPDATE subscribers SET address_sealed = (SELECT address_sealed FROM subscribers WHERE id=1) WHERE id = 3"
        )
    connection.close()
    said = desk("keys", "check", "--all", code=1)
    assert "subscribers row 1: it has no suppression hash" in said
    assert "subscribers row 2: its blind index is not that of the address" in said
    assert "subscribers row 3: the value is damaged or was moved from another place; restore this row" in said
    said = desk("keys", "check", "--all", "--repair", code=1)
    assert "2 rows have new hashes" in said
    assert "row 1" not in said
    assert "row 3" in said
    assert not any(address in said for address in READERS)


def test_a_rotation_that_is_under_way_is_no_fault(desk: Desk) -> None:
    add(desk, *READERS)
    path = desk.folder / "digest.keys"
    begun = read_keys(path).rotated(dt.datetime.now(dt.UTC))
    replace_keys(path, begun)
    said = desk("keys", "check", "--all")
    assert "a rotation is under way; 3 rows still have the old index" in said
    assert "the keys fit the database" in said
    assert "--repair" not in said
    desk("keys", "rotate", "--no-wait")
    assert "a rotation is under way; 0 rows still have the old index" in desk("keys", "check", "--all")


def test_a_rotation_that_is_stopped_says_how_it_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    add(desk, *READERS)

    def pressed(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("digest.cli.keys.time.sleep", pressed)
    assert "Stopped. Nothing is lost; the same command goes on." in desk("keys", "rotate", code=1)
    assert "going on with the rotation that is under way" in desk("keys", "rotate", "--no-wait")


def test_a_rotation_is_one_command_and_a_wait(desk: Desk) -> None:
    add(desk, *READERS)
    path = desk.folder / "digest.keys"
    before = read_keys(path)
    assert "no rotation is under way" in desk("keys", "rotate", "--status")
    assert "There is no old pair" in desk("keys", "rotate", "--finish", code=1)
    said = desk("keys", "rotate", "--no-wait")
    assert "make a copy of it now" in said
    assert "sealed anew: 3 subscribers" in said
    assert "run the same again" in said
    add(desk, "late@example.org")
    assert "values still sealed with them            0" in desk("keys", "rotate", "--status")
    # The minutes pass.
    with sqlite3.connect(desk.folder / "digest.db") as connection:
        connection.execute(
            "UPDATE data_keys SET retired_at = '2026-01-01 00:00:00.000000' WHERE retired_at IS NOT NULL"
        )
        connection.execute("UPDATE closed_pairs SET closed_at = '2026-01-01 00:00:00.000000'")
    connection.close()
    said = desk("keys", "rotate")
    assert "going on with the rotation" in said
    assert "done: what was sealed before opens by the keys of now alone" in said
    after = read_keys(path)
    assert after.previous is None
    assert (after.pair != before.pair, after.index != before.index, after.token == before.token) == (True,) * 3
    assert "the keys fit" in desk("keys", "check", "--all")
    add(desk, *READERS)
    assert '"confirmed": 4' in desk("subscribers", "count", "--json")


def test_only_data_keys(desk: Desk) -> None:
    add(desk, READERS[0])
    before = (desk.folder / "digest.keys").read_bytes()
    assert "sealed anew: 1 subscribers" in desk("keys", "rotate", "--data-keys", "--no-wait")
    assert "going on with" in desk("keys", "rotate", "--data-keys", "--no-wait")
    assert (desk.folder / "digest.keys").read_bytes() == before
    desk("keys", "split", "web.keys")
    assert "rotate where the whole keys file is" in desk("keys", "rotate", code=1, DIGEST_KEYS="web.keys")


class TestTheDrill:
    """`docs/privacy.md` says what each stolen thing shows; here it is stolen."""

    @pytest.fixture
    def loot(self, desk: Desk, tmp_path: Path) -> Loot:
        """The database with its log, and a web machine's keys, copied away while nothing runs."""
        add(desk, *READERS)
        desk("users", "add", "anna", "--address", "anna@newsroom.example", DIGEST_USER_PASSWORD="a long pass phrase")
        desk("keys", "split", "web.keys")
        stolen = tmp_path / "stolen"
        stolen.mkdir()
        for file in desk.folder.glob("digest.db*"):
            shutil.copy(file, stolen)
        shutil.copy(desk.folder / "web.keys", stolen)
        return Loot(Database(f"sqlite:///{stolen / 'digest.db'}"), read_keys(stolen / "web.keys"))

    def test_the_database_and_a_web_machine_s_keys_open_no_value(self, loot: Loot) -> None:
        tried, opened = open_everything(loot.database, Vault(loot.database, loot.keys))
        assert tried == 4
        assert opened == []
        for guess in (loot.keys.index, loot.keys.suppression, loot.keys.rate, loot.keys.token, loot.keys.public[:32]):
            assert loot.try_as_data_key(guess) == 0
        loot.database.close()

    def test_what_they_do_show_is_what_the_document_says(self, loot: Loot) -> None:
        shown = loot.shown()
        assert shown["readers"] == 3
        assert shown["newsletters"] == {"watchdog": 3}
        assert shown["languages"] == {"en": 3}
        assert shown["evidence"] == {"signed a list"}
        assert shown["desk names"] == ["anna"]
        # Whoever has the keys of a web machine can ask for one address that they know already. This they can, and
        # the document says so.
        assert loot.is_there("mina@example.org")
        assert not loot.is_there("somebody@example.org")
        assert not any(address in loot.everything() for address in (*READERS, "anna@newsroom.example"))
        loot.database.close()

    def test_a_web_process_that_was_taken_opens_what_its_present_data_key_sealed_and_no_more(
        self, loot: Loot, desk: Desk
    ) -> None:
        """Its memory holds one data key; the ones that it had before are gone."""
        alive = database(desk)
        taken = Vault(alive, loot.keys)
        past = taken.seal("past@example.org", PLACES[0], b"p")
        for _ in range(1000):
            taken.seal("x", PLACES[0], b"x")
        taken.prepare()
        present = taken.seal("present@example.org", PLACES[0], b"p")
        assert taken.open(present, PLACES[0], b"p") == "present@example.org"
        with pytest.raises(CannotOpen):
            taken.open(past, PLACES[0], b"p")
        assert open_everything(alive, taken) == (4, [])
        with alive.read() as session:
            assert len(session.scalars(sa.select(DataKey.id)).all()) >= 3
            assert session.scalar(sa.select(sa.func.count()).select_from(Subscriber)) == 3
        alive.close()
        loot.database.close()
