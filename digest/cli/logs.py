"""Logs: one line an event on standard error, for people on a terminal and as JSON elsewhere, never with an address."""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any

import structlog

# What stands before the sign of an address: a quoted string, or a run without spaces in which an apostrophe may stand.
# The looks behind keep a long run from being searched anew from each of its letters.
_CHAR = r"[^\s<>:;,()\[\]\"'\\@\uff20\ufe6b]"
_LOCAL = rf"(?:\"(?:[^\"\\\n]|\\.){{0,256}}\\?\"|(?<!{_CHAR}){_CHAR}+(?:'{_CHAR}+)*)"
_DOMAIN = r"(?:\[[^\s\]]+\]|[^\s<>:;,()\[\]\"'\\@/?&#=]+)"
_ADDRESS = re.compile(rf"{_LOCAL}(?:@|\uff20|\ufe6b|%40){_DOMAIN}", re.IGNORECASE)
_LINK = r"/(confirm|u|manage|mine|never)/"
_TOKEN = re.compile(rf"{_LINK}[A-Za-z0-9_-]+")
# What every address and every link has in JSON, where other signs than ASCII's are escapes.
_SUSPECT = re.compile(rf"@|%40|\\u|{_LINK}")
_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")


def set_up_logs(*, quiet: bool = False) -> None:
    """Configure structlog and the libraries' own loggers; `quiet` leaves out what is only for information."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    written = _for_people() if sys.stderr.isatty() else _for_programs()
    structlog.configure(
        processors=[*shared, *written],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if quiet else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    drop_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[drop_meta, *written])
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def redacted(text: str) -> str:
    """A text without addresses and without readers' links. Rather too much goes than too little (O-53)."""
    return _TOKEN.sub(r"/\1/<token>", _ADDRESS.sub("<address>", text))


# The fence stands behind the renderer: whatever an event brought (an exception, a set, octets), only then is it text.


def _for_people() -> list[structlog.typing.Processor]:
    render = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return [render, _fence_line]


def _for_programs() -> list[structlog.typing.Processor]:
    return [structlog.processors.JSONRenderer(), _fence_json]


def _fence_line(_logger: object, _name: str, line: Any) -> str:
    # Colours are passed over: what stands beside one is no part of an address.
    return "".join(one if _COLOUR.fullmatch(one) else redacted(one) for one in _COLOUR.split(line))


def _fence_json(_logger: object, _name: str, line: Any) -> str:
    # Read again, so that no escape hides an address and no replacement breaks the line; most lines need neither.
    return json.dumps(_redacted(json.loads(line))) if _SUSPECT.search(line) else line


def _redacted(value: Any) -> Any:
    """What JSON can say: texts, and lists and objects of them; numbers and the rest stay."""
    match value:
        case str():
            return redacted(value)
        case list():
            return [_redacted(one) for one in value]
        case dict():
            return {redacted(key): _redacted(one) for key, one in value.items()}
        case _:
            return value
