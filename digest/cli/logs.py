"""Logs: one line an event on standard error, for people on a terminal and as JSON elsewhere, never with an address."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_ADDRESS = re.compile(r"[^\s<>:;,()\[\]\"']+@[^\s<>:;,()\[\]\"']+\.[^\s<>:;,()\[\]\"']+")
_TOKEN = re.compile(r"/(confirm|u|manage|never)/[A-Za-z0-9_-]+")


def set_up_logs(*, quiet: bool = False) -> None:
    """Configure structlog and the libraries' own loggers; `quiet` leaves out what is only for information."""
    for_people = sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        without_addresses,
    ]
    render = structlog.dev.ConsoleRenderer() if for_people else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if quiet else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_drop_meta, render]))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def without_addresses(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last fence: whatever a message says, no address and no reader's link is written (O-53)."""
    return {key: _redacted(value) for key, value in event.items()}


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return _TOKEN.sub(r"/\1/<token>", _ADDRESS.sub("<address>", value))
    if isinstance(value, (list, tuple)):
        return [_redacted(one) for one in value]
    return value


def _drop_meta(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(_logger, _name, event)
