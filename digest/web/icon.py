"""The small picture in a browser's tab, at the address where browsers look for it unasked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler, route

from digest.web.door import Door, rule
from digest.web.parts import Parts

FILE = "favicon.ico"
HOW: dict[str, Any] = {"http_method": ["GET", "HEAD"], "status_code": 200, "sync_to_thread": False}


def icon_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """`/favicon.ico`; a newsroom's own is `static/favicon.ico` in its templates folder."""
    picture = _first([folder / FILE for folder in parts.static])

    @route(f"/{FILE}", opt=rule(Door.OPEN), **HOW)
    def icon() -> Response[bytes]:
        return Response(picture, media_type="image/x-icon", headers={"cache-control": "public, max-age=86400"})

    return [icon]


def _first(paths: list[Path]) -> bytes:
    return next((path.read_bytes() for path in paths if path.is_file()), b"")
