"""Reading a posted form: plain text fields, bounded, without characters that no text has (W-17).

Litestar's own reader keeps the last 1,024 form bodies in a cache of the process, passwords among them, and so it is not
used here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from litestar import Request
from litestar.exceptions import ClientException, HTTPException

# The issue page is one form: an issue offers at most a hundred stories, with four texts and their marks each.
MOST_FIELDS = 1000
MOST_BYTES = 2 * 1024 * 1024
# Controls but tab and line feed: no text has them, and PostgreSQL takes no NUL.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Form:
    """The fields of a form; of a name that comes twice the first counts."""

    fields: dict[str, str]

    def text(self, name: str) -> str:
        """A text of several lines, ends of lines made one kind; empty where there is no such field."""
        return self.fields.get(name, "").strip()

    def line(self, name: str) -> str:
        """A text of one line: every run of white space is one space."""
        return " ".join(self.fields.get(name, "").split())

    def raw(self, name: str) -> str:
        """A field exactly as typed."""
        return self.fields.get(name, "")

    def number(self, name: str) -> int:
        """A whole number. Raises `ClientException` for anything else: our own pages always send one."""
        text = self.fields.get(name, "")
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
            raise ClientException(f"The form's field {name!r} is not a number.")
        return int(text)

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    def __repr__(self) -> str:
        return f"Form({', '.join(self.fields)})"


async def read_form(request: Request[Any, Any, Any]) -> Form:
    """The request's form. Raises a `ClientException` or `HTTPException` (415) where it has none that can be read."""
    kind, _ = request.content_type
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException("This page takes forms only.", status_code=415)
    return parse_form(await request.body())


def parse_form(body: bytes) -> Form:
    """Read an urlencoded body (UTF-8). Pure; raises `ClientException`."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, encoding="utf-8", errors="strict"
        )
    except ValueError as error:
        raise ClientException("The form could not be read.") from error
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, _CONTROLS.sub("", value.replace("\r\n", "\n").replace("\r", "\n")))
    return Form(fields)
