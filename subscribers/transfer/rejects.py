"""The file of rows that were not taken in: with addresses in it, so only for its owner, and only when asked for."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TextIO

from subscribers.transfer.cells import escaped

OWNER_ONLY = 0o600


def rejected_path(path: Path) -> Path:
    """Where the rows that were not taken in of a file are written to."""
    return path.with_name(f"{path.name}.rejected.csv")


def open_for_owner(path: Path, *, replace: bool) -> TextIO:
    """Open a file that its owner alone can read, also where there was one that others could. Raises `OSError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_TRUNC if replace else os.O_EXCL)
    handle = os.open(path, flags, OWNER_ONLY)
    os.fchmod(handle, OWNER_ONLY)
    return os.fdopen(handle, "w", encoding="utf-8", newline="")


class Rejects:
    """Rows with their reasons; the file is made with the first of them."""

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self.path = path
        self.count = 0
        self._header = ("line", "reason", *header)
        self._file: TextIO | None = None

    def __enter__(self) -> Rejects:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()

    def add(self, line: int, reason: str, cells: Sequence[str]) -> None:
        """Write one row. Raises `OSError`."""
        if self._file is None:
            self._file = open_for_owner(self.path, replace=True)
            write_row(self._file, self._header)
        write_row(self._file, (str(line), reason, *cells))
        self.count += 1


def write_row(file: TextIO, cells: Sequence[str]) -> None:
    """Write a row of CSV that no spreadsheet takes for formulas."""
    csv.writer(file).writerow([escaped(cell) for cell in cells])
