"""`digest subscribers import` and `export` as a tired operator uses them: exit codes, one clear line."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from digest.cli.transfer import _columns
from tests.commands import run

LIST = (
    "Email Address,OPTIN_TIME,CONFIRM_TIME,UNSUB_TIME,UNSUB_REASON\n"
    "ann@example.org,2024-01-01 10:00:00,2024-01-01 10:05:00,,\n"
    "bob@example.org,2024-01-01 10:00:00,2024-01-01 10:05:00,2025-01-01 10:00:00,NORMAL\n"
    "no-address,2024-01-01 10:00:00,2024-01-01 10:05:00,,\n"
)


def digest(folder: Path, *words: str, code: int = 0) -> str:
    ended, said = run(folder, *words)
    assert ended == code, said
    assert "Traceback" not in said
    return said


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    digest(tmp_path, "init")
    (tmp_path / "list.csv").write_text(LIST)
    return tmp_path


def test_an_import_is_shown_first_done_with_yes_exported_and_read_again(desk: Path):
    shown = digest(desk, "subscribers", "import", "list.csv", "-n", "watchdog")
    assert "Mailchimp, UTF-8: 3 rows" in shown
    assert "Nothing was changed" in shown
    assert not (desk / "list.csv.rejected.csv").exists()
    done = digest(desk, "subscribers", "import", "list.csv", "-n", "watchdog", "--yes")
    assert "done: 2 people changed" in done
    assert "ann@" not in shown + done
    assert (desk / "list.csv.rejected.csv").stat().st_mode & 0o777 == 0o600
    # Nobody gives the list away by a slip: without a terminal it takes the word.
    assert "--yes" in digest(desk, "subscribers", "export", "-n", "watchdog", "-o", "out.csv", code=1)
    digest(desk, "subscribers", "export", "-n", "watchdog", "-o", "out.csv", "--yes")
    assert (desk / "out.csv").stat().st_mode & 0o777 == 0o600
    assert "ann@example.org" in (desk / "out.csv").read_text()
    assert "subscribed here already" in digest(desk, "subscribers", "import", "out.csv", "-n", "watchdog")
    assert logged(desk) == [("import", "watchdog"), ("export", "watchdog")]
    # Where there is no private key, the list cannot be read.
    keys = desk / "digest.keys"
    keys.write_text(
        "".join(line for line in keys.read_text().splitlines(keepends=True) if not line.startswith("private"))
    )
    assert "no private key" in digest(desk, "subscribers", "export", "-n", "watchdog", "-o", "b.csv", "--yes", code=1)
    assert not (desk / "b.csv").exists()


def logged(folder: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(folder / "digest.db")) as database:
        rows = database.execute("SELECT action, object, detail FROM log ORDER BY id").fetchall()
    assert not any("@" in cell for row in rows for cell in row)
    assert "new 1, left 1, bad 1" in rows[0][2]
    return [row[:2] for row in rows]


@pytest.mark.parametrize(
    ("content", "words", "code", "why"),
    [
        ("Mail,Name\na@example.org,Ann\n", (), 1, "--map email=Mail"),
        ("Mail,Name\na@example.org,Ann\n", ("--map", "Mail"), 2, "--map is like"),
        (LIST, ("--yes", "--dry-run"), 2, "contradict"),
        ("# this is\n# no list\n[web]\n", (), 1, "Not one row"),
        ("ann@example.org\n", ("--evidence", "ask bob@example.org"), 1, "not an address"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(desk: Path, content: str, words: tuple[str, ...], code: int, why: str):
    (desk / "other.csv").write_text(content)
    assert why in digest(desk, "subscribers", "import", "other.csv", "-n", "watchdog", *words, code=code)


def test_columns_may_have_commas_in_their_names():
    given = ["email=E-mail, work,confirmed_at=When", "source=Where from"]
    assert _columns(given) == {"email": "E-mail, work", "confirmed_at": "When", "source": "Where from"}
