"""An export: whole or not at all, and no address in a file that somebody else finds (E-08)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from subscribers.db import Database
from subscribers.transfer import leaving
from subscribers.transfer.leaving import export
from tests.house import House


@pytest.fixture
def house(sqlite_database: Database) -> House:
    house = House(sqlite_database)
    house.readers(3)
    return house


def at_the_second_row(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    rows = leaving._rows

    def seen(*arguments: Any) -> Iterator[Any]:
        for number, row in enumerate(rows(*arguments)):
            if number == 1:
                happens()
            yield row

    monkeypatch.setattr(leaving, "_rows", seen)


def without_nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that knows no files without names."""
    opened = os.open

    def refuse(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return opened(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refuse)


def test_a_process_that_is_killed_leaves_nothing(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    seen = list[list[str]]()
    at_the_second_row(monkeypatch, lambda: seen.append([one.name for one in folder.iterdir()]))
    assert export(house.database, house.vault, "watchdog", folder / "list.csv") == 3
    assert seen == [[]]
    assert (folder / "list.csv").stat().st_mode & 0o777 == 0o600
    assert (folder / "list.csv").read_text().count("@readers.example") == 3


def test_where_files_need_names_it_works_too_and_what_was_left_is_said(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_nameless(monkeypatch)
    assert export(house.database, house.vault, "watchdog", tmp_path / "list.csv") == 3
    assert (tmp_path / "list.csv").stat().st_mode & 0o777 == 0o600
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    (tmp_path / ".other.csv.unfinished").write_text("what a killed process left")
    with pytest.raises(FileExistsError, match="unfinished"):
        export(house.database, house.vault, "watchdog", tmp_path / "other.csv")


def test_what_fails_half_way_leaves_nothing(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    folder.mkdir()

    def fail() -> None:
        raise RuntimeError("half-way")

    at_the_second_row(monkeypatch, fail)
    for is_named in (False, True):
        if is_named:
            without_nameless(monkeypatch)
        with pytest.raises(RuntimeError, match="half-way"):
            export(house.database, house.vault, "watchdog", folder / "list.csv")
        assert list(folder.iterdir()) == []
