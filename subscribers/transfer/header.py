"""Whose file it is: found out by its header, or told by the operator."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from subscribers.transfer.sheet import DELIMITERS, BadSheet, Broken, Layout, Row, Sheet, columns_of
from subscribers.transfer.systems import MAILMAN, SYSTEMS, Entry, Interpreter, System, mapped, normal, recognise


@dataclass(frozen=True)
class Reading:
    """A file whose columns are known."""

    system: System
    header: Sequence[str]
    interpret: Interpreter
    _sheet: Sheet
    _only: Sequence[tuple[int, str]]

    @property
    def has_header(self) -> bool:
        """Whether there are columns; a list of addresses has none."""
        return self.system is not MAILMAN

    def rows(self) -> Iterator[Row | Broken]:
        """The rows below the header."""
        for row in self._sheet.rows():
            if self.has_header or isinstance(row, Broken) or not row[1][0].startswith("#"):
                yield row

    def is_asked_for(self, cells: Sequence[str]) -> bool:
        """Whether the row is one of those that the operator wants."""
        return all(cells[place].strip().casefold() == wanted for place, wanted in self._only)

    def __call__(self, cells: Sequence[str]) -> Entry:
        """What a row says."""
        return self.interpret(cells)


def open_reading(sheet: Sheet, columns: Mapping[str, str], only: Mapping[str, str], now: dt.datetime) -> Reading:
    """Find out whose file it is. Raises `BadSheet` with what can be done about it."""
    first = sheet.first_line()
    if not columns and _is_list(first):
        sheet.layout = Layout(None)
        if only:
            raise BadSheet("The file has no header, so that there are no columns to choose rows by.")
        return Reading(MAILMAN, ("email",), Interpreter(MAILMAN, {"email": 0}, now), sheet, ())
    delimiter = _delimiter(first, columns)
    sheet.layout = Layout(delimiter)
    header = _header(sheet)
    system = _system(sheet, header, columns)
    sheet.layout = Layout(delimiter, backslash=system.backslash)
    names = _names(header, columns)
    _check_email(header, system, names)
    return Reading(system, header, Interpreter(system, names, now), sheet, _only(header, only))


def _is_list(first: str) -> bool:
    """Whether a file begins with an address, and not with names of columns."""
    return "@" in first or first.lstrip().startswith("#")


def _delimiter(first: str, columns: Mapping[str, str]) -> str:
    """What keeps the cells apart: what makes a header of it that is known, or else the most cells."""
    wanted = {normal(name) for name in columns.values()}

    def fitness(delimiter: str) -> tuple[bool, int]:
        cells = columns_of(first, delimiter)
        is_known = wanted <= {normal(cell) for cell in cells} if wanted else recognise(cells) is not None
        return is_known, len(cells)

    return max(DELIMITERS, key=fitness)


def _header(sheet: Sheet) -> list[str]:
    row = next(sheet.rows(), None)
    if row is None or isinstance(row, Broken):
        raise BadSheet("The first line is no header that can be read.")
    header = [name.strip() for name in row[1]]
    while header and not header[-1]:
        header.pop()
    return header


def _system(sheet: Sheet, header: Sequence[str], columns: Mapping[str, str]) -> System:
    if columns:
        return mapped(has_status="status" in columns)
    if system := recognise(header):
        return system
    known = ", ".join(sorted(system.name for system in SYSTEMS))
    raise BadSheet(
        f"The columns are not those of an export that is known here ({known}, or a list of addresses): "
        f"{', '.join(header[:20])}. Say which is which, like --map {shlex.quote('email=' + _likely(sheet, header))}."
    )


def _likely(sheet: Sheet, header: Sequence[str]) -> str:
    """The column that has the addresses, as it seems: by its name, or by what stands in it first."""
    row = next(sheet.rows(), None)
    cells = [] if row is None or isinstance(row, Broken) else row[1]
    held = (name for name, cell in zip(header, cells, strict=False) if "@" in cell)
    called = (name for name in header if "mail" in normal(name))
    return next(held, None) or next(called, "COLUMN")


def _names(header: Sequence[str], columns: Mapping[str, str]) -> dict[str, int]:
    """Where each column is, by the name that the system goes by; the first one of those that are there twice."""
    places: dict[str, int] = {}
    for place, name in enumerate(header):
        places.setdefault(normal(name), place)
    if not columns:
        return places
    if missing := [name for name in columns.values() if normal(name) not in places]:
        raise BadSheet(f"The file has no column {', '.join(missing)}; it has: {', '.join(header[:20])}.")
    return {meaning: places[normal(name)] for meaning, name in columns.items()}


def _check_email(header: Sequence[str], system: System, names: Mapping[str, int]) -> None:
    used = next((names[name] for name in system.email if name in names), None)
    if used is None:
        raise BadSheet("No column was named for the address; --map needs email=….")
    if [normal(name) for name in header].count(normal(header[used])) > 1:
        raise BadSheet(f"There are several columns {header[used]}; leave one of them.")


def _only(header: Sequence[str], only: Mapping[str, str]) -> list[tuple[int, str]]:
    places = {normal(name): place for place, name in reversed(list(enumerate(header)))}
    if missing := [name for name in only if normal(name) not in places]:
        raise BadSheet(f"The file has no column {', '.join(missing)}; it has: {', '.join(header[:20])}.")
    return [(places[normal(name)], value.strip().casefold()) for name, value in only.items()]
