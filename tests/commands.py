"""The command line run in this process: as `digest …` would, where a test runs many of them."""

from __future__ import annotations

import io
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog

from digest.cli import main
from subscribers.db import Database


def run(folder: Path, *words: str, typed: str = "", **environ: str) -> tuple[int, str]:
    """Run a command in a folder; returns its exit code and all that it said, a traceback included."""
    said = io.StringIO()
    return _run(folder, words, typed, environ, said, said), said.getvalue()


def told(folder: Path, *words: str, code: int = 0, typed: str = "", **environ: str) -> str:
    """Run a command that is to end with that code; returns what it said, where it was done without its log."""
    out, err = io.StringIO(), io.StringIO()
    ended = _run(folder, words, typed, environ, out, err)
    assert ended == code, out.getvalue() + err.getvalue()
    assert "Traceback" not in err.getvalue()
    return out.getvalue() if code == 0 else out.getvalue() + err.getvalue()


def _run(
    folder: Path, words: Sequence[str], typed: str, environ: Mapping[str, str], out: io.StringIO, err: io.StringIO
) -> int:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # Taken off first: setting the logs up closes what it finds.
    root.handlers[:] = []
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["digest", *words])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode()), encoding="utf-8"))
        for name in [name for name in os.environ if name.startswith("DIGEST_")]:
            patch.delenv(name)
        for name, value in environ.items():
            patch.setenv(name, value)
        configuration = structlog.get_config()
        opened = list[Database]()
        patch.setattr(Database, "__init__", _remembering(opened))
        code = _code()
        structlog.configure(**configuration)
        # A process that ends gives its connections back; this one goes on.
        for database in opened:
            database.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    return code


def _remembering(opened: list[Database]) -> Callable[[Database, str | sa.URL], None]:
    begin = Database.__init__

    def remember(self: Database, url: str | sa.URL) -> None:
        begin(self, url)
        opened.append(self)

    return remember


def _code() -> int:
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    except Exception:  # noqa: BLE001 -- what the interpreter would do with it.
        traceback.print_exc()
        return 1
    return 0
