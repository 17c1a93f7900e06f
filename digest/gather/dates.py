"""Instants out of what feeds and pages write. Pure."""

from __future__ import annotations

import datetime as dt
import re
from email.utils import parsedate_to_datetime
from typing import Any

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WRITTEN = re.compile(
    r"(?:(?P<m1>[A-Za-z]{3,9})\.?\s+(?P<d1>\d{1,2})|(?P<d2>\d{1,2})\.?\s+(?P<m2>[A-Za-z]{3,9})\.?),?\s+(?P<y>\d{4})"
    r"(?:[,\s–—-]+(?:at\s+)?(?P<h>\d{1,2}):(?P<min>\d{2})\s*(?P<half>[AaPp]\.?[Mm]\.?)?)?"
)
# Zone names that the libraries do not know, or not in every form of date.
_ZONES = {
    **dict.fromkeys(("UTC", "GMT", "UT", "WET"), "+0000"),
    **dict.fromkeys(("CET", "BST", "WEST"), "+0100"),
    **dict.fromkeys(("EET", "CEST"), "+0200"),
    **dict.fromkeys(("MSK", "EEST", "TRT"), "+0300"),
    **dict.fromkeys(("EDT",), "-0400"),
    **dict.fromkeys(("EST", "CDT"), "-0500"),
    **dict.fromkeys(("CST", "MDT"), "-0600"),
    **dict.fromkeys(("MST", "PDT"), "-0700"),
    **dict.fromkeys(("PST",), "-0800"),
}
_ZONE = re.compile(rf"(?<=[\d\sMm.])({'|'.join(_ZONES)})$")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")
_MIDNIGHT = re.compile(r"(?<=[T\s])24:00(?=:00|\D|$)")
_FIRST_YEAR = 1990
"""No web page is older; systems write year 1 or 1970 for "unknown"."""


def parse_date(text: str | None) -> dt.datetime | None:
    """An instant in UTC from ISO 8601 (a blank for the T too), RFC 822 or written-out English; none for anything else.

    Without a zone it is taken as UTC; a date alone is its midnight.
    """
    value = (text or "").strip()
    # Year 1 stands for "unknown"; the libraries take it for 2001.
    if not value or is_never(value):
        return None
    value = _ZONE.sub(lambda name: _ZONES[name[1]], value)
    # The end of a day is the beginning of the next one (ISO 8601).
    early = _MIDNIGHT.sub("00:00", value)
    found = _iso(early) or _rfc822(early) or _written(early)
    return _sensible(found, days=early != value) if found else None


def is_never(text: str) -> bool:
    """Whether a date is one that systems write for "unknown"."""
    return bool(re.search(r"(?<![+\-\d])000[01]\b", text))


def parse_tuple(value: Any) -> dt.datetime | None:
    """An instant from feedparser's UTC time tuple; none where it is none."""
    try:
        year, month, day, hour, minute, second = value[:6]
        return _sensible(dt.datetime(year, month, day, hour, minute, min(second, 59), tzinfo=dt.UTC))
    except (TypeError, ValueError):
        return None


def _sensible(found: dt.datetime, days: int = 0) -> dt.datetime | None:
    try:
        instant = (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).astimezone(dt.UTC) + dt.timedelta(days=days)
    except OverflowError:
        return None
    return instant if instant.year >= _FIRST_YEAR else None


def _iso(value: str) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(re.sub(r"^(\d{4}-\d\d-\d\d)\s+(?=\d)", r"\1T", value).replace(" ", ""))
    except ValueError:
        return None


def _rfc822(value: str) -> dt.datetime | None:
    # The library reads "April 28, 2024 3:00 PM" too, and takes it for the morning.
    if not re.match(r"(?:[A-Za-z]{3,9},?\s+)?\d{1,2}[\s-]+[A-Za-z]{3}", value):
        return None
    try:
        return parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _written(value: str) -> dt.datetime | None:
    found = _WRITTEN.search(value)
    if not found:
        return None
    month = (found["m1"] or found["m2"])[:3].lower()
    if month not in _MONTHS:
        return None
    hour = int(found["h"] or 0)
    if found["half"]:
        hour = hour % 12 + (12 if found["half"][0] in "Pp" else 0)
    try:
        return dt.datetime(int(found["y"]), _MONTHS.index(month) + 1, int(found["d1"] or found["d2"]), hour,
                           int(found["min"] or 0), tzinfo=_zone(value[found.end() :]))  # fmt: skip
    except ValueError:
        return None


def _zone(rest: str) -> dt.tzinfo:
    """The zone written after a time as an offset; UTC where there is none."""
    found = _OFFSET.fullmatch(rest.strip())
    if not found:
        return dt.UTC
    offset = dt.timedelta(hours=int(found[2]), minutes=int(found[3]))
    return dt.timezone(-offset if found[1] == "-" else offset)
