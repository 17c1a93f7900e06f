"""Somebody writes or telephones, and an operator does for them what they have no link for."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.commands import run

ANN = "ann@example.org"


class Desk:
    """An installation, and the command in it; in this process, since there are many."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str, code: int = 0, typed: str = "") -> str:
        ended, said = run(self.folder, *words, typed=typed)
        assert ended == code, said
        assert "Traceback" not in said
        return said

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.folder / "digest.db")) as database:
            return database.execute(query).fetchall()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made("init")
    config = (tmp_path / "digest.toml").read_text()
    second = config[config.index("[newsletters.watchdog]") :].replace("newsletters.watchdog", "newsletters.second")
    (tmp_path / "digest.toml").write_text(config + second)
    for slug in ("watchdog", "second"):
        made("subscribers", "add", ANN, "-n", slug, "--confirmed", "--evidence", "signed a list")
    made("subscribers", "add", "bob@example.org", "-n", "watchdog", "--confirmed", "--evidence", "signed a list")
    return made


def states(desk: Desk) -> list[tuple[object, ...]]:
    return desk.rows("SELECT newsletter, state, count(*) FROM subscriptions GROUP BY 1, 2 ORDER BY 1, 2")


def logged(desk: Desk) -> list[tuple[object, ...]]:
    rows = desk.rows("SELECT action, object, detail FROM log ORDER BY id")
    assert not any("@" in str(cell) for row in rows for cell in row)
    return rows


def test_somebody_leaves_one_newsletter_or_all(desk: Desk) -> None:
    # The address as it may be typed, and from where no list of processes shows it.
    desk("subscribers", "leave", "-", "-n", "second", typed=" Ann@EXAMPLE.org \n")
    assert states(desk) == [("second", "LEFT", 1), ("watchdog", "CONFIRMED", 2)]
    assert "2 subscriptions" in desk("subscribers", "leave", ANN)
    assert states(desk) == [("second", "LEFT", 1), ("watchdog", "CONFIRMED", 1), ("watchdog", "LEFT", 1)]
    assert logged(desk) == [("leave", "second", "by hand"), ("leave", "all newsletters", "by hand")]
    # A mail with a token in its subject still does.
    assert "no token of ours" in desk("subscribers", "leave", "nonsense", code=1)
    assert "There is no newsletter" in desk("subscribers", "leave", ANN, "-n", "third", code=1)


def test_somebody_is_never_mailed_again_known_or_not(desk: Desk) -> None:
    for address in (ANN, "stranger@example.org"):
        desk("subscribers", "never", address)
        add = ("subscribers", "add", address, "-n", "watchdog", "--confirmed", "--evidence", "signed again")
        assert "it cannot be entered" in desk(*add, code=1)
    assert states(desk) == [("second", "LEFT", 1), ("watchdog", "CONFIRMED", 1), ("watchdog", "LEFT", 1)]
    assert desk.rows("SELECT reason FROM suppressions") == [("asked",), ("asked",)]
    assert logged(desk) == [("never", "an address", "by hand")] * 2


@pytest.mark.parametrize(("words", "marks"), [((), 1), (("--no-mark",), 0)])
def test_somebody_is_erased(desk: Desk, words: tuple[str, ...], marks: int) -> None:
    assert "say it with --yes" in desk("subscribers", "erase", ANN, *words, code=1)
    assert len(desk.rows("SELECT id FROM subscribers")) == 2
    assert "they are erased" in desk("subscribers", "erase", "-", "--yes", *words, typed=f"{ANN}\n")
    assert len(desk.rows("SELECT id FROM subscribers")) == 1
    assert states(desk) == [("watchdog", "CONFIRMED", 1)]
    assert (len(desk.rows("SELECT reason FROM suppressions")), desk.rows("SELECT * FROM fresh_links")) == (marks, [])
    assert [row[0] for row in logged(desk)] == ["erase"]


@pytest.mark.parametrize("act", ["leave", "erase"])
def test_of_nobody_nothing_is_changed_and_it_is_said(desk: Desk, act: str) -> None:
    assert "Nobody of that address is known here" in desk("subscribers", act, "stranger@example.org", code=1)
    assert "@" in desk("subscribers", "never", "no address", code=1)
    assert logged(desk) == []


def test_what_waits_is_shown_with_what_can_be_done_and_several_are_done_at_once(desk: Desk) -> None:
    for number in range(3):
        mail = f"From: <ann@example.org>\nSubject: please {number}\n\nTake me off your list.\n"
        desk("inbound", "--recipient", "watchdog@digest.example.org", typed=mail)
    with closing(sqlite3.connect(desk.folder / "digest.db")) as database, database:
        database.execute("UPDATE arrivals SET state = 'KEPT', outcome = 'asks for nothing we know'")
    said = desk("inbound", "show", "2")
    assert "Take me off your list." in said
    assert "`digest subscribers leave|never|erase -`" in said
    assert "`digest inbound done 2`" in said
    assert "'x' is no number; `digest inbound list` says which there are." in desk("inbound", "done", "1", "x", code=1)
    assert "Nothing of number 7 waits for a person; nothing was removed." in desk("inbound", "done", "1", "7", code=1)
    assert "2 are removed" in desk("inbound", "done", "1", "3")
    assert "it is removed" in desk("inbound", "done", "2")
    assert "Nothing of number 2 waits" in desk("inbound", "done", "2", code=1)


def test_what_cannot_be_a_list_of_readers_is_said_as_what_it_is(desk: Desk) -> None:
    (desk.folder / "program").write_bytes(b"\x7fELF\x02@\x01\n\0\0" * 50)
    (desk.folder / "list.csv").write_text("Name,Contact,State\nAnn,c@example.org,active\nBob,d@example.org,odd\n")
    for name, why in (
        ("nosuch.csv", "There is no file nosuch.csv."),
        (".", ". is a folder; name the file in it."),
        ("-", "a pipe or standard input will not do"),
        ("program", "no list that is known here, "),
        ("list.csv", "--map email=Contact."),
    ):
        said = desk("subscribers", "import", name, "-n", "watchdog", code=1)
        assert why in said
        assert not said.startswith("Mailman")
    mapped = ("subscribers", "import", "list.csv", "-n", "watchdog", "--map", "email=Contact,status=State")
    said = desk(*mapped, "--evidence", "They asked.")
    assert "not one that we know: odd" in said
    assert "Known words for where they stand: abuse, active," in said
    assert "It changes 1 person." in said
    said = desk(*mapped, "--only", "State=none", code=1)
    assert said == "None of the 2 rows has 'none' in State; nothing was changed.\n"
