"""What all pages of the desk share: their frame, their answers, and how they say a date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Response
from litestar.enums import MediaType

from digest.web.parts import Parts
from digest.web.sessions import Visitor


def desk_page(
    parts: Parts,
    visitor: Visitor | None,
    template: str,
    /,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> Response[str]:
    """A page of the desk from `templates/web/desk/<template>.html`."""
    html = parts.pages.render(f"desk/{template}.html", visitor=visitor, **context)
    return Response(html, status_code=status, media_type=MediaType.HTML, headers=dict(headers or {}))


def see(path: str) -> Response[None]:
    """Send the browser to a page of ours after a change, so that loading it again does nothing twice (303)."""
    return Response(None, status_code=303, headers={"location": path})


def local_time(instant: dt.datetime, zone: ZoneInfo) -> str:
    """An instant on the newsroom's clock: `Thu 19 Nov 2026, 10:00 CET`."""
    return f"{instant.astimezone(zone):%a %-d %b %Y, %H:%M %Z}"


def span(start: dt.datetime, end: dt.datetime, zone: ZoneInfo) -> str:
    """A window on the newsroom's clock: `Thu 5 Nov, 06:00 to Thu 12 Nov, 06:00`."""
    first, last = (f"{one.astimezone(zone):%a %-d %b, %H:%M}".replace(" ", "\u00a0") for one in (start, end))
    return f"{first} to {last}"


def utc_time(instant: dt.datetime) -> str:
    """An instant in UTC: `09:00 UTC`."""
    return f"{instant.astimezone(dt.UTC):%H:%M} UTC"


def count_of(number: int, one: str, many: str) -> str:
    """A number and its word: `1 story`, `12,400 readers`."""
    return f"{number:,} {one if number == 1 else many}"


def until(instant: dt.datetime, now: dt.datetime) -> str:
    """How far ahead an instant is, in words that stay on one line: `in 3 days`, `in 2 h 5 min`, `2 h ago`."""
    minutes = int(abs(instant - now).total_seconds()) // 60
    days, hours = minutes // 1440, minutes // 60
    if days >= 2:  # noqa: PLR2004 -- up to two days, hours are the clearer word.
        words = f"{days} days"
    elif hours >= 12 or (hours and not minutes % 60):  # noqa: PLR2004 -- so far ahead nobody counts minutes.
        words = f"{hours} h"
    else:
        words = f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
    return (f"in {words}" if instant >= now else f"{words} ago").replace(" ", "\u00a0")
