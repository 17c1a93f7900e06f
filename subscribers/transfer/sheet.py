"""Files of rows as they really come: other encodings, odd delimiters, quotes that never end (W-16).

Everything is bounded, and a row that cannot be read costs that row alone. Nothing but CSV and plain lines is read: no
archives, no spreadsheets.
"""

from __future__ import annotations

import codecs
import csv
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO

LARGEST_FILE = 2 * 1024**3
"""Octets."""
LONGEST_LINE = 128 * 1024
"""Characters of one line of a file; csv's own limit for a cell is the same."""
LONGEST_ROW = 100
"""Lines that a row may have by line breaks within quotes; a quote that is never closed would else eat the file."""
DELIMITERS = ",;\t|"
_HEAD = 4096
_MOSTLY = 0.4
_FALLBACK = "cp1252"

# What the csv module refuses beyond its limit is refused here before; it must not refuse less.
csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE * LONGEST_ROW))


class BadSheet(Exception):
    """The file as a whole cannot be taken in; the message is a sentence for the operator."""


@dataclass(frozen=True)
class Layout:
    """How cells are kept apart."""

    delimiter: str | None = ","
    """None where each line is one cell."""
    backslash: bool = False
    """A quote within quotes is written `\\"` and not `""` (MailPoet)."""


@dataclass(frozen=True)
class Broken:
    """A row that cannot be read, and why."""

    line: int
    cells: tuple[str, ...]
    reason: str


Row = tuple[int, list[str]]
"""The line that a row begins in, and its cells."""


class _TooLong(Exception):
    """A line or a row is longer than anything a list of readers holds."""


class _Lines:
    """The lines of a file, with the way back to the beginning of the row that is being read."""

    def __init__(self, file: TextIOWrapper) -> None:
        self._file = file
        self._again: deque[str] = deque()
        self.taken: list[str] = []
        self.line = 0
        """Of the last line taken."""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if len(self.taken) >= LONGEST_ROW:
            raise _TooLong
        line = self._again.popleft() if self._again else self._file.readline(LONGEST_LINE)
        if not line:
            raise StopIteration
        self.line += 1
        if len(line) >= LONGEST_LINE:
            if line[-1] not in "\r\n":
                self._skip_line()
                line += "\n"
            self.taken.append(line)
            raise _TooLong
        self.taken.append(line)
        return line

    def begin(self) -> None:
        """Whatever is read from here on belongs to the next row."""
        self.taken.clear()

    def put_back(self, line: str) -> None:
        """A line that was only looked at."""
        self._again.appendleft(line)
        self.line -= 1
        self.taken.clear()

    def give_back(self) -> None:
        """Only the first line of the row was bad: what was read after it is read again."""
        again = self.taken[1:]
        self._again.extendleft(reversed(again))
        self.line -= len(again)

    def _skip_line(self) -> None:
        while (rest := self._file.readline(LONGEST_LINE)) and rest[-1] not in "\r\n":
            pass


class Sheet:
    """An open file of rows."""

    def __init__(self, file: BinaryIO, size: int, encoding: str, *, is_certain: bool) -> None:
        self.size = size
        """In octets."""
        self.encoding = encoding
        self.is_certain = is_certain
        """Whether the encoding is known; if not, it was taken for want of a better one, which must be said."""
        self._raw = file
        text = TextIOWrapper(file, encoding=encoding, errors="replace", newline="")
        self._lines = _Lines(text)
        self.layout = Layout()

    @property
    def position(self) -> int:
        """How many octets were read."""
        return min(self._raw.tell(), self.size)

    def first_line(self) -> str:
        """The first line that is not empty, which the rows begin with again."""
        try:
            for line in self._lines:
                if line.strip():
                    self._lines.put_back(line)
                    return line
                self._lines.begin()
        except _TooLong:
            raise BadSheet(f"The first line has more than {LONGEST_LINE:,} characters: this is no list.") from None
        return ""

    def rows(self) -> Iterator[Row | Broken]:
        """Every row that is not empty. Whoever changes `layout` on the way does so for the rows that follow."""
        lines = self._lines
        reader, layout = _reader(lines, self.layout), self.layout
        while True:
            if layout is not self.layout:
                reader, layout = _reader(lines, self.layout), self.layout
            lines.begin()
            begins = lines.line + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, _TooLong) as error:
                yield self._broken(begins, error)
                reader = _reader(lines, layout)
            else:
                if cells and (len(cells) > 1 or cells[0].strip()):
                    yield begins, cells

    def _broken(self, begins: int, error: Exception) -> Broken:
        lines = self._lines
        first = lines.taken[0] if lines.taken else ""
        lines.give_back()
        is_long = isinstance(error, _TooLong)
        reason = "the row is longer than any reader's can be" if is_long else "the quotes of this row do not match"
        return Broken(begins, (first.rstrip("\r\n")[:LONGEST_LINE],), reason)


@contextmanager
def open_sheet(path: Path) -> Iterator[Sheet]:
    """Open a file of rows. Raises `BadSheet`; `OSError` where the system has something against it."""
    check_file(path)
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise BadSheet(f"{path} is larger than {LARGEST_FILE // 1024**3} GiB; split it.")
    if not size:
        raise BadSheet(f"{path} is empty.")
    encoding, is_certain = _encoding(path)
    with path.open("rb") as file:
        yield Sheet(file, size, encoding, is_certain=is_certain)


def check_file(path: Path) -> None:
    """See to it that there is a file. Raises `BadSheet`."""
    if path.is_dir():
        raise BadSheet(f"{path} is a folder; name the file in it.")
    if str(path) == "-" or (path.exists() and not path.is_file()):
        raise BadSheet(
            "The rows are read twice, so a pipe or standard input will not do; save them, and name the file."
        )
    if not path.exists():
        raise BadSheet(f"There is no file {path}.")


def columns_of(line: str, delimiter: str) -> list[str]:
    """The cells of a file's first line by a delimiter; none where it cannot be read so."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []


def _reader(lines: _Lines, layout: Layout) -> Iterator[list[str]]:
    if layout.delimiter is None:
        return ([line.strip()] for line in lines)
    if layout.backslash:
        return csv.reader(lines, delimiter=layout.delimiter, doublequote=False, escapechar="\\", strict=True)
    return csv.reader(lines, delimiter=layout.delimiter, strict=True)


def _encoding(path: Path) -> tuple[str, bool]:
    """What a file is written in, and whether that is certain. The whole file is looked at: one octet decides."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16", True
        if without_mark := _utf16_without_mark(head):
            return without_mark, True
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(head)
            while chunk := file.read(1 << 20):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return _FALLBACK, False
    return "utf-8-sig", True


def _utf16_without_mark(head: bytes) -> str | None:
    half = len(head) // 2
    if half and head[1::2].count(0) > half * _MOSTLY and not head[0::2].count(0):
        return "utf-16-le"
    if half and head[0::2].count(0) > half * _MOSTLY and not head[1::2].count(0):
        return "utf-16-be"
    return None


def fits(cells: Sequence[str], width: int) -> bool:
    """Whether a row has as many cells as the header; some systems end rows with an empty one more (phpList)."""
    return len(cells) == width or (len(cells) > width and not any(cells[width:]))
