"""What stands in single cells: instants, yes and no, and what a spreadsheet would take for a formula. Pure."""

from __future__ import annotations

import datetime as dt
import re

_BEGINNINGS = "=+\\-@\uff1d\uff0b\uff0d\uff20"
# At a cell's beginning; and inside it, after what another program than the one it was written for may split cells at.
_FORMULA = re.compile(f"(?:^(?='*[{_BEGINNINGS}\t\r\n])|(?<=[;,|\t\r\n])(?='*[{_BEGINNINGS}]))")
_ESCAPED = re.compile(f"(?:^'(?='*[{_BEGINNINGS}\t\r\n])|(?<=[;,|\t\r\n])'(?='*[{_BEGINNINGS}]))")
# What Go prints: 2021-05-03 12:34:56.789 +0000 UTC
_LOOSE = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.\d+)?(?: ?([+-]\d\d):?(\d\d)| ?Z| UTC)?(?: [A-Z]{1,5})?"
)
_COMMON = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", re.ASCII)
_EARLIEST = dt.datetime(1990, 1, 1, tzinfo=dt.UTC)
_YES = frozenset({"1", "true", "yes", "y", "t"})


def read_instant(text: str, now: dt.datetime) -> dt.datetime | None:
    """An instant as systems write it, UTC where they do not say; none for what is no instant, or one that cannot be."""
    if not text:
        return None
    try:
        # As most write it: to be told at once that it is UTC takes a tenth of the time of being told afterwards.
        found = dt.datetime.fromisoformat(f"{text}+00:00" if _COMMON.fullmatch(text) else text)
    except ValueError:
        if not (match := _LOOSE.fullmatch(text)):
            return None
        day, time, hours, minutes = match.groups()
        try:
            found = dt.datetime.fromisoformat(f"{day}T{time}{f'{hours}:{minutes}' if hours else ''}")
        except ValueError:
            return None
    return _possible(found, now)


def _possible(found: dt.datetime, now: dt.datetime) -> dt.datetime | None:
    try:
        aware = found if found.tzinfo is dt.UTC else _in_utc(found)
    except OverflowError:
        return None
    # A day's grace, for clocks and zones that nobody named.
    return aware if _EARLIEST <= aware <= now + dt.timedelta(days=1) else None


def _in_utc(found: dt.datetime) -> dt.datetime:
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)


def is_yes(text: str) -> bool:
    """Whether a cell says yes."""
    return text.casefold() in _YES


def escaped(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula (W-16), wherever it splits cells. `unescaped` undoes it."""
    return _FORMULA.sub("'", cell)


def unescaped(cell: str) -> str:
    """What `escaped` was given."""
    return _ESCAPED.sub("", cell)
